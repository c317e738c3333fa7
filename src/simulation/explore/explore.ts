/**
 * Exhaustive exploration of a small world over the production core: a cluster of a few nodes with a group, and everything
 * that may happen to it within the given allowances, in every order that makes a difference. A configuration in which
 * nothing is under way is judged as a run is: what has happened by every checker, and what becomes of it by M5.
 *
 * Two ways to meet the same configuration are one: it is looked at once. And of two things that commute only one order is
 * followed (sleep sets, with what they hid kept for each configuration: Godefroid, "Partial-order methods", 1996). That
 * leaves out steps, never a configuration.
 */
import type { HistoryEvent } from "../../protocol/history.ts";
import { Directory } from "../../protocol/membership/directory.ts";
import { isQuorum, type NodeId, type NodeRecord } from "../../protocol/view.ts";
import { controlFrame } from "../../runtime/frames.ts";
import { SAFE, TOTAL } from "../../wire/packet.ts";
import { check } from "../axioms/index.ts";
import type { Failure } from "../simulate.ts";
import { aftermathOf, settle } from "./aftermath.ts";
import { Automaton } from "./automaton.ts";
import { type Acts, type Cast, type Choice, Configuration, commute, eventsOf } from "./configuration.ts";
import { Frames, type Signal, signal } from "./signals.ts";

export interface ExplorationOptions {
  /** Nodes that are members of the group from the start. */
  readonly members: number;
  /** Nodes of the cluster that are not; each may join. */
  readonly others: number;
  /** Acceptors at most. */
  readonly directorySize: number;
  /** Whether the members are in a group; otherwise only the cluster is explored. */
  readonly hasGroup: boolean;
  /** Of the messages that are sent, in turn. */
  readonly flavours?: readonly number[];
  readonly acts: Acts;
  /** So many steps deep. */
  readonly depthMax: number;
  readonly statesMax: number;
  /** Called now and then; true ends the exploration. */
  readonly hasEnough?: (soFar: Figures) => boolean;
}

export interface Figures {
  /** Configurations. */
  readonly states: number;
  readonly transitions: number;
  /** Of the longest run. */
  readonly depth: number;
  /** Configurations in which nothing was under way, and how many different histories they had. */
  readonly judged: number;
  readonly histories: number;
  /** States of each node. */
  readonly localStates: readonly number[];
}

export interface Exploration extends Figures {
  /** Whether everything within the allowances was seen. */
  readonly exhausted: boolean;
  readonly violations: readonly Failure[];
  /** The steps of the run that broke something, and all of its history. */
  readonly path: readonly string[];
  readonly history: readonly HistoryEvent[];
}

const ASK_EVERY = 256;
const SETUP_ROUNDS = 40;

export function explore(options: ExplorationOptions): Exploration {
  return new Explorer(options).run();
}

class Explorer {
  readonly #options: ExplorationOptions;
  readonly #cast: Cast;
  /** Of each configuration the names of the choices that were not followed from it, because others cover them. */
  readonly #slept = new Map<string, ReadonlySet<string>>();
  readonly #histories = new Set<string>();
  readonly #prelude: HistoryEvent[] = [];
  readonly #path: Choice[] = [];
  #transitions = 0;
  #depth = 0;
  #judged = 0;
  #isOver = false;
  #isCut = false;
  #violations: readonly Failure[] = [];
  #aftermath: readonly HistoryEvent[] = [];

  constructor(options: ExplorationOptions) {
    this.#options = options;
    const { members, others, directorySize } = options;
    const records = Array.from({ length: members + others }, (_, rank): NodeRecord => {
      const name = String.fromCharCode(97 + rank);
      return { id: `${name}#0000000${rank}`, address: name, livenessPort: 0, features: 0, disk: "", weight: 1 };
    });
    const frames = new Frames();
    const ids = records.map(({ id }) => id);
    const automata = records.map((self, rank) => new Automaton({ self, rank, directorySize }, ids, frames));
    this.#cast = { automata, frames, flavours: options.flavours ?? [SAFE, TOTAL] };
    for (const { id } of records) this.#prelude.push({ kind: "start", at: 0, node: id });
  }

  run(): Exploration {
    this.#visit(this.#setUp().allow(this.#options.acts), []);
    const violated = this.#violations.length > 0;
    return {
      ...this.#figures(),
      exhausted: !this.#isCut && !this.#isOver,
      violations: this.#violations,
      path: violated ? this.#path.map(({ name }) => this.#words(name)) : [],
      history: violated ? [...this.#history(), ...this.#aftermath].map((event, at) => ({ ...event, at })) : [],
    };
  }

  #figures(): Figures {
    return {
      states: this.#slept.size,
      transitions: this.#transitions,
      depth: this.#depth,
      judged: this.#judged,
      histories: this.#histories.size,
      localStates: this.#cast.automata.map(({ states }) => states),
    };
  }

