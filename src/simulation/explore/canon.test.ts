import { describe, expect, test } from "vitest";
import { Deque } from "../../base/deque.ts";
import { canonicalText } from "./canon.ts";

describe("canonical texts", () => {
  test("are equal for equal graphs, also when they have cycles", () => {
    const make = (): unknown => {
      const node: { bytes: Uint8Array; table: Map<string, unknown>; self?: unknown } = {
        bytes: Uint8Array.of(1, 2),
        table: new Map<string, unknown>([["a", new Set([1])]]),
      };
      node.self = [node, "text", undefined];
      return node;
    };
    expect(canonicalText(make())).toBe(canonicalText(make()));
  });

  test("differ when any field, byte, entry or order differs", () => {
    const different = [
      { a: 1 },
      { a: "1" },
      { b: 1 },
      [1, 2],
      [2, 1],
      [12],
      Uint8Array.of(1),
      new Map([[1, 2]]),
      new Set([2, 1]),
      null,
      undefined,
    ];
    expect(new Set(different.map((value) => canonicalText([value]))).size).toBe(different.length);
  });

  test("tell shared objects from equal ones", () => {
    const shared = {};
    expect(canonicalText([shared, shared])).not.toBe(canonicalText([{}, {}]));
  });

  test("of queues do not show where in their ring they begin", () => {
    const moved = new Deque<number>();
    moved.push(0);
    moved.push(1);
    moved.shift();
    const fresh = new Deque<number>();
    fresh.push(1);
    expect(canonicalText(moved)).toBe(canonicalText(fresh));
  });
});
