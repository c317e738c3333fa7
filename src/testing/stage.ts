/**
 * The stage of one run: a simulated world, and asynchronous programs that take their turns between its events. After
 * every event all that programs can do at that moment is done before the next event comes, so a run is a function of its
 * seed, however many promises are in it.
 */
import type { LogEntry } from "../group/diagnostics.ts";
import { type NodeId, nodeName } from "../protocol/view.ts";
import { World, type WorldOptions } from "../simulation/world.ts";
import type { Surroundings } from "./surroundings.ts";

/** What a user's group has done at a node: an operation has run there, or a view was installed. */
export type Occurrence =
  | {
      readonly kind: "update" | "query";
      /** The name of the node. */
      readonly node: string;
      readonly group: string;
      /** The operation's name. */
      readonly name: string;
      readonly args: readonly unknown[];
      readonly sender: NodeId;
    }
  | {
      readonly kind: "view";
      readonly node: string;
      readonly group: string;
      readonly number: number;
      readonly members: readonly NodeId[];
    };

/** Something that is not as it should be. */
export interface RunFailure {
  /** A promise of the model, such as "D3", or the sentence that does not hold. */
  readonly property: string;
  /** More about it; may be empty. */
  readonly message: string;
  /** Milliseconds of the run. */
  readonly at: number;
  /** Index in the history of the event at which it showed. */
  readonly event: number;
  readonly cause?: unknown;
}

export interface StageLogEntry extends LogEntry {
  readonly at: number;
  readonly node: string;
}

/** A remark at an event of the history. */
export interface Note {
  readonly event: number;
  readonly property: string;
}

const LOG_MAX = 1000;
const NOTES_MAX = 1000;
const LABEL_MAX = 40;
/** Taken before anything replaces it: it lets all promises that can go on do so. */
const realImmediate = setImmediate;

export class Stage {
  readonly world: World;
  readonly failures: RunFailure[] = [];
  readonly notes: Note[] = [];
  readonly log: StageLogEntry[] = [];
  /** What messages say, by their ids in the history. */
  readonly labels = new Map<string, string>();
  /** The scenario's own surroundings. */
  readonly surroundings: Surroundings;
  /** Who is told what happens in the users' groups, until it returns true. */
  readonly #watchers = new Set<(occurrence: Occurrence) => boolean>();
  /** The scenario is over: programs get no more time. */
  calm = false;
  /** Whether something is being told, in the midst of a node's turn. */
  amid = false;

  constructor(options: WorldOptions) {
    this.world = new World(options);
    const random = this.world.random.fork();
    this.surroundings = this.surroundingsOf(
      () => random.word(),
      undefined,
      () => true,
    );
  }

  /** Surroundings whose timers stop with the host, and fire only while `goesOn`. */
  surroundingsOf(word: () => number, host: string | undefined, goesOn: () => boolean): Surroundings {
    const { world } = this;
    return {
      now: () => world.now,
      wallTime: () => world.wallTime,
      word,
      after: (delayMs, callback) => {
        let wanted = true;
        const fire = (): void => {
          if (wanted && goesOn()) callback();
        };
        world.at(world.now + delayMs, fire, host);
        return () => {
          wanted = false;
        };
      },
    };
  }

  /** Tells `watcher` of everything that occurs, in the midst of a node's turn, until it returns true. */
  watch(watcher: (occurrence: Occurrence) => boolean): void {
    this.#watchers.add(watcher);
  }

  tell(occurrence: Occurrence): void {
    const { history } = this.world;
    const last = history[history.length - 1];
    if (last?.kind === "deliver" && occurrence.kind !== "view") this.labels.set(last.message, labelOf(occurrence));
    const before = this.amid;
    this.amid = true;
    try {
      for (const watcher of this.#watchers) if (watcher(occurrence)) this.#watchers.delete(watcher);
    } finally {
      this.amid = before;
    }
  }

  /** Something is wrong at this moment; the first such thing ends the run. */
  fail(property: string, message: string, cause?: unknown): void {
    const event = Math.max(0, this.world.history.length - 1);
    this.failures.push({ property, message, at: this.world.now, event, ...(cause === undefined ? {} : { cause }) });
  }

  note(text: string): void {
    if (this.notes.length < NOTES_MAX) this.notes.push({ event: this.world.history.length - 1, property: text });
  }

  entry(node: string, entry: LogEntry): void {
    if (this.log.length < LOG_MAX) this.log.push({ ...entry, at: this.world.now, node });
  }

  /** Runs the world until `work` is settled or something fails. False when it is not settled at `limitMs`. */
  async perform(work: Promise<unknown>, limitMs: number): Promise<boolean> {
    let settled = false;
    const settle = (): void => {
      settled = true;
    };
    work.then(settle, settle);
    for (;;) {
      await new Promise((resolve) => realImmediate(resolve));
      if (settled || this.failures.length > 0) return true;
      if (!this.#step(limitMs)) return false;
    }
  }

  #step(limitMs: number): boolean {
    try {
      return this.world.step(limitMs);
    } catch (problem) {
      this.fail("exception", describe(problem), problem);
      return true;
    }
  }
}

/** `b:set Harry,21`: who calls what, in a few letters. */
function labelOf({ sender, name, args }: Extract<Occurrence, { sender: NodeId }>): string {
  const given = args.map((arg) => (typeof arg === "string" ? arg : (JSON.stringify(arg, jsonOf) ?? ""))).join();
  return `${nodeName(sender)}:${name} ${given.slice(0, LABEL_MAX)}`.trimEnd();
}

function jsonOf(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}n` : value;
}

export function describe(problem: unknown): string {
  return problem instanceof Error ? `${problem.name}: ${problem.message}` : String(problem);
}
