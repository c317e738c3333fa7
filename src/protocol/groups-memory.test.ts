/** What a log says of groups is used only if nothing of it is missing. */
import { expect, test } from "vitest";
import { packetOf } from "../../test/protocol/kit.ts";
import { FIFO } from "../wire/packet.ts";
import { GroupsMemory } from "./groups-memory.ts";
import type { JournalRecord } from "./journal-records.ts";

const began = (number: number, from: number): JournalRecord => ({
  kind: "began",
  group: 1,
  name: "g",
  self: "a#1",
  view: { number, members: ["a#1"], synced: ["a#1"], acceptors: [], lacking: [] },
  target: number,
  from,
  cut: [],
});
/** A membership begins whose state is to come from others. */
const joined = (number: number): JournalRecord => ({
  ...{ kind: "began", group: 1, name: "g", self: "a#1", target: number, from: 0, cut: [] },
  view: { number, members: ["a#1", "b#1"], synced: ["b#1"], acceptors: [], lacking: [] },
});
const packet = (epoch: number, seqno: number, sender = 0): JournalRecord => ({
  kind: "packet",
  packet: packetOf(FIFO, sender, seqno, "x", epoch),
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

test("it says where its last epoch stands, and where each epoch from its checkpoint on begins", () => {
  const records = [began(1, 0), packet(1, 0), began(2, 1), packet(2, 0), packet(2, 1), piece(2, 0, true), began(3, 2)];
  const remains = remainsOf([...records, packet(3, 0), packet(2, 7), packet(3, 4, 9)]).get(1);
  expect(remains?.standing).toEqual({ epoch: 3, held: [1] });
  const bytes = 2 * packetOf(FIFO, 0, 0, "x").bytes.length;
  expect(remains?.epochs).toMatchObject([
    { number: 2, at: 2, bytes: 0 },
    { number: 3, at: 6, bytes },
  ]);
});

test("a membership that never came to hold the state is passed over", () => {
  const before = { from: 0, to: 2, checkpoint: undefined, standing: { epoch: 1, held: [1] } };
  const once = [began(1, 0), packet(1, 0), joined(5), packet(5, 0)];
  expect(remainsOf(once).get(1)).toMatchObject({ flaw: expect.any(String), before });
  const twice = [...once, began(6, 5), piece(6, 0, false), joined(7)];
  expect(remainsOf(twice).get(1)).toMatchObject({ flaw: expect.any(String), before });
  // Alone it is nothing, and with its first checkpoint it is what counts.
  expect(remainsOf([joined(5), packet(5, 0)]).get(1)).not.toHaveProperty("before");
  const complete = remainsOf([...once, piece(5, 0, true)]).get(1);
  expect(complete).toMatchObject({ from: 2, checkpoint: { view: 5, at: 4 }, standing: { epoch: 5, held: [1, 0] } });
  expect(complete).not.toHaveProperty("before");
  expect(complete).not.toHaveProperty("flaw");
});

test("what is not intact may have been part of the membership before", () => {
  const gap = undefined;
  expect(remainsOf([began(1, 0), gap, joined(5)]).get(1)).not.toHaveProperty("before");
  expect(remainsOf([began(1, 0), joined(5), gap]).get(1)).not.toHaveProperty("before");
  expect(remainsOf([gap, began(1, 0), joined(5)]).get(1)).toMatchObject({ before: { from: 1, to: 2 } });
});
