import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { defineGroup } from "../group/define.ts";
import type { CoterieError } from "../group/errors.ts";
import { type Scenario, type SimulateClusterOptions, SimulationError, simulateCluster } from "./index.ts";

const prices = defineGroup({
  name: "prices",
  state: () => new Map<string, number>(),
  updates: {
    set: ({ state }, name: string, price: number) => {
      state.set(name, price);
    },
  },
  queries: { lookup: ({ state }, name: string) => state.get(name) },
});

/** What is wrong with a run, in the sentences of its error. */
async function failureOf(scenario: Scenario, options: SimulateClusterOptions = {}): Promise<SimulationError> {
  const error = await simulateCluster(options, scenario).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(SimulationError);
  return error as SimulationError;
}

async function codeOf(call: PromiseLike<unknown>): Promise<string> {
  return await call.then(
    () => "none",
    (error: CoterieError) => error.code,
  );
}

describe("a simulated cluster", () => {
  test("runs a user's group on three nodes, every time alike", async () => {
    const run = await simulateCluster({ seed: 3, twice: true }, async (cluster) => {
      const [a, b, c] = await cluster.start("a", "b", "c");
      const groups = [await a.join(prices), await b.join(prices), await c.join(prices)] as const;
      await groups[1].safeSend.set("Harry", 20.75);
      for (const group of groups) {
        await cluster.until(() => group.read(({ state }) => state.get("Harry")) === 20.75);
      }
      const replies = await groups[2].query(3).lookup("Harry");
      expect(replies.map(({ value }) => value)).toEqual([20.75, 20.75, 20.75]);
    });
    expect(run).toMatchObject({ seed: 3, failures: [], faults: [], lost: false });
    expect(run.history.filter(({ kind }) => kind === "deliver")).toHaveLength(6);
  });

  test("differs from seed to seed", async () => {
    const scenario: Scenario = async (cluster) => {
      const [a] = await cluster.start("a", "b");
      await a.join(prices);
    };
    const [one, other] = await Promise.all([1, 2].map((seed) => simulateCluster({ seed }, scenario)));
    expect(one?.traceHash).not.toBe(other?.traceHash);
  });

  test("tells what a scenario throws, with the seed", async () => {
    const error = await failureOf(() => expect(1).toBe(2), { seed: 17 });
    expect(error).toMatchObject({ code: "simulation-failed", run: { seed: 17 } });
    expect(error.message).toContain("seed 17: the scenario does not fail");
    expect(error.message).toContain("simulateCluster({ seed: 17, … }, scenario)");
    expect(error.cause).toMatchObject({ name: "AssertionError" });
  });

  test("tells that a scenario does not end", async () => {
    const error = await failureOf(() => new Promise(() => {}), { timeLimitMs: 5000 });
    expect(error.run.failures).toMatchObject([{ property: "the scenario ends", at: expect.any(Number) }]);
    expect(error.run.simulatedMs).toBeLessThanOrEqual(5000);
  });

  test("refuses options that are none", async () => {
    const scenario = () => {};
    expect(await codeOf(simulateCluster({ sead: 1 } as never, scenario))).toBe("invalid-option");
    expect(await codeOf(simulateCluster({ seed: -1 }, scenario))).toBe("invalid-option");
    expect(await codeOf(simulateCluster({ faults: ["flood" as never] }, scenario))).toBe("invalid-option");
    const failures = [
      (await failureOf((cluster) => cluster.start("no name"))).cause,
      (await failureOf((cluster) => cluster.crash("nobody"))).cause,
      (await failureOf((cluster) => cluster.clients("heap" as never))).cause,
    ];
    for (const failure of failures) expect(failure).toMatchObject({ code: "invalid-argument" });
  });
});

