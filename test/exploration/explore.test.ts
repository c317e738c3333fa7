/**
 * Small worlds over the compiled core, explored to their ends; and planted bugs that an exploration finds. What is larger
 * is explored by hand: docs/TESTING.md has the figures.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Acts, NO_ACTS } from "../../src/simulation/explore/configuration.ts";
import type { Exploration, explore } from "../../src/simulation/explore/explore.ts";
import { listMutants } from "../../src/simulation/mutants.ts";
import { openExplorer } from "../../src/simulation/mutation.ts";
import { CAUSAL } from "../../src/wire/packet.ts";

const isBuilt = existsSync(join(import.meta.dirname, "../../dist/simulation/explore/explore.js"));

interface World extends Partial<Acts> {
  readonly members?: number;
  readonly hasGroup?: boolean;
  readonly flavours?: readonly number[];
}

function outcome(run: typeof explore, { members = 3, hasGroup = true, flavours, ...acts }: World): Exploration {
  const others = acts.joins ?? 0;
  return run({
    members,
    others,
    directorySize: members + others,
    hasGroup,
    ...(flavours === undefined ? {} : { flavours }),
    acts: { ...NO_ACTS, ...acts },
    depthMax: 500,
    statesMax: 50_000,
  });
}

describe.skipIf(!isBuilt)("in every order of events", () => {
  test.each<[string, World]>([
    ["a group of three keeps its promises while one dies", { crashes: 1 }],
    ["a group of two delivers what both send", { members: 2, sends: 2 }],
    ["a group of three delivers causal messages and answers to them", { sends: 3, flavours: [CAUSAL] }],
    ["a group of three goes on when two members cannot reach each other", { cuts: 1 }],
    ["a group of one takes in another while it sends", { members: 1, joins: 1, sends: 1 }],
    ["a cluster of three agrees on a view without the one that dies", { hasGroup: false, crashes: 1 }],
    ["a flush in a group of two is held or rejected when one dies", { members: 2, flushes: 1, crashes: 1 }],
  ])("%s", async (_, world) => {
    const { exhausted, violations, states, judged } = outcome(await openExplorer(), world);
    expect(violations).toEqual([]);
    expect(exhausted).toBe(true);
    expect(states).toBeGreaterThan(10);
    expect(judged).toBeGreaterThan(1);
  });

  test.each<[string, string, World]>([
    ["no-hold-barrier", "M5", { sends: 1, crashes: 1 }],
    ["cut-minimum", "D4", { sends: 1, crashes: 1 }],
    ["safe-at-once", "D8", { sends: 1, crashes: 1 }],
    ["causal-past-ignored", "D6", { sends: 2, flavours: [CAUSAL] }],
  ])("the bug %s breaks %s", async (name, property, world) => {
    const mutant = listMutants().find((each) => each.name === name);
    const { violations, path, history } = outcome(await openExplorer(mutant), world);
    expect(violations.map((violation) => violation.property)).toContain(property);
    expect(path.length).toBeGreaterThan(0);
    expect(history.length).toBeGreaterThan(0);
  });
});
