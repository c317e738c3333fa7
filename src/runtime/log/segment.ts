/**
 * One file of a log: batches from its beginning on, then zeros, or what is left of an earlier use.
 */
import type { DiskFile } from "../ports.ts";
import { BATCH_HEADER_BYTES, type BatchHead, BLOCK_BYTES, blocksBytes, headOf, isIntact } from "./batch.ts";

/** An intact batch, and where it begins. */
export interface Placed {
  readonly at: number;
  readonly head: BatchHead;
}

export class Segment {
  readonly file: DiskFile;
  /** 0 for a spare. */
  number: number;
  readonly batches: Placed[] = [];
  /** Where the next batch goes. */
  end = 0;

  constructor(file: DiskFile, number: number) {
    this.file = file;
    this.number = number;
  }

  get first(): number {
    return this.batches[0]?.head.first ?? Number.POSITIVE_INFINITY;
  }

  /** One beyond the position of the last record. */
  get next(): number {
    const last = this.batches.at(-1)?.head;
    return last === undefined ? 0 : last.first + last.count;
  }

  add(at: number, head: BatchHead): void {
    this.batches.push({ at, head });
    this.end = at + blocksBytes(head.bodyBytes);
  }

  /** Puts a batch that was repaired among the others. */
  insert(placed: Placed): void {
    const index = this.batches.findIndex(({ at }) => at > placed.at);
    this.batches.splice(index < 0 ? this.batches.length : index, 0, placed);
  }

  bytesOf({ at, head }: Placed): Uint8Array {
    return this.file.read(at, BATCH_HEADER_BYTES + head.bodyBytes);
  }

  /** The batch that holds a position. */
  holding(position: number): Placed | undefined {
    let low = 0;
    let high = this.batches.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const placed = this.batches[middle] as Placed;
      if (position < placed.head.first) high = middle - 1;
      else if (position >= placed.head.first + placed.head.count) low = middle + 1;
      else return placed;
    }
    return undefined;
  }
}

/** Whether the batch is still on disk as it was found or written. */
export function isStillThere(segment: Segment, placed: Placed): boolean {
  return batchAt(segment.file, placed.at)?.head.number === placed.head.number;
}

/** The intact batch that begins at `at`, if there is one. */
export function batchAt(file: DiskFile, at: number): Placed | undefined {
  if (at + BLOCK_BYTES > file.bytes) return undefined;
  const head = headOf(file.read(at, BATCH_HEADER_BYTES), file.bytes - at);
  if (head === undefined || !isIntact(file.read(at, BATCH_HEADER_BYTES + head.bodyBytes))) return undefined;
  return { at, head };
}

/** The first intact batch at `from` or behind it that `isWanted`. */
export function nextBatch(file: DiskFile, from: number, isWanted: (head: BatchHead) => boolean): Placed | undefined {
  for (let at = from; at < file.bytes; ) {
    const placed = batchAt(file, at);
    if (placed !== undefined && isWanted(placed.head)) return placed;
    at += placed === undefined ? BLOCK_BYTES : blocksBytes(placed.head.bodyBytes);
  }
  return undefined;
}
