/**
 * Cuts a byte stream into frames where the bytes landed. `space` says where the next read goes, `filled` how much came;
 * whole frames are handed on as views of the slab, and only the part of a frame that runs over the end of a slab is
 * copied, to the next one. A frame that is larger than a slab gets memory of its own and is read straight into it. When everything was handed on and nobody retained it, the slab is filled from its start again,
 * which keeps a quiet connection within a few warm pages.
 */
import { type PooledSlab, SLAB_BYTES, type Slab, type SlabPool } from "../../base/slabs.ts";
import { allocate, OWN_MEMORY } from "./memory.ts";

const LENGTH_BYTES = 4;

/** A frame of nothing but its length: shows that a stream lives. It counts for nothing. */
export const PULSE = new Uint8Array(LENGTH_BYTES);

/** With less room than this, reading on in the next slab is cheaper than a short read. */
const ROOM_BYTES_MIN = 32 * 1024;

const NOWHERE = new Uint8Array(1);

/** Takes a whole frame, its length included; false stops the reader for good. */
export type TakeFrame = (frame: Uint8Array, slab: Slab) => boolean;

/** `garbage` when a length cannot be that of a frame; `stopped` when the taker had enough. */
export type ReadOutcome = "ok" | "garbage" | "stopped";

export class FrameReader {
  readonly #pool: SlabPool;
  readonly #take: TakeFrame;
  #frameBytesMax: number;
  #slab: PooledSlab | undefined;
  /** The frame that is read into its own memory, and how much of it is there. */
  #large: Uint8Array | undefined;
  #largeFilled = 0;
  #start = 0;
  #end = 0;
  #reading = false;
  #closed = false;

  constructor(pool: SlabPool, frameBytesMax: number, take: TakeFrame) {
    this.#pool = pool;
    this.#frameBytesMax = frameBytesMax;
    this.#take = take;
  }

  /** Applies from the next frame on. */
  set frameBytesMax(bytes: number) {
    this.#frameBytesMax = bytes;
  }

  /** Where the next read must land. */
  space(): Uint8Array {
    if (this.#closed) return NOWHERE;
    if (this.#large !== undefined) return this.#large.subarray(this.#largeFilled);
    const slab = this.#slab;
    if (slab === undefined) return this.#open().bytes;
    const partial = this.#end - this.#start;
    const frameBytes = partial >= LENGTH_BYTES ? this.#lengthAt(slab.bytes, this.#start) + LENGTH_BYTES : 0;
    const lacksRoom = frameBytes > SLAB_BYTES - this.#start || SLAB_BYTES - this.#end < ROOM_BYTES_MIN;
    if (!lacksRoom) return slab.bytes.subarray(this.#end);
    const rest = slab.bytes.subarray(this.#start, this.#end);
    const space = frameBytes > SLAB_BYTES ? this.#openLarge(frameBytes, rest) : this.#moveOn(rest);
    slab.filled();
    return space;
  }

  /** So many bytes landed in the last `space`. */
  filled(count: number): ReadOutcome {
    this.#reading = true;
    const outcome = this.#large === undefined ? this.#cut(count) : this.#growLarge(this.#large, count);
    this.#reading = false;
    if (this.#closed) this.#free();
    return outcome;
  }

  /** No more reads: the memory goes back as soon as the frame at hand was taken. */
  close(): void {
    this.#closed = true;
    if (!this.#reading) this.#free();
  }

  #cut(count: number): ReadOutcome {
    const slab = this.#slab;
    if (slab === undefined) return "ok";
    const bytes = slab.bytes;
    this.#end += count;
    while (this.#end - this.#start >= LENGTH_BYTES) {
      const length = this.#lengthAt(bytes, this.#start);
      if (length > this.#frameBytesMax - LENGTH_BYTES) return "garbage";
      const next = this.#start + LENGTH_BYTES + length;
      if (next > this.#end) break;
      const frame = bytes.subarray(this.#start, next);
      this.#start = next;
      if (!this.#take(frame, slab) || this.#closed) return "stopped";
    }
    if (this.#start === this.#end && !slab.isRetained) {
      this.#start = 0;
      this.#end = 0;
    }
    return "ok";
  }

  #growLarge(large: Uint8Array, count: number): ReadOutcome {
    this.#largeFilled += count;
    if (this.#largeFilled < large.length) return "ok";
    this.#large = undefined;
    return this.#take(large, OWN_MEMORY) ? "ok" : "stopped";
  }

  #lengthAt(bytes: Uint8Array, at: number): number {
    return (
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24)) >>>
      0
    );
  }

  #open(): PooledSlab {
    const slab = this.#pool.take();
    this.#slab = slab;
    this.#start = 0;
    this.#end = 0;
    return slab;
  }

  #moveOn(rest: Uint8Array): Uint8Array {
    const slab = this.#open();
    slab.bytes.set(rest);
    this.#end = rest.length;
    return slab.bytes.subarray(this.#end);
  }

  #openLarge(frameBytes: number, rest: Uint8Array): Uint8Array {
    const large = allocate(frameBytes);
    large.set(rest);
    this.#large = large;
    this.#largeFilled = rest.length;
    this.#slab = undefined;
    return large.subarray(rest.length);
  }

  #free(): void {
    this.#slab?.filled();
    this.#slab = undefined;
    this.#large = undefined;
  }
}
