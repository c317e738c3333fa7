/**
 * One member's copy of a group: it runs the operations in the order in which the protocol delivers them, keeps the
 * state, and tells the callers what became of their calls. What it relies on is `Application`'s order of calls; what it
 * adds:
 *
 * - a member's own messages come back in the order in which they were sent, per flavour, so the results find their calls;
 * - an update that throws leaves the state as it was at that moment, at every replica alike; its sender is told, the
 *   group goes on;
 * - bytes that cannot be understood are counted and dropped, at every replica alike.
 *
 * The path of an update of bytes makes one object per message: the view of the packet's copy that the handler gets.
 */
import type { GroupView, NodeId } from "../protocol/view.ts";
import type {
  Application,
  DeliveryPoint,
  Ending,
  Membership,
  ReplyStatus,
  StateLoader,
  StateReader,
} from "../runtime/application.ts";
import { historyName } from "../runtime/memberships.ts";
import { MessageCursor, type Packet } from "../wire/packet.ts";
import { Answers } from "./answers.ts";
import { argumentsIn } from "./arguments.ts";
import { copyOf } from "./bytes.ts";
import { LiveUpdateContext, LiveViewContext } from "./contexts.ts";
import type { CompiledDefinition, Operation } from "./define.ts";
import { Diagnostics, isThenable, type Log } from "./diagnostics.ts";
import { CoterieError, describe, type ErrorCode, ExcludedError } from "./errors.ts";
import { type Envelope, OPERATION_MASK, openMessage, QUERY, RAW } from "./message.ts";
import { Outbox } from "./outbox.ts";
import { type After, Questions } from "./questions.ts";
import { Reassembly } from "./reassembly.ts";
import { Recorder, type RecordingTo } from "./recorder.ts";
import { type CapturedState, captureState, initialState, Loader } from "./state.ts";

/** Room for a query's number and an audience, on top of the longest message. */
const ENVELOPE_BYTES_MAX = 128 * 1024;

/** What a replica needs of its node, and whom it tells. */
export interface ReplicaParts {
  readonly definition: CompiledDefinition;
  readonly log: Log;
  readonly after: After;
  readonly recording: RecordingTo | undefined;
  /** The replica is a member and has installed its first view. */
  readonly onReady: () => void;
  readonly onView: (view: GroupView) => void;
  readonly onBlocked: (blocked: boolean) => void;
  readonly onEnded: (how: Ending, error: CoterieError) => void;
}

export class Replica implements Application {
  readonly definition: CompiledDefinition;
  readonly diagnostics: Diagnostics;
  readonly outbox: Outbox;
  readonly questions: Questions;
  readonly recorder: Recorder | undefined;
  readonly recordsSends: boolean;
  readonly #parts: ReplicaParts;
  readonly #answers: Answers;
  readonly #reassembly: Reassembly;
  /** Also holds the state. */
  readonly #context: LiveUpdateContext;
  #loader: Loader | undefined;
  /** The view before the next one to be installed. */
  #before: CapturedState["view"] = { number: 0, members: [] };
  #loaded = false;
  #membership: Membership | undefined;
  /** Whether the join was given up. */
  #unwanted = false;
  /** A view that came before `joined` did. */
  #early: GroupView | undefined;
  #ready = false;
  #blocked = false;
  #ended: CoterieError | undefined;

  /** Makes the initial state. Throws what `state` throws, and when the default codec cannot encode it. */
  constructor(parts: ReplicaParts) {
    const { definition } = parts;
    this.definition = definition;
    this.#parts = parts;
    this.#context = new LiveUpdateContext(initialState(definition));
    const { name: group, maxMessageBytes: bytesMax } = definition;
    const diagnostics = new Diagnostics(parts.log, group);
    const outbox = new Outbox(diagnostics);
    this.diagnostics = diagnostics;
    this.outbox = outbox;
    this.recorder = parts.recording === undefined ? undefined : new Recorder(parts.recording);
    this.recordsSends = this.recorder !== undefined;
    this.questions = new Questions({
      group,
      bytesMax,
      diagnostics,
      outbox,
      after: parts.after,
      recorder: this.recorder,
    });
    this.#answers = new Answers(diagnostics, bytesMax);
    this.#reassembly = new Reassembly(bytesMax + ENVELOPE_BYTES_MAX);
  }

  get state(): unknown {
    return this.#context.state;
  }

  get view(): GroupView {
    return this.#context.view;
  }

  get rank(): number {
    return this.#context.rank;
  }

  get self(): NodeId {
    return this.#context.self;
  }

  get isBlocked(): boolean {
    return this.#blocked;
  }

  /** How the membership ended. */
  get endedWith(): CoterieError | undefined {
    return this.#ended;
  }

