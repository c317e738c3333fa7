/**
 * What stands behind a `Group`: it turns calls into messages of the replica and the replica's changes into what users can
 * wait for. It is made when the replica is ready, and outlives the membership so that late calls get a proper error.
 */

import type { FlushOutcome } from "../protocol/history.ts";
import { type GroupView, type NodeId, nodeName } from "../protocol/view.ts";
import type { Ending } from "../runtime/application.ts";
import { Calls } from "./calls.ts";
import { groupKeyBytes } from "./credentials.ts";
import type { GroupDefinition } from "./define.ts";
import type { GroupCounters } from "./diagnostics.ts";
import { CoterieError } from "./errors.ts";
import { Feed } from "./feed.ts";
import type { FlushOptions, Group, GroupStatus, MemberEvent } from "./group.ts";
import type { ReadContext } from "./operations.ts";
import { Pending } from "./pending.ts";
import { abortedBy, refusedBySignal } from "./questions.ts";
import type { Replica, ReplicaListener } from "./replica.ts";
import type { QueryOptions, Wanted } from "./reply.ts";

/** The group of a replica that is ready, and what tells the group of changes. */
export class GroupHandle implements ReplicaListener {
  readonly #replica: Replica;
  readonly #calls: Calls;
  readonly #views = new Feed<GroupView>();
  readonly #ending = new AbortController();
  /** Calls that end with the membership. */
  readonly #pending = new Set<Pending<unknown>>();
  #status: GroupStatus = "active";
  #left: Promise<void> | undefined;
  /** Called when the status changes. */
  readonly #onStatus = new Set<() => void>();

  constructor(replica: Replica) {
    this.#replica = replica;
    this.#calls = new Calls(replica, { audience: undefined, signal: undefined });
    if (replica.isBlocked) this.#status = "blocked";
    replica.listen(this);
  }

  /** The one place where types are given back to what the definition described. */
  as<G extends GroupDefinition>(): Group<G> {
    return this as unknown as Group<G>;
  }

  get name(): string {
    return this.#replica.definition.name;
  }

  get self(): NodeId {
    return this.#replica.self;
  }

  get view(): GroupView {
    return this.#replica.view;
  }

  get rank(): number {
    return this.#replica.rank;
  }

