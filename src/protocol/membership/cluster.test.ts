/**
 * The cluster's views, its leavers, its attached nodes and its lease, in a simulated world of whole nodes. Most of these
 * are runs that once went wrong.
 */
import { describe, expect, test } from "vitest";
import { Random } from "../../base/random.ts";
import { parseControl } from "../../runtime/frames.ts";
import { check } from "../../simulation/axioms/index.ts";
import type { Counter } from "../../simulation/counter.ts";
import { isConverged } from "../../simulation/simulate.ts";
import { type Host, World, type WorldOptions } from "../../simulation/world.ts";
import { SAFE, TOTAL } from "../../wire/packet.ts";
import type { Message } from "../messages.ts";
import { nodeName } from "../view.ts";

/** These nodes in one cluster, `names[0]` the oldest. */
function clusterOf(names: string, options: Partial<WorldOptions> = {}): World {
  const world = new World({ seed: 1, ...options });
  for (const [index, name] of [...names].entries()) {
    world.start(name, index === 0 ? "found" : "join");
    expect(world.runUntilTrue(() => hostOf(world, name).status === "primary", 5000, 5)).toBe(true);
  }
  expect(world.runUntilTrue(() => isConverged(world), 5000, 5)).toBe(true);
  return world;
}

function hostOf(world: World, name: string): Host {
  const host = world.hosts.get(name);
  if (host === undefined) throw new Error(`there is no ${name}`);
  return host;
}

/** Joins one after the other. */
function join(world: World, group: string, names: string): Counter[] {
  return [...names].map((name) => {
    const counter = world.join(name, group);
    expect(world.runUntilTrue(() => counter.membership !== undefined, 5000, 1)).toBe(true);
    return counter;
  });
}

const nodesOf = (world: World, name: string): string =>
  hostOf(world, name)
    .view?.nodes.map(({ id }) => nodeName(id))
    .join("") ?? "";
const acceptorsOf = (world: World, name: string): string =>
  hostOf(world, name).view?.acceptors.map(nodeName).join("") ?? "";
const count = (world: World, kind: string): number => world.history.filter((event) => event.kind === kind).length;

/** Watches the control messages that leave. */
function tap(world: World, see: (message: Message, from: string, to: string) => void): void {
  world.fabric.tap = (from, to, frame, left) => {
    const message = left ? parseControl(frame) : undefined;
    if (message !== undefined) see(message, nodeName(from), nodeName(to));
  };
}

/** Nobody is heard by this node, which all hear. */
function deafen(world: World, name: string): void {
  for (const other of world.hosts.keys()) if (other !== name) world.fabric.rule(other, name).cut = true;
}

