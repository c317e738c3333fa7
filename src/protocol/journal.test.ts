/** E1: nothing is said before what it relies on is on disk. */
import { describe, expect, test } from "vitest";
import { effectsOf, packetOf } from "../../test/protocol/kit.ts";
import { Packet, SAFE } from "../wire/packet.ts";
import { Effects } from "./effects.ts";
import { DurableJournal, VOLATILE } from "./journal.ts";
import type { JournalRecord } from "./journal-records.ts";

const record: JournalRecord = { kind: "promise", view: 1, ballot: { round: 1, proposer: "a" } };

function journal(next = 0): { readonly effects: Effects; readonly journal: DurableJournal; readonly done: string[] } {
  const effects = new Effects();
  return { effects, journal: new DurableJournal(effects, next), done: [] };
}

describe("a node without a data directory", () => {
  test("records nothing and waits for nothing", () => {
    const done: string[] = [];
    VOLATILE.write(record);
    VOLATILE.after(() => done.push("at once"));
    VOLATILE.need(1, 5);
    expect(done).toEqual(["at once"]);
    expect(VOLATILE).toMatchObject({ durable: false, hasRoom: true, next: 0 });
  });
});

describe("a node with a data directory", () => {
  test("gives up nothing that a group needed when it started, whoever speaks first", () => {
    const effects = new Effects();
    const needs = new Map([
      [0, 3],
      [1, 20],
    ]);
    const log = new DurableJournal(effects, 40, needs);
    log.need(1, 30);
    expect(effectsOf(effects.take(), "forget")).toMatchObject([{ below: 3 }]);
    log.need(0, 35);
    expect(effectsOf(effects.take(), "forget")).toMatchObject([{ below: 30 }]);
  });

  test("lets the disk alone for a while when nobody waits, and not for long", () => {
    const { journal: log, done } = journal();
    log.write(record);
    log.afterwards(() => done.push("idle"));
    log.endTurn(100);
    expect(log).toMatchObject({ isAwaited: false, deadline: 110 });
    log.endTurn(105);
    expect(log).toMatchObject({ isAwaited: false, deadline: 110 });
    log.endTurn(110);
    expect(log).toMatchObject({ isAwaited: true, deadline: Number.POSITIVE_INFINITY });
    log.persisted(1);
    expect(log.isAwaited).toBe(false);
    expect(done).toEqual(["idle"]);
  });

  test("somebody who waits waits for all that was written before, too", () => {
    const { journal: log } = journal();
    log.write(record);
    log.afterwards(() => {});
    log.endTurn(100);
    log.hurry();
    log.endTurn(101);
    expect(log).toMatchObject({ isAwaited: true, deadline: Number.POSITIVE_INFINITY });
    log.persisted(1);
    log.write(record);
    log.after(() => {});
    expect(log.isAwaited).toBe(true);
  });

  test("much that nobody waits for is written at once", () => {
    const { journal: log } = journal();
    for (let count = 0; count < 300; count++) log.write(record);
    log.afterwards(() => {});
    expect(log.isAwaited).toBe(true);
  });

  test("acts when all that was written before is on disk, in the order in which it was told to", () => {
    const { journal: log, done } = journal(10);
    log.after(() => done.push("nothing to wait for"));
    log.write(record);
    log.write(record);
    log.after(() => done.push("first"));
    log.write(record);
    log.after(() => {
      done.push("second");
      log.after(() => done.push("of the second"));
    });
    expect(done).toEqual(["nothing to wait for"]);
    log.persisted(11);
    expect(done).toHaveLength(1);
    log.persisted(12);
    expect(done.slice(1)).toEqual(["first"]);
    log.persisted(13);
    expect(done.slice(2)).toEqual(["second", "of the second"]);
  });

  test("says what is to be written, in order, and knows each record's position", () => {
    const { journal: log, effects } = journal(7);
    expect(log.next).toBe(7);
    log.write(record);
    log.write({ kind: "packet", packet: packetOf(SAFE, 0, 0) });
    expect(log.next).toBe(9);
    expect(effectsOf(effects.take(), "persist").map((effect) => effect.record.kind)).toEqual(["promise", "packet"]);
  });

  test("holds a packet's memory until the packet is on disk", () => {
    let held = 0;
    const slab = { retain: () => void held++, release: () => void held-- };
    const packet = new Packet(packetOf(SAFE, 0, 0).bytes, slab);
    const { journal: log } = journal();
    log.write({ kind: "packet", packet });
    packet.release();
    expect(held).toBe(1);
    log.persisted(1);
    expect(held).toBe(0);
  });

  test("begins nothing new while too much waits for the disk", () => {
    const { journal: log } = journal();
    const packet = new Packet(new Uint8Array(16 * 1024 * 1024));
    log.write({ kind: "packet", packet });
    expect(log.hasRoom).toBe(true);
    log.write({ kind: "packet", packet });
    expect(log.hasRoom).toBe(false);
    log.persisted(1);
    expect(log.hasRoom).toBe(true);
    for (let count = 0; count < 65_536; count++) log.write(record);
    expect(log.hasRoom).toBe(false);
  });

  test("gives up what no group needs, and nothing that is not on disk", () => {
    const { journal: log, effects } = journal();
    for (let count = 0; count < 10; count++) log.write(record);
    const forgotten = (): number[] => effectsOf(effects.take(), "forget").map(({ below }) => below);
    log.need(0, 8);
    log.persisted(6);
    log.need(0, 8);
    expect(forgotten()).toEqual([6]);
    log.need(1, 3);
    log.persisted(10);
    log.need(0, 9);
    expect(forgotten()).toEqual([]);
    log.need(1, Number.POSITIVE_INFINITY);
    expect(forgotten()).toEqual([9]);
  });
});
