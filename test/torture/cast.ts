/**
 * The processes under torture, the network between them, and whether they have come together: every node in contact,
 * all in one cluster view and in the same view of both groups.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../src/base/random.ts";
import { Partitions } from "../processes/partitions.ts";
import { Member } from "./member.ts";

const GROUPS = 2;
const POLL_MS = 20;
/** Short, so that there are many view changes; long enough for a machine that is busy with the other processes. */
const FAILURE_TIMEOUT_MS = 1500;

export interface CastOptions {
  readonly names: readonly string[];
  /** Those of them that found the cluster. */
  readonly founders: number;
  readonly histories: string;
  /** Durable groups: where the data directories are, and where processes write down what was acknowledged. */
  readonly disks?: { readonly data: string; readonly acknowledged: string } | undefined;
  /** Messages per second of each member. */
  readonly rate: number;
  readonly random: Random;
  readonly signal: AbortSignal;
}

export class Cast {
  readonly network: Partitions;
  readonly #options: CastOptions;
  readonly #addresses = new Map<string, { readonly listen: string; readonly advertise: string }>();
  readonly #members = new Map<string, Member>();
  readonly #entering = new Set<string>();
  /** What processes that have ended since had to complain of. */
  readonly #problems: string[] = [];
  /** In 100 datagrams, how many are lost. */
  lossPercent = 0;

  constructor(options: CastOptions) {
    this.#options = options;
    this.network = new Partitions(() => options.random.below(100) < this.lossPercent);
  }

  async found(): Promise<void> {
    const { names, founders } = this.#options;
    for (const [index, address] of (await this.network.attach(names)).entries()) {
      this.#addresses.set(names[index] ?? "", address);
    }
    const first = names.slice(0, founders);
    const addresses = first.map((name) => this.#addressOf(name).advertise);
    for (const name of names.slice(founders)) this.network.unplug(name);
    for (const name of first) this.#run(name, { founders: addresses });
    await this.together(60_000);
  }

  get running(): readonly Member[] {
    return [...this.#members.values()].filter(({ isRunning }) => isRunning);
  }

  /** Names of the cast that have no process, and are not about to have one. */
  get absent(): readonly string[] {
    const isThere = (name: string): boolean => this.#members.get(name)?.isRunning === true || this.#entering.has(name);
    return this.#options.names.filter((name) => !isThere(name));
  }

  /** What no process should have done. */
  get problems(): readonly string[] {
    return [...this.#problems, ...[...this.#members.values()].flatMap(({ problem }) => problem ?? [])];
  }

  /** Starts a process for a name that has none. */
  async enter(name: string): Promise<void> {
    const { problem } = this.#members.get(name) ?? {};
    if (problem !== undefined) this.#problems.push(problem);
    this.#entering.add(name);
    await this.network.plug(name);
    this.#entering.delete(name);
    const seeds = this.#options.names
      .filter((other) => other !== name)
      .map((other) => this.#addressOf(other).advertise);
    this.#run(name, { seeds });
  }

  get isDurable(): boolean {
    return this.#options.disks !== undefined;
  }

  /** Where the node of this name keeps its data. */
  dataOf(name: string): string {
    return join(this.#options.disks?.data ?? "", name);
  }

  async kill(member: Member): Promise<void> {
    await member.kill();
    this.network.unplug(member.name);
  }

  /** Leaves in good order, or is killed when it cannot. */
  async leave(member: Member, withinMs: number): Promise<void> {
    member.tell({ kind: "leave" });
    await Promise.race([member.ended, sleep(withinMs)]);
    await this.kill(member);
  }

  /** Resolves when all that run have come together, with the time that it took; rejects after `withinMs`. */
  async together(withinMs: number): Promise<number> {
    return await this.until("the processes do not come together", withinMs, () => this.#areTogether());
  }

  async until(problem: string, withinMs: number, look: () => boolean): Promise<number> {
    const begun = performance.now();
    while (!look()) {
      this.#options.signal.throwIfAborted();
      if (this.problems.length > 0) throw new Error(this.problems.join("\n"));
      if (performance.now() - begun > withinMs)
        throw new Error(`${problem} within ${withinMs} ms:\n${this.#describe()}`);
      await sleep(POLL_MS);
    }
    return performance.now() - begun;
  }

  /** Kills all at once. */
  async end(): Promise<void> {
    await Promise.all(this.running.map((member) => member.kill()));
    this.network.close();
  }

  #run(name: string, entry: object): void {
    const { histories: history, rate, disks } = this.#options;
    const durable = disks && { dataDir: this.dataOf(name), acknowledged: disks.acknowledged };
    const how = { history, rate, failureTimeoutMs: FAILURE_TIMEOUT_MS };
    const options = { ...this.#addressOf(name), ...entry, ...how, ...durable };
    this.#members.set(name, new Member(name, options));
  }

  #addressOf(name: string): { readonly listen: string; readonly advertise: string } {
    const address = this.#addresses.get(name);
    if (address === undefined) throw new Error(`${name} has no address`);
    return address;
  }

  #areTogether(): boolean {
    const { running } = this;
    const nodes = running
      .map(({ state }) => state?.node)
      .sort()
      .join();
    return running.every(({ state }) => {
      if (state?.status !== "primary" || state.groups.length !== GROUPS) return false;
      const views = [state.nodes, ...state.groups.map(({ members }) => members)];
      return views.every((view) => view.toSorted().join() === nodes);
    });
  }

  #describe(): string {
    return this.running
      .map(({ name, state }) => {
        const groups = (state?.groups ?? []).map((group) => `${group.name} {${group.members.join(" ")}}`).join(", ");
        return `  ${name}: ${state?.node} ${state?.status} {${state?.nodes.join(" ")}}, ${groups}`;
      })
      .join("\n");
  }
}
