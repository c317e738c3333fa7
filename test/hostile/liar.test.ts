/** A process that every node has linked, which is none of them, and lies: nobody falls over, is moved, or delivers it. */
import { describe, expect, test } from "vitest";
import { Random } from "../../src/base/random.ts";
import type { NodeId } from "../../src/protocol/view.ts";
import type { NodeReport } from "../../src/runtime/driver.ts";
import type { NetworkSink } from "../../src/runtime/ports.ts";
import { check } from "../../src/simulation/axioms/index.ts";
import type { Counter } from "../../src/simulation/counter.ts";
import { type Host, World } from "../../src/simulation/world.ts";
import { SAFE, TOTAL } from "../../src/wire/packet.ts";
import { recordOf } from "../protocol/kit.ts";
import { type Known, lie, understandable } from "./liar.ts";

const NAMES = ["a", "b", "c"] as const;
const LIES = 1500;

interface Besieged {
  readonly world: World;
  readonly counters: readonly Counter[];
  readonly known: Known;
  /** To all, or to those that are named. */
  readonly send: (frame: Uint8Array, to?: readonly NodeId[]) => void;
  /** The nodes that are linked with the liar. */
  readonly links: Set<NodeId>;
}

/** Three nodes in a group, and a stranger that they have linked. */
function besieged(seed: number, secure: boolean): Besieged {
  const world = new World({ seed, secure });
  for (const name of NAMES) world.start(name, name === "a" ? "found" : "join");
  world.runUntilTrue(() => world.running.every(({ view }) => view?.nodes.length === NAMES.length), 5000);
  const counters = NAMES.map((name) => world.join(name, "g"));
  const isFull = (): boolean => counters.every(({ view }) => view.members.length === NAMES.length);
  expect(world.runUntilTrue(isFull, 5000)).toBe(true);
  world.run(1000);
  const [cluster] = world.running.map(({ view }) => view);
  const [first] = counters;
  if (cluster === undefined || first?.membership === undefined) throw new Error("there is no group");
  const self = recordOf("mallory#00000666");
  const links = new Set<NodeId>();
  const ignore = (): void => {};
  const sink: NetworkSink = {
    identity: () => ({ record: self, cluster: cluster.cluster }),
    report: () => "",
    admit: () => undefined,
    met: ignore,
    called: ignore,
    unreachable: ignore,
    refused: ignore,
    linkUp: (id) => void links.add(id),
    linkDown: (id) => void links.delete(id),
    frame: ignore,
    datagram: ignore,
    alive: ignore,
    garbage: ignore,
  };
  const network = world.fabric.attach(self, sink);
  for (const node of cluster.nodes) network.link(node);
  expect(world.runUntilTrue(() => links.size === NAMES.length, 5000)).toBe(true);
  const known = { self, cluster, group: first.membership.group, view: first.view };
  const send = (frame: Uint8Array, to: readonly NodeId[] = cluster.nodes.map(({ id }) => id)): void => {
    for (const id of to) network.send(id, "control", frame);
    network.flush();
  };
  return { world, counters, known, send, links };
}

/** Lies on while the group works; then nobody has moved, and all agree. */
function withstands({ world, counters, known, send }: Besieged, next: () => Uint8Array): void {
  for (let told = 0; told < LIES; told++) {
    send(next());
    if (told % 10 === 0) counters[told % counters.length]?.send(told % 3 === 0 ? SAFE : TOTAL);
    world.run(1);
  }
  world.run(10_000);
  for (const host of world.running) {
    expect([host.name, host.status]).toEqual([host.name, "primary"]);
    expect(host.view?.number).toBe(known.cluster.number);
  }
  for (const counter of counters) expect(counter.view.number).toBe(known.view.number);
  expect(check(world.history)).toEqual([]);
}

/** What a node says that it has turned away. */
function networkOf({ driver }: Host): NodeReport["network"] {
  const counted = { garbage: 0, unproven: 0, crowdedOut: 0, tooSlow: 0, refused: 0, outdated: 0 };
  const report: NodeReport = JSON.parse(driver?.report(counted) ?? "{}");
  return report.network;
}

const seeds = Array.from({ length: 6 }, (_, index) => index + 1);

describe.each([false, true])("a stranger that lies to a group (secure: %s)", (secure) => {
  test.each(seeds)("moves nobody with what all understand (seed %i)", (seed) => {
    const random = new Random(seed);
    const at = besieged(seed, secure);
    withstands(at, () => understandable(at.known, random));
  });

  test.each(seeds)("is cut off by all when it sends garbage, and moves nobody (seed %i)", (seed) => {
    const random = new Random(seed);
    const at = besieged(seed, secure);
    withstands(at, () => lie(at.known, random));
    expect(at.links).toEqual(new Set());
    for (const host of at.world.running) {
      const { cutOff, garbage } = networkOf(host);
      expect(cutOff).toBe(1);
      expect(garbage).toBeGreaterThan(16);
    }
  });

  test.each(seeds)("sets no node against another with garbage that only the youngest hears (seed %i)", (seed) => {
    const random = new Random(seed);
    const at = besieged(seed, secure);
    const youngest = at.known.cluster.nodes.at(-1)?.id ?? "";
    withstands({ ...at, send: (frame) => at.send(frame, [youngest]) }, () => lie(at.known, random));
    expect(at.links.has(youngest)).toBe(false);
    expect(at.links.size).toBe(NAMES.length - 1);
    // What the youngest passes on, forwards and answers is no garbage to the others, whatever it was told.
    for (const host of at.world.running) {
      const { cutOff, garbage } = networkOf(host);
      if (host.id === youngest) expect(cutOff).toBe(1);
      else expect([cutOff, garbage]).toEqual([0, 0]);
    }
  });
});
