/**
 * Memory for many bytes that come and go: what is sent, and what is received. A slab is used again only when nobody
 * needs its bytes: while somebody fills it, or while something that lies in it is retained, it is out of its pool. The
 * pool holds free slabs only, so what is never released costs memory until the collector finds its slab, and nothing else.
 */
import { assert } from "./assert.ts";

/** Memory that others are using too: it stays as it is until each has released it. */
export interface Slab {
  retain(): void;
  release(): void;
}

export const SLAB_BYTES = 1024 * 1024;

/** More free slabs than this are left to the garbage collector. */
const FREE_SLABS_MAX = 64;

const ALIGNMENT = 8;

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
  readonly bytes = new Uint8Array(SLAB_BYTES);
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

  /** Who filled it has moved on: what remains of it belongs to those who retain it. */
  filled(): void {
    assert(this.#filling, "a slab is filled by one, once");
    this.#filling = false;
    if (this.#retained === 0) this.#pool.put(this);
  }
}

/** A part of a slab. What was there before is still there. */
export interface Piece {
  readonly bytes: Uint8Array;
  /** Retained once, for whoever has the piece. */
  readonly slab: Slab;
}

/** Cuts slabs into pieces, one behind the other, and begins a slab anew when nobody needs anything in it. */
export class Carver {
  readonly #pool: SlabPool;
  #slab: PooledSlab | undefined;
  /** Where the last piece begins, and where the next one would. */
  #last = 0;
  #next = 0;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** A piece of at most `SLAB_BYTES`. */
  carve(length: number): Piece {
    assert(length <= SLAB_BYTES, "a piece is not longer than a slab");
    let slab = this.#slab;
    if (slab?.isRetained === false) this.#next = 0;
    if (slab === undefined || length > SLAB_BYTES - this.#next) {
      slab?.filled();
      slab = this.#pool.take();
      this.#slab = slab;
      this.#next = 0;
    }
    slab.retain();
    this.#last = this.#next;
    this.#next += aligned(length);
    return { bytes: slab.bytes.subarray(this.#last, this.#last + length), slab };
  }

  /** No more than the beginning of a piece is needed, `kept`: if it was the last piece, the next one follows it closely. */
  trim(kept: Uint8Array): void {
    const isLast = kept.buffer === this.#slab?.bytes.buffer && kept.byteOffset === this.#last;
    if (isLast) this.#next = this.#last + aligned(kept.length);
  }
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}