describe("who is in", () => {
  test.each([
    ["ab", 5],
    ["abcde", 5],
    ["abcdefgh", 1],
    ["abcdefgh", 3],
  ] as const)("%s with %i acceptors: the oldest agree, and a crash is over within a second", (names, directorySize) => {
    const world = clusterOf(names, { directorySize });
    expect(acceptorsOf(world, "a")).toBe(names.slice(0, directorySize));
    const last = names.at(-1) ?? "";
    world.run(5000);
    world.crash(last);
    expect(world.runUntilTrue(() => nodesOf(world, "a") === names.slice(0, -1), 1000, 5)).toBe(true);
    expect(check(world.history)).toEqual([]);
  });

  test("A9: when an acceptor goes an attached node is promoted, and nobody is taken for silent that has only begun to speak", () => {
    const world = clusterOf("abcdef", { directorySize: 2 });
    world.run(30_000);
    world.fabric.latencyMs = 40;
    world.fabric.jitterMs = 60;
    const suspected = new Set<string>();
    tap(world, (message) => {
      if (message.kind === "heartbeat") for (const id of message.suspects) suspected.add(nodeName(id));
    });
    world.crash("b");
    world.run(5000);
    expect(nodesOf(world, "f")).toBe("acdef");
    expect(acceptorsOf(world, "f")).toBe("ac");
    expect([...suspected]).toEqual(["b"]);
    expect(count(world, "blocked")).toBe(0);
  });

  test("two attached nodes whose connection is lost and made again do not lose each other", () => {
    for (let seed = 1; seed <= 10; seed++) {
      const world = clusterOf("abcd", { directorySize: 1, seed });
      world.run(10_000 + seed * 29);
      world.fabric.disconnect(hostOf(world, "c").id, hostOf(world, "d").id);
      world.run(3000);
      expect(nodesOf(world, "a")).toBe("abcd");
    }
  });

  test("C12: of two that cannot reach each other the younger goes, and nobody else", () => {
    const world = clusterOf("abcde");
    world.partition([["b"], ["d"]]);
    world.run(8000);
    expect(nodesOf(world, "a")).toBe("abce");
  });

  test.each([
    ["abcde", 5, "c", "abde"],
    ["abcdefgh", 3, "c", "abdefgh"],
    ["abcdefgh", 3, "f", "abcdegh"],
  ] as const)("a deaf node goes alone: %s with %i acceptors without %s", (names, directorySize, deaf, rest) => {
    const world = clusterOf(names, { directorySize });
    deafen(world, deaf);
    world.run(10_000);
    expect(nodesOf(world, "a")).toBe(rest);
    expect(count(world, "exclude")).toBe(0);
    world.heal();
    world.run(5000);
    expect(world.history.flatMap((event) => (event.kind === "exclude" ? nodeName(event.node) : []))).toEqual([deaf]);
  });

  test.each([
    ["abc", 5],
    ["abcde", 5],
    ["abcdefgh", 3],
  ] as const)("M5: the oldest, deaf, does not keep %s with %i acceptors from going on", (names, directorySize) => {
    const world = clusterOf(names, { directorySize });
    deafen(world, "a");
    world.run(10_000);
    expect(nodesOf(world, "b")).toBe(names.slice(1));
  });

  test("a node that was stopped itself excludes nobody for the silence that it slept through", () => {
    for (const names of ["ab", "abc"]) {
      for (let seed = 1; seed <= 10; seed++) {
        const world = clusterOf(names, { seed, directorySize: 1 });
        world.run(3000 + seed * 17);
        world.pause("a", 4000);
        // Something that has the paused node think about the view is the first thing it sees.
        world.run(3);
        world.close("b");
        world.run(8000);
        expect(count(world, "exclude")).toBe(0);
      }
    }
  });

  test("a blocked event loop of two seconds gets nobody excluded", () => {
    const world = clusterOf("abc");
    for (const name of "abc") {
      world.pause(name, 2000, "stall");
      world.run(5000);
    }
    expect(nodesOf(world, "a")).toBe("abc");
    expect(count(world, "exclude")).toBe(0);
  });
});

describe("leaving (A5)", () => {
  test.each(["a", "ab", "abc", "abcde"])("all of %s close at once, in less than a second", (names) => {
    const world = clusterOf(names);
    join(world, "g", names);
    const begun = world.now;
    for (const name of names) world.close(name);
    expect(world.runUntilTrue(() => world.running.length === 0, 1000, 5)).toBe(true);
    expect(world.now - begun).toBeLessThan(1000);
    expect(count(world, "close")).toBe(names.length);
    expect(check(world.history)).toEqual([]);
  });

  test("the oldest hands over, and is not missed", () => {
    const world = clusterOf("abc");
    const counters = join(world, "g", "abc");
    world.close("a");
    expect(world.runUntilTrue(() => !hostOf(world, "a").running, 1000, 5)).toBe(true);
    expect(nodesOf(world, "b")).toBe("bc");
    counters[1]?.send(SAFE);
    world.run(100);
    expect(counters.slice(1).map(({ delivered }) => delivered)).toEqual([1, 1]);
  });

  test("with a single acceptor that leaves, the next oldest has the directory before the first is gone", () => {
    const world = clusterOf("abc", { directorySize: 1 });
    join(world, "g", "bc");
    world.fabric.rule("a", "b").delayMs = 30;
    world.close("a");
    expect(world.runUntilTrue(() => !hostOf(world, "a").running, 1000, 5)).toBe(true);
    expect(acceptorsOf(world, "c")).toBe("b");
    expect(hostOf(world, "b").driver?.process.cluster.directory.named("g")?.members).toHaveLength(2);
  });

  test("a leaver that hears of the others' view before its own waits for nothing else", () => {
    const world = clusterOf("abcd");
    world.fabric.rule("a", "d").delayMs = 50;
    world.close("d");
    expect(world.runUntilTrue(() => !hostOf(world, "d").running, 1000, 5)).toBe(true);
  });

  test("a request that arises at the end of a turn does not wait for the next heartbeat", () => {
    const world = clusterOf("a");
    const [counter] = join(world, "g", "a");
    counter?.membership?.leave();
    world.run(10);
    expect(counter?.membership).toBeUndefined();
  });
});

