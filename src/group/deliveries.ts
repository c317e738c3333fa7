/**
 * Runs what is delivered, in the order in which the protocol delivers it, and tells this member's own calls what became
 * of them:
 *
 * - a member's own messages come back in the order in which they were sent, per flavour, so the results find their calls;
 * - an update that throws leaves the state as it was at that moment, at every replica alike; its sender is told, the
 *   group goes on;
 * - an operation that a member of the view lacks is run by nobody, and its sender is told; of raw messages, which are
 *   outside of views, by those that have it;
 * - bytes that cannot be understood are counted and dropped, at every replica alike.
 *
 * The path of an update of bytes makes one object per message: the view of the packet's copy that the handler gets.
 */
import type { GroupView } from "../protocol/view.ts";
import type { DeliveryPoint, Membership } from "../runtime/application.ts";
import { MessageCursor, type Packet, RAW } from "../wire/packet.ts";
import { Answers } from "./answers.ts";
import { argumentsIn } from "./arguments.ts";
import { type BatchHandler, LiveBatch } from "./batch.ts";
import { copyOf } from "./bytes.ts";
import type { Capabilities } from "./capabilities.ts";
import { LiveUpdateContext } from "./contexts.ts";
import type { CompiledDefinition, Operation } from "./define.ts";
import { type Diagnostics, isThenable } from "./diagnostics.ts";
import { CoterieError, describe, type ErrorCode } from "./errors.ts";
import { AS_BYTES, ENVELOPE_BYTES_MAX, type Envelope, OPERATION_MASK, openMessage, QUERY } from "./message.ts";
import type { Outbox } from "./outbox.ts";
import type { Questions } from "./questions.ts";
import { Reassembly } from "./reassembly.ts";
import type { Recorder } from "./recorder.ts";

export interface DeliveriesParts {
  readonly definition: CompiledDefinition;
  readonly capabilities: Capabilities;
  /** The state of a new group. */
  readonly state: unknown;
  readonly diagnostics: Diagnostics;
  readonly outbox: Outbox;
  readonly questions: Questions;
  readonly recorder: Recorder | undefined;
}

export class Deliveries {
  /** What updates see; it also holds the state. */
  readonly context: LiveUpdateContext;
  readonly #group: string;
  readonly #capabilities: Capabilities;
  readonly #diagnostics: Diagnostics;
  readonly #outbox: Outbox;
  readonly #questions: Questions;
  readonly #recorder: Recorder | undefined;
  readonly #answers: Answers;
  readonly #reassembly: Reassembly;

  constructor(parts: DeliveriesParts) {
    const { name, maxMessageBytes } = parts.definition;
    this.context = new LiveUpdateContext(parts.state);
    this.#group = name;
    this.#capabilities = parts.capabilities;
    this.#diagnostics = parts.diagnostics;
    this.#outbox = parts.outbox;
    this.#questions = parts.questions;
    this.#recorder = parts.recorder;
    this.#answers = new Answers(parts.diagnostics, maxMessageBytes);
    this.#reassembly = new Reassembly(maxMessageBytes + ENVELOPE_BYTES_MAX);
  }

  begin(membership: Membership): void {
    this.context.self = membership.self;
    this.context.group = membership.group;
    this.#answers.open(membership);
  }

