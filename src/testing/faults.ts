/**
 * Faults of a simulated cluster as a list that can be drawn from a seed, run again, and made shorter: each says when it
 * strikes, whom, and for how long; it ends by itself.
 */
import type { Random } from "../base/random.ts";
import { canSpare, leaderOf } from "../simulation/faults.ts";
import type { World } from "../simulation/world.ts";

/** What may happen to a simulated cluster. */
export const CLUSTER_FAULT_KINDS = [
  "crash",
  "crash-in-turn",
  "pause",
  "stall",
  "partition",
  "one-way",
  "partial",
  "disconnect",
  "slow",
] as const;
export type ClusterFaultKind = (typeof CLUSTER_FAULT_KINDS)[number];

export interface ClusterFault {
  /** Milliseconds of the run. */
  readonly at: number;
  readonly kind: ClusterFaultKind;
  /**
   * Whom it strikes. `partition`, `one-way`: one side, and all others are the other; `partial`, `disconnect`: both ends.
   * "leader" stands for whoever leads the cluster at that moment.
   */
  readonly nodes: readonly string[];
  /** How long it lasts: after that the process is started again, the link mended. */
  readonly forMs: number;
}

/** What faults do to machines. */
export interface Struck {
  readonly world: World;
  crash(name: string): void;
  restart(name: string): void;
  /** Acts in the midst of the turn in which an update runs there next. */
  atNextUpdate(name: string, act: () => void): void;
}

const LEADER = "leader";

/** Faults of these kinds between two times. */
export function drawFaults(
  random: Random,
  kinds: readonly ClusterFaultKind[],
  names: readonly string[],
  fromMs: number,
  toMs: number,
): ClusterFault[] {
  const faults: ClusterFault[] = [];
  const everyMs = random.pick([400, 1200, 3000]);
  const next = (): number => everyMs * (0.1 + 1.8 * random.fraction());
  for (let at = fromMs + next(); at < toMs; at += next()) {
    const kind = random.pick(kinds);
    // Who leads the views and orders the messages is worth more than its turn.
    const victim = random.chance(0.25) ? LEADER : random.pick(names);
    const others = names.filter((name) => name !== victim);
    const nodes = [victim];
    if (kind === "partial" || kind === "disconnect") nodes.push(random.pick(others));
    else if (kind === "partition" || kind === "one-way") {
      const size = random.between(1, Math.max(1, Math.floor(names.length / 2)));
      while (nodes.length < size) nodes.push(...others.splice(random.below(others.length), 1));
    }
    faults.push({ at: Math.round(at), kind, nodes, forMs: random.pick([50, 500, 1500, 3500, 6000]) });
  }
  return faults;
}

/** Lets a fault happen now. False when there is nothing that it could do, or the cluster would not survive it. */
export function strike(fault: ClusterFault, struck: Struck): boolean {
  const { world } = struck;
  const { kind, forMs } = fault;
  const nodes = fault.nodes.map((name) => (name === LEADER ? leaderOf(world) : name));
  const [victim, other] = nodes;
  if (victim === undefined || world.hosts.get(victim)?.running !== true) return false;
  switch (kind) {
    case "crash":
      if (!canSpare(world, victim)) return false;
      struck.crash(victim);
      world.after(forMs, () => struck.restart(victim));
      return true;
    case "crash-in-turn":
      struck.atNextUpdate(victim, () => {
        if (!canSpare(world, victim)) return;
        struck.crash(victim);
        world.after(forMs, () => struck.restart(victim));
      });
      return true;
    case "pause":
      world.pause(victim, forMs, "stop");
      return true;
    case "stall":
      world.pause(victim, Math.min(forMs, 2000), "stall");
      return true;
    case "partition":
    case "one-way": {
      const side = new Set(nodes);
      const outside = [...world.hosts.keys()].filter((name) => !side.has(name));
      const inside = [...side].filter((name) => name !== undefined);
      cutFor(world, inside, outside, forMs);
      if (kind === "partition") cutFor(world, outside, inside, forMs);
      return outside.length > 0;
    }
    case "partial":
      if (other === undefined || other === victim) return false;
      cutFor(world, [victim], [other], forMs);
      cutFor(world, [other], [victim], forMs);
      return true;
    case "disconnect": {
      const [a, b] = [victim, other ?? victim].map((name) => world.hosts.get(name)?.id ?? "");
      return world.fabric.disconnect(a as string, b as string);
    }
    case "slow":
      slowFor(world, victim, forMs);
      return true;
  }
}

function cutFor(world: World, from: readonly string[], to: readonly string[], forMs: number): void {
  const set = (cut: boolean): void => {
    for (const a of from) for (const b of to) world.fabric.setCut(a, b, cut);
  };
  set(true);
  world.after(forMs, () => set(false));
}

const SLOW_MS = 40;

function slowFor(world: World, victim: string, forMs: number): void {
  const set = (delayMs: number): void => {
    for (const other of world.hosts.keys()) if (other !== victim) world.fabric.rule(victim, other).delayMs = delayMs;
  };
  set(SLOW_MS);
  world.after(forMs, () => set(0));
}
