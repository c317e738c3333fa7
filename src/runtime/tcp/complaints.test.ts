import { expect, it } from "vitest";
import { Complaints } from "./complaints.ts";

it("what happens again and again is told a few times a second, with how often it was left out, and hides nothing else", () => {
  let now = 0;
  const told: string[] = [];
  const complaints = new Complaints<"garbage" | "crowd">(
    (from, what) => told.push(`${from}: ${what}`),
    () => now,
  );
  for (; now < 2500; now++) complaints.complain("garbage", "127.0.0.1:1", "not a hello");
  complaints.complain("crowd", "127.0.0.1:2", "too many");
  const garbage = "127.0.0.1:1: not a hello";
  const more = `${garbage} (and 995 times more since the last time that this was told)`;
  const later = [garbage, garbage, garbage, garbage];
  expect(told).toEqual([garbage, ...later, more, ...later, more, ...later, "127.0.0.1:2: too many"]);
});
