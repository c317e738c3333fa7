/** D6: whatever arrives when, nothing is delivered before what happened before it; and what is malformed does no harm. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { packetOf, textOf } from "../../../test/protocol/kit.ts";
import { Random } from "../../base/random.ts";
import { CAUSAL, type Packet } from "../../wire/packet.ts";
import { CausalOrder } from "./causal.ts";

/** A member: what it has sent and delivered, and of whom it has heard how much. */
class Station {
  readonly causal: CausalOrder;
  readonly rank: number;
  readonly sent: Packet[] = [];
  readonly delivered: string[] = [];
  readonly heard: number[];

  constructor(size: number, rank: number) {
    this.causal = new CausalOrder(size, rank);
    this.rank = rank;
    this.heard = new Array<number>(size).fill(0);
  }

  send(): Packet {
    const packet = packetOf(CAUSAL, this.rank, this.sent.length, `${this.rank}.${this.sent.length}`);
    const past = this.causal.past();
    if (past !== undefined) packet.addPast(past);
    this.sent.push(packet);
    this.add(packet);
    return packet;
  }

  add(packet: Packet): boolean {
    return this.causal.add(packet, (delivered) => void this.delivered.push(textOf(delivered)));
  }

  /** The next packet of `sender` arrives; false when there is none. */
  hear(sender: Station): boolean {
    const packet = sender.sent[this.heard[sender.rank] ?? 0];
    if (packet === undefined || sender === this) return false;
    this.heard[sender.rank] = (this.heard[sender.rank] ?? 0) + 1;
    return this.add(packet);
  }
}

const stations = (size: number): Station[] => Array.from({ length: size }, (_, rank) => new Station(size, rank));

/** A packet with these bytes as its past. */
function packetWith(sender: number, seqno: number, ...past: number[]): Packet {
  const packet = packetOf(CAUSAL, sender, seqno, `${sender}.${seqno}`);
  packet.addPast(Uint8Array.from(past));
  return packet;
}

describe("causal delivery", () => {
  test("keeps what happened before first, and in the end delivers everything", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 6 }), fc.integer({ max: 200 }), (seed, size, steps) => {
        const random = new Random(seed);
        const all = stations(size);
        const causes = new Map<string, readonly string[]>();
        for (let step = 0; step < steps; step++) {
          const station = random.pick(all);
          if (random.chance(0.4)) {
            const before = [...station.delivered];
            causes.set(textOf(station.send()), before);
          } else station.hear(random.pick(all));
        }
        for (const station of all) for (const other of all) while (station.hear(other));
        for (const { delivered } of all) {
          expect([...delivered].sort()).toEqual([...causes.keys()].sort());
          const places = new Map(delivered.map((text, place) => [text, place]));
          for (const [text, before] of causes) {
            for (const cause of before) expect(places.get(cause)).toBeLessThan(places.get(text) ?? -1);
          }
        }
      }),
    );
  });

  test("what waits is the same whatever the order of arrival: that which follows something that has not come", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 2, max: 6 }), fc.integer({ max: 120 }), (seed, size, steps) => {
        const random = new Random(seed);
        const all = stations(size);
        for (let step = 0; step < steps; step++) {
          const station = random.pick(all);
          if (random.chance(0.4)) station.send();
          else station.hear(random.pick(all));
        }
        const cut = all.map(({ sent }) => random.between(0, sent.length));
        const [one, other] = [0, 1].map(() => {
          const order = new CausalOrder(size, 0);
          const came = cut.map(() => 0);
          const delivered: string[] = [];
          for (;;) {
            const open = cut.flatMap((count, rank) => ((came[rank] ?? 0) < count ? [rank] : []));
            if (open.length === 0) break;
            const rank = random.pick(open);
            const seqno = came[rank] ?? 0;
            came[rank] = seqno + 1;
            order.add(all[rank]?.sent[seqno] as Packet, (packet) => void delivered.push(textOf(packet)));
          }
          return { delivered: delivered.sort(), waiting: cut.map((_, rank) => order.firstWaiting(rank)) };
        });
        expect(one).toEqual(other);
      }),
    );
  });

  test("a packet says only what is new since its sender's last one, as runs of ranks", () => {
    const [a, b, c, d] = stations(4) as [Station, Station, Station, Station];
    expect(a.causal.past()).toBeUndefined();
    a.send();
    a.send();
    expect(a.causal.past()).toBeUndefined();
    d.hear(a);
    d.hear(a);
    b.send();
    d.hear(b);
    expect(d.causal.past()).toEqual(Uint8Array.from([0, 2, 0, 1]));
    d.send();
    expect(d.causal.past()).toBeUndefined();
    c.send();
    d.hear(c);
    expect(d.causal.past()).toEqual(Uint8Array.from([2, 1]));
  });

  test("it tells what waits, and how many bytes of it", () => {
    const [a, b, c] = stations(3) as [Station, Station, Station];
    a.send();
    b.hear(a);
    const length = [b.send(), b.send()].reduce((sum, { bytes }) => sum + bytes.length, 0);
    c.hear(b);
    c.hear(b);
    expect([c.causal.firstWaiting(1), c.causal.waitingBytes(1), c.delivered]).toEqual([0, length, []]);
    c.hear(a);
    expect([c.causal.firstWaiting(1), c.causal.waitingBytes(1)]).toEqual([undefined, 0]);
    expect(c.delivered).toEqual(["0.0", "1.0", "1.1"]);
    expect([c.causal.firstWaiting(2), c.causal.waitingBytes(2)]).toEqual([undefined, 0]);
  });
});

describe("a malformed past", () => {
  test.each([
    ["names a rank that is not there", [3, 1]],
    ["names its sender", [1, 1]],
    ["names nothing new", [0, 0]],
    ["is cut short", [0]],
    ["has a number without an end", [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
  ])("that %s is dropped with its packet, and counts for nobody", (_, past) => {
    const [a] = stations(3) as [Station];
    expect(a.add(packetWith(1, 0, ...past))).toBe(false);
    expect(a.add(packetWith(1, 1))).toBe(true);
    expect(a.delivered).toEqual(["1.1"]);
    expect(a.causal.past()).toEqual(Uint8Array.from([1, 1]));
  });

  test("of any bytes never throws, delivers nothing too early, and holds up its own sender only", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 20 }), (pasts) => {
        const [a] = stations(3) as [Station];
        for (const [seqno, past] of pasts.entries()) a.add(packetWith(1, seqno, ...past));
        expect(a.add(packetOf(CAUSAL, 2, 0, "2.0"))).toBe(true);
        expect(a.delivered).toContain("2.0");
      }),
    );
  });
});
