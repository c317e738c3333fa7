/**
 * One measurement: starts the processes, leads them through it, and adds up what they saw.
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { newClusterKey } from "../../runtime/secure/cluster-key.ts";
import { Histogram } from "./histogram.ts";
import type { FromMember, Outcome, Task, ToMember, Work } from "./task.ts";

export interface Measurement {
  /** Messages delivered in a second at each member, on average. */
  readonly perSecond: number;
  readonly cpuNsPerDelivery: number;
  /** Of the largest process. */
  readonly rssBytes: number;
  /** Of the process that has grown most. */
  readonly rssGrowthBytes: number;
  readonly arrival: Histogram;
  readonly result: Histogram;
}

type Told<K extends FromMember["kind"]> = Extract<FromMember, { readonly kind: K }>;

class Member {
  readonly #child: ChildProcess;
  readonly #told: FromMember[] = [];
  readonly #ended: Promise<void>;
  #wake = (): void => {};
  #isEnded = false;

  constructor(task: Task) {
    const own = fileURLToPath(import.meta.url);
    const path = fileURLToPath(new URL(`./member${extname(own)}`, import.meta.url));
    this.#child = fork(path, [JSON.stringify(task)], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    this.#child.on("message", (message: FromMember) => {
      this.#told.push(message);
      this.#wake();
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once("exit", () => {
        this.#isEnded = true;
        this.#wake();
        resolve();
      });
    });
  }

  tell(message: ToMember): void {
    if (this.#child.connected) this.#child.send(message);
  }

  async hear<K extends FromMember["kind"]>(kind: K): Promise<Told<K>> {
    for (;;) {
      const found = this.#told.find((message) => message.kind === kind);
      if (found !== undefined) return found as Told<K>;
      const failed = this.#told.find((message) => message.kind === "failed");
      if (failed !== undefined) throw new Error(`a member failed: ${failed.message}`);
      if (this.#isEnded) throw new Error("a member ended before the measurement");
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async end(): Promise<void> {
    this.tell({ kind: "end" });
    await this.#ended;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

export async function measure(system: Task["system"], work: Work): Promise<Measurement> {
  const directory = mkdtempSync(join(tmpdir(), "coterie-bench-"));
  const key = join(directory, "key");
  if (work.secure === true) writeFileSync(key, newClusterKey(), { mode: 0o600 });
  // A temporary directory may well be in memory.
  const usesDisk = system === "disk" || work.durable === true;
  const disk = usesDisk ? mkdtempSync(join(process.cwd(), ".bench-disk-")) : undefined;
  const secured = work.secure === true ? { clusterKey: key } : {};
  const task = { ...work, system, directory, ...secured, ...(disk === undefined ? {} : { disk }) };
  const members = Array.from({ length: work.members }, (_, rank) => new Member({ ...task, rank }));
  const all = <K extends FromMember["kind"]>(kind: K): Promise<Told<K>[]> =>
    Promise.all(members.map((member) => member.hear(kind)));
  const tell = (message: ToMember): void => {
    for (const member of members) member.tell(message);
  };
  try {
    if (system === "raw") tell({ kind: "ports", ports: (await all("port")).map(({ port }) => port) });
    await all("ready");
    tell({ kind: "warm" });
    await all("warm");
    tell({ kind: "measure" });
    const outcomes = (await all("outcome")).map(({ outcome }) => outcome);
    await Promise.all(members.map((member) => member.end()));
    return summed(outcomes);
  } finally {
    for (const member of members) member.kill();
    for (const path of [directory, disk ?? directory]) rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  }
}

function summed(outcomes: readonly Outcome[]): Measurement {
  const sum = (value: (outcome: Outcome) => number): number =>
    outcomes.reduce((total, outcome) => total + value(outcome), 0);
  const arrival = new Histogram();
  const result = new Histogram();
  for (const outcome of outcomes) {
    arrival.addAll(outcome.arrival);
    result.addAll(outcome.result);
  }
  return {
    perSecond: Math.round(sum(({ delivered, seconds }) => delivered / seconds) / outcomes.length),
    cpuNsPerDelivery: Math.round((sum(({ cpuSeconds }) => cpuSeconds) * 1e9) / sum(({ delivered }) => delivered)),
    rssBytes: Math.max(...outcomes.map(({ rssBytes }) => rssBytes)),
    rssGrowthBytes: Math.max(...outcomes.map(({ rssGrowthBytes }) => rssGrowthBytes)),
    arrival,
    result,
  };
}
