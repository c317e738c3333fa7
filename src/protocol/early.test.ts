import { expect, test } from "vitest";
import { type Arrival, Early } from "./early.ts";

const MIB = 1024 * 1024;

test("what is due is taken out in the order in which it came; the rest waits on", () => {
  const early = new Early<Arrival>();
  for (const bytes of [1, 2, 3, 4]) early.keep({ from: "a", bytes }, bytes > 2);
  expect(early.take(({ bytes }) => bytes % 2 === 0).map(({ bytes }) => bytes)).toEqual([2, 4]);
  expect(early.take(() => true).map(({ bytes }) => bytes)).toEqual([1, 3]);
  expect(early.take(() => true)).toEqual([]);
});

test("strangers have a few bytes in all, which they get back; nodes of the view are not held to that", () => {
  const early = new Early<Arrival>();
  expect(early.keep({ from: "x", bytes: 3 * MIB }, true)).toBe(true);
  expect(early.keep({ from: "y", bytes: MIB }, true)).toBe(false);
  for (let count = 0; count < 8; count++) expect(early.keep({ from: "a", bytes: MIB }, false)).toBe(true);
  expect(early.take(({ from }) => from === "x")).toHaveLength(1);
  expect(early.keep({ from: "y", bytes: MIB }, true)).toBe(true);
});

test("empty frames count, too", () => {
  const early = new Early<Arrival>();
  let kept = 0;
  while (early.keep({ from: "x", bytes: 0 }, true)) kept++;
  expect(kept).toBe((4 * MIB) / 256);
});
