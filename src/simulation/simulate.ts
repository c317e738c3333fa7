/**
 * One seed: a simulated cluster under traffic and faults, then calm, in which everything must converge (M5), and at the
 * end every checker judges the history. Same seed, same trace hash.
 */
import { hashString, Random } from "../base/random.ts";
import type { HistoryEvent, HistoryFlavour } from "../protocol/history.ts";
import { keepersOf } from "../protocol/membership/directory.ts";
import { BOUNDS } from "../protocol/timing.ts";
import { hasQuorum } from "../protocol/view.ts";
import { check } from "./axioms/index.ts";
import { DISK_FAULT_KINDS, FAULT_KINDS, type FaultKind, Faults } from "./faults.ts";
import { Traffic } from "./traffic.ts";
import { World } from "./world.ts";

export interface SimulationOptions {
  readonly seed: number;
  /** Hosts that are there from the start. */
  readonly members?: number;
  /** How long traffic and faults go on, in simulated milliseconds. */
  readonly durationMs?: number;
  readonly faults?: readonly FaultKind[];
  /** Nodes have disks, groups are durable, and everybody may fail at once. */
  readonly durable?: boolean;
  /** Of durable groups; by the seed otherwise. */
  readonly acceptors?: number;
  /** Of each member, on average; drawn from the seed if it is not given. */
  readonly updatesPerSecond?: number;
  /** Between two faults, on average; drawn from the seed if it is not given. */
  readonly faultsEveryMs?: number;
}

export interface Failure {
  readonly property: string;
  readonly message: string;
  /** Index of the event in the history, when the failure is about one. */
  readonly event?: number;
}

export type FlavourCounts = Readonly<Partial<Record<HistoryFlavour, number>>>;

export interface SimulationResult {
  readonly seed: number;
  readonly traceHash: string;
  readonly simulatedMs: number;
  readonly events: number;
  readonly frames: number;
  /** Deliveries, and queries that were asked, by flavour. */
  readonly deliveries: FlavourCounts;
  readonly queries: FlavourCounts;
  readonly views: number;
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
  /** A quorum of acceptors is gone for good: the survivors can only wait, and say so. */
  readonly lost: boolean;
  readonly violations: readonly Failure[];
  readonly history: readonly HistoryEvent[];
}

const CONVERGENCE_MS = 60_000;
/** In one of so many seeds all groups are secure. */
const SECURE_EVERY = 3;
const TIGHT_CHANCE = 0.25;
const TIGHT_WINDOW_BYTES = 1000;
const TIGHT_SLOW_AFTER_MS = 700;
const ACCUSING_CHANCE = 0.3;
const RELAY_CHANCE = 0.25;
const RELAY_MS_MIN = 300;
const RELAYS_PER_FAULT = 10;