describe("time and chance", () => {
  test("are simulated for everything in the run, and real outside", async () => {
    const seen: unknown[] = [];
    const started = Date.now();
    const scenario: Scenario = async (cluster) => {
      const begun = Date.now();
      await new Promise((resolve) => setTimeout(resolve, 3_600_000));
      await sleep(1000);
      const beats: number[] = [];
      const beat = setInterval(() => beats.push(performance.now()), 10);
      await cluster.sleep(35);
      clearInterval(beat);
      await cluster.sleep(100);
      expect(beats).toHaveLength(3);
      expect(Math.floor(cluster.now)).toBe(3_601_135);
      expect(new Date().toISOString()).toBe(new Date(begun + 3_601_135).toISOString());
      expect(Date.now() - begun).toBe(3_601_135);
      const signal = AbortSignal.timeout(50);
      await cluster.sleep(51);
      expect(signal.aborted).toBe(true);
      const cancelled = setTimeout(() => seen.push("cancelled"), 5);
      clearTimeout(cancelled);
      expect(new Date(5)).toBeInstanceOf(Date);
      seen.push([Math.random(), cluster.random(), randomUUID(), crypto.getRandomValues(new Uint8Array(3)).join()]);
    };
    await simulateCluster({ timeLimitMs: 4_000_000 }, scenario);
    await simulateCluster({ timeLimitMs: 4_000_000 }, scenario);
    expect(seen[1]).toEqual(seen[0]);
    expect(seen).toHaveLength(2);
    expect(Date.now() - started).toBeLessThan(600_000);
    expect(randomUUID()).not.toBe(randomUUID());
  });

  test("that a program takes from elsewhere show as a difference of two runs", async () => {
    let runs = 0;
    const scenario: Scenario = async (cluster) => {
      const [a] = await cluster.start("a");
      await (await a.join(prices)).safeSend.set("runs", ++runs);
    };
    expect(await codeOf(simulateCluster({ twice: true }, scenario))).toBe("not-deterministic");
  });

  test.each([
    ["reads a clock", () => Date.now()],
    ["draws random numbers", () => Math.random()],
    ["sets a timer", () => setTimeout(() => {}, 1)],
  ])("an update that %s is told of", async (what, act) => {
    const hasty = defineGroup({ name: "hasty", state: () => ({ at: 0 }), updates: { act: () => void act() } });
    const error = await failureOf(async (cluster) => {
      const [a] = await cluster.start("a");
      await (await a.join(hasty)).orderedSend.act();
    });
    expect(error.message).toContain(`the update \`act\` of group hasty ${what}`);
  });
});

describe("processes", () => {
  test("die with their timers and with what they wait for, and begin anew", async () => {
    await simulateCluster({}, async (cluster) => {
      const [, b] = await cluster.start("a", "b", "c");
      const begun: string[] = [];
      let beats = 0;
      cluster.everywhere(async (node) => {
        begun.push(node.name);
        await node.join(prices);
      });
      const interrupted = b.run(async () => {
        const beat = setInterval(() => beats++, 100);
        await b.sleep(10_000);
        clearInterval(beat);
      });
      await cluster.sleep(1000);
      cluster.crash(b);
      expect(await codeOf(interrupted)).toBe("crashed");
      expect(await codeOf(b.join(prices))).toBe("crashed");
      expect(b.running).toBe(false);
      const beaten = beats;
      await cluster.sleep(5000);
      expect(beats).toBe(beaten);
      await cluster.restart("b");
      await cluster.sleep(1000);
      expect(begun).toEqual(["a", "b", "c", "b"]);
    });
  });

  test("run their programs anew when their membership was taken from them", async () => {
    const memberships: string[] = [];
    const run = await simulateCluster({}, async (cluster) => {
      const [a, b, c] = await cluster.start("a", "b", "c");
      cluster.everywhere(async (node) => {
        const group = await node.join(prices);
        memberships.push(group.self);
        for (;;) {
          await group.safeSend.set(node.name, memberships.length);
          await node.sleep(200);
        }
      });
      await cluster.sleep(1000);
      cluster.partition([a], [b, c]);
      await cluster.until(() => a.cluster.status === "blocked");
      await cluster.sleep(5000);
      cluster.heal();
      await cluster.until(() => memberships.length === 4);
    });
    expect(new Set(memberships).size).toBe(4);
    expect(run.history.some(({ kind }) => kind === "exclude")).toBe(true);
  });

  test("that a program leaves in disorder fail the run", async () => {
    const error = await failureOf(async (cluster) => {
      await cluster.start("a");
      cluster.everywhere(async (node) => {
        await node.sleep(10);
        throw new TypeError("no such drawer");
      });
      await cluster.sleep(1000);
    });
    expect(error.message).toContain("programs do not fail: a program of a threw TypeError: no such drawer");
  });

  test("can be closed, stopped for a while, slowed and disconnected", async () => {
    const run = await simulateCluster({}, async (cluster) => {
      const [a, b, c] = await cluster.start("a", "b", "c", "d");
      const group = await a.join(prices);
      await b.join(prices);
      await c.join(prices);
      await c.close();
      expect(await codeOf(c.join(prices))).toBe("crashed");
      cluster.pause(b, 500);
      cluster.slow("d", 20);
      const before = cluster.now;
      await group.safeSend.set("Harry", 1);
      expect(cluster.now - before).toBeGreaterThan(400);
      cluster.disconnect(a, b);
      await group.safeSend.set("Harry", 2);
      cluster.cut(a, b);
      await cluster.sleep(10_000);
      cluster.heal();
    });
    expect(run.history.filter(({ kind }) => kind === "close")).toHaveLength(1);
  });
});

