/**
 * A group of forty: what it costs to deliver a message, in frames and in time. No order and no acknowledgement that
 * somebody waits for may wait for a timer, and nothing may grow with the square of the group.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { CAUSAL, FIFO, SAFE, TOTAL } from "../wire/packet.ts";
import { check } from "./axioms/index.ts";
import type { Counter } from "./counter.ts";
import { World } from "./world.ts";

const SIZE = 40;
const LATENCY_MS = 5;
/** Turns of nodes, of which a hop has one or two. */
const TURNS_MS = 1;
const names = Array.from({ length: SIZE }, (_, index) => `n${String(index).padStart(2, "0")}`);

describe("forty members", () => {
  const world = new World({ seed: 1 });
  world.fabric.latencyMs = LATENCY_MS;
  world.fabric.jitterMs = 0;
  const counters = (): Counter[] => world.running.flatMap((host) => host.counter("g") ?? []);
  const counterOf = (name: string): Counter => world.hosts.get(name)?.counter("g") as Counter;
  const areIn = (size: number): boolean =>
    counters().length === size && counters().every(({ view }) => view.members.length === size);

  beforeAll(() => {
    world.start(names[0] as string, "found");
    for (const name of names.slice(1)) world.start(name);
    const isWhole = (): boolean => world.running.every(({ view }) => view?.nodes.length === SIZE);
    expect(world.runUntilTrue(isWhole, 20_000)).toBe(true);
    world.join(names[0] as string, "g");
    world.run(100);
    for (const name of names.slice(1)) world.join(name, "g");
    expect(world.runUntilTrue(() => areIn(SIZE), 60_000)).toBe(true);
    world.run(3000);
  });

  /** Everything that is sent to the world within this time, but for what an idle cluster sends. */
  function framesOf(forMs: number, act: () => void): number {
    world.run(2000);
    const idleBefore = world.fabric.framesDelivered;
    world.run(1000);
    const idle = world.fabric.framesDelivered - idleBefore;
    // Heartbeats come in rounds: over whole seconds their number is the same.
    expect(forMs % 1000).toBe(0);
    const before = world.fabric.framesDelivered;
    const start = world.now;
    act();
    world.runUntil(start + forMs);
    return world.fabric.framesDelivered - before - (idle * forMs) / 1000;
  }

  /** How long it takes until all have delivered what `sender` sends. */
  function latencyOf(flavour: number, sender: string): number {
    // Out of step with the timers of what was sent before.
    world.run(2137);
    const before = counters().map(({ delivered }) => delivered);
    const start = world.now;
    counterOf(sender).send(flavour);
    const isThere = (): boolean => counters().every(({ delivered }, index) => delivered > (before[index] ?? 0));
    expect(world.runUntilTrue(isThere, 5000, 0.1)).toBe(true);
    return world.now - start;
  }

  test.each([
    ["fifo", FIFO, 1, 1],
    ["causal", CAUSAL, 1, 1],
    ["total", TOTAL, 1, 2],
    ["safe", SAFE, 3, 4],
  ])("%s messages take their hops and wait for no timer", (_, flavour, hopsOfSequencer, hops) => {
    const [sequencer, other] = [names[0], names[20]] as [string, string];
    expect(latencyOf(flavour, sequencer)).toBeLessThan(hopsOfSequencer * LATENCY_MS + TURNS_MS);
    expect(latencyOf(flavour, other)).toBeLessThan(hops * LATENCY_MS + TURNS_MS);
  });

  test.each([
    ["fifo", FIFO, 1],
    ["causal", CAUSAL, 1],
    ["total", TOTAL, 2],
    ["safe", SAFE, 2],
  ])("a %s message is linear in frames, with all that is said of it later", (_, flavour, packets) => {
    const frames = framesOf(3000, () => counterOf(names[20] as string).send(flavour));
    // To each member: the packets, and what all hold, twice at most; from each member: its row, twice at most.
    expect(frames).toBeGreaterThanOrEqual(packets * (SIZE - 1));
    expect(frames).toBeLessThanOrEqual((packets + 4) * (SIZE - 1));
  });

  test("a flush asks everybody and is answered by everybody, and waits for no timer", () => {
    let done = 0;
    const frames = framesOf(1000, () => {
      const start = world.now;
      const counter = counterOf(names[20] as string);
      counter.send(FIFO);
      counter.flush();
      expect(world.runUntilTrue(() => counter.flushesPending === 0, 5000, 0.1)).toBe(true);
      done = world.now - start;
    });
    expect(done).toBeLessThan(2 * LATENCY_MS + TURNS_MS);
    expect(frames).toBeLessThanOrEqual(6 * (SIZE - 1));
  });

  test("an idle group says nothing: heartbeats are the cluster's, between its acceptors and all", () => {
    world.run(3000);
    const before = world.fabric.framesDelivered;
    world.run(3000);
    const heartbeatsPerSecond = 4;
    const pairs = 2 * 5 * (SIZE - 5) + 5 * 4;
    expect(world.fabric.framesDelivered - before).toBeLessThanOrEqual(3 * heartbeatsPerSecond * pairs * 1.1);
  });

  test("safe messages of everybody are settled by the view change when a member dies in the midst of them", () => {
    const sent = counters().reduce((sum, { delivered }) => Math.max(sum, delivered), 0);
    for (const name of names) counterOf(name).send(SAFE);
    world.run(LATENCY_MS * 2.5);
    world.crash(names[39] as string);
    expect(world.runUntilTrue(() => areIn(SIZE - 1), 10_000)).toBe(true);
    world.run(50);
    for (const { delivered } of counters()) expect(delivered - sent).toBeGreaterThanOrEqual(SIZE - 1);
    expect(new Set(counters().map((counter) => counter.digest())).size).toBe(1);
    expect(check(world.history)).toEqual([]);
  });
});
