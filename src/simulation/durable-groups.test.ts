/** Durable groups on simulated disks: what was safe outlives all members of the group. */
import { describe, expect, test, vi } from "vitest";
import { Random } from "../base/random.ts";
import { intact } from "../runtime/log/intact.ts";
import { CAUSAL, FIFO, SAFE, TOTAL } from "../wire/packet.ts";
import { check } from "./axioms/index.ts";
import type { Counter } from "./counter.ts";
import type { SimulatedDisk } from "./disk.ts";
import { World } from "./world.ts";

function cluster(names: string, seed = 1, recordBytesMax = 1e9, acceptors?: number): World {
  const world = new World({ seed, durable: true, acceptors, bounds: { recordBytesMax } });
  for (const name of names) {
    world.start(name, name === names[0] ? "found" : "join");
    expect(world.runUntilTrue(() => world.hosts.get(name)?.status === "primary", 10_000)).toBe(true);
  }
  world.run(500);
  return world;
}

function join(world: World, name: string): Counter {
  const counter = world.join(name, "g");
  expect(world.runUntilTrue(() => counter.view.number > 0, 10_000)).toBe(true);
  world.run(500);
  return counter;
}

function load(world: World, members: readonly Counter[]): void {
  for (let count = 0; count < 40; count++) {
    for (const member of members) member.send(count % 3 === 0 ? TOTAL : SAFE);
    world.run(3);
  }
}

/** The keepers of the group, as the directory at a node names them, by the first letters of their names. */
function keepers(world: World, at: string): string {
  const group = world.hosts.get(at)?.driver?.process.cluster.directory.named("g");
  return `${group?.status} ${group?.keepers.map(({ node }) => node[0]).join("")}`;
}

