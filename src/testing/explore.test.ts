import { describe, expect, test } from "vitest";
import { defineGroup } from "../group/define.ts";
import { CLUSTER_FAULT_KINDS, explore, type Scenario, SimulationError, simulateCluster } from "./index.ts";

const tally = defineGroup({
  name: "tally",
  state: () => ({ count: 0 }),
  updates: {
    add: ({ state }, number: number) => {
      state.count += number;
      return state.count;
    },
  },
});

const adding: Scenario = async (cluster) => {
  await cluster.start("a", "b", "c");
  cluster.everywhere(async (node) => {
    const group = await node.join(tally);
    while (!cluster.signal.aborted) {
      await node.sleep(50 + 100 * Math.random());
      await group.safeSend.add(1);
    }
  });
  await cluster.trouble(8000);
};

describe("exploration", () => {
  test("goes through the seeds under faults of every kind, and finds nothing wrong in what is right", async () => {
    const { seeds, simulatedSeconds, faults } = await explore({ seeds: 30, faults: CLUSTER_FAULT_KINDS }, adding);
    expect(seeds).toBe(30);
    expect(simulatedSeconds).toBeGreaterThan(240);
    expect(Object.keys(faults).sort()).toEqual([...CLUSTER_FAULT_KINDS].sort());
  });

  test("is the same every time, and so is a run of the faults that have struck", async () => {
    const run = await simulateCluster({ seed: 5, faults: CLUSTER_FAULT_KINDS, twice: true }, adding);
    expect(run.faults.length).toBeGreaterThan(2);
    const again = await simulateCluster({ seed: 5, faults: run.faults }, adding);
    expect(again.traceHash).toBe(run.traceHash);
    expect(again.faults).toEqual(run.faults);
  });

  test("ends all faults when the trouble is over, also those that have not found their moment", async () => {
    const faults = [{ at: 500, kind: "crash-in-turn", nodes: ["b"], forMs: 500 }] as const;
    for (const isInTime of [true, false]) {
      const run = await simulateCluster({ faults }, async (cluster) => {
        const [a, b] = await cluster.start("a", "b", "c");
        const group = await a.join(tally);
        await b.join(tally);
        await cluster.sleep(600 - cluster.now);
        if (isInTime) await group.orderedSend.add(1);
        await cluster.trouble(1000);
        await group.orderedSend.add(1);
      });
      expect(run.history.filter(({ kind }) => kind === "crash")).toHaveLength(isInTime ? 1 : 0);
    }
  });

  test("tells the first seed that fails, with the faults that it takes", async () => {
    const scenario: Scenario = async (cluster) => {
      cluster.always(tally, "nobody is alone", ({ view }) => cluster.now < 3000 || view.members.length > 1);
      cluster.always(tally, "three are there", ({ view }) => cluster.now < 3000 || view.members.length > 2);
      await adding(cluster);
    };
    const error = await explore({ seeds: 20, from: 3, faults: CLUSTER_FAULT_KINDS }, scenario).catch(
      (thrown) => thrown,
    );
    expect(error).toBeInstanceOf(SimulationError);
    const { message, run } = error as SimulationError;
    expect(run.failures[0]?.property).toBe("three are there");
    expect(run.faults).toHaveLength(1);
    expect(message).toContain(`simulateCluster({ seed: ${run.seed}, faults }, scenario) with`);
    const again = await simulateCluster({ seed: run.seed, faults: run.faults }, scenario).catch((thrown) => thrown);
    expect((again as SimulationError).run.traceHash).toBe(run.traceHash);
  });
});
