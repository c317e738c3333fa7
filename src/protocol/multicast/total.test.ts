/** D7 and D8: one order for all, whatever arrives when; and the end of an epoch is the same for all that go on. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { packetOf, textOf } from "../../../test/protocol/kit.ts";
import { wordAt } from "../../base/arena.ts";
import { Random } from "../../base/random.ts";
import { ORDER, PACKET_HEADER_BYTES, Packet, SAFE, TOTAL } from "../../wire/packet.ts";
import { Writer } from "../../wire/writer.ts";
import { SEQUENCER, TotalOrder } from "./total.ts";

/** What was sent in an epoch: each sender's packets, the sequencer's with its announcements among them. */
type Streams = readonly (readonly Packet[])[];

const always = (): boolean => true;

/** Some senders send, the sequencer hears them in some order and announces it now and then. */
function scenario(random: Random, size: number, count: number): Streams {
  const streams: Packet[][] = Array.from({ length: size }, () => []);
  const heard = new Array<number>(size).fill(0);
  const sequencer = new TotalOrder(size);
  const announce = (): void => {
    const packet = sequencer.announcement();
    if (packet === undefined) return;
    packet.stamp(1, 1, SEQUENCER, (streams[SEQUENCER] ?? []).length, 0);
    streams[SEQUENCER]?.push(packet);
  };
  for (let sent = 0; sent < count; sent++) {
    const sender = random.below(size);
    const stream = streams[sender] ?? [];
    const flavour = random.pick([TOTAL, TOTAL, SAFE]);
    stream.push(packetOf(flavour, sender, stream.length, `${sender}.${stream.length}`));
    if (sender === SEQUENCER) sequencer.add(stream.at(-1) as Packet);
    const other = random.below(size);
    const next = streams[other]?.[heard[other] ?? 0];
    if (other !== SEQUENCER && next !== undefined) {
      heard[other] = (heard[other] ?? 0) + 1;
      sequencer.add(next);
    }
    if (random.chance(0.3)) announce();
  }
  if (random.chance(0.5)) announce();
  return streams;
}

class Receiver {
  readonly order: TotalOrder;
  readonly delivered: string[] = [];
  readonly received: number[];
  readonly #streams: Streams;

  constructor(streams: Streams) {
    this.#streams = streams;
    this.order = new TotalOrder(streams.length);
    this.received = streams.map(() => 0);
  }

  /** The next packet of this sender arrives. */
  walk(sender: number): void {
    const packet = this.#streams[sender]?.[this.received[sender] ?? 0];
    if (packet === undefined) return;
    this.received[sender] = (this.received[sender] ?? 0) + 1;
    if (packet.flavour === ORDER) expect(this.order.addOrder(packet)).toBe(true);
    else this.order.add(packet);
  }

  /** Packets up to `limits` arrive in an order drawn by lot, and what may be delivered is, unless the epoch is frozen. */
  walkTo(limits: readonly number[], random: Random, isSafe?: (packet: Packet) => boolean): void {
    for (;;) {
      const open = limits.flatMap((limit, sender) => ((this.received[sender] ?? 0) < limit ? [sender] : []));
      if (open.length === 0) return;
      this.walk(random.pick(open));
      if (isSafe !== undefined && random.chance(0.7)) this.advance(isSafe);
    }
  }

  advance(isSafe: (packet: Packet) => boolean): void {
    this.order.advance(
      (sender) => this.received[sender] ?? 0,
      isSafe,
      (packet) => this.delivered.push(textOf(packet)),
    );
  }

  drain(cut: readonly number[]): void {
    this.order.drain(cut, (packet) => this.delivered.push(textOf(packet)));
  }
}

const lengths = (streams: Streams): number[] => streams.map(({ length }) => length);