describe("the lease (C10)", () => {
  test("a node without a quorum stops serving, however often it sleeps; then only may its group's name be used again", () => {
    const world = clusterOf("abcde");
    const [alone] = join(world, "g", "e");
    world.partition([["e"], [..."abcd"]]);
    const cutAt = world.now;
    for (let rounds = 0; rounds < 10; rounds++) {
      world.pause("e", 1100);
      world.run(2600);
      alone?.send(SAFE);
      if (world.now - cutAt > 6000) expect(hostOf(world, "e").status).toBe("blocked");
    }
    const before = alone?.delivered;
    const [again] = join(world, "g", "a");
    expect(again?.membership?.group).not.toBe(alone?.membership?.group);
    alone?.send(SAFE);
    world.run(1000);
    expect(alone?.delivered).toBe(before);
    world.heal();
    world.run(3000);
    expect(world.history.some((event) => event.kind === "exclude" && nodeName(event.node) === "e")).toBe(true);
    expect(check(world.history)).toEqual([]);
  });

  test("the side without a quorum says that it is blocked, and delivers nothing until it is not", () => {
    const world = clusterOf("abcd");
    const counters = join(world, "g", "abcd");
    world.partition([["a", "b"], ["c"], ["d"]]);
    world.run(5000);
    expect(hostOf(world, "c").status).toBe("blocked");
    expect(counters.map(({ isBlocked }) => isBlocked)).toEqual([false, false, true, true]);
    world.heal();
    expect(world.runUntilTrue(() => world.running.length === 2, 5000)).toBe(true);
    expect(nodesOf(world, "a")).toBe("ab");
  });

  test("the younger of two blocks when the older is gone for good, and waits", () => {
    const world = clusterOf("ab");
    world.crash("a");
    world.run(10_000);
    expect(hostOf(world, "b").status).toBe("blocked");
    world.run(60_000);
    expect(hostOf(world, "b").status).toBe("blocked");
  });
});

