/**
 * The queries that this member has asked and that have not ended. A query ends when it has as many values as were
 * wanted, when everybody who was asked has answered or left (Q1), when its time is up, or at the first abort. Who is
 * asked is settled where the query is delivered: the members of that view, or those of them that are the audience. A raw
 * query may not reach them; so it always has a time-out.
 */
import type { GroupView, NodeId } from "../protocol/view.ts";
import type { Membership, ReplyStatus } from "../runtime/application.ts";
import { abortOf } from "./answers.ts";
import { encodeArguments } from "./arguments.ts";
import type { Capabilities } from "./capabilities.ts";
import { decodeValue, MALFORMED } from "./codec.ts";
import type { Operation } from "./define.ts";
import type { Diagnostics } from "./diagnostics.ts";
import { CoterieError } from "./errors.ts";
import { AUDIENCE, type Audience, payloadOf, RAW_BODY_BYTES_MAX } from "./message.ts";
import type { Outbox, Waiting } from "./outbox.ts";
import { Pending } from "./pending.ts";
import type { Recorder } from "./recorder.ts";
import {
  ALL,
  MAJORITY,
  QUERY_ORDERS,
  type QueryOptions,
  type Reply,
  type TimeoutAction,
  type Wanted,
} from "./reply.ts";
import { ReplyStream } from "./reply-stream.ts";

/** Calls back once after so many milliseconds; the result cancels. */
export type After = (delayMs: number, callback: () => void) => () => void;

type Answer = Reply<unknown>;

/** What is asked of whom, before the arguments. */
export interface Question {
  readonly operation: Operation;
  readonly wanted: Wanted;
  readonly options: QueryOptions;
  readonly audience: Audience | undefined;
}

interface Asked extends Question {
  readonly query: number;
  readonly call: Pending<Answer[]>;
  /** Hears of every answer when it comes. */
  readonly onAnswer: ((answer: Answer) => void) | undefined;
  readonly answers: Map<NodeId, Answer>;
  values: number;
  /** Who was asked; undefined until the query is delivered here. */
  members: readonly NodeId[] | undefined;
  /** Its place in the queue, while it waits for room. */
  waiting: Waiting | undefined;
}

export class Questions {
  readonly #group: string;
  readonly #bytesMax: number;
  readonly #capabilities: Capabilities;
  readonly #diagnostics: Diagnostics;
  readonly #outbox: Outbox;
  readonly #after: After;
  readonly #recorder: Recorder | undefined;
  readonly #open = new Map<number, Asked>();
  #membership: Membership | undefined;

  constructor(parts: {
    readonly group: string;
    readonly bytesMax: number;
    readonly capabilities: Capabilities;
    readonly diagnostics: Diagnostics;
    readonly outbox: Outbox;
    readonly after: After;
    readonly recorder: Recorder | undefined;
  }) {
    this.#group = parts.group;
    this.#bytesMax = parts.bytesMax;
    this.#capabilities = parts.capabilities;
    this.#diagnostics = parts.diagnostics;
    this.#outbox = parts.outbox;
    this.#after = parts.after;
    this.#recorder = parts.recorder;
  }

  open(membership: Membership): void {
    this.#membership = membership;
  }

  ask(question: Question, args: readonly unknown[]): Pending<Answer[]> {
    const call = new Pending<Answer[]>();
    this.#ask(question, args, call, undefined);
    return call;
  }

  /** The same, with the answers as they come. */
  stream(question: Question, args: readonly unknown[]): ReplyStream<unknown> {
    const call = new Pending<Answer[]>();
    const stream = new ReplyStream<unknown>(call, () => {
      if (asked !== undefined) this.#drop(asked);
    });
    const asked = this.#ask(question, args, call, (answer) => stream.push(answer));
    return stream;
  }