  /** All nodes are in their first view, and the members in their group, with nothing under way. */
  #setUp(): Configuration {
    const { members, directorySize, hasGroup } = this.#options;
    const nodes = this.#cast.automata.map(({ options: { self } }) => self);
    const ids = nodes.map(({ id }) => id);
    const directory = new Directory();
    directory.clusterInstalled(new Set(ids));
    const view = { cluster: "c", number: 1, nodes, acceptors: ids.slice(0, directorySize) };
    const decided = { view, cut: [], leavers: [], holders: [] };
    const bytes = controlFrame({ kind: "installCluster", decided, snapshot: directory.snapshot() });
    const install = this.#cast.frames.signal(ids[0] as NodeId, this.#cast.frames.number("control", bytes), false);
    let at = Configuration.begin(this.#cast);
    for (let node = 0; node < nodes.length; node++) at = this.#prepare(at, node, install);
    at = settle(at, this.#prelude).end;
    for (let member = 0; hasGroup && member < members; member++) {
      at = settle(this.#prepare(at, member, signal({ kind: "join" })), this.#prelude).end;
      // Whatever waits for a timer.
      for (let round = 0; round < SETUP_ROUNDS && at.locals[member]?.isMember !== true; round++) {
        for (let node = 0; node < nodes.length; node++) at = this.#prepare(at, node, signal({ kind: "wake" }));
        at = settle(at, this.#prelude).end;
      }
    }
    return at;
  }

  #prepare(at: Configuration, node: number, by: Signal): Configuration {
    const { step, make } = at.take(node, by);
    this.#prelude.push(...step.events);
    return make();
  }

  /** Follows all that may happen from here, but for the choices in `asleep`, which are followed elsewhere. */
  #visit(at: Configuration, asleep: readonly Choice[]): void {
    const { key } = at;
    const before = this.#slept.get(key);
    const names = new Set(asleep.map(({ name }) => name));
    this.#slept.set(key, before === undefined ? names : new Set([...before].filter((name) => names.has(name))));
    let choices: Choice[];
    if (before === undefined) {
      choices = at.choices();
      if (choices.every(({ act }) => act !== undefined)) this.#judge(at);
      if (this.#slept.size >= this.#options.statesMax) this.#isOver = true;
      choices = choices.filter(({ name }) => !names.has(name));
    } else {
      if ([...before].every((name) => names.has(name))) return;
      choices = at.choices().filter(({ name }) => before.has(name) && !names.has(name));
    }
    this.#depth = Math.max(this.#depth, this.#path.length);
    if (this.#path.length >= this.#options.depthMax) {
      this.#isCut ||= choices.length > 0;
      return;
    }
    const covered = asleep.filter(({ name }) => before === undefined || before.has(name));
    for (const choice of choices) {
      if (this.#isOver) return;
      this.#path.push(choice);
      this.#follow(choice, covered);
      if (this.#violations.length > 0) return;
      this.#path.pop();
      covered.push(choice);
    }
  }

  #follow(choice: Choice, covered: readonly Choice[]): void {
    const { hasEnough } = this.#options;
    if (++this.#transitions % ASK_EVERY === 0 && hasEnough?.(this.#figures()) === true) this.#isOver = true;
    if (choice.step?.broken !== undefined) this.#found([{ property: "assert", message: choice.step.broken }], []);
    else
      this.#visit(
        choice.make(),
        covered.filter((other) => commute(choice, other)),
      );
  }

  #judge(at: Configuration): void {
    this.#judged++;
    const { end, events, unsettled, broken } = aftermathOf(at);
    if (broken !== undefined) {
      this.#found([{ property: "assert", message: broken }], events);
      return;
    }
    if (unsettled !== undefined && !isLost(end)) {
      this.#found([{ property: "M5", message: `no convergence: ${unsettled}` }], events);
      return;
    }
    const witnesses = end.locals.map(({ witness }, node) => `${witness} ${at.alive[node]}`).join();
    if (this.#histories.has(witnesses)) return;
    this.#histories.add(witnesses);
    const violations = check([...this.#history(), ...events], { quiescent: unsettled === undefined });
    if (violations.length > 0) this.#found(violations, events);
  }

  #found(violations: readonly Failure[], aftermath: readonly HistoryEvent[]): void {
    this.#violations = violations;
    this.#aftermath = aftermath;
    this.#isOver = true;
  }

  #history(): HistoryEvent[] {
    return [...this.#prelude, ...this.#path.flatMap((choice) => [...eventsOf(choice, this.#cast)])];
  }

  /** A choice's name with the names of nodes instead of their numbers. */
  #words(name: string): string {
    return name.replace(/(?<![#\d])\d+/g, (rank) => this.#cast.automata[Number(rank)]?.options.self.address ?? rank);
  }
}

/** Whether the newest view that anybody is in has lost a quorum of its acceptors: then the survivors can only wait. */
function isLost(at: Configuration): boolean {
  const running = at.survivors;
  if (running.length === 0) return true;
  const newest = at.locals
    .flatMap(({ cluster }, node) => (running.includes(node) ? cluster : []))
    .reduce((most, view) => (view.number > most.number ? view : most));
  const alive = new Set(running.map((node) => at.cast.automata[node]?.options.self.id));
  return !isQuorum(newest.acceptors, (id) => alive.has(id));
}
