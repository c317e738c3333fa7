/**
 * What goes wrong in a simulated run, one kind of fault at a time or several at once: crashes, restarts, pauses, stalls of
 * the event loop, partitions (symmetric, one-way, partial), lost connections, slow hosts, orderly departures, herds of
 * newcomers, false proofs of a death, and crashes, pauses or such proofs at a step of an agreement; and, where nodes have
 * disks, failures of all at once, crashes between two writes, and disks that fail, fill up, slow down, are lost or lose bits.
 * Every fault ends by itself; `calm` ends them all.
 */
import { Random } from "../base/random.ts";
import { keepersOf } from "../protocol/membership/directory.ts";
import type { Message } from "../protocol/messages.ts";
import { type NodeId, nodeName, votesOf } from "../protocol/view.ts";
import { Steps } from "./steps.ts";
import type { Traffic } from "./traffic.ts";
import type { World } from "./world.ts";

export const FAULT_KINDS = [
  "crash",
  "crash-leader",
  "pause",
  "stall",
  "partition",
  "one-way",
  "partial",
  "disconnect",
  "slow",
  "close",
  "herd",
  "step",
  "accuse",
] as const;
/** They strike only nodes with disks. */
export const DISK_FAULT_KINDS = [
  "total",
  "write",
  "disk-failure",
  "disk-full",
  "disk-slow",
  "disk-loss",
  "disk-damage",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number] | (typeof DISK_FAULT_KINDS)[number];

/** Where a fault of kind `step` strikes: the messages that change views and move state; who tells of decisions, most often. */
const STEPS: readonly Message["kind"][] = [
  "prepare",
  "promise",
  "accept",
  "accepted",
  "installCluster",
  "installCluster",
  "report",
  "cut",
  "fetch",
  "hold",
  "install",
  "install",
  "stateChunk",
];
/** Where a leader is accused, so that two lead. */
const DUELS: readonly Message["kind"][] = ["promise", "accept", "accept", "cut", "install"];
/** What makes views change, so that the step comes. */
const CAUSES: readonly FaultKind[] = ["crash", "crash-leader", "close", "herd"];

export interface FaultOptions {
  readonly names: readonly string[];
  readonly kinds: readonly FaultKind[];
  /** Mean time between two faults. */
  readonly everyMs: number;
}

export class Faults {
  readonly #world: World;
  readonly #traffic: Traffic;
  readonly #random: Random;
  readonly #options: FaultOptions;
  readonly counts = new Map<FaultKind, number>();
  readonly #steps: Steps;
  #active = true;
  #newcomers = 0;

  constructor(world: World, traffic: Traffic, options: FaultOptions) {
    this.#world = world;
    this.#traffic = traffic;
    this.#random = world.random.fork();
    this.#options = options;
    this.#steps = new Steps(world);
  }

  start(): void {
    this.#schedule();
  }

  calm(): void {
    this.#active = false;
    this.#steps.clear();
    this.#world.heal();
    // On disks the votes and states of newcomers outlive them, and may be needed.
    const awaited = this.#world.durable ? [...this.#world.hosts.keys()] : [];
    for (const name of [...this.#options.names, ...awaited]) {
      this.#world.hosts.get(name)?.disk?.heal();
      this.#traffic.employ(name);
    }
    for (const { name } of this.#world.running) this.#traffic.employ(name);
  }

  #schedule(): void {
    const delay = this.#options.everyMs * (0.1 + 1.8 * this.#random.fraction());
    this.#world.after(delay, () => {
      if (!this.#active) return;
      this.#inflict(this.#chosen());
      this.#schedule();
    });
  }