describe("founding (A8)", () => {
  test("configured founders found one cluster of all of them", () => {
    const world = new World({ seed: 4 });
    for (const name of "abc") world.start(name, ["a", "b", "c"]);
    expect(world.runUntilTrue(() => isConverged(world, [..."abc"]), 5000)).toBe(true);
    expect(nodesOf(world, "c")).toBe("abc");
  });

  test("nothing is founded while one of them is missing", () => {
    const world = new World({ seed: 4 });
    for (const name of "ab") world.start(name, ["a", "b", "c"]);
    world.run(20_000);
    expect(count(world, "install")).toBe(0);
    world.start("c", ["a", "b", "c"]);
    expect(world.runUntilTrue(() => isConverged(world, [..."abc"]), 5000)).toBe(true);
  });

  test("whatever crashes, restarts, sleeps or is cut while they found: nobody founds while somebody is in a cluster", () => {
    let foundings = 0;
    for (let seed = 1; seed <= 80; seed++) {
      const random = new Random(seed, 5);
      const world = new World({ seed, failureTimeoutMs: random.pick([500, 3000]) });
      world.fabric.latencyMs = random.pick([0.2, 5, 20]);
      world.fabric.jitterMs = random.pick([0.3, 20, 60]);
      const founders = [..."abcd"].slice(0, random.between(2, 4));
      const start = (name: string): void => void world.start(name, founders);
      for (const name of founders) world.at(random.below(300), () => start(name));
      const end = random.between(300, 2500);
      for (let time = 0; time < end; time += random.between(5, 120)) {
        const [one, other, die] = [random.pick(founders), random.pick(founders), random.below(10)];
        world.at(time, () => {
          if (die < 4) {
            world.crash(one);
            world.after(random.pick([1, 20, 200]), () => start(one));
          } else if (die < 7) {
            world.fabric.rule(one, other).cut = one !== other;
            world.after(random.pick([20, 200, 800]), () => world.heal());
          } else world.pause(one, random.pick([20, 300]));
        });
      }
      world.run(end + 3000);
      const dead = new Set<string>();
      const founded = new Map<string, string>();
      for (const event of world.history) {
        if (event.kind === "crash" || event.kind === "exclude" || event.kind === "close") dead.add(event.node);
        if (event.kind !== "install" || event.group !== "" || event.number !== 1) continue;
        const view = event.members.join();
        for (const [node, other] of founded) if (!dead.has(node)) expect([seed, view]).toEqual([seed, other]);
        founded.set(event.node, view);
        foundings++;
      }
    }
    expect(foundings).toBeGreaterThan(150);
  });

  test("who founds is in its first view only when that is on its disk; a crash or a leave before that founds nothing", () => {
    for (const end of ["crash", "close"] as const) {
      const world = new World({ seed: 1, durable: true });
      const { disk } = world.start("a", "found");
      if (disk !== undefined) disk.delayMs = 100;
      world.run(50);
      expect(hostOf(world, "a").status).toBe("joining");
      world[end]("a");
      world.run(150);
      expect([end, hostOf(world, "a").status, count(world, "install")]).toEqual([end, "closed", 0]);
      world.run(200);
      disk?.heal();
      world.start("a");
      expect(world.runUntilTrue(() => hostOf(world, "a").status === "primary", 5000, 5)).toBe(true);
      expect(check(world.history)).toEqual([]);
    }
  });

  test("a coordinator whose first view reached one founder does not found again when it comes back", () => {
    const world = new World({ seed: 5 });
    const founders = ["a", "b", "c"];
    for (const name of founders) world.start(name, founders);
    let struck = false;
    world.fabric.tap = (from, _to, frame, left) => {
      if (struck || left || nodeName(from) !== "a" || parseControl(frame)?.kind !== "installCluster") return;
      struck = true;
      world.partition([["a"], ["c"]]);
      world.partition([["b"], ["c"]]);
      world.at(world.now + 5, () => world.crash("a"));
    };
    expect(world.runUntilTrue(() => struck, 3000, 1)).toBe(true);
    world.run(20);
    expect(hostOf(world, "b").view?.number).toBe(1);
    world.heal();
    world.partition([["a"], ["b"]]);
    world.partition([["b"], ["c"]]);
    world.start("a", founders);
    world.run(1000);
    world.heal();
    world.partition([["a"], ["b"]]);
    world.run(3000);
    // b forgets that it was in a cluster; the new a and the new b are all that c knows.
    world.crash("b");
    world.heal();
    world.start("b", founders);
    world.run(10_000);
    expect(check(world.history)).toEqual([]);
  });
});

