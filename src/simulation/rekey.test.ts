/** A group gets another key while it works: nobody in it loses anything, and who has only the old one stays out. */
import { describe, expect, test } from "vitest";
import { GroupKey } from "../runtime/secure/group-key.ts";
import { SAFE, TOTAL } from "../wire/packet.ts";
import { check } from "./axioms/index.ts";
import type { Counter } from "./counter.ts";
import { World } from "./world.ts";

const NAMES = ["a", "b", "c", "d"] as const;
const NEW_KEY = new Uint8Array(32).fill(0xee);
const keyOf = (bytes: Uint8Array): GroupKey => new GroupKey(bytes, "g");

/** Four nodes, the first of them in a group with a key of its own. */
function guarded(seed: number, members: number): { readonly world: World; readonly counters: Counter[] } {
  // Groups have keys in worlds of even seeds.
  const world = new World({ seed: seed * 2, secure: true });
  for (const name of NAMES) world.start(name, name === "a" ? "found" : "join");
  world.runUntilTrue(() => world.running.every(({ view }) => view?.nodes.length === NAMES.length), 10_000);
  const counters = NAMES.slice(0, members).map((name) => world.join(name, "g"));
  const isFull = (): boolean => counters.every(({ view }) => view.members.length === members);
  expect(world.runUntilTrue(isFull, 10_000)).toBe(true);
  return { world, counters };
}

function rekey(counter: Counter | undefined, bytes = NEW_KEY): { outcome: string | undefined } {
  const asked: { outcome: string | undefined } = { outcome: undefined };
  counter?.membership?.rekey(bytes, (outcome) => {
    asked.outcome = outcome;
  });
  return asked;
}

function load(world: World, counters: readonly Counter[], forMs: number): void {
  for (let ms = 0; ms < forMs; ms += 5) {
    for (const counter of counters) counter.send(ms % 3 === 0 ? SAFE : TOTAL);
    world.run(5);
  }
}

const isMember = (world: World, name: string): boolean => {
  const { id, groups } = world.hosts.get(name) ?? { id: "", groups: new Map<string, Counter>() };
  return groups.get("g")?.view.members.includes(id) === true;
};

test("afterwards joins need the new key; those who were in it go on", () => {
  const { world, counters } = guarded(1, 3);
  const before = counters.map(({ view }) => view.number);
  const asked = rekey(counters[1]);
  load(world, counters, 2000);
  expect(asked.outcome).toBe("rekeyed");
  for (const [index, { view }] of counters.entries()) expect(view.number).toBe((before[index] ?? 0) + 1);
  world.join("d", "g");
  world.run(3000);
  expect(world.hosts.get("d")?.groups.has("g")).toBe(false);
  const late = world.join("d", "g", keyOf(NEW_KEY));
  load(world, [...counters, late], 3000);
  world.run(3000);
  expect(late.view.members).toHaveLength(4);
  expect(world.garbage).toEqual([]);
  expect(check(world.history)).toEqual([]);
});

test("a group without a key of its own gets none", () => {
  const world = new World({ seed: 3, secure: true });
  world.start("a", "found");
  world.run(2000);
  const counter = world.join("a", "g");
  world.run(2000);
  expect(rekey(counter).outcome).toBe("keyless");
});

test("of two at once both are done, one after the other, and the last one's key counts", () => {
  const { world, counters } = guarded(2, 3);
  const other = new Uint8Array(32).fill(0xdd);
  const asked = [rekey(counters[0]), rekey(counters[2], other)];
  load(world, counters, 4000);
  expect(asked).toEqual([{ outcome: "rekeyed" }, { outcome: "rekeyed" }]);
  const joins = [NEW_KEY, other].map((bytes) => {
    world.join("d", "g", keyOf(bytes));
    world.run(2000);
    const isIn = isMember(world, "d");
    if (isIn) world.hosts.get("d")?.groups.get("g")?.membership?.leave();
    world.run(2000);
    return isIn;
  });
  expect(joins.filter((isIn) => isIn)).toHaveLength(1);
  expect(world.garbage).toEqual([]);
  expect(check(world.history)).toEqual([]);
});

describe("whatever happens meanwhile, the group has one key, which all of its members have", () => {
  test.each(Array.from({ length: 16 }, (_, index) => index + 1))("seed %i", (seed) => {
    const { world, counters } = guarded(seed, 3);
    const { random } = world;
    rekey(random.pick(counters));
    load(world, counters, random.below(40) * 5);
    // With the old key, which may be too late; and somebody dies, perhaps who wanted the new one.
    world.join("d", "g");
    load(world, counters, random.below(40) * 5);
    world.crash(random.pick(NAMES.slice(0, 3)));
    load(world, counters, 3000);
    const living = NAMES.filter((name) => isMember(world, name) && world.running.some((host) => host.name === name));
    expect(living.length).toBeGreaterThanOrEqual(2);
    const survivors = living.flatMap((name) => world.hosts.get(name)?.groups.get("g") ?? []);
    const again = rekey(survivors[0], new Uint8Array(32).fill(0xcc));
    load(world, survivors, 4000);
    world.run(5000);
    expect(again.outcome).toBe("rekeyed");
    for (const { view } of survivors) expect(view).toEqual(survivors[0]?.view);
    expect(world.garbage).toEqual([]);
    expect(check(world.history)).toEqual([]);
  });
});