  /** Faults at a step find what others rarely do, so they come more often. */
  #chosen(): FaultKind {
    const { kinds } = this.#options;
    return kinds.includes("step") && this.#random.chance(0.4) ? "step" : this.#random.pick(kinds);
  }

  /** Mostly something is under way when a fault strikes: just sent, just ordered, or just acknowledged. */
  #inflict(kind: FaultKind): void {
    if (this.#random.chance(0.3)) {
      this.#strike(kind);
      return;
    }
    this.#traffic.burst();
    this.#world.after(this.#random.pick([0, 1, 3, 15, 50]), () => this.#active && this.#strike(kind));
  }

  #strike(kind: FaultKind): void {
    const names = this.#world.running.map(({ name }) => name);
    // Who leads the views and orders the messages is worth more than its turn.
    const isLeader = kind === "crash-leader" || this.#random.chance(0.25);
    const victim = isLeader ? leaderOf(this.#world) : this.#random.pick(names);
    if (victim === undefined || !this.#perform(kind, victim, names)) return;
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }

  #perform(kind: FaultKind, victim: string, names: readonly string[]): boolean {
    const random = this.#random;
    const world = this.#world;
    const forMs = random.pick([50, 500, 1500, 3500, 6000]);
    switch (kind) {
      case "crash":
      case "crash-leader":
        // A majority that loses its memory ends the cluster for good; the runs are about what survives.
        if (!canSpare(this.#world, victim)) return false;
        this.#traffic.dismiss(victim);
        world.crash(victim);
        world.after(random.pick([10, 100, 1000, 4000]), () => this.#traffic.employ(victim));
        return true;
      case "pause":
        world.pause(victim, forMs, "stop");
        return true;
      case "stall":
        world.pause(victim, Math.min(forMs, 2000), "stall");
        return true;
      case "partition":
        return this.#cut(victim, names, random.between(1, Math.max(1, Math.floor(names.length / 2))), true, forMs);
      case "one-way":
        return this.#cut(victim, names, 1, false, forMs);
      case "partial": {
        const other = random.pick(names);
        if (other === victim) return false;
        world.fabric.rule(victim, other).cut = true;
        world.fabric.rule(other, victim).cut = true;
        world.after(forMs, () => world.heal());
        return true;
      }
      case "disconnect": {
        const [a, b] = [world.hosts.get(victim), world.hosts.get(random.pick(names))];
        return a !== undefined && b !== undefined && world.fabric.disconnect(a.id, b.id);
      }
      case "slow":
        this.#slow(victim, names);
        world.after(forMs, () => world.heal());
        return true;
      case "close":
        if (!canSpare(this.#world, victim) || world.running.filter(({ closing }) => !closing).length < 3) return false;
        if (world.isMending) return false;
        this.#traffic.dismiss(victim);
        world.close(victim);
        world.after(random.between(1000, 4000), () => this.#traffic.employ(victim));
        return true;
      case "herd":
        if (this.#newcomers >= 4) return false;
        for (let count = random.between(1, 3); count > 0; count--) {
          const name = `n${this.#newcomers++}`;
          this.#traffic.employ(name);
          world.after(random.between(2000, 5000), () => {
            if (!this.#active) return;
            this.#traffic.dismiss(name);
            if (random.chance(0.5) && !world.isMending) world.close(name);
            else if (canSpare(this.#world, name)) world.crash(name);
          });
        }
        return true;
      case "accuse":
        this.#accuse(victim, names);
        return true;
      case "step":
        return this.#strikeAtStep(names);
      default:
        return this.#strikeDisk(kind, victim, names);
    }
  }

  #strikeDisk(kind: (typeof DISK_FAULT_KINDS)[number], victim: string, names: readonly string[]): boolean {
    const random = this.#random;
    const world = this.#world;
    const disk = world.hosts.get(victim)?.disk;
    if (disk === undefined) return false;
    switch (kind) {
      case "total":
        this.#failAll(names);
        return true;
      case "write": {
        const isTold = random.chance(0.5);
        disk.trap(random.pick([0, 0, 1, 2, 5]), isTold, () => {
          this.#traffic.dismiss(victim);
          world.crash(victim);
          world.after(random.pick([10, 100, 1000, 4000]), () => this.#traffic.employ(victim));
        });
        return true;
      }
      case "disk-failure":
        disk.failing = true;
        return true;
      case "disk-full":
        if (new Random(Math.floor(world.now), 22).chance(0.3)) disk.isThin = true;
        else disk.capacityBytes = disk.usedBytes;
        world.after(random.pick([500, 3000, 8000]), () => {
          disk.capacityBytes = Number.POSITIVE_INFINITY;
          disk.isThin = false;
        });
        return true;
      case "disk-slow":
        disk.delayMs = random.pick([5, 50, 400, 2500]);
        world.after(random.pick([500, 3000, 6000]), () => {
          disk.delayMs = 0;
        });
        return true;
      case "disk-loss":
      case "disk-damage": {
        if (!canForget(world, victim)) return false;
        this.#traffic.dismiss(victim);
        world.spoil(victim, kind === "disk-loss" ? "wipe" : "decay");
        if (random.chance(0.4)) this.#failAll(names);
        world.after(random.pick([10, 100, 1000, 4000]), () => this.#traffic.employ(victim));
        return true;
      }
    }
  }

  /** All nodes fail, at once or one after the other, and come back in any order. */
  #failAll(names: readonly string[]): void {
    const random = this.#random;
    const spreadMs = random.pick([0, 0, 5, 100, 3000]);
    const awayMs = random.pick([10, 500, 4000]);
    for (const name of names) {
      const fail = (): void => {
        this.#traffic.dismiss(name);
        this.#world.crash(name);
        this.#world.after(awayMs * 2 * random.fraction(), () => this.#traffic.employ(name));
      };
      this.#world.after(spreadMs * random.fraction(), fail);
    }
  }

  /** Many of the others are told at once that a host is dead, though it lives. */
  #accuse(victim: string, names: readonly string[]): void {
    const { fabric, hosts } = this.#world;
    const accused = hosts.get(victim)?.id ?? "";
    for (const name of names) {
      if (name !== victim && this.#random.chance(0.7)) fabric.defame(hosts.get(name)?.id ?? "", accused);
    }
  }

  /** Who leads an agreement is accused, and another begins to lead it while the words of the first are still under way. */
  #provokeDuel(leader: string, names: readonly string[]): void {
    this.#accuse(leader, names);
    const jitterMs = this.#random.pick([5, 30, 100]);
    for (const from of names) for (const to of names) this.#world.fabric.rule(from, to).jitterMs = jitterMs;
    this.#world.after(2000, () => this.#world.heal());
  }

  /** Everything of a host is late, or only its bulk, and not alike for everybody. */
  #slow(victim: string, names: readonly string[]): void {
    const random = this.#random;
    const onlyBulk = random.chance(0.5);
    for (const other of names) {
      const outward = this.#world.fabric.rule(victim, other);
      if (onlyBulk) outward.bulkDelayMs = random.pick([0, 5, 40, 300]);
      else outward.delayMs = random.pick([5, 40, 300]);
      this.#world.fabric.rule(other, victim).jitterMs = random.pick([5, 60]);
    }
  }

  /** Arms a crash, pause or false accusation of whoever next sends or gets a certain message, and makes the view change. */
  #strikeAtStep(names: readonly string[]): boolean {
    const random = this.#random;
    const world = this.#world;
    this.#steps.clear();
    const drawn = random.pick(STEPS);
    const place = random.pick(["before", "sender", "receiver"] as const);
    const pauses = random.chance(0.25);
    const accuses = this.#options.kinds.includes("accuse") && random.chance(0.5);
    const kind = accuses ? random.pick(DUELS) : drawn;
    let skipped = random.pick([0, 0, 0, 1, 3]);
    this.#steps.when(
      (step) =>
        step.kind === "message" && step.message.kind === kind && step.left === (place !== "before") && skipped-- === 0,
      (step) => {
        if (step.kind !== "message") return;
        const victim = place === "receiver" ? step.to : step.from;
        // Its turn is to end first.
        if (accuses) world.at(world.now, () => this.#provokeDuel(victim, names));
        else if (pauses) world.pause(victim, random.pick([500, 3500, 6000]), "stop");
        else if (canSpare(this.#world, victim)) {
          this.#traffic.dismiss(victim);
          world.cutShort(victim);
          world.after(random.pick([10, 100, 1000, 4000]), () => this.#traffic.employ(victim));
          // What was said at this step, and what is on disk, is all that is left.
          if (world.durable && random.chance(0.4)) this.#failAll(names);
        }
      },
    );
    const cause = random.pick(CAUSES);
    const first = cause === "crash-leader" ? (leaderOf(this.#world) ?? random.pick(names)) : random.pick(names);
    if (random.chance(0.5)) return this.#perform(cause, first, names);
    // What it has sent before it goes reaches the others at very different times.
    this.#slow(first, names);
    this.#traffic.burst();
    world.after(random.pick([1, 10, 50]), () => this.#perform(cause, first, names));
    world.after(2000, () => world.heal());
    return true;
  }

  #cut(victim: string, names: readonly string[], count: number, bothWays: boolean, forMs: number): boolean {
    if (names.length < 3) return false;
    const side = new Set([victim]);
    while (side.size < count) side.add(this.#random.pick(names));
    const inward = this.#random.chance(0.5);
    for (const inside of side) {
      for (const outside of names) {
        if (side.has(outside)) continue;
        if (bothWays || inward) this.#world.fabric.rule(outside, inside).cut = true;
        if (bothWays || !inward) this.#world.fabric.rule(inside, outside).cut = true;
      }
    }
    this.#world.after(forMs, () => this.#world.heal());
    return true;
  }
}

/** The host that leads a view that is in use. */
export function leaderOf(world: World): string | undefined {
  return world.running.find((host) => host.view?.acceptors[0] === host.id)?.name;
}

/**
 * Whether the cluster and its groups can do without what this host has on its disk: all that run are in one view, which a
 * quorum of its acceptors has on other disks, and every group has another keeper, which is not about to leave. One that is
 * lost may be about to be brought back by any of its keepers, which is then the only one.
 */
function canForget(world: World, victim: string): boolean {
  const { running, forgotten, hosts } = world;
  const view = running[0]?.view;
  const isKept = (id: NodeId): boolean => nodeName(id) !== victim && !forgotten.has(id);
  const remembers = (id: NodeId): boolean => {
    const host = hosts.get(nodeName(id));
    // Of who is down it is not known what is on its disk.
    return isKept(id) && host?.id === id && host.remembersView;
  };
  if (view === undefined || running.some((host) => host.status !== "primary" || host.view?.number !== view.number))
    return false;
  const votes = votesOf(view);
  const sum = (of: readonly number[]): number => of.reduce((all, vote) => all + vote, 0);
  if (sum(votes.filter((_, rank) => remembers(view.acceptors[rank] as NodeId))) * 2 <= sum(votes)) return false;
  return running.every(({ driver }) =>
    [...(driver?.process.cluster.directory.groups ?? [])].every((group) => {
      const keepers = keepersOf(group);
      if (group.status === "live")
        return keepers.some(({ node }) => isKept(node) && hosts.get(nodeName(node))?.staysIn(group, node));
      const needed = [...keepers, ...group.former];
      return keepers.some(({ node }) => isKept(node)) && !needed.some(({ node }) => nodeName(node) === victim);
    }),
  );
}

/** Whether the acceptors of every view that is in use keep a quorum of running processes without this one. */
export function canSpare(world: World, victim: string): boolean {
  if (world.durable) return true;
  // One that dies in the midst of its turn runs on for a moment.
  const living = world.running.filter(({ name, pausedUntil }) => name !== victim && Number.isFinite(pausedUntil));
  const alive = new Set(living.map(({ id }) => id));
  return world.running.every(({ view }) => {
    if (view === undefined) return true;
    const votes = votesOf(view);
    const sum = (of: readonly number[]): number => of.reduce((all, vote) => all + vote, 0);
    return sum(votes.filter((_, rank) => alive.has(view.acceptors[rank] as NodeId))) * 2 > sum(votes);
  });
}
