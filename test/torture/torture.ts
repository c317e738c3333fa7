/**
 * Real processes under faults for as long as one likes: SIGKILL, SIGSTOP, stalls, cuts of every kind, comings and goings,
 * while all of them send. In the end the faults stop, everything must come together and to rest, all states must be
 * equal, and `coterie check` judges what the nodes have written down.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Random } from "../../src/base/random.ts";
import { Cast, type CastOptions } from "./cast.ts";
import { Episode, type Fault } from "./episode.ts";
import { type Figures, figuresOf } from "./figures.ts";
import type { Member } from "./member.ts";

const CLI = fileURLToPath(new URL("../../dist/edge/cli.js", import.meta.url));
const VISITORS = 2;
const MESSAGES_PER_SECOND = 240;
/** Between two episodes the members have this long to do their work. */
const REST_MS_MAX = 500;
const TOGETHER_MS_MAX = 60_000;
const QUIET_MS_MAX = 60_000;

export interface TortureOptions {
  readonly seconds: number;
  readonly members: number;
  readonly seed: number;
  /** Durable groups: now and then all processes fail at once, and disks are damaged, one at a time. */
  readonly durable?: boolean;
  readonly signal: AbortSignal;
  /** Hears how it goes on. */
  readonly progress: (text: string) => void;
}

export interface Violation {
  readonly property: string;
  readonly message: string;
}

export interface Verdict extends Figures {
  readonly seed: number;
  readonly members: number;
  readonly seconds: number;
  readonly episodes: number;
  /** Of durable groups: safe updates that some caller was told of, and those of them that are not there in the end. */
  readonly acknowledged: number;
  readonly lostAcknowledged: number;
  readonly faults: Readonly<Partial<Record<Fault, number>>>;
  /** From the end of the last faults until all had come together. */
  readonly convergenceMs: number | undefined;
  /** How calls of those that were there at the end had failed, by code. */
  readonly failures: Readonly<Record<string, number>>;
  readonly violations: readonly Violation[];
  /** Whatever else is wrong, in words. */
  readonly problems: readonly string[];
  readonly ok: boolean;
  /** Where the histories are, if something is wrong. */
  readonly kept: string | undefined;
}

