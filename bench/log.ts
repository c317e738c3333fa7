/**
 * The log's group commit against the raw disk: records of a kilobyte, appended as fast as it takes them, next to plain
 * synchronous writes of as many bytes at a time into a file that is there already. Same folder, same run.
 */
import { closeSync, constants, fsyncSync, mkdtempSync, openSync, rmSync, write, writeSync } from "node:fs";
import { join } from "node:path";
import { Folder } from "../src/runtime/log/folder.ts";
import { Log } from "../src/runtime/log/log.ts";

const RECORD_BYTES = 1024;
const SECONDS = 2;
const WINDOW = 2048;
const FILE_BYTES = 64 * 1024 * 1024;

interface Rate {
  readonly recordsPerSecond: number;
  readonly commitsPerSecond: number;
}

async function logged(path: string): Promise<Rate> {
  const record = new Uint8Array(RECORD_BYTES).fill(7);
  return await new Promise((resolve, reject) => {
    let commits = 0;
    const begun = performance.now();
    const fill = (): void => {
      while (log.next - log.durable < WINDOW) log.append(record);
      log.flush();
    };
    const log: Log = new Log(
      new Folder(path),
      { segmentBytes: FILE_BYTES, waitingBytesMax: 64 * 1024 * 1024, id: [1, 1] },
      {
        persisted: (upTo) => {
          commits++;
          log.truncate(upTo);
          const seconds = (performance.now() - begun) / 1000;
          if (seconds < SECONDS) {
            fill();
            return;
          }
          log.close();
          resolve({ recordsPerSecond: upTo / seconds, commitsPerSecond: commits / seconds });
        },
        statusChanged: (_, detail) => reject(new Error(detail)),
        room: () => {},
      },
    );
    fill();
  });
}

/** So many records with each write, one write at a time. */
async function raw(path: string): Promise<Rate> {
  const name = join(path, "raw");
  const fill = openSync(name, "w");
  const zeros = new Uint8Array(1024 * 1024);
  for (let at = 0; at < FILE_BYTES; at += zeros.length) writeSync(fill, zeros, 0, zeros.length, at);
  fsyncSync(fill);
  closeSync(fill);
  const fd = openSync(name, constants.O_WRONLY | constants.O_DSYNC);
  const bytes = new Uint8Array((RECORD_BYTES * WINDOW) / 2).fill(7);
  const begun = performance.now();
  let commits = 0;
  let at = 0;
  while ((performance.now() - begun) / 1000 < SECONDS) {
    await new Promise<void>((resolve, reject) => {
      write(fd, bytes, 0, bytes.length, at, (error) => (error === null ? resolve() : reject(error)));
    });
    commits++;
    at = (at + bytes.length) % FILE_BYTES;
  }
  closeSync(fd);
  const seconds = (performance.now() - begun) / 1000;
  return { recordsPerSecond: (commits * WINDOW) / 2 / seconds, commitsPerSecond: commits / seconds };
}

const path = mkdtempSync(join(process.cwd(), ".bench-log-"));
try {
  const ratios: number[] = [];
  for (let round = 1; round <= 3; round++) {
    const rawRate = await raw(mkdtempSync(join(path, "raw-")));
    const logRate = await logged(mkdtempSync(join(path, "log-")));
    const ratio = logRate.recordsPerSecond / rawRate.recordsPerSecond;
    ratios.push(ratio);
    const text = (value: number): string => Math.round(value).toLocaleString("en-US");
    console.log(
      `round ${round}: log ${text(logRate.recordsPerSecond)} records/s in ${text(logRate.commitsPerSecond)} commits/s, ` +
        `raw writes ${text(rawRate.recordsPerSecond)}/s: ratio ${ratio.toFixed(2)}`,
    );
  }
  const ratio = ratios.sort((a, b) => a - b)[1] as number;
  console.log(
    JSON.stringify({ bench: "log", ratio: Number(ratio.toFixed(3)), recordBytes: RECORD_BYTES, window: WINDOW }),
  );
} finally {
  rmSync(path, { recursive: true, force: true });
}