describe("a durable group", () => {
  test("goes on after all nodes have failed at once, from the disk of any one that held the state", () => {
    for (const first of "abc") {
      const world = cluster("abc");
      const members = [..."abc"].map((name) => join(world, name));
      load(world, members);
      world.run(1000);
      const before = members[0]?.digest();
      expect(members.map((member) => member.digest())).toEqual([before, before, before]);
      for (const name of "abc") world.crash(name);
      world.run(2000);
      for (const name of "abc") world.start(name);
      expect(world.runUntilTrue(() => world.running.every(({ status }) => status === "primary"), 20_000)).toBe(true);
      expect(keepers(world, "a")).toBe("lost abc");
      const back = join(world, first);
      expect(back.digest()).toBe(before);
      expect(keepers(world, "a")).toBe(`live ${first}`);
      const others = [..."abc"].filter((name) => name !== first).map((name) => join(world, name));
      load(world, [back, ...others]);
      world.run(1000);
      for (const other of others) expect(other.digest()).toBe(back.digest());
    }
  });

  test("waits for those that were there last, and lets in who has asked meanwhile", () => {
    const world = cluster("abcde");
    const [d, e] = [join(world, "d"), join(world, "e")];
    load(world, [d, e]);
    world.crash("e");
    world.run(5000);
    expect(keepers(world, "a")).toBe("live d");
    d.send(SAFE);
    world.run(500);
    const before = d.digest();
    world.crash("d");
    world.run(5000);
    expect(keepers(world, "a")).toBe("lost d");
    world.start("e");
    world.run(2000);
    const early = world.join("e", "g");
    world.run(5000);
    expect(early.view.number).toBe(0);
    world.start("d");
    world.run(2000);
    expect(join(world, "d").digest()).toBe(before);
    world.run(2000);
    expect(early.digest()).toBe(before);
  });

  test("is brought back by another keeper when one fails while it does so, and its joiners wait", () => {
    const world = cluster("abcde");
    const [d, e] = [join(world, "d"), join(world, "e")];
    load(world, [d, e]);
    world.run(1000);
    const before = d.digest();
    for (const name of "de") world.crash(name);
    world.run(5000);
    for (const name of "de") world.start(name);
    expect(world.runUntilTrue(() => world.running.every(({ status }) => status === "primary"), 20_000)).toBe(true);
    world.join("d", "g");
    expect(world.runUntilTrue(() => keepers(world, "a") === "live d", 1000, 0.1)).toBe(true);
    world.crash("d");
    world.run(5000);
    expect(keepers(world, "a")).toBe("lost de");
    expect(join(world, "e").digest()).toBe(before);
    expect(keepers(world, "a")).toBe("live e");
    expect(check(world.history)).toEqual([]);
  });

  test("a member that comes back to a living group gets the present state, and keeps it", () => {
    const world = cluster("abcde");
    const [d, e] = [join(world, "d"), join(world, "e")];
    load(world, [d, e]);
    world.crash("e");
    world.run(5000);
    load(world, [d]);
    world.start("e");
    world.run(2000);
    const back = join(world, "e");
    world.run(1000);
    expect(back.digest()).toBe(d.digest());
    expect(keepers(world, "a")).toBe("live de");
    world.crash("d");
    world.run(5000);
    load(world, [back]);
    world.run(1000);
    const before = back.digest();
    world.crash("e");
    world.run(5000);
    world.start("e");
    world.run(2000);
    expect(join(world, "e").digest()).toBe(before);
  });

  test("waits for the disks of its acceptors only, and is brought back from these", () => {
    const world = cluster("abcde", 1, 1e9, 2);
    const members = [..."bcd"].map((name) => join(world, name));
    const [b, c, d] = members as [Counter, Counter, Counter];
    const delivered = (): number[] => members.map((member) => member.delivered);
    const disk = (name: string): SimulatedDisk => world.hosts.get(name)?.disk as SimulatedDisk;
    load(world, members);
    world.run(1000);
    const before = delivered();
    disk("c").delayMs = 10_000;
    b.send(SAFE);
    world.run(2000);
    expect(delivered()).toEqual(before);
    disk("c").delayMs = 0;
    disk("d").delayMs = 10_000;
    world.run(10_000);
    load(world, [b, c]);
    world.run(1000);
    expect(delivered()).toEqual(before.map((count) => count + 81));
    const digest = b.digest();
    expect([c.digest(), d.digest()]).toEqual([digest, digest]);
    for (const name of "abcde") world.crash(name);
    disk("d").delayMs = 0;
    for (const name of "abcde") world.start(name);
    expect(world.runUntilTrue(() => world.running.every(({ status }) => status === "primary"), 20_000)).toBe(true);
    expect(keepers(world, "a")).toBe("lost bc");
    const early = world.join("d", "g");
    world.run(3000);
    expect(early.view.number).toBe(0);
    expect(join(world, "c").digest()).toBe(digest);
    world.run(2000);
    expect(early.digest()).toBe(digest);
    expect(check(world.history)).toEqual([]);
  });

  test("whose acceptors have all gone is theirs until another disk is as good", () => {
    const world = cluster("abcde", 1, 1e9, 1);
    const [d, e] = [join(world, "d"), join(world, "e")];
    load(world, [d, e]);
    world.run(1000);
    const before = d.digest();
    expect(keepers(world, "a")).toBe("live de");
    // The only acceptor dies, and the other member when it is to take its place, before it does.
    world.crash("d");
    expect(world.runUntilTrue(() => keepers(world, "a") === "live e", 10_000, 0.1)).toBe(true);
    world.crash("e");
    world.run(5000);
    expect(keepers(world, "a")).toBe("lost e");
    world.start("d");
    world.start("e");
    world.run(3000);
    const early = world.join("d", "g");
    world.run(3000);
    expect(early.view.number).toBe(0);
    world.join("e", "g");
    world.run(3000);
    expect(keepers(world, "a")).toMatch(/^live d/);
    expect(early.digest()).toBe(before);
    expect(check(world.history)).toEqual([]);
  });

  test("that all have left in good order comes back from the disk of the last to go", () => {
    const world = cluster("abc");
    const [a, b] = [join(world, "a"), join(world, "b")];
    load(world, [a, b]);
    world.run(1000);
    const before = b.digest();
    a.membership?.leave();
    world.run(1000);
    b.membership?.leave();
    world.run(1000);
    expect(keepers(world, "c")).toBe("lost b");
    const other = world.join("c", "g");
    world.run(2000);
    expect(other.view.number).toBe(0);
    expect(join(world, "b").digest()).toBe(before);
    world.run(2000);
    expect(other.digest()).toBe(before);
  });

  test("writes checkpoints at the start of new views, and needs nothing that lies before", () => {
    const world = cluster("abc", 1, 20_000);
    const members = [..."abc"].map((name) => join(world, name));
    const floors = [0];
    for (let round = 0; round < 5; round++) {
      load(world, members);
      load(world, members);
      world.run(2000);
      const [member] = world.hosts.get("b")?.driver?.process.members.values() ?? [];
      floors.push(member?.journal.remains?.from ?? 0);
    }
    expect(members[0]?.view.number).toBeGreaterThan(5);
    expect(floors.at(-1)).toBeGreaterThan(floors.at(-3) ?? 0);
    const before = members[1]?.digest();
    for (const name of "abc") world.crash(name);
    for (const name of "abc") world.start(name);
    expect(world.runUntilTrue(() => world.running.every(({ status }) => status === "primary"), 20_000)).toBe(true);
    const back = join(world, "b");
    expect(back.digest()).toBe(before);
    expect(back.delivered).toBeLessThan(members[1]?.delivered ?? 0);
  });

  test("a state that cannot be captured is no checkpoint: the log is kept, and it is tried again later", () => {
    const world = cluster("abc", 1, 20_000);
    const members = [..."abc"].map((name) => join(world, name));
    const [member] = world.hosts.get("b")?.driver?.process.members.values() ?? [];
    let failures = 0;
    const broken = vi.spyOn(members[1] as Counter, "capture").mockImplementation(() => {
      failures++;
      return { read: (callback) => callback(Uint8Array.of(1)), hasFailed: true, close: () => {} };
    });
    const floor = member?.journal.remains?.from;
    for (let round = 0; round < 5; round++) {
      load(world, members);
      load(world, members);
      world.run(2000);
    }
    expect(failures).toBeGreaterThan(1);
    expect(failures).toBeLessThan(20);
    expect(member?.journal.remains?.from).toBe(floor);
    const before = members[1]?.digest();
    for (const name of "abc") world.crash(name);
    for (const name of "abc") world.start(name);
    expect(world.runUntilTrue(() => world.running.every(({ status }) => status === "primary"), 20_000)).toBe(true);
    broken.mockRestore();
    const back = join(world, "b");
    expect(back.digest()).toBe(before);
    for (let round = 0; round < 3; round++) {
      load(world, [back]);
      load(world, [back]);
      world.run(2000);
    }
    const [again] = world.hosts.get("b")?.driver?.process.members.values() ?? [];
    expect(again?.journal.remains?.from).toBeGreaterThan(floor ?? 0);
  });

  test("whose log is damaged in a running member writes what it needs anew, and the damage is gone", () => {
    for (let seed = 1; seed <= 8; seed++) {
      const world = cluster("abc", seed);
      const members = [..."abc"].map((name) => join(world, name));
      load(world, members);
      world.run(2000);
      const { disk, storage } = world.hosts.get("c") ?? {};
      const log = storage?.log;
      if (disk === undefined || log === undefined) throw new Error("it has a disk");
      // A bit that flips in what fills a block up damages nothing.
      while (log.damage.length === 0) {
        disk.decay();
        for (const _ of intact(log));
      }
      world.run(2000);
      load(world, members);
      world.run(2000);
      expect(log.damage, `seed ${seed}`).toEqual([]);
      const before = members[2]?.digest();
      for (const name of "abc") world.crash(name);
      for (const name of "abc") world.start(name);
      expect(world.runUntilTrue(() => world.running.every(({ status }) => status === "primary"), 20_000)).toBe(true);
      expect(join(world, "c").digest()).toBe(before);
      expect(check(world.history)).toEqual([]);
    }
  });

  test("holds its senders back while a disk is full, and goes on by itself when there is room", () => {
    const world = cluster("abc");
    const members = [..."abc"].map((name) => join(world, name));
    load(world, members);
    world.run(1000);
    const disk = world.hosts.get("b")?.disk as SimulatedDisk;
    disk.capacityBytes = disk.usedBytes;
    const send = (): void => {
      for (let count = 0; count < 300; count++) {
        for (const member of members) member.send(SAFE);
        world.run(3);
      }
      world.run(1000);
    };
    send();
    const held = members.map(({ delivered }) => delivered);
    send();
    expect(members.map(({ delivered }) => delivered)).toEqual(held);
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    world.run(10_000);
    expect(members[0]?.delivered).toBeGreaterThan((held[0] ?? 0) + 900);
    const digests = new Set(members.map((member) => member.digest()));
    expect(digests.size).toBe(1);
    expect(check(world.history)).toEqual([]);
  });

  test("keeps what was safe or flushed, once and in order, whoever fails when", { timeout: 60_000 }, () => {
    let recoveries = 0;
    for (let seed = 1; seed <= 24; seed++) {
      const world = cluster("abc", seed, seed % 2 === 0 ? 4000 : 1e9);
      const random = new Random(seed, 3);
      const members = new Map([..."abc"].map((name) => [name, join(world, name)]));
      for (let round = 0; round < 4; round++) {
        for (let step = 0; step < 60; step++) {
          const member = members.get(random.pick(["a", "b", "c"]));
          for (let count = random.below(4); count > 0; count--)
            member?.send(random.pick([FIFO, CAUSAL, TOTAL, SAFE, SAFE]));
          if (random.chance(0.05)) member?.flush();
          world.run(random.pick([0.3, 1, 5]));
        }
        // Together, or one after another with the others going on meanwhile.
        const names = random.chance(0.5) ? ["a", "b", "c"] : [random.pick(["a", "b", "c"])];
        for (const name of names) world.crash(name);
        world.run(random.pick([100, 5000]));
        for (const name of names) world.start(name);
        expect(world.runUntilTrue(() => world.running.every(({ status }) => status === "primary"), 30_000)).toBe(true);
        for (const name of random.chance(0.5) ? names : names.toReversed()) members.set(name, world.join(name, "g"));
        const isIn = (): boolean => [...members.values()].every(({ view }) => view.members.length === 3);
        expect(world.runUntilTrue(isIn, 30_000)).toBe(true);
      }
      world.run(2000);
      const digests = new Set([...members.values()].map((member) => member.digest()));
      expect(digests.size).toBe(1);
      expect(check(world.history)).toEqual([]);
      recoveries += world.history.filter(({ kind }) => kind === "recover").length;
    }
    expect(recoveries).toBeGreaterThan(10);
  });
});
