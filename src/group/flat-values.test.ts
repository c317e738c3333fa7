/** The short way gives what the long way gives, or leaves it to the long way. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeAny, decodeValue, encodeAny, MALFORMED } from "./codec.ts";
import { decodeFlat, encodeFlat } from "./flat-values.ts";

const NUMBERS = [
  0,
  127,
  128,
  255,
  256,
  65_535,
  65_536,
  2 ** 32 - 1,
  2 ** 32,
  -1,
  -32,
  -33,
  -128,
  -129,
  -32_768,
  -32_769,
];
const MORE_NUMBERS = [-(2 ** 31), -(2 ** 31) - 1, 2 ** 53, -0, 0.5, -0.1, Number.NaN, Number.POSITIVE_INFINITY];

const item = fc.oneof(
  fc.constantFrom(...NUMBERS, ...MORE_NUMBERS),
  fc.integer(),
  fc.double(),
  fc.string({ maxLength: 140 }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.boolean(),
  fc.constantFrom(null, undefined, [], {}),
);

test("the bytes are those of the library", () => {
  fc.assert(
    fc.property(fc.array(item, { maxLength: 17 }), (items) => {
      const short = encodeFlat(items)?.slice();
      if (short === undefined) return;
      expect(short).toEqual((encodeAny(items) as Uint8Array).slice());
      const there = decodeFlat(short, 0, short.length);
      expect(there ?? decodeAny(short)).toEqual(items);
    }),
    { numRuns: 2000 },
  );
});

test("most calls are simple", () => {
  const flat = [[], ["Harry", 21], ["x".repeat(127), -5, 1.5, true, false, null], [300, 70_000, 4e9]];
  for (const items of flat) {
    const bytes = encodeFlat(items)?.slice() ?? new Uint8Array(0);
    expect(decodeFlat(bytes, 0, bytes.length)).toEqual(items);
  }
});

test("what is not simple is left to the library", () => {
  class Two extends Array<number> {}
  const others = [["ü"], ["x".repeat(128)], [-0], [undefined], [new Array(1)], [{}], new Array(16).fill(1), [2 ** 40]];
  for (const items of [...others, Two.of(1, 2)]) expect(encodeFlat(items)).toBeUndefined();
});

test("whatever the bytes, wherever they lie, the short way says the same as the long way or nothing", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.array(item, { maxLength: 6 }).map((items) => (encodeAny(items) as Uint8Array).slice()),
    fc
      .tuple(fc.integer({ min: 0x90, max: 0x9f }), fc.uint8Array({ maxLength: 30 }))
      .map(([first, rest]) => Uint8Array.of(first, ...rest)),
  );
  fc.assert(
    fc.property(bytes, fc.nat({ max: 5 }), fc.nat({ max: 5 }), fc.nat({ max: 3 }), (message, before, after, cut) => {
      const around = new Uint8Array(before + message.length + after).fill(0x41);
      around.set(message, before);
      const to = Math.max(before, before + message.length - cut);
      const short = decodeFlat(around, before, to);
      const long = decodeAny(around, before, to);
      if (short !== undefined) expect(short).toEqual(long);
      expect(decodeValue(around, before, to)).toEqual(long);
    }),
    { numRuns: 3000 },
  );
  expect(decodeValue(Uint8Array.of(0x92, 1))).toBe(MALFORMED);
});
