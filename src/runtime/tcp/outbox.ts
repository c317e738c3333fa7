/**
 * The bytes on their way to one node. Frames wait in two lanes; control overtakes bulk. When the socket can take more,
 * frames get their place in the stream, are written, and stay here until the receiver says that it has consumed them.
 * After a lost connection the stream is written again from exactly the offset that the receiver names; an offset that
 * is not held any more cannot be resumed.
 *
 * Two bounds keep control from waiting behind bulk: at most `handedBytesMax` lie in the socket's own queue, and at most
 * `windowBytes` have been written but not consumed. Runs of small frames are copied into one chunk, because a vector of
 * many small buffers costs more than the copy; large frames are written as they are, the same bytes for every peer.
 */
import { assert } from "../../base/assert.ts";
import { Deque } from "../../base/deque.ts";
import type { Slab } from "../../base/slabs.ts";
import type { Lane } from "../ports.ts";
import type { Counters } from "./counters.ts";
import { allocate } from "./memory.ts";

const SMALL_BYTES_MAX = 4096;
const ARENA_BYTES = 64 * 1024;

/** After a burst, no more arenas than these are kept for the next. */
const SPARE_ARENAS_MAX = 4;

/** What an outbox needs of a socket. */
export interface ByteSink {
  readonly writableLength: number;
  write(bytes: Uint8Array): boolean;
  cork(): void;
  uncork(): void;
}

export interface OutboxLimits {
  readonly handedBytesMax: number;
  readonly windowBytes: number;
}

/** A frame, or several that were gathered. The memory is retained from when it comes in until the receiver has it. */
interface Chunk {
  readonly bytes: Uint8Array;
  readonly memory: Slab | undefined;
}

/** Memory that small frames are gathered in; free again once everything before `endOffset` was consumed. */
interface Arena {
  readonly bytes: Uint8Array;
  used: number;
  endOffset: number;
}

export class Outbox {
  readonly #limits: OutboxLimits;
  readonly #counters: Counters;
  readonly #control = new Deque<Chunk>();
  readonly #bulk = new Deque<Chunk>();
  #queuedBytes = 0;
  /** The stream from `#heldFrom` to `#placed`, in whole chunks; what lies before `#consumed` is not needed any more. */
  readonly #held = new Deque<Chunk>();
  #heldFrom = 0;
  #consumed = 0;
  #placed = 0;
  /** The first chunk in `#held` that this socket was not given, and where in the stream writing goes on. */
  #next = 0;
  #written = 0;
  #socket: ByteSink | undefined;
  readonly #arenas = new Deque<Arena>();

  constructor(limits: OutboxLimits, counters: Counters) {
    this.#limits = limits;
    this.#counters = counters;
  }

  /** Bytes that wait, or that are not known to have been consumed. */
  get backlogBytes(): number {
    return this.#queuedBytes + this.#placed - this.#consumed;
  }

  /** The length of the stream so far; 0 when nothing was ever written, so that it may as well begin anew. */
  get placedBytes(): number {
    return this.#placed;
  }

