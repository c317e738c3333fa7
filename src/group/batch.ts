/**
 * Updates that look at bytes where they lie: `borrowed` ones get a view of each message that is theirs until they return,
 * `batched` ones take many messages at once. A batch is a run of messages of one operation that came in one packet, and a
 * packet is the same at every replica, so batches are too. The handler goes through it with a cursor and looks at the
 * bytes where they lie: no object and no call per message.
 *
 * A handler that throws fails the message that it stands at; those before it are done, and it is called again for those
 * behind it. What it does not look at is skipped.
 */
import type { MessageCursor } from "../wire/packet.ts";
import { copyOf } from "./bytes.ts";
import type { LiveUpdateContext } from "./contexts.ts";
import { CoterieError } from "./errors.ts";
import type { UpdateContext } from "./operations.ts";

/** Stands before its first message. Everything is only valid until the handler returns. */
export interface Batch {
  /** Goes to the next message; false when there is none. The context is then that of this message. */
  next(): boolean;
  /** The message is the bytes from `offset`, `length` of them; what lies around it is not the handler's. Not to be changed. */
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
  /** A copy of the message, to be kept. */
  copy(): Uint8Array;
}

export type BatchHandler<S = unknown> = (context: UpdateContext<S>, batch: Batch) => void;

/** An update of bytes that takes as many messages at a time as there are. Callers call it with one message at a time. */
export function batched<S>(handler: BatchHandler<S>): (context: UpdateContext<S>, message: Uint8Array) => void {
  const single = (context: UpdateContext<S>, message: Uint8Array): void => handler(context, new BatchOfOne(message));
  handlers.set(single, handler as BatchHandler);
  return single;
}

/**
 * An update of bytes that keeps none of them: it gets a view of the memory that the message came in, which is used again
 * once it has returned. It must not change them either.
 */
export function borrowed<S, R>(
  handler: (context: UpdateContext<S>, message: Uint8Array) => R,
): (context: UpdateContext<S>, message: Uint8Array) => R {
  const update = (context: UpdateContext<S>, message: Uint8Array): R => handler(context, message);
  borrowers.add(update);
  return update;
}

/** Whether `borrowed` made this handler. */
export function isBorrower(handler: object): boolean {
  return borrowers.has(handler);
}

const borrowers = new WeakSet<object>();

/** What `batched` was given. */
export function batchHandlerOf(handler: object): BatchHandler | undefined {
  return handlers.get(handler);
}

const handlers = new WeakMap<object, BatchHandler>();

class BatchOfOne implements Batch {
  readonly bytes: Uint8Array;
  readonly offset = 0;
  readonly length: number;
  #passed = false;

  constructor(bytes: unknown) {
    if (!(bytes instanceof Uint8Array)) throw new CoterieError("invalid-argument", "a batched update takes bytes");
    this.bytes = bytes;
    this.length = bytes.length;
  }

  next(): boolean {
    const isFirst = !this.#passed;
    this.#passed = true;
    return isFirst;
  }

  copy(): Uint8Array {
    return copyOf(this.bytes);
  }
}

/** The run of messages with the tag of the one that `cursor` stands at. */
export class LiveBatch implements Batch {
  readonly bytes: Uint8Array;
  offset = 0;
  length = 0;
  /** How many messages were gone to. */
  passed = 0;
  readonly #cursor: MessageCursor;
  readonly #tag: number;
  readonly #context: LiveUpdateContext;
  readonly #firstIndex: number;
  readonly #onPass: ((passed: number) => void) | undefined;

  /** `onPass` is told of every message that is gone to, how many were before it. */
  constructor(
    bytes: Uint8Array,
    cursor: MessageCursor,
    context: LiveUpdateContext,
    onPass: ((passed: number) => void) | undefined,
  ) {
    this.bytes = bytes;
    this.#cursor = cursor;
    this.#tag = cursor.tag;
    this.#context = context;
    this.#firstIndex = context.index;
    this.#onPass = onPass;
  }

  get hasNext(): boolean {
    return this.passed === 0 || this.#cursor.isNext(this.#tag);
  }

  next(): boolean {
    const cursor = this.#cursor;
    if (this.passed > 0 && !(cursor.isNext(this.#tag) && cursor.next())) return false;
    this.#onPass?.(this.passed);
    this.#context.index = this.#firstIndex + this.passed;
    this.passed++;
    this.offset = cursor.from;
    this.length = cursor.length;
    return true;
  }

  copy(): Uint8Array {
    return copyOf(this.bytes, this.offset, this.offset + this.length);
  }
}