  deliver(packet: Packet, point: DeliveryPoint): void {
    if (this.#ended !== undefined) return;
    const { sender, own } = point;
    const context = this.#context;
    const { flavour, bytes } = packet;
    context.sender = sender;
    context.time = packet.time;
    context.flavour = flavour;
    context.index = point.index;
    if (packet.more || (this.#reassembly.active && this.#reassembly.expects(sender, flavour))) {
      this.#deliverPart(packet, own);
      return;
    }
    const { updates } = this.definition;
    const cursor = new MessageCursor(packet);
    let copy: ArrayBuffer | undefined;
    for (let place = 0; cursor.next(); place++) {
      const { tag, from, length } = cursor;
      const update = (tag & ~OPERATION_MASK) === RAW ? updates[tag & OPERATION_MASK] : undefined;
      this.recorder?.delivered(packet, place, sender, context.view);
      if (update !== undefined) {
        copy ??= copyOf(bytes).buffer;
        this.#updateBytes(update, new Uint8Array(copy, from, length), own);
      } else {
        this.#message(tag, bytes, from, from + length, own);
      }
      context.index++;
    }
    if (cursor.malformed) this.#malformed(`a packet of ${sender}`);
  }

  install(view: GroupView): void {
    if (this.#membership === undefined) {
      this.#early = view;
      return;
    }
    if (this.#ended !== undefined) return;
    const before = this.#before;
    this.#before = view;
    this.#reassembly.reset();
    this.#context.view = view;
    this.#context.rank = view.members.indexOf(this.#context.self);
    this.recorder?.state(view, this.#context.state, this.#loaded);
    this.#loaded = false;
    const { onView } = this.definition;
    if (onView !== undefined) {
      this.diagnostics.callback("onView", () => onView(new LiveViewContext(this.#context, before.members)));
    }
    this.#parts.onView(view);
    if (this.#ready) return;
    this.#ready = true;
    this.#parts.onReady();
  }

  capture(): StateReader {
    return captureState(this.definition, this.#context.state, this.#context.view, (error) => {
      this.diagnostics.counters.callbackFailures++;
      this.diagnostics.report("error", "state-transfer-failed", "capture", "the state could not be captured", error);
    });
  }

  load(): StateLoader {
    this.#loader?.abandon();
    this.#loader = new Loader(this.definition, ({ state, view }) => {
      this.#context.state = state;
      this.#before = view;
      this.#loaded = true;
    });
    return this.#loader;
  }

  joined(membership: Membership, _created: boolean): void {
    this.#loader = undefined;
    this.#membership = membership;
    this.#context.self = membership.self;
    this.#context.group = membership.group;
    this.recorder?.begin(membership.self, historyName(membership.name, membership.group));
    this.outbox.open(membership);
    this.questions.open(membership);
    this.#answers.open(membership);
    if (this.#unwanted) membership.leave();
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined) this.install(early);
  }

  sent(packet: Packet, view: GroupView): void {
    this.recorder?.sent(packet, view);
  }

  room(): void {
    this.outbox.room();
  }

  blocked(blocked: boolean): void {
    this.#blocked = blocked;
    this.#parts.onBlocked(blocked);
  }

  reply(query: number, from: NodeId, status: ReplyStatus, value: Uint8Array): void {
    this.questions.replied(query, from, status, value);
  }

  queryComplete(query: number): void {
    this.questions.complete(query);
  }

  ended(how: Ending): void {
    if (this.#ended !== undefined) return;
    // A node whose state could not be loaded leaves; that is not why the join failed.
    const error = this.#loader?.problem ?? this.endingOf(how);
    this.#ended = error;
    this.#loader?.abandon();
    this.outbox.end(error);
    this.questions.end(error);
    this.#answers.end();
    this.#reassembly.reset();
    const { onExcluded } = this.definition;
    if (how === "excluded" && onExcluded !== undefined)
      this.diagnostics.callback("onExcluded", () => onExcluded(error));
    this.#parts.onEnded(how, error);
  }

  /** The join was given up: should the group let this member in all the same, it leaves. */
  giveUp(): void {
    this.#unwanted = true;
    this.outbox.refuse(this.endingOf("left"));
    this.#membership?.leave();
  }

  /** The error that a call meets when the membership has ended so. */
  endingOf(how: Ending): CoterieError {
    const details = { group: this.definition.name, view: this.view.number };
    const group = `group ${this.definition.name}`;
    switch (how) {
      case "excluded":
        return new ExcludedError(`${this.self} was excluded from ${group}`, details);
      case "left":
        return new CoterieError("left", `${this.self} has left ${group}`, details);
      case "lost":
        return new CoterieError("group-lost", `${group} is lost`, details);
      case "closed":
        return new CoterieError("closed", `the node of ${group} was closed`, details);
    }
  }

  #updateBytes(operation: Operation, argument: Uint8Array, own: boolean): void {
    let result: unknown;
    try {
      result = operation.handler(this.#context, argument);
    } catch (error) {
      this.#updateThrew(operation, error, own);
      return;
    }
    this.#updated(operation, result, own);
  }

  #update(operation: Operation, args: readonly unknown[], own: boolean): void {
    let result: unknown;
    try {
      result = operation.handler(this.#context, ...args);
    } catch (error) {
      this.#updateThrew(operation, error, own);
      return;
    }
    this.#updated(operation, result, own);
  }

  #updated(operation: Operation, result: unknown, own: boolean): void {
    this.diagnostics.counters.delivered++;
    if (isThenable(result)) this.#updateWaits(operation, result, own);
    else if (own) this.outbox.delivered(this.#context.flavour)?.fulfil(result);
  }

  #updateThrew(operation: Operation, cause: unknown, own: boolean): void {
    const { counters } = this.diagnostics;
    counters.delivered++;
    counters.handlerFailures++;
    const error = this.#error("handler-failed", `the update ${operation.name} threw: ${describe(cause)}`, cause);
    if (own) this.#failOwn(error);
    else this.diagnostics.report("warn", "handler-failed", operation.name, error.message, cause);
  }

  /** The type of `updates` refuses it, but types can be got around; every replica refuses it alike. */
  #updateWaits(operation: Operation, result: PromiseLike<unknown>, own: boolean): void {
    const report = (error: unknown) =>
      this.diagnostics.report("error", "asynchronous-update", operation.name, `${operation.name} failed later`, error);
    result.then(undefined, report);
    this.diagnostics.counters.handlerFailures++;
    const error = this.#error("asynchronous-update", `the update ${operation.name} returned a promise`);
    if (own) this.#failOwn(error);
    else this.diagnostics.report("error", "asynchronous-update", operation.name, error.message);
  }

  #failOwn(error: CoterieError): void {
    this.outbox.delivered(this.#context.flavour)?.fail(error, this.diagnostics);
  }

  #deliverPart(packet: Packet, own: boolean): void {
    const whole = this.#reassembly.add(packet, this.#context.sender);
    if (whole === undefined) return;
    this.recorder?.delivered(packet, 0, this.#context.sender, this.#context.view);
    const { tag, payload } = whole;
    if (payload !== undefined) {
      this.#message(tag, payload, 0, payload.length, own);
      return;
    }
    this.#malformed(`a long message of ${this.#context.sender}`);
    if (own) this.#failOwn(this.#error("invalid-argument", "the message could not be put together"));
  }

  /** Any message but an update of bytes from a whole packet. */
  #message(tag: number, bytes: Uint8Array, from: number, to: number, own: boolean): void {
    const envelope = openMessage(tag, bytes, from, to);
    const meant = envelope?.audience?.includes(this.#context.self) ?? true;
    const isQuery = (tag & QUERY) !== 0;
    const operation = (isQuery ? this.definition.queries : this.definition.updates)[tag & OPERATION_MASK];
    if (isQuery) {
      if (own) this.#ownQuery(envelope);
      if (meant) this.#query(operation, envelope, tag, bytes, to);
      return;
    }
    if (!meant) {
      if (own) this.outbox.delivered(this.#context.flavour)?.fulfil(undefined);
      return;
    }
    const args = envelope === undefined ? undefined : argumentsIn(tag, bytes, envelope.from, to);
    if (operation !== undefined && args !== undefined) {
      this.#update(operation, args, own);
      return;
    }
    this.#malformed(`an update of ${this.#context.sender}`);
    if (own) this.#failOwn(this.#error("invalid-argument", "the message could not be understood"));
  }

  #ownQuery(envelope: Envelope | undefined): void {
    this.outbox.delivered(this.#context.flavour);
    if (envelope?.query !== undefined) this.questions.delivered(envelope.query, this.#context.view);
  }

  #query(
    operation: Operation | undefined,
    envelope: Envelope | undefined,
    tag: number,
    bytes: Uint8Array,
    to: number,
  ): void {
    const query = envelope?.query;
    if (envelope === undefined || query === undefined) {
      this.#malformed(`a query of ${this.#context.sender}`);
      return;
    }
    const args = argumentsIn(tag, bytes, envelope.from, to);
    if (operation === undefined || args === undefined) {
      this.#malformed(`a query of ${this.#context.sender}`);
      const code = operation === undefined ? "unknown-operation" : "invalid-argument";
      this.#answers.refuse(this.#context.sender, query, code, "the query could not be understood");
      return;
    }
    this.diagnostics.counters.delivered++;
    this.#answers.run(operation, args, this.#context, query);
  }

  #malformed(what: string): void {
    this.diagnostics.counters.malformed++;
    this.diagnostics.report("warn", "malformed", "message", `${what} could not be understood and was dropped`);
  }

  #error(code: ErrorCode, problem: string, cause?: unknown): CoterieError {
    return new CoterieError(code, problem, { group: this.definition.name, view: this.view.number, cause });
  }
}