describe("TotalOrder", () => {
  test("D7: every receiver delivers a prefix of one order, in whatever order packets of different senders come", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 40 }), (seed, size, count) => {
        const random = new Random(seed);
        const streams = scenario(random, size, count);
        const reference = new Receiver(streams);
        reference.walkTo(lengths(streams), random, always);
        reference.advance(always);
        for (let receivers = 0; receivers < 4; receivers++) {
          const receiver = new Receiver(streams);
          const limits = streams.map(({ length }) => random.between(0, length));
          receiver.walkTo(limits, random, (packet) => packet.seqno % 3 !== receivers);
          expect(receiver.delivered).toEqual(reference.delivered.slice(0, receiver.delivered.length));
          receiver.walkTo(lengths(streams), random, always);
          receiver.advance(always);
          expect(receiver.delivered).toEqual(reference.delivered);
        }
      }),
    );
  });

  test("D3, C7: drained at one cut, all that hold it have delivered the same, in one order: all of the cut, nothing else", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 40 }), (seed, size, count) => {
        const random = new Random(seed);
        const streams = scenario(random, size, count);
        const cut = streams.map(({ length }) => random.between(0, length));
        const sequences: string[][] = [];
        for (let survivors = 0; survivors < 4; survivors++) {
          const survivor = new Receiver(streams);
          const before = cut.map((limit) => random.between(0, limit));
          survivor.walkTo(before, random, () => random.chance(0.5));
          // What is fetched in the flush comes after the freeze: nothing is delivered until the drain.
          survivor.walkTo(cut, random);
          survivor.drain(cut);
          sequences.push(survivor.delivered);
        }
        const held = streams.flatMap((stream, sender) =>
          stream.slice(0, cut[sender]).filter(({ flavour }) => flavour !== ORDER),
        );
        expect([...(sequences[0] ?? [])].sort()).toEqual(held.map(textOf).sort());
        for (const sequence of sequences) expect(sequence).toEqual(sequences[0]);
      }),
    );
  });

  test("C7: who has walked beyond the cut drops what lies there, be it messages or order", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 40 }), (seed, size, count) => {
        const random = new Random(seed);
        const streams = scenario(random, size, count);
        const cut = streams.map(({ length }) => random.between(0, length));
        const [exact, beyond] = [new Receiver(streams), new Receiver(streams)];
        exact.walkTo(cut, random);
        beyond.walkTo(lengths(streams), random);
        exact.drain(cut);
        beyond.drain(cut);
        expect(beyond.delivered).toEqual(exact.delivered);
      }),
    );
  });

  test("D8: a safe packet is not delivered before it is safe, and nothing overtakes it", () => {
    const receiver = new Receiver([
      [packetOf(SAFE, 0, 0, "first"), packetOf(TOTAL, 0, 1, "second")],
      [packetOf(TOTAL, 1, 0, "third")],
    ]);
    let safe = false;
    for (const sender of [0, 0, 1]) receiver.walk(sender);
    receiver.advance(() => safe);
    expect(receiver.delivered).toEqual([]);
    expect(receiver.order.awaitsSafety).toBe(true);
    expect(receiver.order.firstWaiting(0)).toBe(0);
    safe = true;
    receiver.advance(() => safe);
    expect(receiver.delivered).toEqual(["first", "second"]);
    expect(receiver.order.awaitsSafety).toBe(false);
    expect(receiver.order.firstWaiting(0)).toBeUndefined();
    expect(receiver.order.firstWaiting(1)).toBe(0);
  });

  test("isSafe is asked with the sequencer's packet that orders: its own, or its announcement", () => {
    const sequencer = new TotalOrder(2);
    const own = packetOf(SAFE, 0, 0, "own");
    const other = packetOf(SAFE, 1, 0, "other");
    sequencer.add(own);
    sequencer.add(other);
    const announcement = sequencer.announcement() as Packet;
    announcement.stamp(1, 1, SEQUENCER, 1, 0);
    expect(sequencer.addOrder(announcement)).toBe(true);
    expect([sequencer.isAnnounced(own), sequencer.isAnnounced(other)]).toEqual([true, true]);
    const asked: [number, number][] = [];
    sequencer.advance(
      () => 1,
      (packet, announcedBy) => asked.push([packet.sender, announcedBy]) > 0,
      () => {},
    );
    expect(asked).toEqual([
      [0, 0],
      [1, 1],
    ]);
    const told: number[] = [];
    sequencer.announced((sender, count) => {
      told[sender] = count;
    });
    expect(told).toEqual([1, 1]);
  });

  test("the sequencer announces each arrival once", () => {
    const sequencer = new TotalOrder(3);
    expect(sequencer.announcement()).toBeUndefined();
    sequencer.add(packetOf(TOTAL, 1, 0));
    sequencer.add(packetOf(TOTAL, 1, 1));
    sequencer.add(packetOf(TOTAL, 2, 0));
    const announcement = sequencer.announcement();
    const expected = new Writer();
    for (const [sender, upTo] of [
      [1, 1],
      [2, 0],
    ] as const) {
      expected.u16(sender);
      expected.u32(upTo);
    }
    expect(announcement?.bytes.subarray(PACKET_HEADER_BYTES)).toEqual(expected.finish());
    expect(Packet.parse(announcement?.bytes ?? new Uint8Array(0))?.flavour).toBe(ORDER);
    expect(wordAt(announcement?.bytes ?? new Uint8Array(0), 0)).toBe(PACKET_HEADER_BYTES + 12 - 4);
    expect(sequencer.announcement()).toBeUndefined();
  });

  test("seqnos beyond 2^31 are announced like others", () => {
    const sequencer = new TotalOrder(2);
    sequencer.add(packetOf(TOTAL, 1, 2 ** 31 + 5));
    const announcement = sequencer.announcement() as Packet;
    announcement.stamp(1, 1, SEQUENCER, 0, 0);
    const receiver = new TotalOrder(2);
    expect(receiver.addOrder(announcement)).toBe(true);
    const told: number[] = [];
    receiver.announced((_, count) => told.push(count));
    expect(told).toEqual([0, 2 ** 31 + 6]);
  });

  test("an order packet of garbage is refused", () => {
    const order = new TotalOrder(2);
    const garbage = (...body: number[]): Packet => {
      const bytes = new Uint8Array(PACKET_HEADER_BYTES + body.length);
      bytes.set([2, ORDER], 4);
      bytes.set(body, PACKET_HEADER_BYTES);
      return new Packet(bytes);
    };
    expect(order.addOrder(garbage(1, 0, 7, 0, 0))).toBe(false);
    expect(order.addOrder(garbage(2, 0, 7, 0, 0, 0))).toBe(false);
    expect(order.addOrder(garbage())).toBe(true);
  });
});
