/**
 * The simulated cluster as a scenario holds it: it starts and stops nodes, breaks and mends what is between them, and
 * says what must hold.
 */
import type { Random } from "../base/random.ts";
import type { GroupDefinition } from "../group/define.ts";
import { CoterieError } from "../group/errors.ts";
import { type PreparedModel, SEQUENTIAL_MODELS, type SequentialModelName } from "../simulation/sequential-models.ts";
import { type Clients, RecordedClients } from "./clients.ts";
import { type ClusterFault, drawFaults, strike } from "./faults.ts";
import { Invariants, type Predicate, type ReplicaOf } from "./invariants.ts";
import { Machine, type Program, type SimulatedNode } from "./machine.ts";
import type { SimulationPlan } from "./plan.ts";
import type { Occurrence, Stage } from "./stage.ts";

/** A node, or its name. */
export type NodeReference = SimulatedNode | string;

/** Which occurrences a rule waits for: all that is given must be so. */
export interface Pattern {
  readonly kind: Occurrence["kind"];
  /** Where. */
  readonly node?: NodeReference;
  readonly group?: string;
  /** The name of the update or query. */
  readonly name?: string;
  /** The number of the view. */
  readonly number?: number;
  /** Only the nth that fits; the first by default. */
  readonly nth?: number;
}

/** A cluster on simulated machines. Times are in simulated milliseconds. */
export interface SimulatedCluster {
  readonly seed: number;
  /** Milliseconds since the run began. */
  readonly now: number;
  /** All nodes that were ever started, running or not, in the order of their first start. */
  readonly nodes: readonly SimulatedNode[];
  /** Aborts when the scenario is over: programs then come to their end. */
  readonly signal: AbortSignal;
  /** A number in [0, 1), from the seed. */
  random(): number;

  /**
   * Starts nodes of these names, one after another, so that they are of this age in the cluster; the first of all founds
   * it. Resolves when they are in it.
   */
  start<const Names extends readonly string[]>(
    ...names: Names
  ): Promise<{ readonly [K in keyof Names]: SimulatedNode }>;
  /** The program of every process: run at every node now, at those that come later, and anew in a restarted process. */
  everywhere(program: (node: SimulatedNode) => unknown): void;
  sleep(forMs: number): Promise<void>;
  /** Resolves when the condition holds; rejects with code `timeout` when it does not within `withinMs`, 10,000 by default. */
  until(condition: () => boolean, withinMs?: number): Promise<void>;

  /** The node's process dies without a word, and stays dead. */
  crash(node: NodeReference): void;
  /** Starts a process again; resolves when its node is in the cluster. */
  restart(node: NodeReference): Promise<void>;
  /** Stops the process for a while. Others may take it for failed. */
  pause(node: NodeReference, forMs: number): void;
  /** Cuts the nodes into sides that do not reach each other, until `heal` or `connect`. */
  partition(...sides: readonly (readonly NodeReference[])[]): void;
  /** Nothing gets from one node to the other any more; the other direction is not touched. */
  cut(from: NodeReference, to: NodeReference): void;
  /** Frames from this node to all others are late by so much, until `heal`. */
  slow(node: NodeReference, delayMs: number): void;
  /** Loses the connection between two nodes, with what was under way; they make it anew. */
  disconnect(a: NodeReference, b: NodeReference): void;
  /** Ends all cuts and delays. */
  heal(): void;
  /** Lets faults of the kinds in the options happen for so long, then ends them and starts again who has crashed. */
  trouble(forMs: number): Promise<void>;

  /** Does something when such a thing occurs, in the midst of that node's turn, once. */
  when(pattern: Pattern, act: () => void): void;
  /** Does something again and again, until the scenario is over. */
  every(periodMs: number, act: () => void): void;

  /** Must hold of every replica of the group after each update and view, or the run fails. */
  always<G extends GroupDefinition>(group: G, sentence: string, holds: Predicate<ReplicaOf<G>>): void;
  /** Must hold of all replicas together at the end, when nothing happens any more. */
  atRest<G extends GroupDefinition>(group: G, sentence: string, holds: Predicate<readonly ReplicaOf<G>[]>): void;
  /**
   * Clients of an object, by a model of `SEQUENTIAL_MODELS` or one of your own: at the end of the run, what they saw must be
   * linearizable.
   */
  clients(model: SequentialModelName | PreparedModel): Clients;
  /** Fails the run now. */
  fail(sentence: string): void;
  /** A remark at this moment, for the diagram. */
  note(text: string): void;
}

