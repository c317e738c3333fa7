/** E3: from what one member has on disk the group goes on as every survivor would have. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ids, Network, packetOf, textOf } from "../../test/protocol/kit.ts";
import { Random } from "../base/random.ts";
import { CAUSAL, FIFO, type Packet, SAFE, TOTAL } from "../wire/packet.ts";
import { Effects } from "./effects.ts";
import { Epoch } from "./epoch.ts";
import type { Records } from "./journal.ts";
import { type JournalRecord, parseRecord, recordFrame } from "./journal-records.ts";
import type { Message } from "./messages.ts";
import { Replay } from "./replay.ts";
import { type GroupView, groupAcceptors, isAcceptor, type NodeId } from "./view.ts";

interface Delivery {
  readonly text: string;
  readonly flavour: number;
  readonly sender: number;
  readonly index: number;
  readonly view: number;
}

/** A disk that persists when it is told to; records are kept as bytes. */
class Disk implements Records {
  readonly durable = true;
  readonly hasRoom = true;
  readonly records: Uint8Array[] = [];
  /** How many of them are on disk. */
  persisted = 0;
  #actions: { readonly at: number; readonly action: () => void }[] = [];

  write(record: JournalRecord): void {
    this.records.push(recordFrame(record).slice());
  }

  after(action: () => void): void {
    if (this.persisted === this.records.length && this.#actions.length === 0) action();
    else this.#actions.push({ at: this.records.length, action });
  }

  afterwards(action: () => void): void {
    this.after(action);
  }

  hurry(): void {}

  sync(count = this.records.length): void {
    this.persisted = Math.max(this.persisted, Math.min(count, this.records.length));
    while (this.#actions[0] !== undefined && this.#actions[0].at <= this.persisted) this.#actions.shift()?.action();
  }
}

class Member {
  readonly id: NodeId;
  readonly effects = new Effects();
  readonly disk = new Disk();
  readonly delivered: Delivery[] = [];
  epoch: Epoch;
  #sent = 0;
  #now = 0;

  constructor(id: NodeId, view: GroupView, relaysRows = false) {
    this.id = id;
    const { disk } = this;
    disk.write({ kind: "began", group: 1, name: "g", self: id, view, target: 1, from: 0, cut: [] });
    const deliver = (packet: Packet, sender: number, index: number): void =>
      void this.delivered.push(deliveryOf(packet, sender, index, view));
    this.epoch = new Epoch(
      { group: 1, view, self: id, safety: "all", relaysRows, windowBytes: 1e6, rowDelayMs: 50, journal: disk, deliver },
      this.effects,
    );
  }

  send(flavour: number): void {
    if (this.epoch.hasCredit) this.epoch.send(packetOf(flavour, 0, 0, `${this.id[0]}${this.#sent++}`), 0);
  }

  turn(): void {
    this.#now += 30;
    this.epoch.endTurn(this.#now, 0);
  }

  receive(from: NodeId, message: Message): void {
    const rank = this.epoch.view.members.indexOf(from);
    if (message.kind === "row") this.epoch.receiveRow(rank, message.row);
    else if (message.kind === "stable") this.epoch.receiveStable(rank, message.row);
    this.turn();
  }

  packet(from: NodeId, packet: Packet): void {
    this.epoch.receive(this.epoch.view.members.indexOf(from), packet);
    this.turn();
  }
}

function deliveryOf(packet: Packet, sender: number, index: number, view: GroupView): Delivery {
  return { text: textOf(packet), flavour: packet.flavour, sender, index, view: view.number };
}

/** What a replay of these records delivers. */
function replayed(
  records: readonly Uint8Array[],
  since = 0,
): { delivered: Delivery[]; replay: Replay; isBehind: boolean } {
  const delivered: Delivery[] = [];
  const replay = new Replay(1, since, {
    revisit: () => {},
    deliver: (view, packet, sender, index) => void delivered.push(deliveryOf(packet, sender, index, view)),
  });
  for (const record of records) replay.add(parseRecord(record.slice()) as JournalRecord);
  const { isBehind } = replay;
  replay.end();
  return { delivered, replay, isBehind };
}

const isOrdered = ({ flavour }: Delivery): boolean => flavour === TOTAL || flavour === SAFE;
const by =
  (flavour: number, sender: number) =>
  (each: Delivery): boolean =>
    each.flavour === flavour && each.sender === sender;

/** `count`: so many acceptors; 0: all. */
function run(seed: number, size: number, relaysRows: boolean, count = 0): Member[] {
  const random = new Random(seed);
  const members = ids(size);
  const view = { number: 1, members, synced: members, acceptors: groupAcceptors(members, members, count), lacking: [] };
  const network = new Network(random);
  const group = members.map((id) => new Member(id, view, relaysRows));
  for (const member of group) network.add(member.id, member);
  for (let step = 0; step < 150; step++) {
    const member = random.pick(group);
    switch (random.below(4)) {
      case 0:
        member.send(random.pick([FIFO, CAUSAL, TOTAL, SAFE]));
        member.turn();
        break;
      case 1:
        member.disk.sync(member.disk.persisted + 1 + random.below(5));
        member.turn();
        break;
      default:
        network.step();
    }
  }
  return group;
}

describe("a replay", () => {
  test("of all that a member has written delivers what it delivered, in the same order, and what else it held", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 4 }), fc.boolean(), (seed, size, relays) => {
        for (const member of run(seed, size, relays)) {
          const { delivered, replay } = replayed(member.disk.records);
          expect(replay.flaw).toBeUndefined();
          const before = member.delivered.filter(isOrdered);
          expect(delivered.filter(isOrdered).slice(0, before.length)).toEqual(before);
          for (let sender = 0; sender < size; sender++) {
            const fifo = member.delivered.filter(by(FIFO, sender));
            expect(delivered.filter(by(FIFO, sender))).toEqual(fifo);
          }
          // Causal messages are delivered in the order in which they were, because packets are walked in that order.
          const causal = member.delivered.filter(({ flavour }) => flavour === CAUSAL);
          expect(delivered.filter(({ flavour }) => flavour === CAUSAL).slice(0, causal.length)).toEqual(causal);
          expect(new Set(delivered.map(({ text }) => text)).size).toBe(delivered.length);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("of what any one acceptor has on disk delivers all that was safe anywhere, in that order", () => {
    const acceptors = fc.integer({ min: 0, max: 3 });
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 4 }),
        fc.boolean(),
        acceptors,
        (seed, size, relays, count) => {
          const group = run(seed, size, relays, count);
          const safe = group.flatMap(({ delivered }) => delivered.filter(({ flavour }) => flavour === SAFE));
          for (const { disk, epoch, id } of group) {
            // A disk without the beginning of the epoch is proof that nothing was safe in it.
            if (disk.persisted === 0) expect(safe).toEqual([]);
            const { delivered, isBehind } = replayed(disk.records.slice(0, disk.persisted));
            expect(isBehind).toBe(disk.persisted > 0 && !isAcceptor(epoch.view, id));
            if (isBehind) continue;
            const ordered = delivered.filter(isOrdered);
            for (const member of group) {
              const before = member.delivered.filter(isOrdered);
              const last = before.findLastIndex(({ flavour }) => flavour === SAFE);
              expect(ordered.slice(0, last + 1)).toEqual(before.slice(0, last + 1));
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test("knows of every epoch in which anything was safe", () => {
    const members = ids(2);
    const view: GroupView = { number: 1, members, synced: members, acceptors: members.slice(0, 1), lacking: [] };
    const network = new Network(new Random(1));
    const [one, other] = members.map((id) => new Member(id, view)) as [Member, Member];
    for (const member of [one, other]) network.add(member.id, member);
    const settle = (): void => {
      for (let turn = 0; turn < 4; turn++) {
        one.disk.sync();
        for (const member of [one, other]) member.turn();
        network.settle();
      }
    };
    one.send(SAFE);
    settle();
    expect([one, other].map(({ delivered }) => delivered.length)).toEqual([0, 0]);
    // The beginning of the epoch, and nothing else.
    other.disk.sync(1);
    settle();
    expect([one, other].map(({ delivered }) => delivered.length)).toEqual([1, 1]);
    expect(other.disk.persisted).toBe(1);
  });

  test("brings back what a cut says that another disk was waited for, too", () => {
    const [a = "", b = ""] = ids(2);
    const view: GroupView = { number: 1, members: [a, b], synced: [a, b], acceptors: [a], lacking: [] };
    const began = { kind: "began", group: 1, name: "g", self: b, view, target: 1, from: 0, cut: [] } as const;
    const packet: JournalRecord = { kind: "packet", packet: packetOf(FIFO, 0, 0, "x") };
    const cut: JournalRecord = { kind: "cut", group: 1, ballot: 2, from: 1, to: 2, cut: [1, 0] };
    const isBehind = (...records: JournalRecord[]): boolean =>
      replayed(records.map((record) => recordFrame(record).slice())).isBehind;
    expect(isBehind(began, packet)).toBe(true);
    expect(isBehind(began, packet, cut)).toBe(false);
    expect(isBehind({ ...began, self: a }, packet)).toBe(false);
    // It was on its way to another view when this one began.
    expect(isBehind({ ...began, target: 2 }, packet)).toBe(false);
  });

  test("ends an epoch where the next one says, and the last one at the newest cut that was acknowledged", () => {
    const [a = "", b = ""] = ids(2);
    const began = (number: number, from: number, cut: number[]): JournalRecord => ({
      kind: "began",
      group: 1,
      name: "g",
      self: b,
      view: { number, members: [a, b], synced: [a, b], acceptors: [], lacking: [] },
      target: number,
      from,
      cut,
    });
    const packet = (epoch: number, sender: number, seqno: number, text: string): JournalRecord => ({
      kind: "packet",
      packet: packetOf(FIFO, sender, seqno, text, epoch),
    });
    const records = [
      began(3, 2, [9, 9]),
      packet(3, 0, 0, "w"),
      packet(3, 1, 0, "x"),
      began(4, 3, [1, 1]),
      packet(4, 0, 0, "y"),
      packet(4, 0, 1, "z"),
      { kind: "cut", group: 1, ballot: 5, from: 4, to: 5, cut: [2, 0] } as const,
    ].map((record) => recordFrame(record).slice());
    const { delivered, replay } = replayed(records, 3);
    expect(replay.flaw).toBeUndefined();
    expect(delivered.map(({ text, view }) => `${text}${view}`)).toEqual(["w3", "x3", "y4", "z4"]);
    expect(replayed(records, 4).delivered.map(({ text }) => text)).toEqual(["y", "z"]);
    const flaw = (without: number): string | undefined =>
      replayed(
        records.filter((_, index) => index !== without),
        3,
      ).replay.flaw;
    expect(flaw(2)).toBe("epoch 3: a part of what its cut names is missing");
    expect(flaw(4)).toBe("epoch 4: a packet is missing before 1");
  });
});
