import { decode } from "@msgpack/msgpack";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeValue, encodeValue, MALFORMED, Unencodable } from "./codec.ts";

function encoded(value: unknown): Uint8Array {
  const bytes = encodeValue(value);
  if (bytes instanceof Unencodable) throw new Error(bytes.problem);
  return bytes.slice();
}

function problemOf(value: unknown): string {
  const bytes = encodeValue(value);
  if (!(bytes instanceof Unencodable)) throw new Error("it was encoded");
  return bytes.problem;
}

class Point {
  readonly x = 1;
}

const plainValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.string({ unit: "grapheme" }),
    fc.double().filter((number) => !Object.is(number, -0)),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value")),
    fc.dictionary(fc.string({ unit: "grapheme" }), tie("value"), { noNullPrototype: true }),
  ),
})).value;

const anyValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    plainValue,
    fc.constant(undefined),
    fc.constant(-0),
    fc.bigInt(),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array(),
    fc.float64Array(),
    fc.int16Array(),
    fc.array(tie("value")),
    fc.array(fc.tuple(tie("value"), tie("value"))).map((entries) => new Map(entries)),
    fc.array(tie("value")).map((entries) => new Set(entries)),
    fc.dictionary(fc.string(), tie("value"), { noNullPrototype: true }),
  ),
})).value;