export function simulate(options: SimulationOptions): SimulationResult {
  const { seed, durationMs = 12_000, durable = false } = options;
  const plan = new Random(seed, 7);
  // Two halves of an even number are the hardest case of the quorum rule.
  const members = options.members ?? plan.pick([2, 3, 4, 5, 5, 5]);
  const updatesPerSecond = options.updatesPerSecond ?? plan.pick([2, 3, 4, 8]);
  // Small views as they are, or as if they were large.
  const rowsToAllMax = new Random(seed, 8).pick([1, BOUNDS.rowsToAllMax]);
  // In some runs windows are so small that they fill up, and those who hold senders back are accused.
  const isTight = new Random(seed, 10).chance(TIGHT_CHANCE);
  // Whether groups are secure changes nothing else of a run.
  const secure = seed % SECURE_EVERY === 0;
  // Some logs grow so fast that groups are renewed all the time.
  const recordBytesMax = durable
    ? new Random(seed, 20).pick([4000, 60_000, BOUNDS.recordBytesMax])
    : BOUNDS.recordBytesMax;
  const world = new World({
    seed,
    directorySize: plan.pick([3, 5, 5]),
    bounds: { rowsToAllMax, windowBytes: isTight ? TIGHT_WINDOW_BYTES : BOUNDS.windowBytes, recordBytesMax },
    ...(isTight ? { slowAfterMs: TIGHT_SLOW_AFTER_MS } : {}),
    secure,
    durable,
    // Some durable groups do not wait for the disks of all.
    acceptors: options.acceptors ?? (durable ? new Random(seed, 21).pick([undefined, undefined, 1, 2, 3]) : undefined),
    weightOf: drawnWeights(seed),
  });
  world.fabric.latencyMs = plan.pick([0.2, 0.2, 2, 15]);
  world.fabric.jitterMs = plan.pick([0.3, 0.3, 3, 20]);
  const names = Array.from({ length: members }, (_, index) => String.fromCharCode(97 + index));
  const groups = plan.chance(0.3) ? ["g", "h"] : ["g"];
  const kinds = options.faults ?? [...chosenKinds(plan, seed), ...(durable ? chosenDiskKinds(seed) : [])];
  const everyMs = options.faultsEveryMs ?? plan.pick([250, 900, 2500]);
  // Many times between two faults, but no more often than a step takes.
  const relayEveryMs = Math.max(RELAY_MS_MIN, everyMs / RELAYS_PER_FAULT);
  const relayed = new Random(seed, 12).chance(RELAY_CHANCE) ? { group: "r", everyMs: relayEveryMs } : undefined;
  const traffic = new Traffic(world, { groups, relayed, updatesPerSecond });
  const faults = new Faults(world, traffic, { names, kinds, everyMs });

  const violations: Failure[] = [];
  let converged = false;
  let lost = false;
  try {
    found(world, names, plan);
    for (const name of names) traffic.employ(name);
    // Some clusters know no calm from their first moment on.
    if (plan.chance(0.8)) world.runUntilTrue(() => isConverged(world, names), 10_000);
    if (kinds.length > 0) faults.start();
    traffic.relay();
    world.run(durationMs);
    faults.calm();
    world.run(1000);
    traffic.stop();
    converged = world.runUntilTrue(() => isConverged(world), CONVERGENCE_MS);
    // What is still on its way in a quiet cluster arrives.
    world.run(500);
    lost = isLost(world);
    if (!converged && !lost) violations.push({ property: "M5", message: `no convergence: ${unsettled(world)}` });
  } catch (problem) {
    violations.push({
      property: "assert",
      message: problem instanceof Error ? (problem.stack ?? problem.message) : "",
    });
  }
  const quiescent = converged || (unsettledMembers(world, []) ?? unsettledGroups(world)) === undefined;
  violations.push(...check(world.history, { quiescent }));
  const [garbage] = world.garbage;
  if (garbage !== undefined) violations.push({ property: "assert", message: `garbage at ${garbage}` });
  return {
    seed,
    traceHash: world.traceHash,
    simulatedMs: world.now,
    events: world.eventCount,
    frames: world.fabric.framesDelivered,
    ...countsOf(world.history),
    views: world.history.filter(({ kind }) => kind === "install").length,
    faults: Object.fromEntries(faults.counts),
    lost,
    violations,
    history: world.history,
  };
}

/** In one cluster of four nodes count different votes, or none. */
function drawnWeights(seed: number): (name: string) => number {
  if (!new Random(seed, 9).chance(0.25)) return () => 1;
  return (name) => new Random(seed, hashString(name)).pick([0, 1, 1, 2, 3]);
}

function countsOf(history: readonly HistoryEvent[]): { deliveries: FlavourCounts; queries: FlavourCounts } {
  const deliveries: Partial<Record<HistoryFlavour, number>> = {};
  const queries: Partial<Record<HistoryFlavour, number>> = {};
  const asked = new Set<string>();
  for (const event of history) if (event.kind === "query") asked.add(event.query);
  for (const event of history) {
    if (event.kind === "deliver") deliveries[event.flavour] = (deliveries[event.flavour] ?? 0) + 1;
    else if (event.kind === "send" && asked.has(event.message))
      queries[event.flavour] = (queries[event.flavour] ?? 0) + 1;
  }
  return { deliveries, queries };
}

function chosenKinds(plan: Random, seed: number): FaultKind[] {
  if (plan.chance(0.1)) return [];
  const accuses = new Random(seed, 11).chance(ACCUSING_CHANCE);
  return FAULT_KINDS.filter((kind) => (kind === "accuse" ? accuses : plan.chance(0.5)));
}

