import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bytes,
  decode,
  encode,
  f64,
  flag,
  list,
  optional,
  record,
  text,
  u8,
  u16,
  u32,
  union,
  varint,
  word,
} from "./layout.ts";

const shape = union({
  nothing: {},
  numbers: { small: u8, short: u16, long: u32, real: f64, count: varint },
  nested: {
    name: text(20),
    parts: list(record({ on: flag, hue: word("red", "green") }), 5),
    rest: optional(bytes(10)),
  },
});

const values = fc.oneof(
  fc.constant({ kind: "nothing" as const }),
  fc.record({
    kind: fc.constant("numbers" as const),
    small: fc.integer({ min: 0, max: 0xff }),
    short: fc.integer({ min: 0, max: 0xffff }),
    long: fc.integer({ min: 0, max: 0xffff_ffff }),
    real: fc.double(),
    count: fc.maxSafeNat(),
  }),
  fc.record({
    kind: fc.constant("nested" as const),
    name: fc.string({ maxLength: 20 }),
    parts: fc.array(fc.record({ on: fc.boolean(), hue: fc.constantFrom("red" as const, "green" as const) }), {
      maxLength: 5,
    }),
    rest: fc.option(fc.uint8Array({ maxLength: 10 }), { nil: undefined }),
  }),
);

describe("layouts", () => {
  test("decode is the inverse of encode", () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(decode(shape, encode(shape, value))).toEqual(value);
      }),
    );
  });

  test("garbage is undefined or a value of the shape, and never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (garbage) => {
        const value = decode(shape, garbage);
        if (value !== undefined) expect(decode(shape, encode(shape, value))).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  test("a byte too few or too many is refused", () => {
    fc.assert(
      fc.property(values, (value) => {
        const whole = encode(shape, value);
        expect(decode(shape, whole.subarray(0, whole.length - 1))).toBeUndefined();
        expect(decode(shape, Uint8Array.from([...whole, 0]))).toBeUndefined();
      }),
    );
  });

  test("the tag of a case is its position", () => {
    expect(encode(shape, { kind: "nothing" })[0]).toBe(0);
    expect(decode(shape, Uint8Array.from([3]))).toBeUndefined();
  });

  test("a list longer than its maximum, a flag other than 0 or 1, and an unknown word are refused", () => {
    const three = list(u8, 3);
    expect(decode(three, encode(list(u8, 9), [1, 2, 3]))).toEqual([1, 2, 3]);
    expect(decode(three, encode(list(u8, 9), [1, 2, 3, 4]))).toBeUndefined();
    expect(decode(flag, Uint8Array.from([2]))).toBeUndefined();
    expect(decode(optional(u8), Uint8Array.from([2, 0]))).toBeUndefined();
    expect(decode(word("red", "green"), Uint8Array.from([2]))).toBeUndefined();
  });

  test("a claimed count of a billion allocates nothing", () => {
    const claim = encode(varint, 1e9);
    expect(decode(list(u8, 2 ** 32), claim)).toBeUndefined();
    expect(decode(bytes(2 ** 32), claim)).toBeUndefined();
  });

  test("decoded bytes are a copy: the frame they came in may be used again", () => {
    const frame = encode(bytes(4), Uint8Array.from([1, 2]));
    const value = decode(bytes(4), frame);
    frame.fill(9);
    expect([...(value ?? [])]).toEqual([1, 2]);
  });
});
