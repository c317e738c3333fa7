/**
 * The dispensary on simulated machines, under faults: nobody gets a medicine twice. The counter that is in haste is
 * caught, the others are not.
 */
import { expect, test } from "vitest";
// In a project of your own: from "coterie/testing".
import {
  explore,
  type SimulatedCluster,
  type SimulatedNode,
  SimulationError,
  simulateCluster,
} from "../../src/testing/index.ts";
import { type Claim, type Counter, dispensary, flushingCounter, hastyCounter, safeCounter } from "./dispensary.ts";
import { lostClaim } from "./lost-claim.ts";

const BOOKED = "what was given is in the books";

type MakeCounter = (node: SimulatedNode, give: (claim: Claim) => void) => Promise<Counter>;

function patientsAtEveryCounter(makeCounter: MakeCounter) {
  return async (cluster: SimulatedCluster) => {
    /** The world outside, where nothing is undone. */
    const given = new Set<string>();
    cluster.atRest(dispensary, BOOKED, ([book]) => {
      for (const prescription of given) expect(book?.state.has(prescription)).toBe(true);
    });
    await cluster.start("a", "b", "c");
    cluster.everywhere(async (node) => {
      const counter = await makeCounter(node, ({ prescription }) => {
        cluster.note(`${node.name} gives ${prescription}`);
        if (given.has(prescription)) cluster.fail("a medicine is given once");
        given.add(prescription);
      });
      while (!cluster.signal.aborted) {
        await node.sleep(100 + 200 * cluster.random());
        await counter(`rx${Math.floor(cluster.now / 400)}`);
      }
    });
    await cluster.trouble(15_000);
  };
}

const faults = ["crash", "pause", "partition", "slow"] as const;

test("the counter that is in haste gives a medicine twice, sooner or later", async () => {
  const failure = await explore({ seeds: 50, faults }, patientsAtEveryCounter(hastyCounter)).catch((error) => error);
  expect(failure).toBeInstanceOf(SimulationError);
  expect(["a medicine is given once", BOOKED]).toContain((failure as SimulationError).run.failures[0]?.property);
});

test.each([
  ["flushes its claims", flushingCounter],
  ["claims safely", safeCounter],
])("the counter that %s never does", async (_, counter) => {
  await explore({ seeds: 30, faults }, patientsAtEveryCounter(counter));
});

test("a claim that is only delivered here is lost when the others go on without its node", async () => {
  const failure = await simulateCluster({}, lostClaim).catch((error) => error);
  expect((failure as SimulationError).run.failures[0]?.property).toBe("given twice");
});