function chosenDiskKinds(seed: number): FaultKind[] {
  const random = new Random(seed, 21);
  return random.chance(0.1) ? [] : DISK_FAULT_KINDS.filter(() => random.chance(0.5));
}

function found(world: World, names: readonly string[], plan: Random): void {
  if (plan.chance(0.3)) {
    const founders = names.slice(0, 3).sort();
    for (const name of founders) world.start(name, founders);
  } else {
    world.start(names[0] as string, "found");
  }
}

/**
 * Whether the newest view that anybody is in, or has on its disk, has lost a quorum of its acceptors, or of their disks; or a
 * durable group all of its keepers' disks.
 */
export function isLost(world: World): boolean {
  const views = world.running.flatMap(({ view, driver }) => view ?? driver?.process.cluster.leftView ?? []);
  const newest = views.sort((a, b) => b.number - a.number)[0];
  if (world.durable)
    return newest === undefined || !hasQuorum(newest, (id) => !world.forgotten.has(id)) || isGroupLost(world);
  const alive = new Set(world.running.map(({ id }) => id));
  return newest === undefined || !hasQuorum(newest, (id) => alive.has(id));
}

/** Whether what was to be brought back of a durable group was on disks that are lost. */
function isGroupLost(world: World): boolean {
  const groups = world.running.flatMap(({ driver }) => [...(driver?.process.cluster.directory.groups ?? [])]);
  return groups.some(
    (group) =>
      group.durable && group.status === "lost" && keepersOf(group).every(({ node }) => world.forgotten.has(node)),
  );
}

/** Whether all running hosts (or at least those named) are in one view, in equal groups, with nothing pending. */
export function isConverged(world: World, names: readonly string[] = []): boolean {
  return unsettled(world, names) === undefined;
}

/** What is not settled yet, for people; undefined when all is. */
export function unsettled(world: World, names: readonly string[] = []): string | undefined {
  return unsettledMembers(world, names) ?? unsettledGroups(world) ?? pending(world);
}

/** What is still awaited in a group. When nothing else is unsettled, it will never come. */
function pending(world: World): string | undefined {
  for (const host of world.running) {
    const log = host.storage?.log;
    if (log !== undefined && log.durable < log.next) return `${host.id} awaits its disk`;
    for (const [group, { flushesPending, queriesPending }] of host.groups) {
      if (flushesPending > 0) return `${host.id} awaits a flush in ${group}`;
      if (queriesPending > 0) return `${host.id} awaits a query in ${group}`;
    }
  }
  return undefined;
}

function unsettledMembers(world: World, names: readonly string[]): string | undefined {
  const { running } = world;
  const [first] = running;
  if (first === undefined) return undefined;
  for (const name of names) if (world.hosts.get(name)?.running !== true) return `${name} does not run`;
  const ids = running.map(({ id }) => id).sort();
  for (const host of running) {
    if (host.status !== "primary") return `${host.id} is ${host.status} in view ${host.view?.number ?? 0}`;
    const nodes = host.view?.nodes.map(({ id }) => id).sort() ?? [];
    if (nodes.join() !== ids.join()) return `${host.id} is in view ${host.view?.number} of ${nodes.join(" ")}`;
    if (host.view?.number !== first.view?.number) return `${host.id} is in view ${host.view?.number}`;
  }
  return undefined;
}

function unsettledGroups(world: World): string | undefined {
  const groups = new Set(world.running.flatMap((host) => [...host.groups.keys()]));
  for (const group of groups) {
    let expected: string | undefined;
    for (const host of world.running) {
      const counter = host.counter(group);
      if (counter === undefined) return `${host.id} is not in ${group}`;
      if (counter.membership === undefined) return `${host.id} has not joined ${group}`;
      if (counter.view.members.length !== world.running.length)
        return `${host.id} is in view ${counter.view.number} of ${group}`;
      const found = `view ${counter.view.number} state ${counter.digest()}`;
      expected ??= found;
      if (found !== expected) return `${host.id} is at ${found} of ${group}, others at ${expected}`;
    }
  }
  return undefined;
}
