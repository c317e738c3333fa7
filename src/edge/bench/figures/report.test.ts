/** The report is one file that needs nothing else, and shows every figure that it is given. */
import { expect, test } from "vitest";
import { Histogram } from "../histogram.ts";
import { COPIES, SENDINGS } from "./experiments.ts";
import { report } from "./report.ts";
import { logarithmicTicks } from "./svg.ts";

function times(...microseconds: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const each of microseconds) histogram.add(each);
  return histogram;
}

const bursts = SENDINGS.flatMap((sending, index) =>
  [3, 8].map((members) => ({ sending, members, times: times(100 * (index + 1) * members, 900, 40_000) })),
);
const flushes = COPIES.map((copies) => ({ copies, members: 5, times: times(300, 500, 2000) }));
const steady = bursts.filter(({ members }) => members === 3);
const html = report({ bursts, steady, flushes, machine: "A <machine>.", leftOut: "Not measured: groups of 64." });

test("it needs nothing else, and what is named in it stays text", () => {
  expect(html).not.toMatch(/<script|<link|src=|https?:/);
  expect(html).toContain("A &lt;machine>.");
  expect(html).toContain("Not measured: groups of 64.");
});

test("a plot of bursts, one of deviations for each way of sending, one of flushes; all places are numbers", () => {
  expect(html.match(/<svg/g)).toHaveLength(1 + SENDINGS.length + 1);
  expect(html.match(/<polyline/g)).toHaveLength(SENDINGS.length);
  expect(html).not.toMatch(/NaN|Infinity|undefined/);
});

test("the tables have a row for each measurement", () => {
  expect(html.match(/<tr><td>/g)).toHaveLength(bursts.length + steady.length + flushes.length);
});

test("one measurement alone can be drawn", () => {
  const [burst] = bursts;
  const [flush] = flushes;
  if (burst === undefined || flush === undefined) throw new Error("there are figures");
  const few = report({ bursts: [burst], steady: [burst], flushes: [flush], machine: "", leftOut: "" });
  expect(few).not.toMatch(/NaN|Infinity|undefined/);
});

test("ticks of a logarithmic axis are at round numbers within it", () => {
  expect(logarithmicTicks(0.3, 6)).toEqual([0.5, 1, 2, 5]);
});
