import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashString, Random } from "./random.ts";

const words = (random: Random, count: number): number[] => Array.from({ length: count }, () => random.word());

describe("Random", () => {
  test("a seed names one sequence, on every engine and in every version", () => {
    expect(words(new Random(1), 4)).toEqual([3219067074, 3573976570, 153132209, 3581883189]);
    expect(words(new Random(1, 2), 2)).toEqual([1864388621, 3010031125]);
    expect(words(new Random(), 2)).toEqual([24724473, 838574162]);
    const random = new Random(7);
    expect([random.fraction(), random.below(100), random.between(-5, 5), random.pick(["x", "y", "z"])]).toEqual([
      0.44879960967227817,
      60,
      2,
      "x",
    ]);
  });

  test("seeds that differ in any bit of a safe integer, or in their number, give different sequences", () => {
    const seeds = [[0], [1], [2 ** 32], [2 ** 32 + 1], [2 ** 52], [1, 0], [0, 1], [], [0, 0]];
    const sequences = seeds.map((seed) => words(new Random(...seed), 4).join());
    expect(new Set(sequences).size).toBe(seeds.length);
  });

  test("numbers stay in their ranges", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 1e6 }), fc.integer(), (seed, width, low) => {
        const random = new Random(seed);
        for (let count = 0; count < 20; count++) {
          const fraction = random.fraction();
          expect(fraction >= 0 && fraction < 1).toBe(true);
          const below = random.below(width);
          expect(Number.isInteger(below) && below >= 0 && below < width).toBe(true);
          const between = random.between(low, low + width);
          expect(between >= low && between <= low + width).toBe(true);
        }
        expect(random.chance(0)).toBe(false);
        expect(random.chance(1)).toBe(true);
      }),
    );
  });

  test("is about uniform: each of 16 values comes up in a sixteenth of the draws", () => {
    const random = new Random(11);
    const counts = new Array<number>(16).fill(0);
    for (let draw = 0; draw < 16_000; draw++) {
      const value = random.below(16);
      counts[value] = (counts[value] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(200);
  });

  test("a fork is independent of what is drawn from its parent later", () => {
    const one = new Random(3);
    const other = new Random(3);
    const fork = one.fork();
    const same = other.fork();
    one.word();
    expect(words(fork, 5)).toEqual(words(same, 5));
    expect(words(new Random(3), 5)).not.toEqual(words(new Random(3).fork(), 5));
  });
});

test("hashString is FNV-1a and can be continued", () => {
  expect(hashString("")).toBe(0x811c9dc5);
  expect(hashString("a")).toBe(0xe40c292c);
  expect(hashString("foobar")).toBe(0xbf9cf968);
  expect(hashString("bar", hashString("foo"))).toBe(hashString("foobar"));
});