/** Rejects only with the signal's reason; then nothing is left behind. */
export async function torture(options: TortureOptions): Promise<Verdict> {
  const directory = mkdtempSync(join(tmpdir(), "coterie-torture-"));
  const histories = join(directory, "histories");
  mkdirSync(histories);
  const disks = { data: join(directory, "data"), acknowledged: join(directory, "acknowledged") };
  if (options.durable === true) for (const folder of Object.values(disks)) mkdirSync(folder);
  const run = new Run(options, histories, options.durable === true ? disks : undefined);
  let keeps = false;
  try {
    const verdict = await run.play();
    keeps = !verdict.ok;
    return { ...verdict, kept: keeps ? histories : undefined };
  } finally {
    await run.end();
    if (!keeps) rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

class Run {
  readonly #options: TortureOptions;
  readonly #histories: string;
  readonly #random: Random;
  readonly #names: readonly string[];
  readonly #cast: Cast;
  readonly #faults = new Map<Fault, number>();
  readonly #problems: string[] = [];
  readonly #disks: CastOptions["disks"];
  #episodes = 0;
  #acknowledged = 0;
  #lost = 0;
  #convergenceMs: number | undefined;

  constructor(options: TortureOptions, histories: string, disks: CastOptions["disks"]) {
    const { members, seed, signal } = options;
    this.#options = options;
    this.#histories = histories;
    this.#disks = disks;
    this.#random = new Random(seed);
    this.#names = Array.from({ length: members }, (_, index) => `m${index + 1}`);
    const visitors = Array.from({ length: VISITORS }, (_, index) => `v${index + 1}`);
    const names = [...this.#names, ...visitors];
    const rate = MESSAGES_PER_SECOND / members;
    this.#cast = new Cast({ names, founders: members, histories, disks, rate, random: this.#random.fork(), signal });
  }

  async play(): Promise<Verdict> {
    const { seed, members, seconds, signal } = this.#options;
    const begun = performance.now();
    try {
      await this.#cast.found();
      await this.#suffer();
      await this.#rest();
    } catch (problem) {
      signal.throwIfAborted();
      this.#problems.push(problem instanceof Error ? problem.message : String(problem));
    }
    const { running } = this.#cast;
    for (const { name, complaints } of running) this.#problems.push(...complaints.map((each) => `${name}: ${each}`));
    const failures: Record<string, number> = {};
    for (const member of running) {
      for (const [code, times] of Object.entries(member.failures)) failures[code] = (failures[code] ?? 0) + times;
    }
    // All die in the midst of quiet: what their histories lack now is lacking.
    const settled = this.#problems.length === 0;
    const lasted = (performance.now() - begun) / 1000;
    await this.#cast.end();
    this.#options.progress("judging");
    const violations = await this.#judge(settled);
    const problems = [...new Set([...this.#problems, ...this.#cast.problems])];
    return {
      seed,
      members,
      seconds: Math.round(Math.max(seconds, lasted)),
      episodes: this.#episodes,
      acknowledged: this.#acknowledged,
      lostAcknowledged: this.#lost,
      faults: Object.fromEntries([...this.#faults].sort()),
      ...figuresOf(this.#histories),
      convergenceMs: this.#convergenceMs === undefined ? undefined : Math.round(this.#convergenceMs),
      failures,
      violations,
      problems,
      ok: violations.length === 0 && problems.length === 0,
      kept: undefined,
    };
  }

  async end(): Promise<void> {
    await this.#cast.end();
  }

  async #suffer(): Promise<void> {
    const { seconds, signal, progress } = this.#options;
    const end = performance.now() + seconds * 1000;
    while (performance.now() < end) {
      const left = Math.round((end - performance.now()) / 1000);
      progress(`${left} s left, ${[...this.#faults].map(([fault, times]) => `${fault} ${times}`).join(", ")}`);
      await sleep(this.#random.between(0, REST_MS_MAX));
      const count = (fault: Fault): void => void this.#faults.set(fault, (this.#faults.get(fault) ?? 0) + 1);
      await new Episode(this.#cast, this.#random, this.#names, count).play(signal);
      this.#episodes++;
      this.#convergenceMs = await this.#cast.together(TOGETHER_MS_MAX);
    }
  }

  /** No more is sent, all that was sent arrives, and all have the same states. */
  async #rest(): Promise<void> {
    const { running } = this.#cast;
    this.#options.progress("coming to rest");
    for (const member of running) member.tell({ kind: "stop" });
    for (const member of running) member.tell({ kind: "quiet" });
    await this.#cast.until("the processes do not come to rest", QUIET_MS_MAX, () =>
      running.every(({ digests }) => digests !== undefined),
    );
    const states = new Set(running.map(({ digests }) => digests?.join()));
    if (states.size !== 1) this.#problems.push(`there are ${states.size} different states in the end`);
    if (this.#disks !== undefined) this.#account(this.#disks.acknowledged, running[0]);
  }

  /** Everything that was acknowledged to any process of the run is in the states, once. */
  #account(folder: string, member: Member | undefined): void {
    for (const membership of readdirSync(folder)) {
      const acknowledged = Number(readFileSync(join(folder, membership), "utf8"));
      this.#acknowledged += acknowledged;
      this.#lost += Math.max(0, acknowledged - (member?.safe[membership] ?? 0));
    }
    if (this.#lost > 0) this.#problems.push(`${this.#lost} acknowledged updates are lost`);
    const repeated = member?.repeated ?? 0;
    if (repeated > 0) this.#problems.push(`${repeated} updates came twice`);
  }

  #judge(settled: boolean): Promise<readonly Violation[]> {
    const args = [
      "--max-old-space-size=8192",
      CLI,
      "check",
      this.#histories,
      "--json",
      ...(settled ? ["--settled"] : []),
    ];
    return new Promise((resolve) => {
      execFile(process.execPath, args, { maxBuffer: 1 << 28, signal: this.#options.signal }, (error, stdout) => {
        const last = stdout.trimEnd().split("\n").at(-1) ?? "";
        try {
          const { violations, unreadable } = JSON.parse(last) as {
            readonly violations: readonly Violation[];
            readonly unreadable: readonly { readonly file: string; readonly line: number; readonly problem: string }[];
          };
          this.#problems.push(...unreadable.map(({ file, line, problem }) => `${file}:${line}: ${problem}`));
          resolve(violations);
        } catch {
          this.#problems.push(`coterie check: ${error?.message ?? last}`);
          resolve([]);
        }
      });
    });
  }
}
