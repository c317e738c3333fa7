/** What a group's part of the log can give to who lacks something, and when the whole state is less. */
import { describe, expect, test } from "vitest";
import { packetOf } from "../../test/protocol/kit.ts";
import { FIFO } from "../wire/packet.ts";
import { Effects } from "./effects.ts";
import { GroupJournal } from "./group-journal.ts";
import { GroupsMemory, type Remains } from "./groups-memory.ts";
import { DurableJournal, VOLATILE } from "./journal.ts";
import type { JournalRecord } from "./journal-records.ts";
import type { GroupView } from "./view.ts";

const MIB = 1024 * 1024;
const view = (number: number): GroupView => ({ number, members: ["a#1"], synced: ["a#1"], acceptors: [], lacking: [] });

function packets(epoch: number, count: number, letters = 1): JournalRecord[] {
  const text = "x".repeat(letters);
  return Array.from({ length: count }, (_, seqno) => ({
    kind: "packet",
    packet: packetOf(FIFO, 0, seqno, text, epoch),
  }));
}

/** Epochs from 1 on, with so many packets of so many letters; the newest has none yet. */
function journalOf(epochs: readonly (readonly [count: number, letters: number])[]): {
  readonly log: DurableJournal;
  readonly journal: GroupJournal;
} {
  const log = new DurableJournal(new Effects(), 0);
  const journal = new GroupJournal(log, 1, "g", "a#1", 1e9);
  journal.begin(view(1), { from: 0, cut: [] });
  for (const [index, [count, letters]] of epochs.entries()) {
    for (const record of packets(index + 1, count, letters)) journal.write(record);
    journal.begin(view(index + 2), { from: index + 1, cut: [count] });
  }
  return { log, journal };
}

test("a checkpoint that is on disk only after the membership has ended gives up nothing", () => {
  const effects = new Effects();
  const log = new DurableJournal(effects, 0);
  const journal = new GroupJournal(log, 1, "g", "a#1", 1e9);
  journal.begin(view(1), { from: 0, cut: [] });
  for (const record of packets(1, 3)) journal.write(record);
  journal.begin(view(2), { from: 1, cut: [3] });
  journal.beginCheckpoint(2);
  journal.checkpoint(new Uint8Array(1), true, () => {});
  journal.end();
  log.persisted(log.next);
  expect(journal.remains).toMatchObject({ from: 0, checkpoint: undefined });
  expect(effects.take().filter(({ kind }) => kind === "forget")).toEqual([]);
});

/** A checkpoint of the present epoch, of so many bytes, all of it on disk. */
function checkpoint({ log, journal }: ReturnType<typeof journalOf>, number: number, bytes: number): void {
  journal.beginCheckpoint(number);
  journal.checkpoint(new Uint8Array(bytes), true, () => {});
  log.persisted(log.next);
}

describe("what a member lacks is in the log", () => {
  test("from the beginning of its last epoch to that of the present one", () => {
    const { journal } = journalOf([
      [2, 1],
      [3, 1],
      [1, 1],
    ]);
    expect(journal.lackedBy({ epoch: 2, held: [1] })).toEqual({
      from: 3,
      to: 10,
      end: { from: 2, cut: [3] },
      next: 3,
    });
  });

  test("unless it stands in an epoch that the log does not have, or has not ended", () => {
    const { journal } = journalOf([[2, 1]]);
    expect(journal.lackedBy({ epoch: 9, held: [1] })).toBeUndefined();
    expect(journal.lackedBy({ epoch: 2, held: [0] })).toBeUndefined();
    expect(new GroupJournal(VOLATILE, 1, "g", "a#1", 1e9).lackedBy({ epoch: 1, held: [] })).toBeUndefined();
  });

  test("unless a complete checkpoint has made its last epoch unneeded", () => {
    const made = journalOf([
      [2, 1],
      [2, 1],
    ]);
    made.journal.beginCheckpoint(3);
    made.journal.checkpoint(new Uint8Array(1), false, () => {});
    made.log.persisted(made.log.next);
    expect(made.journal.lackedBy({ epoch: 2, held: [1] })).toBeDefined();
    made.journal.checkpoint(new Uint8Array(1), true, () => {});
    made.log.persisted(made.log.next);
    expect(made.journal.lackedBy({ epoch: 2, held: [1] })).toBeUndefined();
  });

  test("after the group was brought back, too", () => {
    const memory = new GroupsMemory();
    const records: JournalRecord[] = [
      { kind: "began", group: 1, name: "g", self: "a#1", view: view(1), target: 1, from: 0, cut: [] },
      ...packets(1, 2),
    ];
    for (const [position, record] of records.entries()) memory.add(position, record);
    const journal = new GroupJournal(new DurableJournal(new Effects(), 3), 1, "g", "a#1", 1e9);
    journal.continue(memory.remains().get(1) as Remains);
    journal.replayed(records);
    journal.begin(view(5), { from: 1, cut: [2] });
    expect(journal.lackedBy({ epoch: 1, held: [1] })).toEqual({ from: 0, to: 4, end: { from: 1, cut: [2] }, next: 5 });
  });
});

describe("the whole state is less", () => {
  const half = [8, MIB / 16] as const;

  test("than more than 1 MiB of the log", () => {
    const { journal } = journalOf([half, half, half]);
    expect(journal.lackedBy({ epoch: 1, held: [8] })).toBeUndefined();
    expect(journal.lackedBy({ epoch: 2, held: [0] })).toBeUndefined();
    expect(journal.lackedBy({ epoch: 2, held: [4] })).toBeDefined();
    expect(journal.lackedBy({ epoch: 3, held: [0] })).toBeDefined();
  });

  test("of what it has the joiner's own epoch does not count", () => {
    const { journal } = journalOf([
      [64, MIB / 16],
      [1, 1],
    ]);
    expect(journal.lackedBy({ epoch: 1, held: [0] })).toBeUndefined();
    expect(journal.lackedBy({ epoch: 1, held: [64] })).toBeDefined();
    // What the joiner alone held does not make up for anything.
    expect(journal.lackedBy({ epoch: 1, held: [99] })).toBeDefined();
  });

  test("unless the last checkpoint was larger still", () => {
    const made = journalOf([]);
    checkpoint(made, 1, 4 * MIB);
    for (const record of packets(1, 32, MIB / 16)) made.journal.write(record);
    made.journal.begin(view(2), { from: 1, cut: [32] });
    expect(made.journal.lackedBy({ epoch: 1, held: [0] })).toBeDefined();
    for (const record of packets(2, 48, MIB / 16)) made.journal.write(record);
    made.journal.begin(view(3), { from: 2, cut: [48] });
    expect(made.journal.lackedBy({ epoch: 1, held: [0] })).toBeUndefined();
  });
});