describe("what goes in comes out, with its type", () => {
  test("for any value", () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(decodeValue(encoded(value))).toStrictEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    [
      "integers at the limits",
      [0, 127, 128, -1, -32, -33, 255, 65_536, 2 ** 31, -(2 ** 31), 2 ** 32 - 1, 2 ** 32, 2 ** 53],
    ],
    ["special numbers", [Number.NaN, Number.POSITIVE_INFINITY, -0, 5e-324]],
    ["bigints", [0n, 1n, -1n, 2n ** 64n, -(2n ** 64n), 255n, 256n]],
    ["an invalid date", new Date(Number.NaN)],
    [
      "strings at the limits",
      ["", "x".repeat(31), "x".repeat(32), "é".repeat(31), "€".repeat(100), "😀".repeat(30_000)],
    ],
    ["containers at the limits", [new Array(15).fill(1), new Array(16).fill(1), new Array(70_000).fill(0)]],
    [
      "maps with keys of any type",
      new Map<unknown, unknown>([
        [{ a: 1 }, 1],
        [new Date(5), 2],
        [undefined, 3],
      ]),
    ],
    ["a key that names the prototype", JSON.parse('{"__proto__": {"polluted": true}}')],
  ])("%s", (_what, value) => {
    expect(decodeValue(encoded(value))).toStrictEqual(value);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test("keys that lead to a prototype", () => {
    const value = { constructor: { prototype: { polluted: true } }, prototype: 1, toString: 2 };
    expect(JSON.stringify(decodeValue(encoded(value)))).toBe(JSON.stringify(value));
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test("every kind of binary", () => {
    const values = [
      new Uint8Array([1, 2]),
      new Int8Array([-1]),
      new Uint8ClampedArray([255]),
      new Int16Array([-2]),
      new Uint16Array([2]),
      new Int32Array([-3]),
      new Uint32Array([3]),
      new Float32Array([1.5]),
      new Float64Array([Math.PI]),
      new BigInt64Array([-4n]),
      new BigUint64Array([4n]),
      new Uint8Array([9, 9]).buffer,
    ];
    expect(decodeValue(encoded(values))).toStrictEqual(values);
  });

  test("plain values are ordinary MessagePack", () => {
    fc.assert(
      fc.property(plainValue, (value) => {
        fc.pre(!JSON.stringify(value).includes("__proto__"));
        expect(decode(encoded(value))).toEqual(value);
      }),
    );
  });
});

test("decoded bytes do not alias what they came from", () => {
  const bytes = encoded([
    new Uint8Array([1, 2, 3]),
    new Float64Array([1]),
    "text that is long enough for the platform",
  ]);
  const value = decodeValue(bytes);
  bytes.fill(0);
  expect(value).toStrictEqual([
    new Uint8Array([1, 2, 3]),
    new Float64Array([1]),
    "text that is long enough for the platform",
  ]);
});

test("decoded bytes own their memory, even when they came from a Buffer", () => {
  const value = decodeValue(Buffer.from(encoded([new Uint8Array([1, 2]), new Uint8Array([3])])));
  expect(value).toStrictEqual([new Uint8Array([1, 2]), new Uint8Array([3])]);
  for (const part of value as Uint8Array[]) expect(part.buffer.byteLength).toBe(part.length);
});

test("malformed keys read the same whatever was read before", () => {
  const object = (key: number[], rest: number): Uint8Array => Uint8Array.of(0x81, 0xa0 | key.length, ...key, rest);
  const first = decodeValue(object([0x61, 0xe2], 0x05));
  decodeValue(object([0x61, 0xe2], 0x7f));
  expect(decodeValue(object([0x61, 0xe2], 0x05))).toStrictEqual(first);
  expect(decodeValue(object([0x61, 0xe2], 0x06))).not.toStrictEqual(first);
});

test("a Buffer becomes a Uint8Array", () => {
  const value = decodeValue(encoded(Buffer.from([1, 2])));
  expect(Object.getPrototypeOf(value)).toBe(Uint8Array.prototype);
  expect(value).toEqual(new Uint8Array([1, 2]));
});

test.each([
  ["a function", [{ price: () => 1 }], "[0].price is a function"],
  ["a symbol", [1, Symbol("s")], "[1] is a symbol"],
  ["an instance of a class", { list: [new Point()] }, ".list[0] is an instance of Point"],
  ["an error", new Error("x"), " is an instance of Error"],
  ["a subclass of Map", new (class Index extends Map {})(), " is an instance of Index"],
  ["a value in a map", new Map([["k", () => 1]]), ".value(0) is a function"],
  ["a key of a map", new Map([[Symbol("k"), 1]]), ".key(0) is a symbol"],
  ["an element of a set", new Set([1, Symbol("k")]), ".value(1) is a symbol"],
  ["a promise", [Promise.resolve(1)], "[0] is an instance of Promise"],
])("%s is refused, with the place", (_what, value, problem) => {
  expect(problemOf(value)).toBe(problem);
});

test("what contains itself, or is too deep, is refused", () => {
  const loop: { self?: unknown } = {};
  loop.self = loop;
  expect(problemOf(loop)).toBe(".self is nested deeper than 100, or contains itself");
  let deep: unknown = 1;
  for (let depth = 0; depth < 100; depth++) deep = [deep];
  expect(decodeValue(encoded(deep))).toStrictEqual(deep);
  expect(problemOf([deep])).toContain("nested deeper");
});

describe("hostile bytes", () => {
  test("never throw, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        decodeValue(bytes);
      }),
      { numRuns: 5000 },
    );
  });

  test("a valid encoding that was changed, cut or extended never throws", () => {
    fc.assert(
      fc.property(anyValue, fc.nat(), fc.nat(255), (value, at, byte) => {
        const bytes = encoded([value]);
        decodeValue(bytes.subarray(0, at % bytes.length));
        expect(decodeValue(Uint8Array.from([...bytes, byte]))).toBe(MALFORMED);
        bytes[at % bytes.length] = byte;
        decodeValue(bytes);
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    ["an array of 4 billion", [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ["an object of 4 billion", [0xdf, 0xff, 0xff, 0xff, 0xff]],
    ["bytes of 4 GB", [0xc6, 0xff, 0xff, 0xff, 0xff]],
    ["a string of 4 GB", [0xdb, 0xff, 0xff, 0xff, 0xff]],
    ["a map of 4 GB", [0xc9, 0xff, 0xff, 0xff, 0xff, 3]],
    ["an unknown extension", [0xd4, 99, 0]],
    ["bytes of the library's own kind", [0xc4, 1, 1]],
    ["an extension of the library's own", [0xd6, 0xff, 0, 0, 0, 0]],
    ["an object with the key __proto__", [0x81, 0xa9, ...Buffer.from("__proto__"), 0x80]],
    ["an unknown special value", [0xd4, 0, 2]],
    ["half a date", [0xd6, 1, 0, 0, 0, 0]],
    ["a bigint without digits", [0xc7, 1, 2, 0]],
    ["an unknown kind of binary", [0xc7, 1, 5, 200]],
    ["half a float", [0xc7, 4, 5, 8, 0, 0, 0]],
    ["a key that is no string", [0x81, 1, 1]],
    ["the byte that is never used", [0xc1]],
    ["a map without a list of entries", [0xd4, 3, 1]],
    ["a set without a list of entries", [0xd4, 4, 1]],
    ["a map with a key and no value", [0xd5, 3, 0x91, 1]],
    ["a map that ends before its entries", [0x91, 0xd4, 3, 0x92, 1, 1]],
    ["a map that ends after its entries", [0xd5, 3, 0x90, 1]],
    ["an object with a key that is no string, as entries", [0xc7, 3, 6, 0x92, 1, 1]],
    ["bytes in a map, of the library's own kind", [0xc7, 4, 4, 0x91, 0xc4, 1, 1]],
    ["a key that is no string, in a set", [0xd6, 4, 0x91, 0x81, 1, 1]],
    ["nothing", []],
  ])("%s is malformed", (_what, bytes) => {
    expect(decodeValue(Uint8Array.from(bytes))).toBe(MALFORMED);
  });

  test("arrays nested a million deep are malformed, and the stack is safe", () => {
    expect(decodeValue(new Uint8Array(1_000_000).fill(0x91))).toBe(MALFORMED);
  });

  test("arrays nested in sets are counted too", () => {
    const nested = (levels: number): Uint8Array => {
      let bytes = Uint8Array.of(1);
      for (let level = 0; level < levels; level++) {
        const length = 1 + bytes.length;
        bytes = Uint8Array.of(0xc8, length >> 8, length & 0xff, 4, 0x91, ...bytes);
      }
      return bytes;
    };
    expect(decodeValue(nested(100))).toBeInstanceOf(Set);
    expect(decodeValue(nested(101))).toBe(MALFORMED);
  });

  test("nested arrays that all claim to be long cost nothing", () => {
    const bytes = new Uint8Array(60_000);
    for (let at = 0; at < bytes.length; at += 3) bytes.set([0xdc, 0xc0, 0], at);
    expect(decodeValue(bytes)).toBe(MALFORMED);
  });
});

test("a getter that encodes something itself does not disturb the encoding", () => {
  const value = {
    before: 1,
    get inner() {
      return encoded({ nested: true }).length;
    },
    after: 2,
  };
  expect(decodeValue(encoded(value))).toStrictEqual({ before: 1, inner: 9, after: 2 });
});
