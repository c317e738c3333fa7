/** What is in a log that this version cannot read all of. */
import { expect, test } from "vitest";
import { recordFrame } from "../protocol/journal-records.ts";
import type { RecordLog } from "./log/log.ts";
import { recollect } from "./recollection.ts";

const ignored = (): void => {};

/** A log of these records, all of them on disk. */
function logOf(records: readonly Uint8Array[]): RecordLog {
  const { length } = records;
  return {
    id: [1, 1],
    next: length,
    durable: length,
    floor: 0,
    status: "ok",
    damage: [],
    append: () => length,
    flush: ignored,
    truncate: ignored,
    read: (from, to = length) => records.slice(from, to).values(),
  };
}

test("records of another version count as missing, not as never written", () => {
  const minted = recordFrame({ kind: "minted", disk: "0123456789abcdef" }).slice();
  const other = minted.with(5, 77);
  expect(recollect(logOf([minted])).isWhole).toBe(true);
  expect(recollect(logOf([other])).isWhole).toBe(false);
  expect(recollect(logOf([minted, other, minted])).isWhole).toBe(false);
});
