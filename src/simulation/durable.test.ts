/** E2: a cluster whose nodes have all failed goes on as the same cluster when a quorum of its last view is back. */
import { describe, expect, test } from "vitest";
import { Random } from "../base/random.ts";
import { check } from "./axioms/index.ts";
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

const SEEDS = 25;

/** What is not as it should be after a stormy life on disks: crashes of one, some and all, at any moment; "" when nothing. */
function storm(seed: number): string {
  const random = new Random(seed, 11);
  const names = ["a", "b", "c", "d"].slice(0, random.pick([2, 3, 3, 4]));
  const world = new World({ seed, durable: true, directorySize: random.pick([2, 3, 5]) });
  const clusters = new Set<string>();
  const look = (): void => {
    for (const { view } of world.running) if (view !== undefined) clusters.add(view.cluster);
  };
  // Founded by all of them, or by the first alone, who says so at every start.
  const together = random.chance(0.3);
  const start = (name: string): unknown => world.start(name, together ? names : name === "a" ? "found" : "join");
  for (const name of names) start(name);
  world.runUntilTrue(
    () => world.running.every(({ status }) => status === "primary"),
    random.pick([0, 20, 300, 20_000]),
    5,
  );
  for (let step = 0; step < 40; step++) {
    const name = random.pick(names);
    const isUp = world.hosts.get(name)?.running === true;
    const die = random.below(100);
    if (die < 15) for (const each of names) world.crash(each);
    else if (die < 35) random.chance(0.5) ? world.crash(name) : world.cutShort(name);
    else if (isUp && die < 60) world.join(name, random.pick(["g", "h", "i"]));
    else start(name);
    world.run(random.pick([0.3, 2, 10, 60, 300, 1500, 5000]));
    look();
  }
  const isWhole = (): boolean => {
    for (const name of names) start(name);
    const numbers = new Set(world.running.map(({ view, status }) => (status === "primary" ? view?.number : 0)));
    return numbers.size === 1 && world.running.every(({ view }) => view?.nodes.length === names.length);
  };
  const came = world.runUntilTrue(isWhole, 60_000);
  look();
  const judged = new Set(["M1", "M2", "M3", "B1"]);
  const [broken] = check(world.history, { quiescent: false }).filter(({ property }) => judged.has(property));
  if (broken !== undefined) return `${broken.property}: ${broken.message}`;
  if (clusters.size > 1) return `clusters ${[...clusters].join(" ")}`;
  return came ? "" : world.running.map(({ id, status, view }) => `${id} is ${status} in ${view?.number}`).join(", ");
}

describe("a stormy life", () => {
  test("never splits a cluster, loses a step of its directory or founds a second one, and ends as one cluster", () => {
    const found: string[] = [];
    for (let seed = 1; seed <= SEEDS; seed++) {
      const wrong = storm(seed);
      if (wrong !== "") found.push(`seed ${seed}: ${wrong}`);
    }
    expect(found).toEqual([]);
  });
});