const UNTIL_MS = 10_000;
const STEP_MS = 5;

export class LiveCluster implements SimulatedCluster {
  readonly seed: number;
  readonly invariants: Invariants;
  /** The faults that have struck. */
  readonly struck: ClusterFault[] = [];
  readonly recorded: RecordedClients[] = [];
  readonly #stage: Stage;
  readonly #plan: SimulationPlan;
  readonly #random: Random;
  readonly #faultRandom: Random;
  readonly #machines = new Map<string, Machine>();
  readonly #programs: Program[] = [];
  readonly #over = new AbortController();
  /** Whom a fault has crashed. */
  readonly #fallen = new Set<string>();
  /** How often all faults were ended: what they were to do later is not done after it. */
  #recoveries = 0;

  constructor(stage: Stage, plan: SimulationPlan) {
    this.#stage = stage;
    this.#plan = plan;
    this.seed = plan.seed;
    this.#random = stage.world.random.fork();
    this.#faultRandom = stage.world.random.fork();
    this.invariants = new Invariants(stage);
    for (const fault of plan.faults) stage.world.at(fault.at, () => this.#strike(fault));
  }

  get now(): number {
    return this.#stage.world.now;
  }

  get nodes(): readonly Machine[] {
    return [...this.#machines.values()];
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  random(): number {
    return this.#random.fraction();
  }

  async start<const Names extends readonly string[]>(...names: Names) {
    const started: SimulatedNode[] = [];
    for (const name of names) {
      checkName(name);
      let machine = this.#machines.get(name);
      if (machine === undefined) {
        machine = this.#machine(name);
        this.#machines.set(name, machine);
      }
      if (!machine.running) await machine.boot(this.#stage.world.hosts.size === 0 ? "found" : "join");
      started.push(machine);
    }
    return started as unknown as { readonly [K in keyof Names]: SimulatedNode };
  }

  everywhere(program: Program): void {
    this.#programs.push(program);
    for (const machine of this.nodes) if (machine.running) machine.perform(program);
  }

  sleep(forMs: number): Promise<void> {
    return new Promise((resolve) => this.#stage.world.after(forMs, resolve));
  }

  async until(condition: () => boolean, withinMs = UNTIL_MS): Promise<void> {
    const end = this.now + withinMs;
    while (!condition()) {
      if (this.now >= end) throw new CoterieError("timeout", `what was waited for did not come within ${withinMs} ms`);
      await this.sleep(STEP_MS);
    }
  }

  crash(node: NodeReference): void {
    this.#of(node).crash();
  }

  async restart(node: NodeReference): Promise<void> {
    const machine = this.#of(node);
    if (!machine.running) await machine.boot("join");
  }

  pause(node: NodeReference, forMs: number): void {
    this.#stage.world.pause(this.#of(node).name, forMs, "stop");
  }

  partition(...sides: readonly (readonly NodeReference[])[]): void {
    this.#stage.world.partition(sides.map((side) => side.map((node) => this.#of(node).name)));
  }

  cut(from: NodeReference, to: NodeReference): void {
    this.#stage.world.fabric.setCut(this.#of(from).name, this.#of(to).name, true);
  }

  slow(node: NodeReference, delayMs: number): void {
    const { name } = this.#of(node);
    for (const other of this.nodes) {
      if (other.name !== name) this.#stage.world.fabric.rule(name, other.name).delayMs = delayMs;
    }
  }

  disconnect(a: NodeReference, b: NodeReference): void {
    this.#stage.world.fabric.disconnect(this.#of(a).self, this.#of(b).self);
  }

  heal(): void {
    this.#stage.world.heal();
  }

  async trouble(forMs: number): Promise<void> {
    const { now } = this;
    const { kinds } = this.#plan;
    if (kinds.length > 0) {
      const names = [...this.#machines.keys()];
      for (const fault of drawFaults(this.#faultRandom, kinds, names, now, now + forMs)) {
        this.#stage.world.at(fault.at, () => this.#strike(fault));
      }
    }
    await this.sleep(forMs);
    this.#recover();
  }

  when(pattern: Pattern, act: () => void): void {
    const node = typeof pattern.node === "object" ? pattern.node.name : pattern.node;
    let missing = pattern.nth ?? 1;
    this.#stage.watch((occurrence) => {
      if (!fits(occurrence, pattern, node) || --missing > 0) return false;
      act();
      return true;
    });
  }

  every(periodMs: number, act: () => void): void {
    this.#stage.world.after(periodMs, () => {
      if (this.#stage.calm) return;
      act();
      this.every(periodMs, act);
    });
  }

  always<G extends GroupDefinition>(group: G, sentence: string, holds: Predicate<ReplicaOf<G>>): void {
    this.invariants.always(group, sentence, holds);
  }

  atRest<G extends GroupDefinition>(group: G, sentence: string, holds: Predicate<readonly ReplicaOf<G>[]>): void {
    this.invariants.atRest(group, sentence, holds);
  }

  clients(model: SequentialModelName | PreparedModel): Clients {
    const prepared: PreparedModel | undefined = typeof model === "string" ? SEQUENTIAL_MODELS[model] : model;
    if (prepared === undefined) {
      const known = Object.keys(SEQUENTIAL_MODELS).join(", ");
      throw new CoterieError("invalid-argument", `clients: there is no model ${String(model)}; there are ${known}`);
    }
    const clients = new RecordedClients(this.#stage, prepared);
    this.recorded.push(clients);
    return clients;
  }

  fail(sentence: string): void {
    this.#stage.fail(sentence, "");
  }

  note(text: string): void {
    this.#stage.note(text);
  }

  /** The scenario is over: no more faults, and programs get no more time. */
  calm(): void {
    this.#stage.calm = true;
    this.#over.abort();
    this.#recover();
  }

  #recover(): void {
    this.#recoveries++;
    this.#stage.world.heal();
    for (const name of [...this.#fallen]) this.#raise(name);
  }

  #strike(fault: ClusterFault): void {
    if (this.#stage.calm) return;
    const { world } = this.#stage;
    const crash = (name: string): void => {
      this.#fallen.add(name);
      this.#of(name).crash();
    };
    const restart = (name: string): void => this.#raise(name);
    const recoveries = this.#recoveries;
    const atNextUpdate = (name: string, act: () => void): void => {
      this.when({ kind: "update", node: name }, () => {
        if (this.#recoveries === recoveries) act();
      });
    };
    if (strike(fault, { world, crash, restart, atNextUpdate })) this.struck.push(fault);
  }

  /** Starts a process again that a fault has crashed. */
  #raise(name: string): void {
    if (!this.#fallen.delete(name)) return;
    const machine = this.#of(name);
    // Should it crash again before it is in the cluster, the next fault starts it anew.
    if (!machine.running) machine.boot("join").catch(() => {});
  }

  #machine(name: string): Machine {
    return new Machine(name, {
      stage: this.#stage,
      failureTimeoutMs: this.#plan.failureTimeoutMs,
      programs: this.#programs,
      changed: (group, replica) => this.invariants.changed(group, replica),
    });
  }

  #of(node: NodeReference): Machine {
    const name = typeof node === "string" ? node : node.name;
    const machine = this.#machines.get(name);
    if (machine !== undefined) return machine;
    const known = [...this.#machines.keys()].join(", ");
    throw new CoterieError("invalid-argument", `the simulated cluster has no node ${name}; it has ${known || "none"}`);
  }
}

function fits(occurrence: Occurrence, pattern: Pattern, node = occurrence.node): boolean {
  const { kind, group = occurrence.group } = pattern;
  if (occurrence.kind !== kind || occurrence.node !== node || occurrence.group !== group) return false;
  return occurrence.kind === "view"
    ? occurrence.number === (pattern.number ?? occurrence.number)
    : occurrence.name === (pattern.name ?? occurrence.name);
}

function checkName(name: unknown): void {
  if (typeof name === "string" && /^[A-Za-z0-9._-]{1,64}$/.test(name) && name !== "leader") return;
  throw new CoterieError("invalid-argument", `start: ${JSON.stringify(name)} cannot be the name of a node`);
}
