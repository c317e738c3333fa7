/**
 * An append-only log of records, each at a position: 0, 1, … It promises that a record is on disk, whole, when `persisted`
 * has passed its position, and that nothing is ever served that differs from what was appended.
 *
 * Group commit: one write is under way, and what is appended meanwhile is laid out and summed up at once for the next, so
 * that neither the disk waits for the processor nor the processor for the disk. Segments are files of zeros that are made
 * beforehand, so that a write changes no length; those whose records nobody needs any more are used again. The disk being
 * full holds the log back until there is room; a disk that fails ends it.
 */
import { assert, present } from "../../base/assert.ts";
import type { Disk, DiskFile } from "../ports.ts";
import { BATCH_HEADER_BYTES, BatchBuilder, blocksBytes, type LogId, recordBytes, recordsOf } from "./batch.ts";
import { type Range, recover, SEGMENT_NAME } from "./recovery.ts";
import { isBatch, type Placed, Segment } from "./segment.ts";

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
  /** Records that were intact before are not any more. */
  damaged(damage: Range): void;
}

/** The body of a batch has at most so many bytes, unless it is one record. */
const BODY_BYTES_MAX = 1024 * 1024;
/** So many batches that have been written are kept to be filled again. */
const IDLE_BUILDERS_MAX = 3;
const SPARES_MAX = 4;

/** What a log is to those who keep records in it. */
export type RecordLog = Pick<
  Log,
  "id" | "next" | "durable" | "floor" | "status" | "damage" | "append" | "flush" | "truncate" | "read"
>;

export class Log {
  readonly #disk: Disk;
  readonly #options: LogOptions;
  readonly #listener: LogListener;
  readonly #id: LogId;
  readonly #bodyBytesMax: number;
  readonly #segments: Segment[];
  readonly #spares: DiskFile[];
  #damage: Range[];
  /** What is appended goes here; those that are full wait in front of it. */
  #filling = new BatchBuilder();
  readonly #full: BatchBuilder[] = [];
  readonly #idle: BatchBuilder[] = [];
  /** Of records that are not on disk. */
  #waitingBytes = 0;
  #isWriting = false;
  #isMaking = false;
  #removals = 0;
  /** Reads of old batches that are under way: until they are over no segment is used again. */
  #visits = 0;
  #next: number;
  #durable: number;
  #nextBatch: number;
  #nextFile: number;
  /** As asked for, and as it is on disk: only below the latter are segments overwritten. */
  #floor: number;
  #durableFloor: number;
  #status: LogStatus = "ok";
  /** Who waits until nothing is under way any more; undefined while the log is open. */
  #closed: (() => void) | undefined;
  #wasHeldBack = false;
  /** The position at which scrubbing goes on. */
  #scrubAt = 0;

