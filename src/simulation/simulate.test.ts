/** Seeds: whole clusters under traffic and faults, judged by every checker. `coterie simulate` runs many more of them. */
import { describe, expect, test } from "vitest";
import { Random } from "../base/random.ts";
import type { HistoryEvent } from "../protocol/history.ts";
import { isQuorum } from "../protocol/view.ts";
import { check } from "./axioms/index.ts";
import { FAULT_KINDS, Faults } from "./faults.ts";
import { isConverged, type SimulationResult, simulate, unsettled } from "./simulate.ts";
import { Traffic } from "./traffic.ts";
import { World } from "./world.ts";

/** What is wrong with a run, in words that name its seed. */
function faultsOf({ seed, violations }: SimulationResult): string[] {
  return violations.map(({ property, message }) => `seed ${seed}: ${property} ${message}`);
}

describe("seeds on disks that fail", () => {
  test.each([1, 2, 3])("keep every promise: the %i. ten", (tens) => {
    let recoveries = 0;
    let returns = 0;
    for (let seed = tens * 10 - 9; seed <= tens * 10; seed++) {
      const result = simulate({ seed, durable: true, durationMs: 8000 });
      expect(faultsOf(result)).toEqual([]);
      for (const [at, event] of result.history.entries()) {
        if (event.kind !== "recover") continue;
        recoveries++;
        // A keeper brings the group back alone; who has others with it got from them only what it lacked.
        const isHere = (other: HistoryEvent): boolean =>
          other.kind === "install" && other.node === event.node && other.group === event.group;
        const first = result.history.slice(0, at).findLast(isHere) ?? result.history.slice(at).find(isHere);
        if (first?.kind === "install" && first.members.length > 1) returns++;
      }
    }
    expect(recoveries).toBeGreaterThan(5);
    expect(returns).toBeGreaterThan(2);
  });

  test.each([1095, 1470, 1959])("who leaves while its disk writes takes no step afterwards: seed %i", (seed) => {
    expect(faultsOf(simulate({ seed, durable: true }))).toEqual([]);
  });

  test("who is out of the cluster because its disk has failed enters no group", () => {
    expect(faultsOf(simulate({ seed: 1167, durable: true, members: 5 }))).toEqual([]);
  });

  test("who is told to leave twice before it is out comes back once", () => {
    expect(faultsOf(simulate({ seed: 1606, durable: true, members: 5 }))).toEqual([]);
  });

  test("who founds is in its first view only when that is on its disk", () => {
    expect(faultsOf(simulate({ seed: 1560, durable: true, members: 5 }))).toEqual([]);
  });

  test.each([641, 1864])("who leaves gives late nodes the directory of the view without it: seed %i", (seed) => {
    expect(faultsOf(simulate({ seed, durable: true, members: 5 }))).toEqual([]);
  });

  test("a checkpoint that is on disk too late for its membership gives up nothing that the next one needs", () => {
    expect(faultsOf(simulate({ seed: 159, durable: true, members: 5 }))).toEqual([]);
  });

  test.each([40, 403, 1896])(
    "when acceptors fail one after another, the disk that has all brings back: seed %i",
    (seed) => {
      expect(faultsOf(simulate({ seed, durable: true, members: 5 }))).toEqual([]);
    },
  );

  test("who has lived on without a vote leads acceptors that are back to the next view", () => {
    expect(faultsOf(simulate({ seed: 1328, durable: true, members: 5 }))).toEqual([]);
  });
});

describe("sixty seeds", () => {
  test.each([1, 2, 3, 4, 5, 6])("keep every promise: the %i. ten", (tens) => {
    let views = 0;
    const counts = { deliveries: new Map<string, number>(), queries: new Map<string, number>() };
    for (let seed = tens * 10 - 9; seed <= tens * 10; seed++) {
      const result = simulate({ seed, durationMs: 5000 });
      expect(faultsOf(result)).toEqual([]);
      views += result.views;
      for (const what of ["deliveries", "queries"] as const) {
        for (const [flavour, count] of Object.entries(result[what])) {
          counts[what].set(flavour, (counts[what].get(flavour) ?? 0) + count);
        }
      }
    }
    // They are no empty runs, and nothing is left out.
    expect(views).toBeGreaterThan(200);
    for (const [what, enough] of [
      ["deliveries", 100],
      ["queries", 1],
    ] as const) {
      for (const flavour of ["fifo", "causal", "total", "safe", "raw"]) {
        expect([what, flavour, (counts[what].get(flavour) ?? 0) >= enough]).toEqual([what, flavour, true]);
      }
    }
  });

  test("each kind of fault strikes in some of them", () => {
    for (const kind of FAULT_KINDS) {
      const struck = [1, 2, 3].some((seed) => {
        const result = simulate({ seed, durationMs: 4000, faults: [kind] });
        expect(faultsOf(result)).toEqual([]);
        return (result.faults[kind] ?? 0) > 0;
      });
      expect([kind, struck]).toEqual([kind, true]);
    }
  });
});

