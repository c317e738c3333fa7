/**
 * A simulated machine on which a user's programs run, in one process at a time: the production node and groups on a
 * simulated host. When the process dies, what its programs wait for never comes, and its timers stop.
 */
import type { GroupDefinition } from "../group/define.ts";
import { CoterieError } from "../group/errors.ts";
import type { Group } from "../group/group.ts";
import type { NodeKeys } from "../group/key-ring.ts";
import { type Cluster, createNode, type JoinAllOptions, type JoinOptions, type Node } from "../group/node.ts";
import type { NodeId } from "../protocol/view.ts";
import { type IncarnationListener, RunningNode } from "../runtime/running-node.ts";
import { instrument, type ReplicaState } from "./instrument.ts";
import { describe, type Stage } from "./stage.ts";
import { type Surroundings, within } from "./surroundings.ts";

/** A machine of the cluster, and the node that runs on it: pass it wherever your program takes a `Node`. */
export interface SimulatedNode extends Node {
  readonly name: string;
  /** Whether its process runs. */
  readonly running: boolean;
  /**
   * Runs `program` in the node's process: its timers stop when the process dies. Resolves with what it returns; rejects
   * with what it throws, or with code `crashed` if the process dies before.
   */
  run<T>(program: (node: SimulatedNode) => T | Promise<T>): Promise<T>;
  /** Waits for so many simulated milliseconds; if the process dies before, for ever. */
  sleep(forMs: number): Promise<void>;
}

export type Program = (node: SimulatedNode) => unknown;

export interface MachineParts {
  readonly stage: Stage;
  readonly failureTimeoutMs: number;
  /** What every process runs. */
  readonly programs: readonly Program[];
  readonly changed: (group: string, replica: ReplicaState<unknown>) => void;
}

/** A program that ends for such a reason is begun anew. */
const ENDINGS: ReadonlySet<string> = new Set(["excluded", "outcome-unknown", "group-lost"]);
const AGAIN_MS = 100;
/** How long the last frames of a process that dies in the midst of its turn may take. */
const DYING_MS = 5;

/** One process, from its start to its death. */
class Life {
  readonly surroundings: Surroundings;
  readonly groups = new Map<string, Group<GroupDefinition>>();
  /** Joins that are under way. */
  joining = 0;
  node: Node | undefined;
  over = false;
  /** Rejects when the process dies. */
  readonly death: Promise<never>;
  #die: ((error: CoterieError) => void) | undefined;

  constructor(stage: Stage, name: string) {
    const random = stage.world.random.fork();
    this.surroundings = stage.surroundingsOf(
      () => random.word(),
      name,
      () => !this.over && !stage.calm,
    );
    this.death = new Promise((_, reject) => {
      this.#die = reject;
    });
    this.death.catch(() => {});
  }

  end(name: string): void {
    this.over = true;
    this.#die?.(crashed(name));
  }
}

export class Machine implements SimulatedNode {
  readonly name: string;
  readonly #parts: MachineParts;
  #life: Life | undefined;
  /** While the process dies in the midst of its turn: resolves when it is dead. */
  #dying: Promise<void> | undefined;

  constructor(name: string, parts: MachineParts) {
    this.name = name;
    this.#parts = parts;
  }

  get running(): boolean {
    return this.#life !== undefined && this.#dying === undefined;
  }

  get self(): NodeId {
    return this.#life?.node?.self ?? this.name;
  }

  get cluster(): Cluster {
    return this.#node.cluster;
  }

  /** The groups that the process is a member of. */
  get groups(): Group<GroupDefinition>[] {
    return [...(this.#life?.groups.values() ?? [])].filter(({ signal }) => !signal.aborted);
  }

  get joining(): number {
    return this.#life?.joining ?? 0;
  }

  async join<G extends GroupDefinition>(definition: G, options?: JoinOptions): Promise<Group<G>> {
    const [group] = await this.joinAll([definition], options);
    return group;
  }

  joinAll<const G extends readonly GroupDefinition[]>(
    definitions: G,
    options?: JoinAllOptions,
  ): Promise<{ readonly [K in keyof G]: Group<G[K]> }> {
    const { stage, changed } = this.#parts;
    return this.#while(async (life, node) => {
      const { surroundings } = life;
      const probe = { stage, node: this.name, surroundings, changed };
      life.joining++;
      try {
        const watched = definitions.map((definition) => instrument(definition, probe));
        const groups = await node.joinAll(watched, options);
        for (const group of groups) life.groups.set(group.name, group);
        return groups as unknown as { readonly [K in keyof G]: Group<G[K]> };
      } finally {
        life.joining--;
      }
    });
  }