  /** Reads what is there; takes time in proportion to it. */
  constructor(disk: Disk, options: LogOptions, listener: LogListener) {
    this.#disk = disk;
    this.#options = options;
    this.#listener = listener;
    this.#bodyBytesMax = Math.min(BODY_BYTES_MAX, options.segmentBytes - BATCH_HEADER_BYTES);
    const recovered = recover(disk);
    this.#id = recovered.id ?? options.id;
    this.#segments = recovered.segments;
    this.#spares = this.#whole(recovered.spares);
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

  get id(): LogId {
    return this.#id;
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

  get isWriting(): boolean {
    return this.#isWriting;
  }

  /** Ranges of records that were acknowledged once and are not intact. */
  get damage(): readonly Range[] {
    return this.#damage;
  }

  get hasRoom(): boolean {
    return this.#waitingBytes < this.#options.waitingBytesMax;
  }

  /** Of records that are not on disk. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Of all its files. */
  get diskBytes(): number {
    const used = this.#segments.reduce((sum, { file }) => sum + file.bytes, 0);
    return used + this.#spares.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Appends a record, which is copied; returns its position. */
  append(record: Uint8Array): number {
    const bytes = recordBytes(record.length);
    if (this.#filling.count > 0 && this.#filling.bodyBytes + bytes > this.#bodyBytesMax) {
      this.#full.push(this.#filling);
      this.#filling = this.#idle.pop() ?? new BatchBuilder();
    }
    this.#filling.append(record);
    this.#waitingBytes += bytes;
    if (!this.hasRoom) this.#wasHeldBack = true;
    return this.#next++;
  }

  /** Writes what was appended, unless a write is under way; then it follows by itself. Called once per turn. */
  flush(): void {
    if (this.#status === "ok") this.#write();
  }

  #write(): void {
    if (this.#isWriting || this.#status === "failed") return;
    const batch = this.#full[0] ?? this.#filling;
    const { count, bodyBytes } = batch;
    if (count === 0 || !this.#provide(blocksBytes(bodyBytes))) return;
    if (this.#full.shift() === undefined) this.#filling = this.#idle.pop() ?? new BatchBuilder();
    const segment = present(this.#segments.at(-1), "there is a segment with room");
    const floor = this.#floor;
    const head = { number: this.#nextBatch++, first: this.#durable, segment: segment.number, floor, id: this.#id };
    this.#isWriting = true;
    segment.file.write(segment.end, batch.seal(head), (problem) => {
      this.#isWriting = false;
      if (problem === undefined) {
        segment.add({ at: segment.end, bodyBytes, number: head.number, first: head.first, count });
        this.#written(batch, floor);
      } else if (problem.code === "full") this.#putBack(batch, problem.detail);
      else this.#setStatus("failed", problem.detail);
      this.#closeFiles();
    });
  }

  /** Records below this position are not needed any more. */
  truncate(floor: number): void {
    assert(floor <= this.#durable, "a log is cut only where it is on disk");
    this.#floor = Math.max(this.#floor, floor);
  }

  /** Tries again to make room, after the disk was full. */
  retry(): void {
    if (this.#status === "full") this.#write();
  }

  /**
   * The records from `from` on, at most up to `to`, as views of memory of their own; stops before the first position that
   * is damaged, truncated, or not on disk.
   */
  *read(from: number, to: number = this.#durable): IterableIterator<Uint8Array> {
    let position = from;
    while (position < Math.min(to, this.#durable)) {
      const segment = this.#segments.find(({ next }) => position < next);
      const placed = segment?.holding(position);
      if (segment === undefined || placed === undefined) return;
      const bytes = segment.read(placed);
      if (bytes === undefined) {
        // What was intact when it was read last has been damaged since.
        this.#lost(segment, placed);
        return;
      }
      const records = recordsOf(bytes);
      for (let index = position - placed.first; index < records.length && position < to; index++) {
        position++;
        yield records[index] as Uint8Array;
      }
    }
  }

  /**
   * Reads the next batch on disk, as a background task, and finds out whether it is still intact; `done` gets how many
   * bytes that were: 0 at the end of the log, after which it begins at the floor again.
   */
  scrub(done: (bytes: number) => void): void {
    const segment = this.#segments.find(({ next }) => this.#scrubAt < next);
    const placed = segment?.batches.find(({ first, count }) => this.#scrubAt < first + count);
    if (segment === undefined || placed === undefined || this.#closed !== undefined) {
      this.#scrubAt = this.#floor;
      done(0);
      return;
    }
    this.#scrubAt = placed.first + placed.count;
    const bytes = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES + placed.bodyBytes);
    this.#visits++;
    segment.file.fetch(placed.at, bytes, () => {
      this.#visits--;
      if (!isBatch(bytes, placed.number, placed.bodyBytes)) this.#lost(segment, placed);
      done(bytes.length);
      this.#closeFiles();
    });
  }

  /**
   * What waits is not written any more; a write that is under way is not acknowledged. Once `done` is called, nothing is
   * under way, so that another log may be opened in the same place.
   */
  close(done: () => void = () => {}): void {
    this.#status = "failed";
    this.#closed = done;
    this.#closeFiles();
  }

  /** After `close`; but a file is not closed while it is in use: its number could be that of another by then. */
  #closeFiles(): void {
    const closed = this.#closed;
    const isBusy = this.#isWriting || this.#isMaking || this.#visits > 0 || this.#removals > 0;
    if (closed === undefined || isBusy) return;
    for (const { file } of this.#segments.splice(0)) file.close();
    for (const file of this.#spares.splice(0)) file.close();
    closed();
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

  /** Spares that were made to their end; others are left from a crash. */
  #whole(spares: readonly DiskFile[]): DiskFile[] {
    const whole = spares.filter(({ bytes }) => bytes >= this.#options.segmentBytes);
    for (const spare of spares) if (!whole.includes(spare)) this.#discard(spare);
    return whole;
  }

  #discard(file: DiskFile): void {
    file.close();
    this.#removals++;
    this.#disk.remove(file.name, () => {
      this.#removals--;
      this.#closeFiles();
    });
  }

  /** Makes a spare of at least so many bytes, if there is none. */
  #prepareSpare(bytes: number): void {
    if (this.#isMaking || this.#spares.some((spare) => spare.bytes >= bytes)) return;
    const name = `segment-${String(this.#nextFile).padStart(6, "0")}.log`;
    this.#isMaking = true;
    this.#disk.create(name, Math.max(bytes, this.#options.segmentBytes), (problem) => {
      this.#isMaking = false;
      this.#closeFiles();
      if (this.#status === "failed") return;
      if (problem === undefined) {
        this.#nextFile++;
        this.#spares.push(this.#disk.open(name));
        this.#setStatus("ok", "");
        this.flush();
      } else if (problem.code === "failed") this.#setStatus("failed", problem.detail);
      // The last segment may well last until there is room again.
      else if (this.#waitingBytes > 0 && !this.#isWriting) this.#setStatus("full", problem.detail);
    });
  }

  #written(batch: BatchBuilder, floor: number): void {
    if (this.#status === "failed") return;
    this.#durable += batch.count;
    this.#durableFloor = floor;
    this.#waitingBytes -= batch.bodyBytes;
    batch.clear();
    this.#setStatus("ok", "");
    if (this.#idle.length < IDLE_BUILDERS_MAX) this.#idle.push(batch);
    this.#recycle();
    this.flush();
    this.#listener.persisted(this.#durable);
    if (!this.#wasHeldBack || !this.hasRoom) return;
    this.#wasHeldBack = false;
    this.#listener.room();
  }

  /**
   * There was no room to write this batch, although its file has its length: the storage behind it is thin, or has a quota.
   * Whatever is on disk of it is nothing until the same bytes are written there again.
   */
  #putBack(batch: BatchBuilder, detail: string): void {
    this.#nextBatch--;
    this.#full.unshift(batch);
    this.#setStatus("full", detail);
  }

  /** Segments below the floor become spares. */
  #recycle(): void {
    if (this.#visits > 0) return;
    while (this.#segments.length > 1 && (this.#segments[0] as Segment).next <= this.#durableFloor) {
      const { file } = this.#segments.shift() as Segment;
      if (this.#spares.length < SPARES_MAX) this.#spares.push(file);
      else this.#discard(file);
    }
    if (this.#damage.length > 0) this.#damage = this.#damage.filter(({ to }) => to > this.#durableFloor);
  }

  /** After a failed write nobody knows what is on disk: the log says no more. */
  #setStatus(status: LogStatus, detail: string): void {
    if (this.#status === status || this.#status === "failed") return;
    this.#status = status;
    this.#listener.statusChanged(status, detail);
  }

  /** A batch is not as it was written: it counts as damage from now on. */
  #lost(segment: Segment, placed: Placed): void {
    const index = segment.batches.indexOf(placed);
    if (index < 0) return;
    segment.batches.splice(index, 1);
    const damage = { from: placed.first, to: placed.first + placed.count };
    this.#damage.push(damage);
    this.#listener.damaged(damage);
  }
}
