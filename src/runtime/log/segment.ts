/**
 * One file of a log: batches from its beginning on, then zeros, or what is left of an earlier use. It is read from front to
 * back through a window that is used again; what is kept in memory is where each batch is.
 */
import type { DiskFile } from "../ports.ts";
import { BATCH_HEADER_BYTES, type BatchHead, BLOCK_BYTES, blocksBytes, headOf, isIntact } from "./batch.ts";

/** Where an intact batch is. */
export interface Placed {
  readonly at: number;
  readonly bodyBytes: number;
  readonly number: number;
  /** The position of its first record, and how many it has. */
  readonly first: number;
  readonly count: number;
}

export class Segment {
  readonly file: DiskFile;
  /** 0 for a spare. */
  readonly number: number;
  /** By position. */
  readonly batches: Placed[] = [];
  /** Where the next batch goes. */
  end = 0;

  constructor(file: DiskFile, number: number) {
    this.file = file;
    this.number = number;
  }

  get first(): number {
    return this.batches[0]?.first ?? Number.POSITIVE_INFINITY;
  }

  /** One beyond the position of the last record. */
  get next(): number {
    const last = this.batches.at(-1);
    return last === undefined ? 0 : last.first + last.count;
  }

  add(placed: Placed): void {
    this.batches.push(placed);
    this.end = placed.at + blocksBytes(placed.bodyBytes);
  }

  /** The bytes of a batch, in memory of their own; undefined when they are not what was written. */
  read({ at, bodyBytes, number }: Placed): Uint8Array | undefined {
    const bytes = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + bodyBytes);
    this.file.read(at, bytes);
    return isBatch(bytes, number, bodyBytes) ? bytes : undefined;
  }

  /** The batch that holds a position. */
  holding(position: number): Placed | undefined {
    let low = 0;
    let high = this.batches.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const placed = this.batches[middle] as Placed;
      if (position < placed.first) high = middle - 1;
      else if (position >= placed.first + placed.count) low = middle + 1;
      else return placed;
    }
    return undefined;
  }
}

/** Whether these bytes are the batch of this number and length, intact. */
export function isBatch(bytes: Uint8Array, number: number, bodyBytes: number): boolean {
  const head = headOf(bytes, bytes.length);
  return head?.number === number && head.bodyBytes === bodyBytes && isIntact(bytes);
}

const WINDOW_BYTES = 1024 * 1024;

/** A file as it is read from front to back. */
export class Scan {
  readonly #file: DiskFile;
  #buffer: Buffer;
  #from = 0;
  #length = 0;

  constructor(file: DiskFile) {
    this.#file = file;
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(WINDOW_BYTES, file.bytes));
  }

  /** The intact batch that begins at `at`, if there is one that `isWanted`. */
  batchAt(at: number, isWanted: (head: BatchHead) => boolean): BatchHead | undefined {
    const roomBytes = this.#file.bytes - at;
    if (roomBytes < BLOCK_BYTES) return undefined;
    const head = headOf(this.#view(at, BATCH_HEADER_BYTES), roomBytes);
    if (head === undefined || !isWanted(head)) return undefined;
    return isIntact(this.#view(at, BATCH_HEADER_BYTES + head.bodyBytes)) ? head : undefined;
  }

  /** The first intact batch at `from` or behind it that `isWanted`. */
  next(from: number, isWanted: (head: BatchHead) => boolean): { at: number; head: BatchHead } | undefined {
    for (let at = from; at < this.#file.bytes; at += BLOCK_BYTES) {
      const head = this.batchAt(at, isWanted);
      if (head !== undefined) return { at, head };
    }
    return undefined;
  }

  /** Bytes of the file, which are there until the next call. */
  #view(at: number, length: number): Uint8Array {
    if (at < this.#from || at + length > this.#from + this.#length) this.#load(at, length);
    return this.#buffer.subarray(at - this.#from, at - this.#from + length);
  }

  /** Moves the window so that it begins at `at`; what it has already is not read again. */
  #load(at: number, length: number): void {
    const target = Math.max(length, this.#buffer.length);
    const kept = at >= this.#from ? Math.max(0, this.#from + this.#length - at) : 0;
    const before = this.#buffer;
    if (target > before.length) this.#buffer = Buffer.allocUnsafeSlow(target);
    if (kept > 0) before.copy(this.#buffer, 0, at - this.#from, at - this.#from + kept);
    this.#from = at;
    this.#length = Math.min(target, this.#file.bytes - at);
    this.#file.read(at + kept, this.#buffer.subarray(kept, this.#length));
  }
}
