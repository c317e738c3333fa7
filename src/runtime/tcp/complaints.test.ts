import { expect, it } from "vitest";
import { Complaints } from "./complaints.ts";

it("what happens again and again is told once a second, with how often it was left out, and hides nothing else", () => {
  let now = 0;
  const told: string[] = [];
  const complaints = new Complaints<"garbage" | "crowd">(
    (from, what) => told.push(`${from}: ${what}`),
    () => now,
  );
  for (; now < 2500; now++) complaints.complain("garbage", "127.0.0.1:1", "not a hello");
  complaints.complain("crowd", "127.0.0.1:2", "too many");
  const more = "(and 999 times more since the last time that this was told)";
  expect(told).toEqual([
    "127.0.0.1:1: not a hello",
    `127.0.0.1:1: not a hello ${more}`,
    `127.0.0.1:1: not a hello ${more}`,
    "127.0.0.1:2: too many",
  ]);
});
