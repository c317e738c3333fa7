/**
 * Memory that reads land in. A slab is used again only when nobody needs its bytes: while a connection fills it, or
 * while a packet that lies in it is retained, it is out of the pool. The pool holds free slabs only, so a packet that
 * is never released costs memory until the collector finds its slab, and nothing else.
 */
import { assert } from "../../base/assert.ts";
import type { Slab } from "../../wire/packet.ts";

export const SLAB_BYTES = 1024 * 1024;

/** More free slabs than this are left to the garbage collector. */
const FREE_SLABS_MAX = 64;

export class SlabPool {
  readonly #free: PooledSlab[] = [];
  readonly #freeMax: number;

  constructor(freeMax = FREE_SLABS_MAX) {
    this.#freeMax = freeMax;
  }

  get freeCount(): number {
    return this.#free.length;
  }

  /** A slab that the caller fills until it calls `filled`. */
  take(): PooledSlab {
    const slab = this.#free.pop() ?? new PooledSlab(this);
    slab.fill();
    return slab;
  }

  /** For slabs only: nobody needs this one any more. */
  put(slab: PooledSlab): void {
    if (this.#free.length < this.#freeMax) this.#free.push(slab);
  }
}

export class PooledSlab implements Slab {
  readonly bytes: Uint8Array = allocate(SLAB_BYTES);
  readonly #pool: SlabPool;
  #retained = 0;
  #filling = false;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** Whether somebody besides the one who fills it needs its bytes. */
  get isRetained(): boolean {
    return this.#retained > 0;
  }

  retain(): void {
    this.#retained++;
  }

  release(): void {
    assert(this.#retained > 0, "a slab is released as often as it was retained");
    this.#retained--;
    if (this.#retained === 0 && !this.#filling) this.#pool.put(this);
  }

  fill(): void {
    this.#filling = true;
  }

  /** Its reader has moved on: what remains of it belongs to those who retain it. */
  filled(): void {
    assert(this.#filling, "a slab is filled by one reader, once");
    this.#filling = false;
    if (this.#retained === 0) this.#pool.put(this);
  }
}

/** Stands for memory that one frame has for itself; the collector frees it. */
export const OWN_MEMORY: Slab = { retain() {}, release() {} };

/** Bytes that are not cleared. A plain `Uint8Array`, because taking views of a `Buffer` costs half as much again. */
export function allocate(length: number): Uint8Array {
  const buffer = Buffer.allocUnsafeSlow(length);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, length);
}
