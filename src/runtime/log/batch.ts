/**
 * A batch is the unit of writing: the records that were ready when the disk was, with one checksum over all of them. It
 * begins at a multiple of `BLOCK_BYTES`, so that no write ever touches a block that holds something acknowledged.
 *
 *      0  u32 MAGIC                          32  f64 number of the segment
 *      4  u32 CRC-32 of the body, and then   40  f64 floor: records below this position are not needed any more
 *         of bytes 8 to 64                   48  u32 × 2 id of the log
 *      8  u32 bytes of the body              56  u32 version of this format
 *     12  u32 records in the body            60  u32 zero
 *     16  f64 number of the batch            64  body: records, each  u32 length, bytes
 *     24  f64 position of the first record
 *
 * Segments are used again without being wiped. The number of the segment in every batch tells what was written in this
 * use from what is left of an earlier one. The body is summed up before the head, so that this can begin before all of it
 * is there.
 */
import { crc32 } from "node:zlib";

export const BLOCK_BYTES = 4096;
export const BATCH_HEADER_BYTES = 64;
const RECORD_HEADER_BYTES = 4;
const MAGIC = 0x4c_54_4f_43;
const FORMAT = 1;
/** A new batch has room for so much, and doubles when it must. */
const BUFFER_BYTES_MIN = 64 * 1024;
/** Bytes are summed up in pieces of about this size, soon after they were copied. */
const SUM_BYTES = 64 * 1024;
/** Up to this length bytes are copied faster one by one than by a call. */
const SHORT_BYTES = 48;

export type LogId = readonly [number, number];

/** Names a log, and the disk that it is on. */
export function logName([low, high]: LogId): string {
  return `${hex(high)}${hex(low)}`;
}

export interface BatchHead {
  readonly number: number;
  /** The position of the first record. */
  readonly first: number;
  readonly count: number;
  readonly segment: number;
  readonly floor: number;
  readonly id: LogId;
  readonly bodyBytes: number;
}

/** How many bytes of disk a batch with this body takes. */
export function blocksBytes(bodyBytes: number): number {
  return Math.ceil((BATCH_HEADER_BYTES + bodyBytes) / BLOCK_BYTES) * BLOCK_BYTES;
}

/** What a record of so many bytes adds to a body. */
export function recordBytes(length: number): number {
  return RECORD_HEADER_BYTES + length;
}

/** A batch while it is put together; when it has been written it can be used for another. */
export class BatchBuilder {
  #buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES_MIN);
  #end = BATCH_HEADER_BYTES;
  /** How far the body is summed up. */
  #summed = BATCH_HEADER_BYTES;
  #sum = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get bodyBytes(): number {
    return this.#end - BATCH_HEADER_BYTES;
  }

  /** Copies the record. */
  append(record: Uint8Array): void {
    const { length } = record;
    const from = this.#end + RECORD_HEADER_BYTES;
    const end = from + length;
    if (end > this.#buffer.length) this.#grow(end);
    const buffer = this.#buffer;
    buffer.writeUInt32LE(length, from - RECORD_HEADER_BYTES);
    if (length > SHORT_BYTES) buffer.set(record, from);
    else for (let index = 0; index < length; index++) buffer[from + index] = record[index] as number;
    this.#end = end;
    this.#count++;
    if (end - this.#summed >= SUM_BYTES) this.#sumUp();
  }

  /** The whole batch, padded with zeros to whole blocks; it must not be changed until it is on disk. */
  seal({ number, first, segment, floor, id }: Omit<BatchHead, "count" | "bodyBytes">): Uint8Array {
    const bytes = blocksBytes(this.bodyBytes);
    if (bytes > this.#buffer.length) this.#grow(bytes);
    this.#sumUp();
    const buffer = this.#buffer;
    buffer.fill(0, this.#end, bytes);
    buffer.writeUInt32LE(MAGIC, 0);
    buffer.writeUInt32LE(this.bodyBytes, 8);
    buffer.writeUInt32LE(this.#count, 12);
    buffer.writeDoubleLE(number, 16);
    buffer.writeDoubleLE(first, 24);
    buffer.writeDoubleLE(segment, 32);
    buffer.writeDoubleLE(floor, 40);
    buffer.writeUInt32LE(id[0], 48);
    buffer.writeUInt32LE(id[1], 52);
    buffer.writeUInt32LE(FORMAT, 56);
    buffer.writeUInt32LE(0, 60);
    buffer.writeUInt32LE(crc32(buffer.subarray(8, BATCH_HEADER_BYTES), this.#sum), 4);
    return buffer.subarray(0, bytes);
  }

  /** Begins anew, on the same memory. */
  clear(): void {
    this.#end = BATCH_HEADER_BYTES;
    this.#summed = BATCH_HEADER_BYTES;
    this.#sum = 0;
    this.#count = 0;
  }

  #sumUp(): void {
    this.#sum = crc32(this.#buffer.subarray(this.#summed, this.#end), this.#sum);
    this.#summed = this.#end;
  }

  #grow(bytes: number): void {
    let length = this.#buffer.length;
    while (length < bytes) length *= 2;
    const buffer = Buffer.allocUnsafeSlow(length);
    buffer.set(this.#buffer.subarray(0, this.#end));
    this.#buffer = buffer;
  }
}

/** The head of what may be a batch; its checksum is not looked at. Undefined when it cannot be one of `roomBytes`. */
export function headOf(bytes: Uint8Array, roomBytes: number): BatchHead | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < BATCH_HEADER_BYTES || view.getUint32(0, true) !== MAGIC) return undefined;
  const bodyBytes = view.getUint32(8, true);
  if (view.getUint32(56, true) !== FORMAT || BATCH_HEADER_BYTES + bodyBytes > roomBytes) return undefined;
  return {
    bodyBytes,
    count: view.getUint32(12, true),
    number: view.getFloat64(16, true),
    first: view.getFloat64(24, true),
    segment: view.getFloat64(32, true),
    floor: view.getFloat64(40, true),
    id: [view.getUint32(48, true), view.getUint32(52, true)],
  };
}

/** Whether these bytes, a whole batch without its padding, are what was written. */
export function isIntact(batch: Uint8Array): boolean {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const sum = crc32(batch.subarray(8, BATCH_HEADER_BYTES), crc32(batch.subarray(BATCH_HEADER_BYTES)));
  return view.getUint32(4, true) === sum;
}

/** The records of an intact batch without its padding, as views of its bytes. */
export function recordsOf(batch: Uint8Array): Uint8Array[] {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const records: Uint8Array[] = [];
  for (let at = BATCH_HEADER_BYTES; at < batch.length; ) {
    const from = at + RECORD_HEADER_BYTES;
    at = from + view.getUint32(at, true);
    records.push(batch.subarray(from, at));
  }
  return records;
}

function hex(word: number): string {
  return word.toString(16).padStart(8, "0");
}
