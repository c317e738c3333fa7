/**
 * The log against the disk that it is on, in the same folder and run; slices of each are measured in turn, because a disk that
 * others use is never as fast twice.
 *
 * - *group commit*: records from a source that never ends. `raw`: each record is copied behind its length, a megabyte at
 *   a time is written synchronously to a file that is there already, and meanwhile the next is filled; no checksums, no
 *   positions, nothing that could be recovered. `disk`: the same writes of bytes that are there already.
 * - *one in flight*: a record is appended when the one before is on disk, against a synchronous write of a block.
 * - *recovery*: opening a log, and reading all its records, against reading the files and summing them up.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  write,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { Folder } from "../src/runtime/log/folder.ts";
import { Log } from "../src/runtime/log/log.ts";

const MEGABYTE = 1024 * 1024;
const SEGMENT_BYTES = 64 * MEGABYTE;
/** What the log uses in turn, and so does the raw disk. */
const FILES_BYTES = 3 * SEGMENT_BYTES;
const SLICE_MS = 100;
const SLICES = 40;

type Write = (bytes: Uint8Array) => Promise<void>;

/** A log whose source never ends. */
class Source {
  readonly #log: Log;
  readonly #record: Uint8Array;
  readonly #keeps: boolean;
  #until = 0;
  #done: (() => void) | undefined;

