import { expect, test } from "vitest";
import { stateDigest } from "./state-digest.ts";

const equals: readonly (readonly [unknown, unknown])[] = [
  [
    { a: 1, b: [2] },
    { b: [2], a: 1 },
  ],
  [
    new Map<unknown, unknown>([
      ["x", new Set([1, 2])],
      [{ p: 1, q: 2 }, 0],
    ]),
    new Map<unknown, unknown>([
      [{ q: 2, p: 1 }, 0],
      ["x", new Set([2, 1])],
    ]),
  ],
  [
    { at: new Date(5), bytes: new Uint8Array([1]) },
    { bytes: new Uint8Array([1]), at: new Date(5) },
  ],
];

test.each(equals)("the order of keys does not count: %j", (left, right) => {
  expect(stateDigest(left)).toBeDefined();
  expect(stateDigest(left)).toBe(stateDigest(right));
});

const differents: readonly (readonly [unknown, unknown])[] = [
  [
    [1, 2],
    [2, 1],
  ],
  [{ a: 1 }, { a: 2 }],
  [new Set([1]), [1]],
  [new Map([["a", 1]]), { a: 1 }],
  [{ a: { b: 1, c: 2 } }, { a: { b: 2, c: 1 } }],
];

test.each(differents)("everything else does: %j", (left, right) => {
  expect(stateDigest(left)).not.toBe(stateDigest(right));
});

test("what cannot be encoded has no digest", () => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  expect(stateDigest({ promise: Promise.resolve() })).toBeUndefined();
  expect(stateDigest(cycle)).toBeUndefined();
});