describe("groups through all this", () => {
  test("a flush waits for a joiner that has not loaded what was delivered before it came (F1)", () => {
    const world = clusterOf("ab");
    const [a] = join(world, "g", "a");
    a?.send(TOTAL);
    world.run(100);
    let isSlow = false;
    tap(world, (message) => {
      if (message.kind !== "stateChunk" || isSlow) return;
      isSlow = true;
      world.fabric.rule("a", "b").delayMs = 2000;
    });
    const b = world.join("b", "g");
    expect(world.runUntilTrue(() => a?.view.members.length === 2, 3000, 1)).toBe(true);
    a?.flush();
    world.run(1000);
    expect([a?.flushesPending, b.membership]).toEqual([1, undefined]);
    world.run(5000);
    expect(b.membership).toBeDefined();
    expect(a?.flushesPending).toBe(0);
  });

  test("left and joined again at once: a new membership, and the group goes on", () => {
    const world = clusterOf("abc");
    const [a, , c] = join(world, "g", "abc");
    world.fabric.latencyMs = 15;
    world.fabric.jitterMs = 20;
    const host = hostOf(world, "c");
    c?.membership?.leave();
    const isOut = (): boolean => host.driver?.process.cluster.directory.named("g")?.members.includes(host.id) === false;
    expect(world.runUntilTrue(isOut, 2000, 0.2)).toBe(true);
    expect(host.driver?.process.members.size).toBe(1);
    host.groups.delete("g");
    const again = world.join("c", "g");
    expect(world.runUntilTrue(() => again.membership !== undefined, 5000)).toBe(true);
    a?.flush();
    a?.send(SAFE);
    world.run(2000);
    expect([a?.flushesPending, again.delivered]).toEqual([0, 1]);
    expect(check(world.history)).toEqual([]);
  });

  test("memory: through many views a node remembers only those who are there", () => {
    const world = clusterOf("abc");
    join(world, "g", "abc");
    for (let round = 0; round < 24; round++) {
      if (round % 3 === 0) world.crash("c");
      else if (round % 3 === 1) world.close("c");
      else world.pause("c", 5000);
      expect(world.runUntilTrue(() => !hostOf(world, "c").running, 10_000, 20)).toBe(true);
      world.start("c");
      expect(world.runUntilTrue(() => hostOf(world, "c").status === "primary", 10_000, 10)).toBe(true);
      join(world, "g", "c");
    }
    for (const name of "ab") {
      const process = hostOf(world, name).driver?.process;
      expect(process?.cluster.linked.size).toBe(2);
      expect(process?.members.size).toBe(1);
    }
  });
});

describe("weights", () => {
  const weighed = (names: string, weights: Record<string, number>): World =>
    clusterOf(names, { weightOf: (name) => weights[name] ?? 1 });

  test("M3: the heavy node goes on without the light ones, not they without it", () => {
    const light = weighed("abc", { c: 4 });
    expect(acceptorsOf(light, "a")).toBe("abc");
    light.crash("a");
    light.crash("b");
    light.run(8000);
    expect([nodesOf(light, "c"), hostOf(light, "c").status]).toEqual(["c", "primary"]);
    const heavy = weighed("abc", { c: 4 });
    heavy.crash("c");
    heavy.run(8000);
    expect(["a", "b"].map((name) => hostOf(heavy, name).status)).toEqual(["blocked", "blocked"]);
    expect([...check(light.history), ...check(heavy.history)]).toEqual([]);
  });

  test("nodes without weight vote on nothing while others have some, and take over when these have left", () => {
    const world = weighed("abcd", { c: 0, d: 0 });
    expect(acceptorsOf(world, "d")).toBe("ab");
    world.crash("b");
    world.run(8000);
    expect([nodesOf(world, "d"), acceptorsOf(world, "d")]).toEqual(["acd", "a"]);
    world.close("a");
    world.run(8000);
    expect([nodesOf(world, "d"), acceptorsOf(world, "d")]).toEqual(["cd", "cd"]);
    expect(check(world.history)).toEqual([]);
  });

  test.each(["a", "b", "w"])(
    "three votes survive the loss of any one: a witness gives a cluster of two the third, and %s dies",
    (victim) => {
      const world = clusterOf("abw");
      join(world, "g", "ab");
      world.crash(victim);
      const rest = [..."abw"].filter((name) => name !== victim);
      expect(world.runUntilTrue(() => rest.every((name) => nodesOf(world, name) === rest.join("")), 8000, 50)).toBe(
        true,
      );
      expect(rest.map((name) => hostOf(world, name).status)).toEqual(["primary", "primary"]);
      expect(check(world.history)).toEqual([]);
    },
  );
});