  /** `keeps`: no record is ever given up. */
  constructor(path: string, recordBytes: number, keeps = false) {
    this.#record = new Uint8Array(recordBytes).fill(7);
    this.#keeps = keeps;
    const options = { segmentBytes: SEGMENT_BYTES, waitingBytesMax: 64 * MEGABYTE, id: [1, 1] } as const;
    this.#log = new Log(new Folder(path), options, {
      persisted: (upTo) => this.#persisted(upTo),
      statusChanged: (_, detail) => {
        throw new Error(detail);
      },
      room: () => {},
      damaged: () => {},
    });
  }

  get log(): Log {
    return this.#log;
  }

  /** Records per second, while it is kept busy for so long. */
  async run(milliseconds: number): Promise<number> {
    const begun = performance.now();
    const first = this.#log.next;
    this.#until = begun + milliseconds;
    await new Promise<void>((resolve) => {
      this.#done = resolve;
      this.#fill();
    });
    return ((this.#log.next - first) * 1000) / (performance.now() - begun);
  }

  /** Milliseconds until one record is on disk. */
  async one(): Promise<number> {
    const begun = performance.now();
    await new Promise<void>((resolve) => {
      this.#done = resolve;
      this.#log.append(this.#record);
      this.#log.flush();
    });
    return performance.now() - begun;
  }

  /** Until its files are all there, and are used again. */
  async warmUp(): Promise<void> {
    while (this.#log.diskBytes < FILES_BYTES || this.#log.floor < (2 * SEGMENT_BYTES) / this.#record.length)
      await this.run(100);
  }

  #fill(): void {
    while (this.#log.waitingBytes < 3 * MEGABYTE) {
      this.#log.append(this.#record);
      if (!this.#log.isWriting && this.#log.waitingBytes > MEGABYTE) this.#log.flush();
    }
  }

  #persisted(upTo: number): void {
    if (!this.#keeps) this.#log.truncate(upTo);
    if (performance.now() < this.#until) this.#fill();
    else if (upTo === this.#log.next) this.#done?.();
  }
}

/** Records per second when they are copied into one buffer while another is written. */
async function groupCommit(writeAll: Write, recordBytes: number, milliseconds: number): Promise<number> {
  const record = new Uint8Array(recordBytes).fill(7);
  const perBuffer = Math.floor(MEGABYTE / (recordBytes + 4));
  const buffers = [Buffer.allocUnsafe(MEGABYTE), Buffer.allocUnsafe(MEGABYTE)] as const;
  const fill = (buffer: Buffer): void => {
    for (let at = 0, count = 0; count < perBuffer; count++) {
      buffer.writeUInt32LE(recordBytes, at);
      buffer.set(record, at + 4);
      at += recordBytes + 4;
    }
  };
  const begun = performance.now();
  let [filled, other] = buffers;
  fill(filled);
  let records = 0;
  while (performance.now() - begun < milliseconds) {
    const written = writeAll(filled);
    fill(other);
    await written;
    [filled, other] = [other, filled];
    records += perBuffer;
  }
  return (records * 1000) / (performance.now() - begun);
}

async function writes(writeAll: Write, recordBytes: number, milliseconds: number): Promise<number> {
  const bytes = new Uint8Array(MEGABYTE).fill(7);
  const begun = performance.now();
  let records = 0;
  for (; performance.now() - begun < milliseconds; records += MEGABYTE / recordBytes) await writeAll(bytes);
  return (records * 1000) / (performance.now() - begun);
}

/** A file of zeros that is written synchronously, from its beginning again when it is full. */
function rawFile(path: string): Write {
  const name = join(path, "raw");
  const made = openSync(name, "w");
  const zeros = new Uint8Array(MEGABYTE);
  for (let at = 0; at < FILES_BYTES; at += zeros.length) writeSync(made, zeros, 0, zeros.length, at);
  fsyncSync(made);
  closeSync(made);
  const fd = openSync(name, constants.O_WRONLY | constants.O_DSYNC);
  let at = 0;
  return (bytes) =>
    new Promise((resolve, reject) => {
      if (at + bytes.length > FILES_BYTES) at = 0;
      write(fd, bytes, 0, bytes.length, at, (error) => (error === null ? resolve() : reject(error)));
      at += bytes.length;
    });
}

async function throughput(path: string, recordBytes: number): Promise<void> {
  const source = new Source(mkdtempSync(join(path, "log-")), recordBytes);
  const raw = rawFile(mkdtempSync(join(path, "raw-")));
  await source.warmUp();
  const logged: number[] = [];
  const committed: number[] = [];
  const plain: number[] = [];
  for (let slice = 0; slice < SLICES; slice++) {
    committed.push(await groupCommit(raw, recordBytes, SLICE_MS));
    logged.push(await source.run(SLICE_MS));
    plain.push(await writes(raw, recordBytes, SLICE_MS));
  }
  source.log.close();
  const ratio = median(logged.map((rate, index) => rate / (committed[index] as number)));
  const ratioToDisk = median(logged.map((rate, index) => rate / (plain[index] as number)));
  console.log(
    `records of ${recordBytes} B: ${figure(median(logged))}/s, raw group commit ${figure(median(committed))}/s: ratio ` +
      `${ratio.toFixed(2)}; the disk alone ${figure(median(plain))}/s: ratio ${ratioToDisk.toFixed(2)}`,
  );
  report(`log, ${recordBytes} B`, { ratio, ratioToDisk });
}

async function latency(path: string): Promise<void> {
  const source = new Source(mkdtempSync(join(path, "log-")), 100);
  const raw = rawFile(mkdtempSync(join(path, "raw-")));
  await source.warmUp();
  const logged: number[] = [];
  const plain: number[] = [];
  const block = new Uint8Array(4096).fill(7);
  for (let count = 0; count < 1500; count++) {
    const begun = performance.now();
    await raw(block);
    plain.push(performance.now() - begun);
    logged.push(await source.one());
  }
  source.log.close();
  const ratio = median(logged) / median(plain);
  const us = (value: number): string => `${Math.round(value * 1000)} us`;
  console.log(
    `one in flight: p50 ${us(median(logged))}, one write of a block ${us(median(plain))}: ratio ${ratio.toFixed(2)}`,
  );
  report("log, one in flight", { ratio });
}

/** The files are in the cache of the operating system, as after a crash of processes only. */
async function recovery(path: string, bytes: number, recordBytes: number): Promise<void> {
  const folder = mkdtempSync(join(path, "log-"));
  const source = new Source(folder, recordBytes, true);
  while (source.log.next * recordBytes < bytes) await source.run(100);
  source.log.close();
  const opened: number[] = [];
  const replayed: number[] = [];
  const plain: number[] = [];
  for (let round = 0; round < 5; round++) {
    plain.push(timed(() => sumUp(folder)));
    let reader: Source | undefined;
    opened.push(
      timed(() => {
        reader = new Source(folder, recordBytes, true);
      }),
    );
    replayed.push(
      timed(() => {
        for (const record of (reader as Source).log.read(0))
          if (record.length !== recordBytes) throw new Error("not it");
      }),
    );
    reader?.log.close();
  }
  const ratio = median(opened.map((time, index) => (plain[index] as number) / time));
  const ratioWithReplay = median(
    opened.map((time, index) => (plain[index] as number) / (time + (replayed[index] as number))),
  );
  console.log(
    `${figure(bytes / MEGABYTE)} MB in records of ${recordBytes} B: opened in ${figure(median(opened))} ms, all records read in ` +
      `${figure(median(replayed))} ms more, plain reading and summing up ${figure(median(plain))} ms: ratio ` +
      `${ratio.toFixed(2)}, with the records ${ratioWithReplay.toFixed(2)}`,
  );
  report(`log, recovery of ${figure(bytes / MEGABYTE)} MB`, { ratio, ratioWithReplay });
}

/** Reads all files, a megabyte at a time, and computes one checksum of each piece. */
function sumUp(folder: string): number {
  const buffer = Buffer.allocUnsafe(MEGABYTE);
  let sum = 0;
  for (const name of readdirSync(folder)) {
    const fd = openSync(join(folder, name), "r");
    for (let count = 1; count > 0; ) {
      count = readSync(fd, buffer);
      sum = crc32(buffer.subarray(0, count), sum);
    }
    closeSync(fd);
  }
  return sum;
}

function timed(action: () => void): number {
  const begun = performance.now();
  action();
  return performance.now() - begun;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

function figure(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

function report(bench: string, ratios: Readonly<Record<string, number>>): void {
  const rounded = Object.entries(ratios).map(([name, ratio]) => [name, Number(ratio.toFixed(3))]);
  console.log(JSON.stringify({ bench, ...Object.fromEntries(rounded) }));
}

const path = mkdtempSync(join(process.cwd(), ".bench-log-"));
try {
  await throughput(path, 1024);
  await throughput(path, 100);
  await latency(path);
  await recovery(path, 256 * MEGABYTE, 1024);
} finally {
  rmSync(path, { recursive: true, force: true });
}
