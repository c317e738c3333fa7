/** Forty nodes, of which five decide: the rest are attached, and take the place of those that are lost. */
import { describe, expect, test } from "vitest";
import { SAFE } from "../wire/packet.ts";
import { check } from "./axioms/index.ts";
import { isConverged, unsettled } from "./simulate.ts";
import { World } from "./world.ts";

const NAMES = Array.from({ length: 40 }, (_, index) => `n${index}`);

function forty(): World {
  const world = new World({ seed: 7 });
  for (const name of NAMES) world.start(name, name === "n0" ? "found" : "join");
  world.runUntilTrue(() => world.running.every(({ view }) => view?.nodes.length === NAMES.length), 10_000, 5);
  for (const name of NAMES) world.join(name, "g");
  return world;
}

const acceptorsOf = (world: World): readonly string[] =>
  (world.running[0]?.view?.acceptors ?? []).map((id) => id.slice(0, id.indexOf("#")));

describe("forty nodes", () => {
  test("come together in a few views, and in one group", () => {
    const world = forty();
    expect(
      world.runUntilTrue(() => isConverged(world, NAMES), 10_000, 5),
      unsettled(world),
    ).toBe(true);
    // Simulated milliseconds: of latency only, for there is no work to do.
    expect(world.now).toBeLessThan(1000);
    expect(world.running[0]?.view?.number).toBeLessThanOrEqual(6);
  });

  test("M5: lose acceptors, two at a time and then the leader, with attached nodes among them, and go on in one view", () => {
    const world = forty();
    world.runUntilTrue(() => isConverged(world, NAMES), 10_000, 5);
    for (const ages of [[0, 1], [3, 4], [0], [1, 2]]) {
      const acceptors = acceptorsOf(world);
      expect(acceptors).toHaveLength(5);
      const attached = world.running.map(({ name }) => name).filter((name) => !acceptors.includes(name));
      for (const { name } of world.running) world.hosts.get(name)?.counter("g")?.send(SAFE);
      for (const age of ages) world.crash(acceptors[age] as string);
      world.crash(attached.at(-1) as string);
      expect(
        world.runUntilTrue(() => isConverged(world), 20_000),
        unsettled(world),
      ).toBe(true);
    }
    expect(world.running).toHaveLength(NAMES.length - 11);
    expect(acceptorsOf(world)).toHaveLength(5);
    world.run(500);
    expect(check(world.history, { quiescent: true })).toEqual([]);
  });
});
