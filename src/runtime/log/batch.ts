/**
 * A batch is the unit of writing: the records that were ready when the disk was, with one checksum over all of them. It
 * begins at a multiple of `BLOCK_BYTES`, so that no write ever touches a block that holds something acknowledged.
 *
 *      0  u32 MAGIC                          32  f64 number of the segment
 *      4  u32 CRC-32 of all that follows     40  f64 floor: records below this position are not needed any more
 *      8  u32 bytes of the body              48  u32 × 2 id of the log
 *     12  u32 records in the body            56  u32 version of this format
 *     16  f64 number of the batch            60  u32 zero
 *     24  f64 position of the first record   64  body: records, each  u32 length, bytes
 *
 * Segments are used again without being wiped. The number of the segment in every batch tells what was written in this
 * use from what is left of an earlier one.
 */
import { crc32 } from "node:zlib";

export const BLOCK_BYTES = 4096;
export const BATCH_HEADER_BYTES = 64;
const RECORD_HEADER_BYTES = 4;
const MAGIC = 0x4c_54_4f_43;
const FORMAT = 1;

export type LogId = readonly [number, number];

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

/** What a record adds to a body. */
export function recordBytes(record: Uint8Array): number {
  return RECORD_HEADER_BYTES + record.length;
}

/** Lays a batch out at the start of `into`, which has room, and pads it with zeros; returns how many bytes that is. */
export function layBatch(
  into: Buffer,
  head: Omit<BatchHead, "count" | "bodyBytes">,
  records: readonly Uint8Array[],
): number {
  let at = BATCH_HEADER_BYTES;
  for (const record of records) {
    into.writeUInt32LE(record.length, at);
    into.set(record, at + RECORD_HEADER_BYTES);
    at += recordBytes(record);
  }
  const bytes = blocksBytes(at - BATCH_HEADER_BYTES);
  into.fill(0, at, bytes);
  into.writeUInt32LE(MAGIC, 0);
  into.writeUInt32LE(at - BATCH_HEADER_BYTES, 8);
  into.writeUInt32LE(records.length, 12);
  into.writeDoubleLE(head.number, 16);
  into.writeDoubleLE(head.first, 24);
  into.writeDoubleLE(head.segment, 32);
  into.writeDoubleLE(head.floor, 40);
  into.writeUInt32LE(head.id[0], 48);
  into.writeUInt32LE(head.id[1], 52);
  into.writeUInt32LE(FORMAT, 56);
  into.writeUInt32LE(0, 60);
  into.writeUInt32LE(crc32(into.subarray(8, at)), 4);
  return bytes;
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

/** Whether these bytes, a whole batch, are what was written. */
export function isIntact(batch: Uint8Array): boolean {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const end = BATCH_HEADER_BYTES + view.getUint32(8, true);
  return batch.length >= end && view.getUint32(4, true) === crc32(batch.subarray(8, end));
}

/** The records of an intact batch, as views of its bytes. */
export function recordsOf(batch: Uint8Array, { bodyBytes }: BatchHead): Uint8Array[] {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const records: Uint8Array[] = [];
  const end = BATCH_HEADER_BYTES + bodyBytes;
  for (let at = BATCH_HEADER_BYTES; at < end; ) {
    const from = at + RECORD_HEADER_BYTES;
    at = from + view.getUint32(at, true);
    records.push(batch.subarray(from, at));
  }
  return records;
}
