import { describe, expect, test } from "vitest";
import { World } from "../../simulation/world.ts";
import { TOTAL } from "../../wire/packet.ts";
import type { Epoch } from "../epoch.ts";
import { Laggards } from "./laggards.ts";

/** What a look needs of an epoch. */
class Crowd {
  isCrowded = false;
  behind: number[] = [];

  laggards(): number[] {
    return this.behind;
  }
}

const PERIOD_MS = 250;

function looks(laggards: Laggards, crowd: Crowd, from: number, to: number): string[] {
  const seen: string[] = [];
  for (let now = from; now <= to; now += PERIOD_MS) {
    for (const { rank, forMs } of laggards.look(now, crowd as unknown as Epoch)) seen.push(`${rank}:${forMs}`);
  }
  return seen;
}

describe("who is behind", () => {
  test("is watched from the first crowded window on, and no longer than that", () => {
    const laggards = new Laggards(PERIOD_MS);
    const crowd = new Crowd();
    expect(looks(laggards, crowd, 0, 1000)).toEqual([]);
    expect(laggards.deadline).toBe(Number.POSITIVE_INFINITY);
    crowd.isCrowded = true;
    crowd.behind = [2];
    expect(looks(laggards, crowd, 1000, 1500)).toEqual(["2:0", "2:250", "2:500"]);
    crowd.isCrowded = false;
    crowd.behind = [];
    expect(looks(laggards, crowd, 1750, 2500)).toEqual(["2:750", "2:1000", "2:1250", "2:0"]);
    expect(laggards.deadline).toBe(Number.POSITIVE_INFINITY);
  });

  test("is forgotten by a member that did not come round itself: its rows are old", () => {
    const laggards = new Laggards(PERIOD_MS);
    const crowd = new Crowd();
    crowd.isCrowded = true;
    crowd.behind = [1];
    looks(laggards, crowd, 0, 5000);
    expect(looks(laggards, crowd, 9000, 9250)).toEqual(["1:0", "1:250"]);
  });
});

describe("C13: a group of three whose windows are small", () => {
  function slowed(slowAfterMs: number, rowsToAllMax = 8): World {
    const world = new World({ seed: 1, slowAfterMs, bounds: { windowBytes: 2048, rowsToAllMax } });
    for (const name of ["a", "b", "c"]) {
      world.start(name, name === "a" ? "found" : "join");
      world.run(1000);
      world.join(name, "g");
      world.run(500);
    }
    return world;
  }

  function send(world: World, forMs: number): void {
    for (let at = 0; at < forMs; at += 10) {
      for (const name of ["a", "b"]) world.hosts.get(name)?.counter("g")?.send(TOTAL, 100);
      world.run(10);
    }
  }

  const membersOf = (world: World): string =>
    (world.hosts.get("a")?.counter("g")?.view.members ?? []).map((id) => id[0]).join("");

  test.each([
    ["to all", 8],
    ["by the sequencer", 2],
  ])(
    "excludes the one that is behind all others, which stays in the cluster; rows are told %s",
    (_how, rowsToAllMax) => {
      const world = slowed(1500, rowsToAllMax);
      for (const from of ["a", "b"]) world.fabric.rule(from, "c").bulkDelayMs = 3000;
      send(world, 6000);
      expect(membersOf(world)).toBe("ab");
      expect(world.hosts.get("c")?.counter("g")).toBeUndefined();
      expect(world.history.filter((event) => event.kind === "end" && event.why === "excluded")).toHaveLength(1);
      expect(world.running.map(({ status, view }) => `${status} ${view?.nodes.length}`)).toEqual(
        Array.from({ length: 3 }, () => "primary 3"),
      );
    },
  );

  test("keeps everybody when one member alone finds another slow", () => {
    const world = slowed(1500);
    // What b hears of the rows is old, but a sees that c takes what is sent.
    world.fabric.rule("c", "b").bulkDelayMs = 3000;
    world.fabric.rule("c", "b").delayMs = 1000;
    send(world, 8000);
    expect(membersOf(world)).toBe("abc");
  });

  test("keeps a slow member that catches up in time", () => {
    const world = slowed(4000);
    for (const from of ["a", "b"]) world.fabric.rule(from, "c").bulkDelayMs = 1000;
    send(world, 2000);
    world.heal();
    send(world, 6000);
    expect(membersOf(world)).toBe("abc");
  });
});
