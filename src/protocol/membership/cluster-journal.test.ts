/** An old view of the cluster does not hold the log: it is written again with what this acceptor has held and pledged in it. */
import { expect, test } from "vitest";
import { effectsOf, ids, packetOf } from "../../../test/protocol/kit.ts";
import { SAFE } from "../../wire/packet.ts";
import { Effects } from "../effects.ts";
import { DurableJournal } from "../journal.ts";
import { type JournalRecord, parseRecord, recordFrame } from "../journal-records.ts";
import { ClusterJournal } from "./cluster-journal.ts";
import { ClusterMemory, remember } from "./memory.ts";

const [a = "", b = ""] = ids(2);
const node = { id: a, address: "10.0.0.1:7000", livenessPort: 0, features: 0, disk: "0123456789abcdef", weight: 1 };

function installation(number: number) {
  const view = { cluster: "c0ffee", number, nodes: [node], acceptors: [a] };
  return { decided: { view, cut: [], leavers: [], holders: [] }, snapshot: Uint8Array.of(1, 2, 3) };
}

/** A packet of the cluster's epoch of view 7. */
function command(seqno: number) {
  const packet = packetOf(SAFE, 0, seqno, `command ${seqno}`);
  packet.stamp(0, 7, 0, seqno, 0);
  return { kind: "packet" as const, packet };
}

class Node {
  readonly effects = new Effects();
  readonly log: DurableJournal;
  readonly journal: ClusterJournal;
  /** What is in the log, from its beginning on. */
  readonly records: JournalRecord[] = [];
  floor = 0;

  constructor(memory?: ClusterMemory) {
    this.log = new DurableJournal(this.effects, 0);
    this.journal = new ClusterJournal(this.log, memory, 100_000);
  }

  turn(): void {
    this.journal.endTurn();
    for (let round = 0; round < 2; round++) {
      const effects = this.effects.take();
      for (const { record } of effectsOf(effects, "persist")) {
        this.records.push(parseRecord(recordFrame(record).slice()) as JournalRecord);
      }
      for (const { below } of effectsOf(effects, "forget")) this.floor = below;
      this.log.persisted(this.log.next);
    }
  }

  /** As the next incarnation would. */
  get memory(): ClusterMemory {
    const memory = new ClusterMemory();
    for (const [position, record] of this.records.entries()) if (position >= this.floor) memory.add(position, record);
    return memory;
  }

  /** Somebody else writes so many bytes. */
  fill(bytes: number): void {
    const chunk = new Uint8Array(1000);
    for (let left = bytes; left > 0; left -= chunk.length)
      this.log.write({ kind: "checkpoint", group: 9, view: 1, index: 0, chunk, last: false });
  }
}

function gist(memory: ClusterMemory): unknown {
  const { installed, pledge, packets, isWhole } = memory;
  const { promised, accepted } = pledge;
  const texts = packets.map(({ bytes }) => Buffer.from(bytes).toString("hex"));
  return { installed, promised, accepted: accepted?.ballot, texts, isWhole };
}

const promise = { kind: "promise", view: 7, ballot: { round: 3, proposer: b } } as const;
const accepted = {
  kind: "accepted",
  view: 7,
  ballot: { round: 2, proposer: a },
  proposal: installation(8).decided,
} as const;

test("what is remembered of an old view is the same behind the records that are given up", () => {
  const member = new Node();
  remember(member.journal, installation(7));
  member.journal.write(command(0));
  member.journal.write(accepted);
  member.journal.write(promise);
  member.turn();
  const before = gist(member.memory);
  member.fill(60_000);
  member.turn();
  expect(member.floor).toBe(0);
  member.fill(60_000);
  member.turn();
  expect(member.floor).toBeGreaterThan(90);
  expect(gist(member.memory)).toEqual(before);
  // What comes afterwards counts as well.
  member.journal.write(command(1));
  member.turn();
  expect(member.memory.packets.map(({ seqno }) => seqno)).toEqual([0, 1]);
  // And by the next incarnation it is written again.
  const next = new Node(member.memory);
  next.fill(200_000);
  next.turn();
  expect(gist(next.memory)).toEqual(gist(member.memory));
});

test("nothing is written again of a view that is damaged, or of none", () => {
  const member = new Node();
  member.fill(200_000);
  member.turn();
  expect(member.records.filter(({ kind }) => kind === "again")).toEqual([]);
  const memory = new ClusterMemory();
  memory.add(0, { kind: "view", ...installation(7) });
  memory.missed();
  const damaged = new Node(memory);
  damaged.fill(200_000);
  damaged.turn();
  expect(damaged.records.filter(({ kind }) => kind === "again")).toEqual([]);
});

test("a view that follows is remembered as ever", () => {
  const member = new Node();
  remember(member.journal, installation(7));
  member.journal.write(promise);
  member.fill(200_000);
  member.turn();
  remember(member.journal, installation(8));
  member.turn();
  expect(member.memory.installed?.decided.view.number).toBe(8);
  expect(member.memory.pledge.promised.round).toBe(0);
  expect(member.records[member.floor]?.kind).toBe("view");
});
