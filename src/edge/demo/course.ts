/**
 * The course of the demo: three processes found a cluster, all send, the oldest member is killed in the midst of it, the
 * others go on, it comes back with their state, traffic stops, all report, all leave. What happens when is kept for the
 * verdict, also when the course ends early.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { nodeName } from "../../protocol/view.ts";
import { figure } from "../output.ts";
import type { MemberCredentials } from "./credentials.ts";
import { type FromMember, machineTime } from "./messages.ts";
import { NAMES } from "./prices.ts";
import { DemoError, MemberProcess } from "./processes.ts";
import type { Timeline } from "./timeline.ts";
import { type InstalledView, Views } from "./views.ts";

export interface CourseOptions {
  /** A folder for the rendezvous and the journals. */
  readonly folder: string;
  /** By name, when the demo is secured. */
  readonly credentials: ReadonlyMap<string, MemberCredentials> | undefined;
  /** How long there is traffic. */
  readonly seconds: number;
  readonly timeline: Timeline;
  readonly signal: AbortSignal;
}

const UPDATES_PER_SECOND = 300;
/** With the killed member, without it, and with its successor. */
const PHASES = 3;
const RATE_ROWS = 3;
/** More than enough on a busy machine; who needs longer has failed. */
const STAGE_MS_MAX = 15_000;

export class Course {
  readonly #options: CourseOptions;
  readonly #timeline: Timeline;
  readonly #views: Views;
  readonly #waiting = new Set<() => void>();
  /** All processes that ever ran, in the order in which they were started. */
  readonly processes: MemberProcess[] = [];
  victim: MemberProcess | undefined;
  /** The killed member's second life. */
  successor: MemberProcess | undefined;
  readonly startedAt = machineTime();
  trafficAt: number | undefined;
  /** All three send again. */
  togetherAt: number | undefined;
  stoppedAt: number | undefined;
  endedAt: number | undefined;

  constructor(options: CourseOptions) {
    this.#options = options;
    this.#timeline = options.timeline;
    this.#views = new Views((view, before) => this.#tellView(view, before));
  }

  /** Every view that the members agreed on, in order. */
  get views(): readonly InstalledView[] {
    return this.#views.all;
  }

  get running(): readonly MemberProcess[] {
    return this.processes.filter((each) => each.isRunning && each.killedAt === undefined);
  }

