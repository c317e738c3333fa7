/** Durable groups on simulated disks: what was safe outlives all members of the group. */
import { describe, expect, test } from "vitest";
import { SAFE, TOTAL } from "../wire/packet.ts";
import type { Counter } from "./counter.ts";
import { World } from "./world.ts";

/** A cluster of five, so that two of them may fail together. */
function cluster(seed: number): World {
  const world = new World({ seed, disks: true });
  world.start("a", "found");
  for (const name of ["b", "c", "d", "e"]) world.start(name);
  expect(world.runUntilTrue(() => world.running.every((host) => host.view?.nodes.length === 5), 10_000)).toBe(true);
  return world;
}

function join(world: World, name: string): Counter {
  const counter = world.join(name, "g");
  expect(world.runUntilTrue(() => counter.view.number > 0, 10_000)).toBe(true);
  world.run(500);
  return counter;
}

describe("a durable group", () => {
  test("goes on from the disk of any of its members when all have failed at once", () => {
    const world = cluster(1);
    const [d, e] = [join(world, "d"), join(world, "e")];
    for (let count = 0; count < 20; count++) {
      d.send(SAFE);
      e.send(count % 2 === 0 ? TOTAL : SAFE);
      world.run(3);
    }
    world.run(1000);
    const before = e.digest();
    expect(e.delivered).toBe(40);
    world.crash("d");
    world.crash("e");
    world.run(10_000);
    world.start("e");
    expect(world.runUntilTrue(() => world.hosts.get("e")?.status === "primary", 10_000)).toBe(true);
    const back = join(world, "e");
    expect(back.digest()).toBe(before);
    const other = join(world, "a");
    expect(other.digest()).toBe(before);
    back.send(SAFE);
    world.run(1000);
    expect(other.digest()).toBe(back.digest());
  });
});
