/**
 * A node as an automaton: its states are told apart by fingerprints, and what an input does in a state is worked out once.
 * A world of few nodes has few states of each, which combine to very many states of the whole; so nearly every step of an
 * exploration is a look into a table.
 *
 * The core cannot be copied, but it can be repeated: a machine in a state is made by feeding a new one the inputs that
 * first led there.
 */
import { createHash } from "node:crypto";
import type { HistoryEvent } from "../../protocol/history.ts";
import type { NodeId } from "../../protocol/view.ts";
import type { Lane } from "../../runtime/ports.ts";
import { type Condition, Machine, type MachineOptions, type Output } from "./machine.ts";
import type { Frames, Signal } from "./signals.ts";

/** A node in one state, as those see it who combine them. */
export interface LocalState extends Condition {
  readonly number: number;
  readonly from: LocalState | undefined;
  readonly by: Signal | undefined;
  readonly steps: Map<string, LocalStep>;
}

/** What a node wants of the network, with nodes and frames by number. */
export type Wish =
  | { readonly kind: "send"; readonly to: number; readonly lane: Lane; readonly frame: number }
  | { readonly kind: "datagram"; readonly to: number; readonly frame: number }
  | { readonly kind: "link" | "unlink"; readonly to: number };

export interface LocalStep {
  readonly to: LocalState;
  readonly wishes: readonly Wish[];
  /** Whether it makes or ends links. */
  readonly relinks: boolean;
  readonly events: readonly HistoryEvent[];
  /** What the code itself found wrong. */
  readonly broken: string | undefined;
}

const MACHINES_MAX = 256;

export class Automaton {
  readonly options: MachineOptions;
  readonly initial: LocalState;
  readonly #frames: Frames;
  readonly #ids: readonly NodeId[];
  readonly #byFingerprint = new Map<string, LocalState>();
  /** Machines that stand in some state, by its number; those used last are kept. */
  readonly #machines = new Map<number, Machine>();
  stepsTaken = 0;

  /** `ids`: all nodes, by their numbers. */
  constructor(options: MachineOptions, ids: readonly NodeId[], frames: Frames) {
    this.options = options;
    this.#ids = ids;
    this.#frames = frames;
    const machine = new Machine(options);
    machine.drain();
    this.initial = this.#stateOf(machine, undefined, undefined);
    this.#keep(this.initial, machine);
  }

  get states(): number {
    return this.#byFingerprint.size;
  }

  step(state: LocalState, signal: Signal): LocalStep {
    const known = state.steps.get(signal.key);
    if (known !== undefined) return known;
    this.stepsTaken++;
    const machine = this.#takeMachine(state);
    let broken: string | undefined;
    try {
      machine.take(this.#frames.inputOf(signal));
    } catch (problem) {
      broken = problem instanceof Error ? (problem.stack ?? problem.message) : String(problem);
    }
    const { outputs, events } = machine.drain();
    const to = broken === undefined ? this.#stateOf(machine, state, signal) : state;
    if (broken === undefined) this.#keep(to, machine);
    const wishes = outputs.map((output) => this.#wish(output));
    const relinks = wishes.some(({ kind }) => kind === "link" || kind === "unlink");
    const step = { to, wishes, relinks, events, broken };
    state.steps.set(signal.key, step);
    return step;
  }

  /** A machine in this state, for the caller to do with as it likes. */
  machineAt(state: LocalState): Machine {
    const signals: Signal[] = [];
    for (let at: LocalState = state; at.from !== undefined && at.by !== undefined; at = at.from) signals.push(at.by);
    const machine = new Machine(this.options);
    machine.drain();
    for (const signal of signals.reverse()) {
      machine.take(this.#frames.inputOf(signal));
      machine.drain();
    }
    return machine;
  }

  #wish(output: Output): Wish {
    const to = this.#ids.indexOf(output.to);
    if (output.kind === "datagram") {
      return { kind: "datagram", to, frame: this.#frames.number("datagram", output.bytes) };
    }
    if (output.kind !== "send") return { kind: output.kind, to };
    return { kind: "send", to, lane: output.lane, frame: this.#frames.number(output.lane, output.bytes) };
  }

  #takeMachine(state: LocalState): Machine {
    const machine = this.#machines.get(state.number);
    this.#machines.delete(state.number);
    return machine ?? this.machineAt(state);
  }

  #keep(state: LocalState, machine: Machine): void {
    this.#machines.set(state.number, machine);
    for (const number of this.#machines.keys()) {
      if (this.#machines.size <= MACHINES_MAX) break;
      this.#machines.delete(number);
    }
  }

  #stateOf(machine: Machine, from: LocalState | undefined, by: Signal | undefined): LocalState {
    const fingerprint = createHash("sha1").update(machine.fingerprint()).digest("base64");
    const known = this.#byFingerprint.get(fingerprint);
    if (known !== undefined) return known;
    const state: LocalState = {
      number: this.#byFingerprint.size,
      from,
      by,
      steps: new Map(),
      ...machine.condition(),
    };
    this.#byFingerprint.set(fingerprint, state);
    return state;
  }
}
