/**
 * An append-only log of records, each at a position: 0, 1, … It promises that a record is on disk, whole, when `persisted`
 * has passed its position, and that nothing is ever served that differs from what was appended.
 *
 * Group commit: one write is under way, and what is appended meanwhile goes together into the next. Segments are files
 * of zeros that are made beforehand, so that a write changes no length; those whose records nobody needs any more are
 * used again. The disk being full holds the log back until there is room; a disk that fails ends it.
 */
import { assert, present } from "../../base/assert.ts";
import type { Disk, DiskFile, DiskProblem } from "../ports.ts";
import { blocksBytes, type LogId, layBatch, recordBytes, recordsOf } from "./batch.ts";
import { type Damage, recover, SEGMENT_NAME } from "./recovery.ts";
import { isStillThere, type Placed, Segment } from "./segment.ts";

export interface LogOptions {
  /** Of a segment, unless one record needs more; a multiple of 4096. */
  readonly segmentBytes: number;
  /** Beyond so many bytes that are not on disk, `hasRoom` is false. */
  readonly waitingBytesMax: number;
  /** Names the log if it is new. */
  readonly id: LogId;
}

export type LogStatus = "ok" | "full" | "failed";

export interface LogListener {
  /** Records below this position are on disk. */
  persisted(upTo: number): void;
  /** `full`: the log waits, and goes on by itself once `retry` finds room. `failed`: nothing more will be persisted. */
  statusChanged(status: LogStatus, detail: string): void;
  /** `hasRoom` holds again. */
  room(): void;
}

/** The body of a batch has at most so many bytes, unless it is one record. */
const BODY_BYTES_MAX = 4 * 1024 * 1024;
const BUFFER_BYTES = 64 * 1024;
const SPARES_MAX = 2;

export class Log {
  readonly #disk: Disk;
  readonly #options: LogOptions;
  readonly #listener: LogListener;
  readonly #id: LogId;
  readonly #segments: Segment[];
  readonly #spares: DiskFile[];
  readonly #damage: Damage[];
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #underWayBytes = 0;
  #isWriting = false;
  #isMaking = false;
  #buffer = Buffer.alloc(BUFFER_BYTES);
  #next: number;
  #durable: number;
  #nextBatch: number;
  #nextFile: number;
  /** As asked for, and as it is on disk: only below the latter are segments overwritten. */
  #floor: number;
  #durableFloor: number;
  #status: LogStatus = "ok";
  #wasHeldBack = false;

  /** Reads what is there; takes time in proportion to it. */
  constructor(disk: Disk, options: LogOptions, listener: LogListener) {
    this.#disk = disk;
    this.#options = options;
    this.#listener = listener;
    const recovered = recover(disk);
    this.#id = recovered.id ?? options.id;
    this.#segments = recovered.segments;
    this.#spares = recovered.spares;
    this.#damage = recovered.damage;
    this.#next = recovered.nextPosition;
    this.#durable = recovered.nextPosition;
    this.#nextBatch = recovered.nextBatch;
    this.#floor = recovered.floor;
    this.#durableFloor = recovered.floor;
    const numbers = disk.names().map((name) => Number(SEGMENT_NAME.exec(name)?.[1] ?? 0));
    this.#nextFile = 1 + Math.max(0, ...numbers);
    this.#prepareSpare(options.segmentBytes);
  }

  /** The position of the next record. */
  get next(): number {
    return this.#next;
  }

  /** Records below this position are on disk. */
  get durable(): number {
    return this.#durable;
  }

  get floor(): number {
    return this.#floor;
  }

  get status(): LogStatus {
    return this.#status;
  }

  /** Ranges of records that were acknowledged once and are not intact. */
  get damage(): readonly Damage[] {
    return this.#damage;
  }

  get hasRoom(): boolean {
    return this.#waitingBytes + this.#underWayBytes < this.#options.waitingBytesMax;
  }

