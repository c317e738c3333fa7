/**
 * The applications of one node and the groups that they are in: passes the core's upcalls to them, in order, and their
 * commands to the core.
 */
import type { Effect, Ending, RawOutcome } from "../protocol/effects.ts";
import type { HistorySink } from "../protocol/history.ts";
import type { Process } from "../protocol/process.ts";
import type { GroupView, NodeId } from "../protocol/view.ts";
import type { AnswerStatus, Application, Membership, StateLoader, StateReader } from "./application.ts";
import type { Rekeying, RekeyOutcome } from "./rekeying.ts";

const NO_VIEW: GroupView = { number: 0, members: [], synced: [], acceptors: [], lacking: [] };

type GroupEffect = Exclude<
  Extract<Effect, { readonly group: number }>,
  { readonly kind: "recall" } | { readonly kind: "rekeyed" }
>;

/** The name of a group in histories: a group that is made anew under an old name is another group. */
export function historyName(name: string, group: number): string {
  return `${name}/${group}`;
}

class Attendance implements Membership {
  readonly name: string;
  readonly group: number;
  readonly self: NodeId;
  readonly application: Application;
  readonly readers = new Map<string, StateReader>();
  readonly flushes = new Map<number, (ending: Ending | undefined) => void>();
  loader: StateLoader | undefined;
  view: GroupView = NO_VIEW;
  ended: Ending | undefined;
  readonly #process: Process;
  readonly #rekeying: Pick<Rekeying, "begin">;
  readonly #requestTurn: () => void;
  /** The membership that messages are sent with in this turn. */
  #sending: ReturnType<Process["member"]>;
  #sendingTurn = -1;

  constructor(
    name: string,
    group: number,
    application: Application,
    process: Process,
    rekeying: Pick<Rekeying, "begin">,
    requestTurn: () => void,
  ) {
    this.#rekeying = rekeying;
    this.name = name;
    this.group = group;
    this.application = application;
    this.self = process.self.id;
    this.#process = process;
    this.#requestTurn = requestTurn;
  }

  send(flavour: number, tag: number, payload: Uint8Array): boolean {
    const { turns } = this.#process;
    if (turns !== this.#sendingTurn) {
      this.#sending = this.#member();
      this.#sendingTurn = turns;
    }
    return this.#sending?.send(flavour, tag, payload) ?? false;
  }

  sendRaw(tag: number, payload: Uint8Array): RawOutcome {
    return this.#member()?.sendRaw(tag, payload) ?? "over";
  }

  flush(copies: number | undefined, done: (ending: Ending | undefined) => void): () => void {
    const member = this.#member();
    if (member === undefined) {
      done(this.ended ?? "closed");
      return () => {};
    }
    const flush = member.flush(copies);
    this.flushes.set(flush, done);
    return () => {
      if (this.flushes.delete(flush)) this.#member()?.cancelFlush(flush);
    };
  }

  openQuery(): number {
    return this.#member()?.openQuery() ?? 0;
  }

  queryDelivered(query: number, members: readonly NodeId[]): void {
    this.#member()?.queryDelivered(query, members, this.view.number);
  }

  closeQuery(query: number): void {
    this.#member()?.closeQuery(query);
  }

  accuse(query: number, members: readonly NodeId[]): void {
    this.#member()?.accuse(query, members);
  }

  answer(to: NodeId, query: number, status: AnswerStatus, value: Uint8Array): void {
    this.#member()?.answer(to, query, status, value);
  }

  findSlow(member: NodeId, isSlow: boolean): void {
    this.#member()?.findSlow(member, isSlow);
  }

  rekey(key: Uint8Array, done: (outcome: RekeyOutcome) => void): () => void {
    if (this.#member() === undefined) return () => {};
    return this.#rekeying.begin(this.group, key, done);
  }

  leave(): void {
    this.#member()?.leave();
  }

  #member(): ReturnType<Process["member"]> {
    if (this.ended !== undefined) return undefined;
    this.#requestTurn();
    const member = this.#process.member(this.group);
    return member?.ended ? undefined : member;
  }
}

export class Memberships {
  readonly #process: Process;
  readonly #requestTurn: () => void;
  readonly #history: HistorySink | undefined;
  readonly #rekeying: Pick<Rekeying, "begin">;
  readonly #now: () => number;
  readonly #groups = new Map<number, Attendance>();
  /** Applications that wait for the directory to let them in, by group name. */
  readonly #expected = new Map<string, Application>();

  constructor(
    process: Process,
    requestTurn: () => void,
    now: () => number,
    history: HistorySink | undefined,
    rekeying: Pick<Rekeying, "begin">,
  ) {
    this.#process = process;
    this.#rekeying = rekeying;
    this.#requestTurn = requestTurn;
    this.#now = now;
    this.#history = history;
  }