  push(lane: Lane, bytes: Uint8Array, memory?: Slab): void {
    memory?.retain();
    this.#queuedBytes += bytes.length;
    (lane === "control" ? this.#control : this.#bulk).push({ bytes, memory });
  }

  /** Whether everything after `offset` is still here. */
  canResume(offset: number): boolean {
    return offset >= this.#consumed && offset <= this.#placed;
  }

  /** Writes on from `offset`, to a new connection. */
  resume(socket: ByteSink, offset: number): void {
    assert(this.canResume(offset), "a stream resumes within what is held of it");
    this.#drop(offset);
    this.#counters.bytesResent += this.#placed - offset;
    this.#next = 0;
    this.#written = offset;
    this.#socket = socket;
  }

  /** The connection is gone. */
  detach(): void {
    this.#socket = undefined;
  }

  /** The receiver has consumed the stream up to `offset`. False when it cannot have. */
  consumed(offset: number): boolean {
    if (offset < this.#consumed || offset > this.#written) return false;
    this.#next -= this.#drop(offset);
    return true;
  }

  /** Hands the socket what it may have now, or as many chunks as make `bytesMax`. False when there is no more for it. */
  pump(bytesMax = Number.POSITIVE_INFINITY): boolean {
    const socket = this.#socket;
    if (socket === undefined) return false;
    const { handedBytesMax, windowBytes } = this.#limits;
    const room = handedBytesMax - socket.writableLength;
    const most = Math.min(room, bytesMax);
    let handedBytes = 0;
    let first: Uint8Array | undefined;
    let isCorked = false;
    while (handedBytes < most && this.#written - this.#consumed < windowBytes) {
      const chunk = this.#nextChunk();
      if (chunk === undefined) break;
      handedBytes += chunk.length;
      if (first === undefined) {
        first = chunk;
        continue;
      }
      if (!isCorked) {
        isCorked = true;
        socket.cork();
        socket.write(first);
      }
      socket.write(chunk);
    }
    if (isCorked) socket.uncork();
    else if (first !== undefined) socket.write(first);
    return handedBytes >= bytesMax;
  }

  /**
   * Forgets everything; nothing more can be resumed. The memory is left to the collector, because the socket may still write
   * some of it.
   */
  clear(): void {
    this.#control.clear();
    this.#bulk.clear();
    this.#held.clear();
    this.#arenas.clear();
    this.#queuedBytes = 0;
    this.#consumed = this.#placed;
    this.#heldFrom = this.#placed;
    this.#next = 0;
    this.#written = this.#placed;
    this.#socket = undefined;
  }

  /** The next chunk of the stream: one to be written again, or a new one. */
  #nextChunk(): Uint8Array | undefined {
    let bytes = this.#held.at(this.#next)?.bytes;
    if (bytes === undefined) {
      const chunk = this.#gather();
      if (chunk === undefined) return undefined;
      this.#held.push(chunk);
      bytes = chunk.bytes;
      this.#placed += bytes.length;
      this.#counters.bytesOut += bytes.length;
    } else if (this.#next === 0 && this.#written > this.#heldFrom) {
      // The receiver has consumed a part of this chunk, which then holds several frames.
      bytes = bytes.subarray(this.#written - this.#heldFrom);
    }
    this.#next++;
    this.#written += bytes.length;
    return bytes;
  }

  /** Takes the next frame from the lanes, and with it those after it as long as all are small. */
  #gather(): Chunk | undefined {
    const first = this.#take();
    if (first === undefined || first.bytes.length >= SMALL_BYTES_MAX) return first;
    let next = this.#smallNext();
    if (next === undefined) return first;
    const arena = this.#arena(first.bytes.length + next.bytes.length);
    const from = arena.used;
    lay(first, arena);
    while (next !== undefined && next.bytes.length <= ARENA_BYTES - arena.used) {
      lay(next, arena);
      this.#take();
      next = this.#smallNext();
    }
    arena.endOffset = this.#placed + arena.used - from;
    return { bytes: arena.bytes.subarray(from, arena.used), memory: undefined };
  }

  #take(): Chunk | undefined {
    const frame = this.#control.shift() ?? this.#bulk.shift();
    if (frame === undefined) return undefined;
    this.#queuedBytes -= frame.bytes.length;
    this.#counters.framesOut++;
    return frame;
  }

  /** The next frame of the lanes, if it is small. */
  #smallNext(): Chunk | undefined {
    const next = this.#control.first() ?? this.#bulk.first();
    return next !== undefined && next.bytes.length < SMALL_BYTES_MAX ? next : undefined;
  }

  /** The arena in use, when it has this much room; else the oldest whose bytes were all consumed, else a new one. */
  #arena(room: number): Arena {
    const current = this.#arenas.last();
    if (current !== undefined && ARENA_BYTES - current.used >= room) return current;
    const free = this.#isConsumed(this.#arenas.first()) ? this.#arenas.shift() : undefined;
    while (this.#arenas.length > SPARE_ARENAS_MAX && this.#isConsumed(this.#arenas.first())) this.#arenas.shift();
    const arena = free ?? { bytes: allocate(ARENA_BYTES), used: 0, endOffset: 0 };
    arena.used = 0;
    this.#arenas.push(arena);
    return arena;
  }

  #isConsumed(arena: Arena | undefined): boolean {
    return arena !== undefined && arena.endOffset <= this.#consumed;
  }

  /** Lets go of the chunks that end by `offset`; their number. */
  #drop(offset: number): number {
    this.#consumed = offset;
    let count = 0;
    for (let chunk = this.#held.first(); chunk !== undefined; chunk = this.#held.first()) {
      if (this.#heldFrom + chunk.bytes.length > offset) break;
      this.#heldFrom += chunk.bytes.length;
      this.#held.shift();
      chunk.memory?.release();
      count++;
    }
    return count;
  }
}

/** Copies a frame into an arena, where there is room for it; its own memory is not needed any more. */
function lay({ bytes, memory }: Chunk, arena: Arena): void {
  arena.bytes.set(bytes, arena.used);
  arena.used += bytes.length;
  memory?.release();
}