  get status(): GroupStatus {
    return this.#status;
  }

  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  get counters(): GroupCounters {
    return { ...this.#replica.diagnostics.counters };
  }

  supports(name: string): boolean {
    const { definition, capabilities } = this.#replica;
    const operations = [...definition.updates, ...definition.queries].filter((operation) => operation.name === name);
    if (operations.length === 0) {
      throw new CoterieError("unknown-operation", `the group has no operation \`${name}\``, { group: this.name });
    }
    return operations.every(({ opcode }) => capabilities.lackers(opcode, undefined).length === 0);
  }

  get rawSend() {
    return this.#calls.rawSend;
  }

  get send() {
    return this.#calls.send;
  }

  get causalSend() {
    return this.#calls.causalSend;
  }

  get orderedSend() {
    return this.#calls.orderedSend;
  }

  get safeSend() {
    return this.#calls.safeSend;
  }

  query(wanted: Wanted, options?: QueryOptions) {
    return this.#calls.query(wanted, options);
  }

  to(members: NodeId | readonly NodeId[]): Calls {
    return this.#calls.to(members);
  }

  with(options: { readonly signal: AbortSignal }): Calls {
    const signal: unknown = options?.signal;
    if (!(signal instanceof AbortSignal)) throw this.#invalid("with: `signal` is not an AbortSignal");
    return new Calls(this.#replica, { audience: undefined, signal });
  }

  flush(first?: unknown, second?: FlushOptions): Pending<unknown> {
    const isOptions = first === undefined || isFlushOptions(first);
    const { copies, signal } = (isOptions ? (first ?? second) : second) ?? {};
    if (copies !== undefined && !(Number.isInteger(copies) && copies >= 1)) {
      throw this.#invalid("flush: `copies` is not a whole number from 1");
    }
    const replica = this.#replica;
    const call = new Pending<unknown>();
    const refusal = replica.outbox.refusal ?? refusedBySignal(signal, "flush", this.name);
    if (refusal !== undefined) {
      call.fail(refusal, replica.diagnostics);
      return call;
    }
    const flush = replica.recorder?.flushBegun(copies);
    let outcome: FlushOutcome = "rejected";
    let cancel: (() => void) | undefined;
    const onAbort = () => {
      outcome = "abandoned";
      call.fail(abortedBy(signal as AbortSignal, "flush", this.name), replica.diagnostics);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#pending.add(call);
    call.whenSettled(() => {
      this.#pending.delete(call);
      signal?.removeEventListener("abort", onAbort);
      cancel?.();
      if (flush !== undefined) replica.recorder?.flushEnded(flush, outcome);
    });
    replica.outbox.afterThese((membership) => {
      if (call.settled) return;
      cancel = membership.flush(copies, (ending) => {
        if (ending === undefined) outcome = "held";
        if (ending === undefined) call.fulfil(isOptions ? undefined : first);
        else call.fail(replica.endedWith ?? replica.endingOf(ending), replica.diagnostics);
      });
    });
    return call;
  }

  rekey(setting: string | Uint8Array, { signal }: { readonly signal?: AbortSignal } = {}): Pending<unknown> {
    const key = groupKeyBytes(setting, "rekey: the key");
    const replica = this.#replica;
    const call = new Pending<unknown>();
    const refusal = replica.outbox.refusal ?? refusedBySignal(signal, "rekey", this.name);
    if (refusal !== undefined) {
      call.fail(refusal, replica.diagnostics);
      return call;
    }
    let cancel: (() => void) | undefined;
    const onAbort = () => call.fail(abortedBy(signal as AbortSignal, "rekey", this.name), replica.diagnostics);
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#pending.add(call);
    call.whenSettled(() => {
      this.#pending.delete(call);
      signal?.removeEventListener("abort", onAbort);
      cancel?.();
    });
    replica.outbox.afterThese((membership) => {
      if (call.settled) return;
      cancel = membership.rekey(key, (outcome) => {
        if (outcome === "rekeyed") call.fulfil(undefined);
        else call.fail(this.#invalid("rekey: the group has no key of its own, and can get none"), replica.diagnostics);
      });
    });
    return call;
  }

  read(look: (context: ReadContext<unknown>) => unknown): unknown {
    const { endedWith, state, view, rank, self } = this.#replica;
    if (endedWith !== undefined) throw endedWith;
    if (this.#status === "blocked") {
      const problem = `group ${this.name} is blocked: the majority of the cluster is out of reach`;
      throw new CoterieError("blocked", problem, { group: this.name, view: view.number });
    }
    return look({ state, view, rank, self });
  }

  views(): AsyncIterableIterator<GroupView> {
    return this.#views.subscribe(this.view);
  }

  watch(member: NodeId): AsyncIterableIterator<MemberEvent> {
    if (typeof member !== "string" || member === "") throw this.#invalid("watch: the member is not a string");
    return eventsOf(member, this.views());
  }

  leave(): Promise<void> {
    this.#left ??= new Promise((resolve) => {
      if (this.#ending.signal.aborted) return resolve();
      this.#ending.signal.addEventListener("abort", () => resolve(), { once: true });
      this.#replica.outbox.refuse(this.#replica.endingOf("left"));
      this.#replica.outbox.afterThese((membership) => membership.leave());
    });
    return this.#left;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const left = this.leave();
    const blocked = new Promise<void>((resolve) => {
      const check = () => {
        if (this.#status === "active") return;
        this.#onStatus.delete(check);
        resolve();
      };
      this.#onStatus.add(check);
      check();
    });
    await Promise.race([left, blocked]);
  }

  /** A view was installed after the first. */
  installed(view: GroupView): void {
    this.#views.publish(view);
  }

  blocked(blocked: boolean): void {
    this.#setStatus(blocked ? "blocked" : "active");
  }

  ended(how: Ending, error: CoterieError): void {
    for (const call of [...this.#pending]) call.fail(error, this.#replica.diagnostics);
    this.#views.end();
    this.#setStatus(how);
    this.#ending.abort(error);
  }

  #setStatus(status: GroupStatus): void {
    if (this.#status === status || this.#ending.signal.aborted) return;
    this.#status = status;
    for (const listener of [...this.#onStatus]) listener();
  }

  #invalid(problem: string): CoterieError {
    return new CoterieError("invalid-argument", problem, { group: this.name });
  }
}

async function* eventsOf(watched: NodeId, views: AsyncIterableIterator<GroupView>): AsyncGenerator<MemberEvent, void> {
  let before: readonly NodeId[] | undefined;
  for await (const view of views) {
    const now = view.members.filter((member) => member === watched || nodeName(member) === watched);
    for (const member of before ?? (watched.includes("#") ? [watched] : [])) {
      if (!now.includes(member)) yield { kind: "left", member, view };
    }
    for (const member of now) {
      if (before?.includes(member) !== true) yield { kind: "joined", member, view };
    }
    before = now;
  }
}

/** A result that happens to look like options is only taken for them if its type allows it (see `Group.flush`). */
function isFlushOptions(value: unknown): value is FlushOptions {
  if (typeof value !== "object" || value === null) return false;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key) => key === "copies" || key === "signal");
}
