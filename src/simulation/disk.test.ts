/** The log on simulated disks: whatever happens to the disk, what was acknowledged is served, and nothing else ever is. */
import { crc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { Random } from "../base/random.ts";
import { Log, type LogListener } from "../runtime/log/log.ts";
import { recover } from "../runtime/log/recovery.ts";
import { SimulatedDisk } from "./disk.ts";
import { tryLog } from "./log-trial.ts";

const SEGMENT_BYTES = 64 * 1024;
const OPTIONS = { segmentBytes: SEGMENT_BYTES, waitingBytesMax: 1024 * 1024, id: [7, 9] as const };

/** A disk whose answers come when the test says so. */
class Bench {
  readonly random: Random;
  readonly disk: SimulatedDisk;
  #queue: (() => void)[] = [];
  readonly statuses: string[] = [];
  rooms = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.disk = new SimulatedDisk({ later: (_, action) => this.#queue.push(action), random: this.random });
  }

  get waiting(): number {
    return this.#queue.length;
  }

  step = (): void => {
    this.#queue.shift()?.();
  };

  settle(): void {
    for (let steps = 0; this.#queue.length > 0 && steps < 10_000; steps++) this.step();
  }

  open(listener: Partial<LogListener> = {}): Log {
    return new Log(this.disk, OPTIONS, {
      persisted: () => {},
      statusChanged: (status) => this.statuses.push(status),
      room: () => this.rooms++,
      damaged: () => {},
      ...listener,
    });
  }
}

function recordOf(random: Random, position: number): Uint8Array {
  const bytes = new Uint8Array(random.pick([0, 1, 30, 100, 3000, 9000, 20_000, 70_000]));
  for (let at = 0; at < bytes.length; at++) bytes[at] = position + at;
  return bytes;
}

/** What a record says, in a few letters. */
function gist(record: Uint8Array): string {
  return `${record.length} bytes, ${crc32(record)}`;
}

function contentOf(log: Log): string[] {
  return [...log.read(log.floor)].map(gist);
}

describe("a log", () => {
  test("gives back what was appended, in order, also after it was opened again", () => {
    const bench = new Bench(1);
    const log = bench.open();
    const records = Array.from({ length: 300 }, (_, position) => recordOf(bench.random, position));
    for (const [position, record] of records.entries()) {
      expect(log.append(record)).toBe(position);
      if (bench.random.chance(0.3)) log.flush();
      if (bench.random.chance(0.3)) bench.step();
    }
    log.flush();
    bench.settle();
    expect(log.durable).toBe(300);
    expect(contentOf(log)).toEqual(records.map(gist));
    expect(contentOf(bench.open())).toEqual(records.map(gist));
    expect([...log.read(117, 119)].map(gist)).toEqual(records.slice(117, 119).map(gist));
  });

  test("keeps its promises over many lives, whatever happens to the disk", () => {
    for (let seed = 1; seed <= 300; seed++) expect(tryLog(seed), `seed ${seed}`).toEqual([]);
  });

  test("damage that comes later is found when it is read, and by scrubbing", () => {
    const bench = new Bench(5);
    const damaged: unknown[] = [];
    const log = bench.open({ damaged: (damage) => damaged.push(damage) });
    for (let position = 0; position < 40; position++) {
      log.append(new Uint8Array(9000).fill(position));
      log.flush();
      bench.settle();
    }
    const scrubbed = (): number => {
      let bytes = 0;
      for (let atEnd = false; !atEnd; bench.settle()) {
        log.scrub((count) => {
          bytes += count;
          atEnd = count === 0;
        });
      }
      return bytes;
    };
    expect(scrubbed()).toBeGreaterThan(40 * 9000);
    expect(log.damage).toEqual([]);
    bench.disk.flip("segment-000001.log", 5000);
    scrubbed();
    expect(log.damage).toMatchObject([{ from: 0, to: 1 }]);
    expect(damaged).toEqual(log.damage);
    bench.disk.flip("segment-000002.log", 100);
    const [firstOfSecond = 0] = [6, 5, 4, 7].filter((position) => [...log.read(position, position + 1)].length === 0);
    expect(firstOfSecond).toBeGreaterThan(0);
    expect(log.damage).toHaveLength(2);
  });

  test("a file that is gone is damage too", () => {
    const bench = new Bench(6);
    const log = bench.open();
    for (let position = 0; position < 40; position++) {
      log.append(new Uint8Array(9000).fill(position));
      log.flush();
      bench.settle();
    }
    bench.disk.remove("segment-000003.log", () => {});
    const [damage] = bench.open().damage;
    expect(damage?.to).toBeGreaterThan(damage?.from ?? 0);
    bench.disk.remove("segment-000001.log", () => {});
    expect(bench.open().damage[0]).toMatchObject({ from: 0 });
  });

  test("segments below the floor are used again, once the floor is on disk", () => {
    const bench = new Bench(7);
    const log = bench.open();
    for (let position = 0; position < 400; position++) {
      log.append(new Uint8Array(9000).fill(position));
      log.flush();
      bench.settle();
      log.truncate(log.durable - Math.min(5, log.durable));
    }
    expect(bench.disk.names().length).toBeLessThanOrEqual(6);
    const again = bench.open();
    expect(again.damage).toEqual([]);
    expect(again.floor).toBeGreaterThan(380);
    expect([...again.read(again.floor)].every((record, index) => record[0] === ((again.floor + index) & 0xff))).toBe(
      true,
    );
  });

  test("a full disk holds it back, and it goes on by itself when there is room", () => {
    const bench = new Bench(8);
    bench.disk.capacityBytes = SEGMENT_BYTES * 2;
    const log = bench.open();
    bench.settle();
    for (let position = 0; log.hasRoom; position++) {
      log.append(new Uint8Array(9000).fill(position));
      log.flush();
      bench.settle();
    }
    expect(bench.statuses).toEqual(["full"]);
    const before = log.durable;
    log.retry();
    bench.settle();
    expect(log.durable).toBe(before);
    bench.disk.capacityBytes = SEGMENT_BYTES * 100;
    log.retry();
    bench.settle();
    expect(bench.statuses).toEqual(["full", "ok"]);
    expect(log.durable).toBe(log.next);
    expect(bench.rooms).toBe(1);
    expect(contentOf(bench.open())).toHaveLength(log.next);
  });

  test("what finds no room in a file that is there is written again as it was, or is a torn end", () => {
    for (let seed = 1; seed <= 30; seed++) {
      const bench = new Bench(seed);
      const acknowledged: number[] = [];
      const log = bench.open({ persisted: (upTo) => acknowledged.push(upTo) });
      bench.settle();
      const append = (count: number): void => {
        for (; count > 0; count--) log.append(new Uint8Array(9000).fill(log.next));
        log.flush();
        bench.settle();
      };
      append(1);
      bench.disk.isThin = true;
      // More than one batch waits behind what has found no room.
      append(3);
      append(9);
      log.retry();
      bench.settle();
      expect(bench.statuses).toEqual(["full"]);
      expect([log.durable, acknowledged.at(-1)]).toEqual([1, 1]);
      // Whoever opens it now finds what was acknowledged, and what was written whole all the same.
      const between = bench.open();
      expect([1, 4]).toContain(between.next);
      expect(between.damage).toEqual([]);
      expect([...between.read(0)].map(([first]) => first)).toEqual([0, 1, 2, 3].slice(0, between.next));

      bench.disk.isThin = false;
      append(1);
      expect(log.durable).toBe(1);
      log.retry();
      bench.settle();
      expect(bench.statuses).toEqual(["full", "ok"]);
      expect(log.durable).toBe(14);
      const again = bench.open();
      expect(again.damage).toEqual([]);
      expect([...again.read(0)].map(([first]) => first)).toEqual(Array.from({ length: 14 }, (_, position) => position));
      const numbers = recover(bench.disk).segments.flatMap(({ batches }) => batches.map(({ number }) => number));
      expect(numbers).toEqual(numbers.map((_, index) => index));
    }
  });

  test("a disk that fails ends it: nothing more is acknowledged", () => {
    const bench = new Bench(9);
    const acknowledged: number[] = [];
    const log = bench.open({ persisted: (upTo) => acknowledged.push(upTo) });
    bench.settle();
    log.append(Uint8Array.of(1));
    log.flush();
    bench.settle();
    bench.disk.failing = true;
    for (let value = 2; value < 5; value++) {
      log.append(Uint8Array.of(value));
      log.flush();
      bench.settle();
    }
    expect(bench.statuses).toEqual(["failed"]);
    expect(acknowledged).toEqual([1]);
    expect(log.durable).toBe(1);
    expect(contentOf(bench.open())).toEqual([gist(Uint8Array.of(1))]);
  });
});
