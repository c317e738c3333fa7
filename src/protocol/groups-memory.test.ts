/** What a log says of groups is used only if nothing of it is missing. */
import { expect, test } from "vitest";
import { GroupsMemory } from "./groups-memory.ts";
import type { JournalRecord } from "./journal-records.ts";

const began = (number: number, from: number): JournalRecord => ({
  kind: "began",
  group: 1,
  name: "g",
  self: "a#1",
  view: { number, members: ["a#1"], synced: ["a#1"], lacking: [] },
  from,
  cut: [],
});
const piece = (view: number, index: number, last: boolean): JournalRecord => ({
  kind: "checkpoint",
  group: 1,
  view,
  index,
  chunk: new Uint8Array(1),
  last,
});

/** Of records at their positions; undefined: it is not intact. */
function remainsOf(records: readonly (JournalRecord | undefined)[]): ReturnType<GroupsMemory["remains"]> {
  const memory = new GroupsMemory();
  for (const [position, record] of records.entries()) {
    if (record === undefined) memory.missed(position + 1);
    else memory.add(position, record);
  }
  return memory.remains();
}

test("a group is had from the beginning of its first epoch, or of the epoch of its newest complete checkpoint", () => {
  expect(remainsOf([began(1, 0), began(2, 1)]).get(1)).toMatchObject({ from: 0, checkpoint: undefined });
  const complete = [began(1, 0), began(2, 1), piece(2, 0, false), began(3, 2), piece(2, 1, true), piece(3, 0, false)];
  expect(remainsOf(complete).get(1)).toMatchObject({ from: 1, checkpoint: { view: 2, at: 2 } });
  expect(remainsOf(complete).get(1)?.flaw).toBeUndefined();
});

test("what is not intact may have been the group's, unless a checkpoint that is complete lies behind it", () => {
  const gap = undefined;
  expect(remainsOf([began(1, 0), gap, began(2, 1)]).get(1)?.flaw).toBeDefined();
  expect(remainsOf([gap, began(2, 1)]).get(1)?.flaw).toBeDefined();
  expect(remainsOf([began(1, 0), began(2, 1), gap, piece(2, 1, true)]).get(1)?.flaw).toBeDefined();
  expect(remainsOf([began(1, 0), gap, piece(2, 0, true)]).get(1)?.flaw).toBeDefined();
  expect(remainsOf([began(1, 0), gap, began(2, 1), piece(2, 0, true)]).get(1)?.flaw).toBeUndefined();
  expect(remainsOf([began(1, 0), gap, began(3, 0)]).get(1)?.flaw).toBeUndefined();
});
