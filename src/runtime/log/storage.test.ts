/** What an operator is told of a disk, and when; and that damage is found while nobody asks. */
import { describe, expect, test } from "vitest";
import { Random } from "../../base/random.ts";
import { SimulatedDisk } from "../../simulation/disk.ts";
import type { Timers } from "../ports.ts";
import { Storage } from "./storage.ts";

const SEGMENT_BYTES = 64 * 1024;
const OPTIONS = { segmentBytes: SEGMENT_BYTES, waitingBytesMax: 1024 * 1024, id: [7, 9] as const };

/** Simulated time, and a disk that takes as long as the test says. */
class Bench implements Timers {
  readonly disk = new SimulatedDisk({
    later: (_, action) => {
      this.after(this.diskMs, action);
    },
    random: new Random(1),
  });
  diskMs = 0.1;
  readonly told: string[] = [];
  readonly storage: Storage;
  #now = 0;
  readonly #queue = new Set<{ readonly at: number; readonly action: () => void }>();

  constructor() {
    this.storage = new Storage(this.disk, this, OPTIONS, {
      persisted: () => {},
      room: () => this.told.push("room"),
      conditionChanged: (condition) => this.told.push(condition),
      damaged: ({ from, to }) => this.told.push(`damaged ${from} to ${to}`),
    });
    this.advance(1);
  }

  now(): number {
    return this.#now;
  }

  after(delayMs: number, action: () => void): () => void {
    const each = { at: this.#now + delayMs, action };
    this.#queue.add(each);
    return () => this.#queue.delete(each);
  }

  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const [first] = [...this.#queue].sort((a, b) => a.at - b.at);
      if (first === undefined || first.at > end) break;
      this.#queue.delete(first);
      this.#now = first.at;
      first.action();
    }
    this.#now = end;
  }

  append(count: number, bytes = 9000): void {
    const { log } = this.storage;
    for (let index = 0; index < count; index++) {
      log.append(new Uint8Array(bytes).fill(log.next));
      log.flush();
      this.advance(1);
    }
  }

  get idle(): boolean {
    return this.#queue.size === 0;
  }
}

describe("the disk of a node", () => {
  test("is well, and nothing is told", () => {
    const bench = new Bench();
    bench.append(50);
    bench.advance(60_000);
    expect(bench.told).toEqual([]);
    expect(bench.storage.report()).toMatchObject({ condition: "ok", detail: "", next: 50, waitingBytes: 0, scrubs: 1 });
  });

  test("is slow: told once while a write hangs, and once when all has gone well for a while", () => {
    const bench = new Bench();
    bench.diskMs = 800;
    bench.append(5);
    bench.advance(20_000);
    expect(bench.told).toEqual([]);
    bench.diskMs = 5000;
    bench.append(1);
    bench.advance(1600);
    expect(bench.told).toEqual(["slow"]);
    expect(bench.storage.report().detail).not.toBe("");
    bench.advance(8000);
    bench.append(1);
    bench.advance(8000);
    bench.diskMs = 0.1;
    expect(bench.told).toEqual(["slow"]);
    bench.append(3);
    bench.advance(20_000);
    expect(bench.told).toEqual(["slow", "ok"]);
    expect(bench.storage.report()).toMatchObject({ condition: "ok", detail: "", next: 10 });
  });

  test("is full: what waits is written by itself once there is room", () => {
    const bench = new Bench();
    bench.disk.capacityBytes = SEGMENT_BYTES * 2;
    bench.append(150);
    expect(bench.told).toEqual(["full"]);
    const { log } = bench.storage;
    expect(log.hasRoom).toBe(false);
    bench.advance(60_000);
    expect(log.durable).toBeLessThan(20);
    bench.disk.capacityBytes = Number.POSITIVE_INFINITY;
    bench.advance(6000);
    expect(bench.told).toEqual(["full", "ok", "room"]);
    expect(log.durable).toBe(150);
  });

  test("fails: nothing more is acknowledged, and nothing else is told any more", () => {
    const bench = new Bench();
    bench.append(3);
    bench.disk.failing = true;
    bench.append(3);
    bench.advance(60_000);
    expect(bench.told).toEqual(["failed"]);
    expect(bench.storage.log.durable).toBe(3);
    expect(bench.storage.report().condition).toBe("failed");
  });

  test("forgets: the damage is found while nobody asks, and counted until nobody needs it", () => {
    const bench = new Bench();
    bench.append(40);
    bench.disk.flip("segment-000001.log", 5000);
    bench.advance(10_000);
    expect(bench.told).toEqual(["damaged 0 to 1"]);
    expect(bench.storage.report()).toMatchObject({ damagedRecords: 1, condition: "ok" });
    expect(bench.storage.log.damage).toEqual([{ from: 0, to: 1 }]);
    bench.storage.log.truncate(1);
    bench.append(1);
    bench.advance(10);
    expect(bench.storage.report().damagedRecords).toBe(0);
    // The next time that all is read is an hour later.
    bench.disk.flip("segment-000001.log", 3 * 4096 + 5000);
    bench.advance(3_500_000);
    expect(bench.told).toHaveLength(1);
    bench.advance(200_000);
    expect(bench.told).toHaveLength(2);
  });

  test("is not read while it is written to, nor faster than it may be", () => {
    const bench = new Bench();
    bench.append(600);
    bench.advance(499);
    const bytes = 600 * 9000;
    for (let beats = 0; beats < bytes / (512 * 1024) - 2; beats++) {
      expect(bench.storage.report().scrubs).toBe(0);
      bench.advance(500);
      bench.append(beats % 2);
    }
    bench.advance(60_000);
    expect(bench.storage.report().scrubs).toBe(1);
  });

  test("is left alone when it is closed", () => {
    const bench = new Bench();
    bench.append(3);
    bench.storage.log.append(new Uint8Array(10));
    bench.storage.log.flush();
    bench.storage.close();
    bench.advance(10_000);
    expect(bench.storage.log.durable).toBe(3);
    expect(bench.idle).toBe(true);
  });
});