describe("rules", () => {
  test("strike at the nth thing of a kind, in the midst of a turn", async () => {
    const run = await simulateCluster({}, async (cluster) => {
      const [a, b, c] = await cluster.start("a", "b", "c");
      const group = await a.join(prices);
      await b.join(prices);
      await c.join(prices);
      cluster.when({ kind: "update", name: "set", node: b, nth: 3 }, () => cluster.crash(b));
      cluster.when({ kind: "view", group: "prices", number: group.view.number + 1 }, () => cluster.note("without b"));
      for (let price = 1; price <= 5; price++) await group.orderedSend.set("Harry", price);
      await cluster.until(() => group.view.members.length === 2);
      expect(b.running).toBe(false);
    });
    const delivered = run.history.filter(({ kind, node }) => kind === "deliver" && node.startsWith("b#"));
    expect(delivered.length).toBeGreaterThanOrEqual(3);
    expect(run.notes).toMatchObject([{ property: "without b" }]);
  });

  test("of chance come again and again, until the end", async () => {
    let strokes = 0;
    await simulateCluster({}, async (cluster) => {
      await cluster.start("a", "b", "c");
      cluster.every(100, () => {
        if (cluster.random() >= 0.2) return;
        strokes++;
        cluster.pause("b", 300);
      });
      await cluster.sleep(5000);
    });
    expect(strokes).toBeGreaterThan(2);
    expect(strokes).toBeLessThan(25);
  });
});

describe("claims", () => {
  const sets: Scenario = async (cluster) => {
    const [a, b] = await cluster.start("a", "b");
    const group = await a.join(prices);
    await b.join(prices);
    for (let price = 1; price <= 5; price++) await group.orderedSend.set("Harry", price);
    await cluster.until(() => group.read(({ state }) => state.get("Harry")) === 5);
  };

  test("hold for every replica after every update", async () => {
    const error = await failureOf(async (cluster) => {
      cluster.always(prices, "Harry is cheap", ({ state }) => (state.get("Harry") ?? 0) < 4);
      await sets(cluster);
    });
    expect(error.message).toContain("Harry is cheap: it does not hold for the state of prices at a");
    expect(error.message).toContain("▽a:set Harry,4");
  });

  test("hold for all replicas at rest, with what they throw", async () => {
    const error = await failureOf(async (cluster) => {
      cluster.atRest(prices, "nobody has a Harry", (replicas) => {
        for (const { state, node } of replicas) expect([...state], node).toEqual([]);
      });
      await sets(cluster);
    });
    expect(error.message).toContain("nobody has a Harry: it does not hold for the state of prices of a, b: Assertion");
  });

  test("of the model hold: replicas that go apart are told of", async () => {
    const last = defineGroup({
      name: "last",
      state: () => ({ who: "" }),
      updates: {
        mark: (context, who: string) => {
          context.state = { who };
        },
      },
    });
    const error = await failureOf(async (cluster) => {
      const [a, b] = await cluster.start("a", "b");
      const groups = [await a.join(last), await b.join(last)] as const;
      await Promise.all(groups.map((group) => group.send.mark(group.self)));
      await cluster.sleep(1000);
    });
    expect(error.run.failures[0]).toMatchObject({
      property: "M5",
      message: expect.stringContaining("different states"),
    });
  });

  test("of what clients see hold for safe calls, and fail for local reads", async () => {
    const scenario =
      (isLocal: boolean): Scenario =>
      async (cluster) => {
        const registers = cluster.clients("register");
        await cluster.start("a", "b", "c");
        cluster.slow("a", 10);
        cluster.everywhere(async (node) => {
          const group = await node.join(prices);
          const look = async () => {
            if (isLocal) return group.read(({ state }) => state.get("x") ?? null) as number | null;
            const [reply] = await group.to(group.self).query(1, { order: "safe" }).lookup("x");
            return reply?.value ?? null;
          };
          while (!cluster.signal.aborted) {
            await node.sleep(20 * cluster.random());
            const value = Math.floor(100 * cluster.random());
            await registers.call({ operation: "write", key: "x", value }, () => group.orderedSend.set("x", value));
            await registers.call({ operation: "read", key: "x" }, look);
          }
        });
        await cluster.sleep(1500);
      };
    await simulateCluster({}, scenario(false));
    const error = await failureOf(scenario(true));
    expect(error.run.failures[0]).toMatchObject({
      property: "linearizable",
      message: expect.stringMatching(/^read\(x\) returned/),
    });
  });

  test("that something comes are given up after a while", async () => {
    const error = await failureOf((cluster) => cluster.until(() => false, 500));
    expect(error.cause).toMatchObject({ code: "timeout" });
    expect(error.run.simulatedMs).toBeLessThan(1000);
  });
});
