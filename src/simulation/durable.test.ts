/** E2: a cluster whose nodes have all failed goes on as the same cluster when a quorum of its last view is back. */
import { describe, expect, test } from "vitest";
import { isConverged } from "./simulate.ts";
import { World } from "./world.ts";

function cluster(names: readonly string[], seed = 1): World {
  const world = new World({ seed, durable: true });
  for (const [index, name] of names.entries()) {
    world.start(name, index === 0 ? "found" : "join");
    expect(world.runUntilTrue(() => world.hosts.get(name)?.status === "primary", 20_000)).toBe(true);
  }
  world.run(500);
  return world;
}

describe("a cluster with data directories", () => {
  test("goes on after all of its nodes have failed at once, in any order of return", () => {
    for (const order of ["abc", "cba", "bca"]) {
      const world = cluster(["a", "b", "c"]);
      const before = world.hosts.get("a")?.view;
      for (const name of "abc") world.crash(name);
      world.run(2000);
      for (const name of order) {
        world.start(name);
        world.run(700);
      }
      expect(world.runUntilTrue(() => isConverged(world, ["a", "b", "c"]), 20_000)).toBe(true);
      const after = world.hosts.get("a")?.view;
      expect(after?.cluster).toBe(before?.cluster);
      expect(after?.number).toBeGreaterThan(before?.number ?? 0);
    }
  });
});
