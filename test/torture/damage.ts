/**
 * What may happen to a log on disk while its node does not run. What was acknowledged may be damaged where more follows it, and
 * what comes after the last batch may be anything; nothing else is in question (docs/STORAGE.md).
 */
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../../src/base/random.ts";
import { BATCH_HEADER_BYTES } from "../../src/runtime/log/batch.ts";
import { Folder } from "../../src/runtime/log/folder.ts";
import { type Recovered, recover } from "../../src/runtime/log/recovery.ts";

const GARBAGE_BYTES_MAX = 20_000;
const BLOCK_BYTES = 4096;

/** Flips a bit of a batch that others follow. Returns false when there is none. */
export function flip(directory: string, random: Random): boolean {
  const { segments, floor } = look(directory);
  const batches = segments.flatMap(({ file, batches: all }) => all.map((placed) => ({ file, placed })));
  batches.pop();
  const needed = batches.filter(({ placed }) => placed.first >= floor);
  if (needed.length === 0) return false;
  const { file, placed } = random.pick(needed);
  const fd = openSync(join(directory, file.name), "r+");
  const at = placed.at + random.below(BATCH_HEADER_BYTES + placed.bodyBytes);
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, at);
  byte[0] = (byte[0] as number) ^ (1 << random.below(8));
  writeSync(fd, byte, 0, 1, at);
  closeSync(fd);
  return true;
}

/** Leaves garbage behind the last batch, as a write that was torn does, or cuts the file off there. */
export function tear(directory: string, random: Random): boolean {
  const { segments } = look(directory);
  const last = segments.at(-1);
  if (last === undefined) return false;
  const fd = openSync(join(directory, last.file.name), "r+");
  const room = last.file.bytes - last.end;
  const garbage = Buffer.from(Array.from({ length: random.below(GARBAGE_BYTES_MAX) }, () => random.below(256)));
  if (random.chance(0.5)) writeSync(fd, garbage, 0, Math.min(garbage.length, room), last.end);
  else ftruncateSync(fd, last.end + random.below(room / BLOCK_BYTES) * BLOCK_BYTES);
  closeSync(fd);
  return true;
}

function look(directory: string): Recovered {
  const recovered = recover(new Folder(directory, "read"));
  for (const file of [...recovered.segments.map((segment) => segment.file), ...recovered.spares]) file.close();
  return recovered;
}