  deliver(packet: Packet, point: DeliveryPoint): void {
    const { sender, own } = point;
    const { context } = this;
    const { flavour, bytes } = packet;
    context.sender = sender;
    context.time = packet.time;
    context.flavour = flavour;
    context.index = point.index;
    if (packet.more || (this.#reassembly.active && this.#reassembly.expects(sender, flavour))) {
      this.#deliverPart(packet, own);
      return;
    }
    const updates = flavour === RAW ? this.#capabilities.ownUpdates : this.#capabilities.updates;
    const cursor = new MessageCursor(packet);
    let copy: ArrayBuffer | undefined;
    let place = 0;
    for (; cursor.next(); place++) {
      const { tag, from, length } = cursor;
      const update = (tag & ~OPERATION_MASK) === AS_BYTES ? updates.get(tag & OPERATION_MASK) : undefined;
      if (update?.batch !== undefined) {
        place += this.#updateBatch(update, update.batch, packet, cursor, place, own) - 1;
        context.index++;
        continue;
      }
      this.#recorder?.delivered(packet, place, sender, context.view);
      if (update !== undefined) {
        if (!update.borrows) copy ??= copyOf(bytes).buffer;
        const argument = update.borrows
          ? bytes.subarray(from, from + length)
          : new Uint8Array(copy as ArrayBuffer, from, length);
        this.#updateBytes(update, argument, own);
      } else {
        this.#message(tag, bytes, from, from + length, own);
      }
      context.index++;
    }
    if (flavour === RAW && !own) this.#diagnostics.counters.rawReceived += place;
    if (cursor.malformed) this.#malformed(`a packet of ${sender}`);
  }

  /** A view was installed: what is incomplete in the old one will never be complete. */
  installed(view: GroupView): void {
    this.#reassembly.reset();
    this.#capabilities.installed(view);
    this.context.view = view;
    this.context.rank = view.members.indexOf(this.context.self);
  }

  end(): void {
    this.#reassembly.reset();
    this.#answers.end();
  }

  #updateBytes(operation: Operation, argument: Uint8Array, own: boolean): void {
    let result: unknown;
    try {
      result = operation.handler(this.context, argument);
    } catch (error) {
      this.#updateThrew(operation, error, own);
      return;
    }
    this.#updated(operation, result, own);
  }