  /** Appends a record, whose bytes must not change until it is on disk; returns its position. */
  append(record: Uint8Array): number {
    const position = this.#next++;
    this.#waiting.push(record);
    this.#waitingBytes += recordBytes(record);
    if (!this.hasRoom) this.#wasHeldBack = true;
    return position;
  }

  /** Writes what was appended, unless a write is under way; then it follows by itself. Called once per turn. */
  flush(): void {
    if (this.#isWriting || this.#waiting.length === 0 || this.#status === "failed") return;
    const records = this.#takeRecords();
    if (records === undefined) return;
    const segment = present(this.#segments.at(-1), "there is a segment with room");
    const head = {
      number: this.#nextBatch,
      first: this.#next - this.#waiting.length - records.length,
      segment: segment.number,
      floor: this.#floor,
      id: this.#id,
    };
    const bodyBytes = records.reduce((sum, record) => sum + recordBytes(record), 0);
    if (this.#buffer.length < blocksBytes(bodyBytes)) this.#buffer = Buffer.alloc(blocksBytes(bodyBytes));
    const bytes = layBatch(this.#buffer, head, records);
    this.#isWriting = true;
    this.#underWayBytes = bodyBytes;
    this.#nextBatch++;
    segment.file.write(segment.end, this.#buffer.subarray(0, bytes), (problem) => {
      this.#isWriting = false;
      if (problem !== undefined) {
        this.#fail(problem.detail);
        return;
      }
      segment.add(segment.end, { ...head, bodyBytes, count: records.length });
      this.#written(head.first + records.length, head.floor);
    });
  }

  /** Records below this position are not needed any more. */
  truncate(floor: number): void {
    assert(floor <= this.#durable, "a log is cut only where it is on disk");
    this.#floor = Math.max(this.#floor, floor);
  }

  /** Tries again to make room, after the disk was full. */
  retry(): void {
    if (this.#status === "full") this.flush();
  }

  /**
   * The records from `from` on, at most up to `to`, as views of memory of their own; stops before the first position that
   * is damaged, truncated, or not on disk.
   */
  *read(from: number, to: number = this.#durable): IterableIterator<Uint8Array> {
    let position = from;
    while (position < Math.min(to, this.#durable)) {
      const segment = this.#segments.find((each) => each.holding(position) !== undefined);
      const placed = segment?.holding(position);
      if (segment === undefined || placed === undefined) return;
      // What was intact when it was read last may have been damaged since.
      if (!this.#isIntact(segment, placed)) return;
      const records = recordsOf(segment.bytesOf(placed), placed.head);
      for (let index = position - placed.head.first; index < records.length && position < to; index++) {
        position++;
        yield records[index] as Uint8Array;
      }
    }
  }

  /** Puts records that were damaged back, as a peer has them; all of one range, in order. */
  repair(damage: Damage, records: readonly Uint8Array[], done: (problem: DiskProblem | undefined) => void): void {
    assert(records.length === damage.to - damage.from, "a range is repaired as a whole");
    const segment = this.#segments.find(({ number }) => number === damage.segment);
    const bodyBytes = records.reduce((sum, record) => sum + recordBytes(record), 0);
    if (segment === undefined || blocksBytes(bodyBytes) > damage.bytes) {
      done({ code: "failed", detail: "the records do not fit into the place of those that are damaged" });
      return;
    }
    const number = damage.batch + damage.batches - 1;
    const head = { number, first: damage.from, segment: segment.number, floor: 0, id: this.#id };
    const buffer = Buffer.alloc(blocksBytes(bodyBytes));
    const bytes = layBatch(buffer, head, records);
    segment.file.write(damage.at, buffer.subarray(0, bytes), (problem) => {
      if (problem === undefined) {
        segment.insert({ at: damage.at, head: { ...head, bodyBytes, count: records.length } });
        this.#damage.splice(this.#damage.indexOf(damage), 1);
      }
      done(problem);
    });
  }

  /** Reads one segment and says whether all of it is intact; the one that is written to is left out. */
  scrub(index: number): boolean {
    const segment = this.#segments[index];
    if (segment === undefined || segment === this.#segments.at(-1)) return true;
    return [...segment.batches].filter((placed) => !this.#isIntact(segment, placed)).length === 0;
  }

  get segmentCount(): number {
    return this.#segments.length;
  }

  /** What waits is not written any more. */
  close(): void {
    this.#status = "failed";
    for (const { file } of this.#segments) file.close();
    for (const file of this.#spares) file.close();
  }

  /** The records of the next batch, once there is a segment for it. */
  #takeRecords(): Uint8Array[] | undefined {
    let count = 0;
    let bodyBytes = 0;
    for (const record of this.#waiting) {
      if (count > 0 && bodyBytes + recordBytes(record) > BODY_BYTES_MAX) break;
      bodyBytes += recordBytes(record);
      count++;
    }
    if (!this.#provide(blocksBytes(bodyBytes))) return undefined;
    const records = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    this.#waitingBytes -= bodyBytes;
    return records;
  }

  /** Whether the last segment has room for a batch of so many bytes; a spare becomes the last one if need be. */
  #provide(bytes: number): boolean {
    const last = this.#segments.at(-1);
    if (last !== undefined && last.end + bytes <= last.file.bytes) return true;
    const index = this.#spares.findIndex((spare) => spare.bytes >= bytes);
    const [spare] = index < 0 ? [] : this.#spares.splice(index, 1);
    if (spare !== undefined) this.#segments.push(new Segment(spare, (last?.number ?? 0) + 1));
    this.#prepareSpare(spare === undefined ? bytes : 0);
    return spare !== undefined;
  }

  /** Makes a spare of at least so many bytes, if there is none. */
  #prepareSpare(bytes: number): void {
    if (this.#isMaking || this.#spares.some((spare) => spare.bytes >= bytes)) return;
    const name = `segment-${String(this.#nextFile).padStart(6, "0")}.log`;
    this.#isMaking = true;
    this.#disk.create(name, Math.max(bytes, this.#options.segmentBytes), (problem) => {
      this.#isMaking = false;
      if (this.#status === "failed") return;
      if (problem === undefined) {
        this.#nextFile++;
        this.#spares.push(this.#disk.open(name));
        this.#setStatus("ok", "");
        this.flush();
      } else if (problem.code === "failed") this.#fail(problem.detail);
      // The last segment may well last until there is room again.
      else if (this.#waiting.length > 0 && !this.#isWriting) this.#setStatus("full", problem.detail);
    });
  }

  #written(upTo: number, floor: number): void {
    this.#durable = upTo;
    this.#durableFloor = floor;
    this.#underWayBytes = 0;
    while (this.#segments.length > 1 && (this.#segments[0] as Segment).next <= this.#durableFloor) {
      const { file } = this.#segments.shift() as Segment;
      if (this.#spares.length < SPARES_MAX) this.#spares.push(file);
      else {
        file.close();
        this.#disk.remove(file.name);
      }
    }
    this.flush();
    this.#listener.persisted(upTo);
    if (!this.#wasHeldBack || !this.hasRoom) return;
    this.#wasHeldBack = false;
    this.#listener.room();
  }

  /** After a failed write nobody knows what is on disk: the log says no more. */
  #fail(detail: string): void {
    this.#setStatus("failed", detail);
  }

  #setStatus(status: LogStatus, detail: string): void {
    if (this.#status === status || this.#status === "failed") return;
    this.#status = status;
    this.#listener.statusChanged(status, detail);
  }

  /** Whether a batch is as it was written; if it is not, it counts as damage from now on. */
  #isIntact(segment: Segment, placed: Placed): boolean {
    if (isStillThere(segment, placed)) return true;
    const { at, head } = placed;
    segment.batches.splice(segment.batches.indexOf(placed), 1);
    this.#damage.push({
      from: head.first,
      to: head.first + head.count,
      segment: segment.number,
      at,
      bytes: blocksBytes(head.bodyBytes),
      batch: head.number,
      batches: 1,
    });
    return false;
  }
}