  rekey(keys?: NodeKeys): Promise<void> {
    return this.#while((_, node) => node.rekey(keys));
  }

  async close(): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    await this.#while((_, node) => node.close());
    if (this.#life === life) this.#life = undefined;
    life.end(this.name);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  run<T>(program: (node: SimulatedNode) => T | Promise<T>): Promise<T> {
    return this.#while(async () => program(this));
  }

  sleep(forMs: number): Promise<void> {
    return this.#while(({ surroundings }) => new Promise((resolve) => surroundings.after(forMs, resolve)));
  }

  /** Starts a process; resolves when its node is in the cluster. */
  async boot(how: "found" | "join"): Promise<void> {
    const { stage, failureTimeoutMs, programs } = this.#parts;
    await this.#dying;
    if (this.#life !== undefined) return;
    const life = new Life(stage, this.name);
    this.#life = life;
    const { world } = stage;
    const always = stage.surroundingsOf(life.surroundings.word, this.name, () => !life.over);
    const opening = within(life.surroundings, () =>
      RunningNode.open({
        name: this.name,
        failureTimeoutMs,
        timers: always,
        incarnate: async (listener) => this.#incarnate(life.node === undefined ? how : "join", listener),
        noticed: (what, detail) => {
          stage.entry(this.name, { level: "debug", code: what.replaceAll(" ", "-"), message: JSON.stringify(detail) });
        },
      }),
    );
    const running = await Promise.race([opening, life.death]);
    life.node = createNode(running, { history: world.record, log: (entry) => stage.entry(this.name, entry) });
    for (const program of programs) this.perform(program);
  }

  /** The process dies at once, without a word; in the midst of its turn, what it has sent still arrives. */
  crash(): void {
    const life = this.#life;
    if (life === undefined || this.#dying !== undefined) return;
    const { world, amid } = this.#parts.stage;
    const die = (): void => {
      world.crash(this.name);
      this.#dying = undefined;
      this.#life = undefined;
      life.end(this.name);
    };
    if (amid) {
      world.cutShort(this.name);
      this.#dying = new Promise((resolve) => {
        world.after(DYING_MS, () => resolve(die()));
      });
    } else die();
  }

  /** Runs a program in the process until it ends, anew when its membership was taken from it. */
  perform(program: Program): void {
    const life = this.#life;
    const { stage } = this.#parts;
    this.run(program).catch((problem: unknown) => {
      if (life === undefined || this.#life !== life) return;
      const code = problem instanceof CoterieError ? problem.code : undefined;
      if (code !== undefined && ENDINGS.has(code)) {
        life.surroundings.after(AGAIN_MS, () => this.perform(program));
      } else {
        stage.fail("programs do not fail", `a program of ${this.name} threw ${describe(problem)}`, problem);
      }
    });
  }

  async #incarnate(how: "found" | "join", listener: IncarnationListener) {
    const { world } = this.#parts.stage;
    const host = world.start(this.name, how, {
      statusChanged: (status, detail) => listener.statusChanged(status, detail),
      clusterInstalled: (view) => listener.clusterInstalled(view),
      // It goes on seeking: its former incarnation is removed before long.
      joinRefused: (code, detail) => listener.noticed("join refused", { code, detail }),
      noticed: (what, detail) => listener.noticed(what, detail),
    });
    const { driver, id } = host;
    if (driver === undefined) throw new Error(`${this.name} does not run`);
    return {
      record: driver.identity().record,
      driver,
      waitingFor: "the others",
      end: async () => world.stop(id),
    };
  }

  /** Does something as the process, for as long as it lives. */
  async #while<T>(work: (life: Life, node: Node) => Promise<T>): Promise<T> {
    const life = this.#life;
    if (life === undefined) throw crashed(this.name);
    const node = this.#node;
    return within(life.surroundings, () => Promise.race([work(life, node), life.death]));
  }

  get #node(): Node {
    const node = this.#life?.node;
    if (node === undefined) throw crashed(this.name);
    return node;
  }
}

function crashed(name: string): CoterieError {
  return new CoterieError("crashed", `the simulated process of ${name} does not run`);
}