  /** Why some process cannot go on. */
  get #problem(): DemoError | undefined {
    return this.processes.find(({ problem }) => problem !== undefined)?.problem;
  }

  /** Rejects with a DemoError when it cannot go on, and when the signal fires. */
  async play(): Promise<void> {
    await this.#gather();
    await this.#traffic();
    await this.#kill();
    await this.#restart();
    await this.#settle();
    await this.#leave();
  }

  killAll(): void {
    for (const each of this.running) each.kill();
  }

  /** Ends all processes at once, and resolves when they are gone. */
  async end(): Promise<void> {
    this.killAll();
    await Promise.all(this.processes.map(({ ended }) => ended));
  }

  async #gather(): Promise<void> {
    this.#timeline.begin(this.startedAt);
    for (const name of NAMES) this.#start(name);
    const pids = this.processes.map(({ pid }) => pid).join(", ");
    this.#timeline.starts(this.startedAt, NAMES, `three processes start: ${pids}`);
    await this.#together("the three members do not come together");
  }

  async #traffic(): Promise<void> {
    this.trafficAt = machineTime();
    for (const each of this.running) each.tell({ kind: "traffic", updatesPerSecond: UPDATES_PER_SECOND });
    this.#timeline.remark(this.trafficAt, `each sends ${UPDATES_PER_SECOND} updates a second, flushes and queries`);
    await this.#pass("updates delivered");
  }

  async #kill(): Promise<void> {
    const oldest = this.views.at(-1)?.members[0];
    const victim = this.running.find(({ name }) => oldest !== undefined && nodeName(oldest) === name);
    if (victim === undefined) throw new DemoError("no view was installed");
    this.victim = victim;
    this.#views.forget(victim.name);
    const at = victim.kill();
    this.#timeline.killed(at, victim.name, `SIGKILL for ${victim.name}, the oldest member, which orders the updates`);
    await this.#together("the survivors do not agree on a view without it");
    await this.#pass("the survivors go on");
  }

  async #restart(): Promise<void> {
    const name = this.victim?.name ?? "";
    const successor = this.#start(name);
    this.successor = successor;
    this.#timeline.starts(successor.at, [name], `${name} starts again: process ${successor.pid}`);
    await this.#together(`${name} does not come back`);
    successor.tell({ kind: "traffic", updatesPerSecond: UPDATES_PER_SECOND });
    this.togetherAt = machineTime();
    await this.#pass("all three send again");
  }

  async #settle(): Promise<void> {
    this.stoppedAt = machineTime();
    this.#timeline.remark(this.stoppedAt, "traffic stops; what was sent arrives");
    const members = this.running;
    for (const each of members) each.tell({ kind: "stop" });
    await this.#within("the traffic does not come to rest", Promise.all(members.map((each) => each.hears("quiet"))));
    for (const each of members) each.tell({ kind: "report" });
    await this.#within("a member does not report", Promise.all(members.map((each) => each.hears("report"))));
    this.#timeline.remark(machineTime(), "all report their states");
  }

  async #leave(): Promise<void> {
    const members = this.running;
    for (const each of members) each.tell({ kind: "leave" });
    await this.#within("a member does not leave", Promise.all(members.map(({ ended }) => ended)));
    this.endedAt = machineTime();
    this.#timeline.left(this.endedAt, "all have left, in good order");
  }

  #start(name: string): MemberProcess {
    const { folder, credentials } = this.#options;
    const run = this.processes.filter((each) => each.name === name).length + 1;
    const journal = join(folder, `${name}-${run}.jsonl`);
    const heard = (message: FromMember, from: MemberProcess): void => this.#heard(message, from);
    const started = new MemberProcess(name, join(folder, "meet"), journal, credentials?.get(name), heard);
    this.processes.push(started);
    void started.ended.then(() => this.#look());
    return started;
  }

  #heard(message: FromMember, from: MemberProcess): void {
    // What a killed process said last may still come in; the dead install nothing.
    if (message.kind === "view" && from.killedAt === undefined && this.stoppedAt === undefined) {
      this.#views.add(from.name, message.at, message.number, message.members);
    }
    if (message.kind !== "tick") this.#look();
  }

  #look(): void {
    const names = new Set(this.running.map(({ name }) => name));
    this.#views.settle((name) => names.has(name));
    for (const look of [...this.#waiting]) look();
  }

  /** Resolves when all that run are in one view. */
  async #together(otherwise: string): Promise<void> {
    const together = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        const problem = this.#problem;
        const isDone = this.#views.areTogether(this.running.map(({ name }) => name));
        if (!isDone && problem === undefined) return;
        this.#waiting.delete(look);
        if (problem === undefined) resolve();
        else reject(problem);
      };
      this.#waiting.add(look);
      look();
    });
    await this.#within(otherwise, together);
    await this.#within(otherwise, Promise.all(this.running.map((each) => each.hears("joined"))));
  }

  /** One phase of traffic, with a row of rates now and then. */
  async #pass(remark: string): Promise<void> {
    const rowMs = (this.#options.seconds * 1000) / PHASES / RATE_ROWS;
    for (let row = 0; row < RATE_ROWS; row++) {
      const before = new Map(this.running.map((each) => [each.name, each.last("tick")]));
      await sleep(rowMs, undefined, { signal: this.#options.signal });
      if (this.#problem !== undefined) throw this.#problem;
      const rates = new Map<string, number>();
      for (const each of this.running) {
        const from = before.get(each.name) ?? { at: each.last("joined")?.at ?? 0, delivered: 0 };
        const to = each.last("tick");
        if (to === undefined || to.at <= from.at) continue;
        rates.set(each.name, ((to.delivered - from.delivered) * 1000) / (to.at - from.at));
      }
      this.#timeline.rates(machineTime(), rates, row === 0 ? remark : "");
    }
  }

  /** The outcome of a stage, which has to come in time. */
  async #within<T>(otherwise: string, outcome: Promise<T>): Promise<T> {
    const { signal } = this.#options;
    const done = new AbortController();
    const late = sleep(STAGE_MS_MAX, undefined, { signal: AbortSignal.any([signal, done.signal]) }).then(() => {
      throw new DemoError(`${otherwise} within ${STAGE_MS_MAX / 1000} s`);
    });
    // When the outcome comes first, the sleep is cut short, and nobody waits for it any more.
    late.catch(() => {});
    try {
      return await Promise.race([outcome, late]);
    } finally {
      done.abort();
    }
  }

  #tellView(view: InstalledView, before: InstalledView | undefined): void {
    const last = Math.max(...view.installedAt.values());
    this.#timeline.view(last, view.number, [...view.installedAt.keys()].sort(), this.#remarkOn(view, before, last));
  }

  #remarkOn(view: InstalledView, before: InstalledView | undefined, last: number): string {
    const { victim, successor } = this;
    const joined = view.members.filter((id) => before?.members.includes(id) !== true).map(nodeName);
    const left = (before?.members ?? []).filter((id) => !view.members.includes(id)).map(nodeName);
    const parts: string[] = [];
    if (before === undefined) {
      parts.push(`${joined.join(" and ")} ${joined.length === 1 ? "makes" : "make"} the group`);
    } else if (successor !== undefined && joined.includes(successor.name)) {
      const others = [...view.installedAt].filter(([name]) => name !== successor.name);
      const transferMs = last - Math.min(...others.map(([, at]) => at));
      parts.push(`${successor.name} is back, its state in ${figure(transferMs)} ms`);
    } else if (joined.length > 0) parts.push(`${joined.join(" and ")} joined`);
    for (const name of left) {
      const killedAt = name === victim?.name ? victim.killedAt : undefined;
      parts.push(
        killedAt === undefined ? `${name} left` : `${name} is out, ${figure(last - killedAt)} ms after the kill`,
      );
    }
    return parts.join("; ");
  }
}
