/** The flush of `spec/flush.pml` is the flush of the code: runs of the model are runs of members, and its bugs are not theirs. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { SAFE, TOTAL } from "../../src/wire/packet.ts";
import { replayTrace, type Trace } from "./flush-trace.ts";

interface StoredTrace extends Trace {
  readonly bug: string;
}

/**
 * Where the code parts from the model with this bug: the leader does not issue what the model's does or members are in another
 * view, they do not say that they hold a cut, do not go on, have not delivered a safe message, or lack what a frozen
 * sequencer must not announce.
 */
const REFUSED: Readonly<Record<string, string>> = {
  ONE_PHASE: "pass",
  LATE_HOLD: "hold",
  NO_REISSUE: "install",
  BLIND_REISSUE: "end",
  LAGGARDS_SKIPPED: "issue",
  NO_FREEZE: "receive",
  NO_PROMISE: "issue",
  DATA_ONLY: "safe",
  CUT_MINIMUM: "issue",
};

const text = readFileSync(join(import.meta.dirname, "flush-traces.txt"), "utf8");
const traces = text.split("\n").flatMap((line): StoredTrace[] => {
  const [, bug, founders, joiners, steps] = /^(\w+) (\d) (\d): (.*)$/.exec(line) ?? [];
  if (bug === undefined || steps === undefined) return [];
  return [
    {
      bug,
      founders: Number(founders),
      joiners: Number(joiners),
      steps: steps.split("; ").map((step) => step.split(" ")),
    },
  ];
});
const right = traces.filter(({ bug }) => bug === "none");
const wrong = traces.filter(({ bug }) => bug !== "none");
const FLAVOURS = [
  ["ordered", TOTAL],
  ["safe", SAFE],
] as const;

describe.each(FLAVOURS)("with %s messages", (_, flavour) => {
  test.each(right.map((trace, index) => [index + 1, trace] as const))(
    "members go through run %i as the model does",
    (_, trace) => {
      expect(replayTrace(trace, flavour)).toBeUndefined();
    },
  );
});

test.each(wrong.map((trace) => [trace.bug, trace] as const))("members refuse the step that %s needs", (bug, trace) => {
  const difference = replayTrace(trace, SAFE);
  expect(difference).toBeDefined();
  expect(difference?.step.split(" ")[0]).toBe(REFUSED[bug]);
});

test("every planted bug has a run, and the runs have every kind of step", () => {
  expect(wrong.map(({ bug }) => bug).sort()).toEqual(Object.keys(REFUSED).sort());
  const verbs = new Set(right.flatMap(({ steps }) => steps.map(([verb]) => verb)));
  const all = [
    "target",
    "crash",
    "learn",
    "send",
    "receive",
    "fetch",
    "issue",
    "see",
    "hold",
    "pass",
    "install",
    "safe",
  ];
  expect([...verbs].sort()).toEqual(all.sort());
});
