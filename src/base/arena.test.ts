import { describe, expect, test } from "vitest";
import { allocate, copyOf, keep, wordAt } from "./arena.ts";

describe("memory for small byte arrays", () => {
  test("pieces never overlap, and are zero at first", () => {
    const pieces = Array.from({ length: 500 }, (_, index) => allocate(index % 90).fill(index % 251));
    expect(pieces.every((piece, index) => piece.length === index % 90 && piece.every((b) => b === index % 251))).toBe(
      true,
    );
    expect(allocate(64)).toEqual(new Uint8Array(64));
  });

  test("what is not kept serves the next one, and only if it was the last", () => {
    const first = keep(allocate(1000), 10);
    const second = allocate(1000);
    const third = allocate(8);
    expect(second.byteOffset - first.byteOffset).toBe(16);
    keep(second, 8);
    expect(allocate(8).byteOffset).toBe(third.byteOffset + 8);
  });

  test("a large one has its own buffer", () => {
    const large = allocate(100_000);
    expect(large.buffer.byteLength).toBe(100_000);
    expect(keep(large, 5)).toHaveLength(5);
  });

  test("words are little-endian, and zero beyond the end", () => {
    expect(wordAt(Uint8Array.of(9, 1, 2, 3, 0xff), 1)).toBe(0xff030201);
    expect(wordAt(Uint8Array.of(7), 0)).toBe(7);
    expect(wordAt(Uint8Array.of(7), 5)).toBe(0);
  });

  test("a copy shares nothing with the original", () => {
    const original = Uint8Array.of(1, 2, 3);
    const copy = copyOf(original, 2);
    original.fill(9);
    expect(copy).toEqual(Uint8Array.of(1, 2));
  });
});