  isExpected(name: string): boolean {
    return this.#expected.has(name);
  }

  expect(name: string, application: Application): void {
    this.#expected.set(name, application);
  }

  /** The application is not wanted any more; if the directory lets it in all the same, it leaves again. */
  forget(name: string): void {
    this.#expected.delete(name);
  }

  perform(effect: GroupEffect): void {
    if (effect.kind === "entered") {
      this.#entered(effect.group, effect.name);
      return;
    }
    const attendance = this.#groups.get(effect.group);
    if (attendance === undefined) {
      if (effect.kind === "deliver") effect.packet.release();
      return;
    }
    this.#upcall(attendance, effect);
  }

  #upcall(attendance: Attendance, effect: Exclude<GroupEffect, { kind: "entered" }>): void {
    const { application } = attendance;
    switch (effect.kind) {
      case "deliver":
        application.deliver(effect.packet, effect.point);
        effect.packet.release();
        break;
      case "install":
        attendance.view = effect.view;
        this.#record(attendance, "install");
        application.install(effect.view);
        break;
      case "sent":
        if (application.recordsSends) application.sent(effect.packet, effect.view);
        break;
      case "capture":
        attendance.readers.set(`${effect.joiner} ${effect.since}`, application.capture());
        break;
      case "pull":
        this.#pull(attendance, effect.joiner, effect.since);
        break;
      case "release": {
        const key = `${effect.joiner} ${effect.since}`;
        attendance.readers.get(key)?.close();
        attendance.readers.delete(key);
        break;
      }
      case "load":
        attendance.loader = application.load();
        break;
      case "chunk":
        this.#chunk(attendance, effect.since, effect.chunk, effect.last);
        break;
      case "revisit":
        application.revisit(effect.view, attendance.group);
        break;
      case "unrecoverable":
        application.unrecoverable(effect.detail);
        break;
      case "joined":
        application.joined(attendance, effect.created);
        break;
      case "rawUnsent":
        application.rawUnsent(effect.messages);
        break;
      case "rawDropped":
        application.rawDropped(effect.messages);
        break;
      case "room":
        application.room();
        break;
      case "slow":
        application.slow(effect.member, effect.forMs);
        break;
      case "blocked":
        application.blocked(effect.blocked);
        break;
      case "flushed": {
        const done = attendance.flushes.get(effect.flush);
        attendance.flushes.delete(effect.flush);
        done?.(effect.ending);
        break;
      }
      case "reply":
        application.reply(effect.query, effect.from, effect.status, effect.value);
        break;
      case "queryComplete":
        application.queryComplete(effect.query);
        break;
      case "ended":
        attendance.ended = effect.how;
        this.#groups.delete(effect.group);
        this.#record(attendance, "end");
        application.ended(effect.how);
        break;
    }
  }

  #entered(group: number, name: string): void {
    const application = this.#expected.get(name);
    if (application === undefined) {
      this.#process.member(group)?.leave();
      return;
    }
    this.#expected.delete(name);
    this.#groups.set(group, new Attendance(name, group, application, this.#process, this.#rekeying, this.#requestTurn));
  }

  #pull(attendance: Attendance, joiner: NodeId, since: number): void {
    const reader = attendance.readers.get(`${joiner} ${since}`);
    reader?.read((chunk) => {
      const member = this.#process.member(attendance.group);
      // A joiner is told why by what is in the chunk; on disk it would pass for a state.
      if (reader.hasFailed && joiner === attendance.self) member?.checkpointFailed(since);
      else member?.stateChunk(joiner, since, chunk);
      this.#requestTurn();
    });
  }

  #chunk(attendance: Attendance, since: number, chunk: Uint8Array, last: boolean): void {
    const { loader } = attendance;
    if (loader === undefined) return;
    if (chunk.length > 0) loader.chunk(chunk);
    if (!last) return;
    attendance.loader = undefined;
    loader.end((problem) => {
      const member = this.#process.member(attendance.group);
      if (problem === undefined) member?.stateLoaded(since);
      else member?.leave();
      this.#requestTurn();
    });
  }

  #record(attendance: Attendance, kind: "install" | "end"): void {
    if (this.#history === undefined) return;
    const { self: node, view, ended } = attendance;
    const group = historyName(attendance.name, attendance.group);
    const at = this.#now();
    if (kind === "install") {
      this.#history({ kind, at, node, group, number: view.number, members: view.members });
    } else if (ended !== undefined && ended !== "closed") {
      this.#history({ kind: "end", at, node, group, why: ended });
    }
  }
}