  #ask(
    question: Question,
    args: readonly unknown[],
    call: Pending<Answer[]>,
    onAnswer: Asked["onAnswer"],
  ): Asked | undefined {
    const { operation, audience, options, wanted } = question;
    // A raw query is outside of views: members that lack the operation have nothing to say.
    const isRaw = options.order === "raw";
    const membership = this.#membership;
    const refusal =
      this.#outbox.refusal ??
      refusedBySignal(options.signal, operation.name, this.#group) ??
      (isRaw ? undefined : this.#capabilities.refusal(operation.opcode, audience?.members));
    if (refusal !== undefined || membership === undefined) {
      call.fail(refusal ?? notOpen(), this.#diagnostics);
      return undefined;
    }
    const body = encodeArguments(operation, args, this.#group);
    if (body instanceof CoterieError) {
      call.fail(body, this.#diagnostics);
      return undefined;
    }
    const query = membership.openQuery();
    const payload = payloadOf(query, audience, body.bytes);
    const answers = new Map<NodeId, Answer>();
    const asked: Asked = {
      ...question,
      query,
      call,
      onAnswer,
      answers,
      values: 0,
      members: undefined,
      waiting: undefined,
    };
    this.#open.set(query, asked);
    this.#recorder?.asked(query, wanted);
    const tag = audience === undefined ? body.tag : body.tag | AUDIENCE;
    const bytesMax = isRaw ? Math.min(this.#bytesMax, RAW_BODY_BYTES_MAX) : this.#bytesMax;
    const sent =
      body.bytes.length > bytesMax
        ? tooLarge(operation, body.bytes.length, bytesMax, this.#group)
        : isRaw
          ? this.#outbox.sendRaw(tag, payload, undefined)
          : this.#outbox.send(QUERY_ORDERS[options.order ?? "fifo"], tag, payload, undefined);
    if (sent instanceof CoterieError) this.#reject(asked, sent, "rejected");
    else {
      asked.waiting = sent;
      this.#limit(asked);
    }
    return asked;
  }

  /** A query of this member's own is delivered here: its members are known. */
  delivered(query: number, view: GroupView): void {
    const asked = this.#open.get(query);
    if (asked === undefined) return;
    const { audience } = asked;
    const present = audience === undefined ? view.members : audience.members.filter((id) => view.members.includes(id));
    asked.members = audience?.members ?? view.members;
    this.#membership?.queryDelivered(query, present);
    for (const member of asked.members) {
      if (!present.includes(member)) this.#answer(asked, { member, status: "left" });
    }
    this.#settleIfEnough(asked);
  }

  /** A query of this member's own cannot be run. */
  failed(query: number, error: CoterieError): void {
    const asked = this.#open.get(query);
    if (asked !== undefined) this.#reject(asked, error, "rejected");
  }

  replied(query: number, from: NodeId, status: ReplyStatus, value: Uint8Array): void {
    const asked = this.#open.get(query);
    if (asked === undefined) return;
    if (status === "abort") {
      this.#recorder?.replied(query, from, "abort");
      this.#reject(asked, abortOf(from, value, this.#group, this.#viewNumber), "aborted");
      return;
    }
    if (status === "value") {
      const decoded = decodeValue(value);
      if (decoded === MALFORMED) {
        this.#diagnostics.counters.malformed++;
        this.#diagnostics.report("warn", "malformed", "reply", `a reply of ${from} could not be understood`);
        this.#answer(asked, { member: from, status: "null" });
      } else {
        this.#answer(asked, { member: from, status: "value", value: decoded });
      }
    } else {
      this.#answer(asked, { member: from, status });
    }
    this.#settleIfEnough(asked);
  }

  /** Everybody who was asked has answered or left. */
  complete(query: number): void {
    const asked = this.#open.get(query);
    if (asked !== undefined) this.#resolve(asked, "complete");
  }

  end(error: CoterieError): void {
    for (const asked of [...this.#open.values()]) this.#reject(asked, error, "rejected");
    this.#membership = undefined;
  }

  #answer(asked: Asked, answer: Answer): void {
    if (asked.answers.has(answer.member)) return;
    asked.answers.set(answer.member, answer);
    if (answer.status === "value") asked.values++;
    this.#recorder?.replied(asked.query, answer.member, answer.status);
    asked.onAnswer?.(answer);
  }

  #settleIfEnough(asked: Asked): void {
    const { members, wanted } = asked;
    if (members === undefined) return;
    const enough = wanted === ALL ? members.length : wanted === MAJORITY ? Math.floor(members.length / 2) + 1 : wanted;
    if (asked.values >= enough) this.#resolve(asked, "enough");
    else if (members.every((member) => asked.answers.has(member))) this.#resolve(asked, "complete");
  }

  #limit(asked: Asked): void {
    const { timeoutMs, onTimeout, signal } = asked.options;
    const releases: (() => void)[] = [];
    if (timeoutMs !== undefined) {
      releases.push(this.#after(timeoutMs, () => this.#timedOut(asked, timeoutMs, onTimeout ?? "null")));
    }
    if (signal !== undefined) {
      const onAbort = () => this.#reject(asked, abortedBy(signal, asked.operation.name, this.#group), "rejected");
      signal.addEventListener("abort", onAbort, { once: true });
      releases.push(() => signal.removeEventListener("abort", onAbort));
    }
    if (releases.length > 0) {
      asked.call.whenSettled(() => {
        for (const release of releases) release();
      });
    }
  }

  #timedOut(asked: Asked, timeoutMs: number, action: TimeoutAction): void {
    const membership = this.#membership;
    if (!this.#open.has(asked.query) || membership === undefined) return;
    const isDelivered = asked.members !== undefined;
    asked.members ??= asked.audience?.members ?? membership.view.members;
    if (action === "abort") {
      const problem = `${asked.operation.name} had ${asked.values} values from ${asked.members.length} members after ${timeoutMs} ms`;
      this.#reject(
        asked,
        new CoterieError("timeout", problem, { group: this.#group, view: this.#viewNumber }),
        "rejected",
      );
      return;
    }
    // Nobody can be blamed for a query that was not even delivered here, nor does this member accuse itself.
    const silent = action === "suspect" && isDelivered ? asked.members.filter((id) => !asked.answers.has(id)) : [];
    const accused = silent.filter((member) => member !== membership.self);
    for (const member of asked.members) {
      if (!accused.includes(member)) this.#answer(asked, { member, status: "timeout" });
    }
    if (accused.length > 0) membership.accuse(asked.query, accused);
    else this.#resolve(asked, "complete");
  }

  #resolve(asked: Asked, outcome: "enough" | "complete"): void {
    if (!this.#close(asked)) return;
    this.#recorder?.ended(asked.query, outcome);
    const answers = (asked.members ?? []).map((member) => asked.answers.get(member));
    asked.call.fulfil(answers.filter((answer) => answer !== undefined));
  }

  #reject(asked: Asked, error: CoterieError, outcome: "aborted" | "rejected"): void {
    if (!this.#close(asked)) return;
    this.#recorder?.ended(asked.query, outcome);
    asked.call.fail(error, this.#diagnostics);
  }

  /** Nobody wants the answers any more. */
  #drop(asked: Asked): void {
    if (!this.#close(asked)) return;
    this.#recorder?.ended(asked.query, "rejected");
    asked.call.fulfil([]);
  }

  #close(asked: Asked): boolean {
    if (!this.#open.delete(asked.query)) return false;
    if (asked.waiting !== undefined) this.#outbox.cancel(asked.waiting);
    this.#membership?.closeQuery(asked.query);
    return true;
  }

  get #viewNumber(): number {
    return this.#membership?.view.number ?? 0;
  }
}

export function tooLarge(operation: Operation, bytes: number, bytesMax: number, group: string): CoterieError {
  return new CoterieError("message-too-large", `${operation.name}: ${bytes} bytes, more than ${bytesMax}`, { group });
}

export function abortedBy(signal: AbortSignal, what: string, group: string): CoterieError {
  return new CoterieError("aborted", `${what} was aborted by its signal`, { group, cause: signal.reason });
}

export function refusedBySignal(
  signal: AbortSignal | undefined,
  what: string,
  group: string,
): CoterieError | undefined {
  return signal?.aborted === true ? abortedBy(signal, what, group) : undefined;
}

function notOpen(): CoterieError {
  return new CoterieError("closed", "the group is not joined");
}