test("a node that leaves a group and joins it again in the same turn is a member of it", () => {
  for (const seed of [46, 65, 1345]) expect(faultsOf(simulate({ seed, members: 5 }))).toEqual([]);
});

test("a process that is stopped may be told to stall as well", () => {
  expect(faultsOf(simulate({ seed: 1490, members: 5 }))).toEqual([]);
});

describe("a seed", () => {
  test("is one run: the same seed has the same trace, another has another", () => {
    const run = (seed: number): SimulationResult => simulate({ seed, durationMs: 2000 });
    const first = run(7);
    const second = run(7);
    expect(second.traceHash).toBe(first.traceHash);
    expect(second.history).toEqual(first.history);
    expect([second.events, second.frames]).toEqual([first.events, first.frames]);
    const hashes = [1, 2, 3, 4, 5, 6, 7].map((seed) => run(seed).traceHash);
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  test("a run without faults converges and loses nothing", () => {
    const result = simulate({ seed: 3, durationMs: 2000, faults: [], members: 3, updatesPerSecond: 20 });
    expect(faultsOf(result)).toEqual([]);
    expect(result.lost).toBe(false);
    expect(result.faults).toEqual({});
  });
});

describe("other shapes of cluster", () => {
  /** One run as `simulate` makes them, with a shape and links of its own. */
  function run(seed: number, directorySize: number, members: number, latencyMs: number, jitterMs: number): string[] {
    const plan = new Random(seed, directorySize, members);
    const bounds = plan.chance(0.5) ? { windowBytes: 2000, joinerBytesMax: 3000, queueBytesMax: 20_000 } : {};
    const world = new World({ seed, directorySize, bounds });
    world.fabric.latencyMs = latencyMs;
    world.fabric.jitterMs = jitterMs;
    const names = [..."abcdefgh"].slice(0, members);
    const traffic = new Traffic(world, { groups: ["g", "h"].slice(0, plan.between(1, 2)), updatesPerSecond: 10 });
    const kinds = FAULT_KINDS.filter((kind) => kind !== "herd" && plan.chance(0.6));
    const faults = new Faults(world, traffic, { names, kinds: [...kinds, "pause"], everyMs: plan.pick([200, 600]) });
    world.start("a", "found");
    for (const name of names) traffic.employ(name);
    world.runUntilTrue(() => isConverged(world, names), 15_000);
    faults.start();
    world.run(5000);
    faults.calm();
    world.run(1000);
    traffic.stop();
    const converged = world.runUntilTrue(() => isConverged(world), 60_000);
    world.run(500);
    const alive = new Set(world.running.map(({ id }) => id));
    const views = world.running.flatMap(({ view }) => view ?? []).sort((x, y) => y.number - x.number);
    const isLost = views[0] === undefined || !isQuorum(views[0].acceptors, (id) => alive.has(id));
    const problems = check(world.history, { quiescent: converged }).map(
      ({ property, message }) => `${property} ${message}`,
    );
    if (!converged && !isLost) problems.push(`M5 ${unsettled(world)}`);
    return problems;
  }

  test.each([
    [1, 8, 0.2, 0.3],
    [1, 8, 15, 40],
    [3, 8, 15, 40],
    [2, 3, 40, 100],
    [5, 2, 15, 40],
    [5, 1, 0.2, 0.3],
  ] as const)(
    "%i acceptors of %i nodes, latency %f ms and up to %f more",
    (directorySize, members, latency, jitter) => {
      for (let seed = 1; seed <= 3; seed++) expect(run(seed, directorySize, members, latency, jitter)).toEqual([]);
    },
  );
});