  /** Runs the messages from the one that the cursor stands at, as many as belong together; their number. */
  #updateBatch(
    operation: Operation,
    handler: BatchHandler,
    packet: Packet,
    cursor: MessageCursor,
    place: number,
    own: boolean,
  ): number {
    const { context } = this;
    const recorder = this.#recorder;
    const onPass =
      recorder && ((passed: number) => recorder.delivered(packet, place + passed, context.sender, context.view));
    const batch = new LiveBatch(packet.bytes, cursor, context, onPass);
    while (batch.hasNext) {
      const before = batch.passed;
      try {
        const result: unknown = handler(context, batch);
        while (batch.next());
        if (isThenable(result))
          for (let at = before; at < batch.passed; at++) this.#updateWaits(operation, result, own);
        else this.#updatedMany(batch.passed - before, own);
      } catch (error) {
        if (batch.passed === before && !batch.next()) break;
        this.#updatedMany(batch.passed - before - 1, own);
        this.#updateThrew(operation, error, own);
      }
    }
    return batch.passed;
  }

  #updatedMany(count: number, own: boolean): void {
    this.#diagnostics.counters.delivered += count;
    if (own) this.#outbox.deliveredMany(this.context.flavour, count);
  }

  #update(operation: Operation, args: readonly unknown[], own: boolean): void {
    let result: unknown;
    try {
      result = operation.handler(this.context, ...args);
    } catch (error) {
      this.#updateThrew(operation, error, own);
      return;
    }
    this.#updated(operation, result, own);
  }

  #updated(operation: Operation, result: unknown, own: boolean): void {
    this.#diagnostics.counters.delivered++;
    if (isThenable(result)) this.#updateWaits(operation, result, own);
    else if (own) this.#outbox.delivered(this.context.flavour)?.fulfil(result);
  }

  #updateThrew(operation: Operation, cause: unknown, own: boolean): void {
    const { counters } = this.#diagnostics;
    counters.delivered++;
    counters.handlerFailures++;
    const error = this.#error("handler-failed", `the update ${operation.name} threw: ${describe(cause)}`, cause);
    if (own && this.#failOwn(error)) return;
    this.#diagnostics.report("warn", "handler-failed", operation.name, error.message, cause);
  }

  /** The type of `updates` refuses it, but types can be got around; every replica refuses it alike. */
  #updateWaits(operation: Operation, result: PromiseLike<unknown>, own: boolean): void {
    const report = (error: unknown) =>
      this.#diagnostics.report("error", "asynchronous-update", operation.name, `${operation.name} failed later`, error);
    result.then(undefined, report);
    this.#diagnostics.counters.handlerFailures++;
    const error = this.#error("asynchronous-update", `the update ${operation.name} returned a promise`);
    if (own && this.#failOwn(error)) return;
    this.#diagnostics.report("error", "asynchronous-update", operation.name, error.message);
  }

  /** False when there is no call to be told. */
  #failOwn(error: CoterieError): boolean {
    const call = this.#outbox.delivered(this.context.flavour);
    call?.fail(error, this.#diagnostics);
    return call !== undefined;
  }

  #deliverPart(packet: Packet, own: boolean): void {
    const whole = this.#reassembly.add(packet, this.context.sender);
    if (whole === undefined) return;
    this.#recorder?.delivered(packet, 0, this.context.sender, this.context.view);
    const { tag, payload } = whole;
    if (payload !== undefined) {
      this.#message(tag, payload, 0, payload.length, own);
      return;
    }
    this.#malformed(`a long message of ${this.context.sender}`);
    if (own) this.#failOwn(this.#error("invalid-argument", "the message could not be put together"));
  }

  /** Any message but an update of bytes from a whole packet. */
  #message(tag: number, bytes: Uint8Array, from: number, to: number, own: boolean): void {
    const envelope = openMessage(tag, bytes, from, to);
    const meant = envelope?.audience?.includes(this.context.self) ?? true;
    const isQuery = (tag & QUERY) !== 0;
    const code = tag & OPERATION_MASK;
    if (envelope !== undefined && this.#passesOver(code, envelope, meant, own)) return;
    const operation = this.#capabilities.operation(code);
    if (isQuery) {
      if (own) this.#ownQuery(envelope);
      if (meant) this.#query(operation, envelope, tag, bytes, to);
      return;
    }
    if (!meant) {
      if (own) this.#outbox.delivered(this.context.flavour)?.fulfil(undefined);
      return;
    }
    const args = envelope === undefined ? undefined : argumentsIn(tag, bytes, envelope.from, to);
    if (operation !== undefined && args !== undefined) {
      this.#update(operation, args, own);
      return;
    }
    this.#malformed(`an update of ${this.context.sender}`);
    if (own) this.#failOwn(this.#error("invalid-argument", "the message could not be understood"));
  }

  /**
   * Whether the operation is not run: nobody runs what one of those who are meant lacks by the view. Raw messages are
   * outside of views, so each member judges for itself.
   */
  #passesOver(code: number, { audience, query }: Envelope, meant: boolean, own: boolean): boolean {
    const { flavour, sender } = this.context;
    if (flavour === RAW) {
      if (!meant || this.#capabilities.operation(code) !== undefined) return false;
      if (query !== undefined) this.#answers.pass(sender, query);
    } else {
      const unsupported = this.#capabilities.refusal(code, audience);
      if (unsupported === undefined) return false;
      if (own) this.#failUnsupported(unsupported, query);
    }
    this.#diagnostics.counters.unsupported++;
    return true;
  }

  #failUnsupported(error: CoterieError, query: number | undefined): void {
    const isTold = this.#failOwn(error);
    if (query !== undefined) this.#questions.failed(query, error);
    else if (!isTold) this.#diagnostics.report("warn", "not-supported", "message", error.message);
  }

  #ownQuery(envelope: Envelope | undefined): void {
    this.#outbox.delivered(this.context.flavour);
    if (envelope?.query !== undefined) this.#questions.delivered(envelope.query, this.context.view);
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
      this.#malformed(`a query of ${this.context.sender}`);
      return;
    }
    const args = argumentsIn(tag, bytes, envelope.from, to);
    if (operation === undefined || args === undefined) {
      this.#malformed(`a query of ${this.context.sender}`);
      const code = operation === undefined ? "unknown-operation" : "invalid-argument";
      this.#answers.refuse(this.context.sender, query, code, "the query could not be understood");
      return;
    }
    this.#diagnostics.counters.delivered++;
    this.#answers.run(operation, args, this.context, query);
  }

  #malformed(what: string): void {
    this.#diagnostics.counters.malformed++;
    this.#diagnostics.report("warn", "malformed", "message", `${what} could not be understood and was dropped`);
  }

  #error(code: ErrorCode, problem: string, cause?: unknown): CoterieError {
    return new CoterieError(code, problem, { group: this.#group, view: this.context.view.number, cause });
  }
}
