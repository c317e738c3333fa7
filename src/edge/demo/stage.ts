/**
 * Where a course is played: its processes, the views that they agree on, and the timeline on which both appear. A stage of
 * the course ends when something has come about, or, with a DemoError, when a process cannot go on or it takes too long.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type FromMember, machineTime, type ToMember } from "./messages.ts";
import { DemoError, MemberProcess } from "./processes.ts";
import type { Timeline } from "./timeline.ts";
import { type InstalledView, Views } from "./views.ts";

export interface StageOptions {
  /** What the processes run. */
  readonly script: string;
  /** A folder for the rendezvous, the journals and the data directories. */
  readonly folder: string;
  readonly timeline: Timeline;
  readonly signal: AbortSignal;
  /** Further arguments of the process that is the `run`-th of this name. */
  readonly argumentsOf: (name: string, run: number) => readonly string[];
  /** What is remarkable about a view, the last member of which has installed it at `at`. */
  readonly remarkOn: (view: InstalledView, before: InstalledView | undefined, at: number) => string;
}

/** More than enough on a busy machine; who needs longer has failed. */
const STAGE_MS_MAX = 15_000;

export class Stage {
  readonly timeline: Timeline;
  readonly #options: StageOptions;
  readonly #views: Views;
  readonly #waiting = new Set<() => void>();
  /** All processes that ever ran, in the order in which they were started. */
  readonly processes: MemberProcess[] = [];
  readonly startedAt = machineTime();
  /** When the traffic was stopped; what members tell of views from then on is of no interest. */
  stoppedAt: number | undefined;

  constructor(options: StageOptions) {
    this.#options = options;
    this.timeline = options.timeline;
    this.#views = new Views((view, before) => this.#tellView(view, before));
  }

  /** Every view that the members agreed on, in order. */
  get views(): readonly InstalledView[] {
    return this.#views.all;
  }

  get running(): readonly MemberProcess[] {
    return this.processes.filter((each) => each.isRunning && each.killedAt === undefined);
  }

  start(name: string): MemberProcess {
    const { folder, script, argumentsOf } = this.#options;
    const run = this.processes.filter((each) => each.name === name).length + 1;
    const journal = join(folder, `${name}-${run}.jsonl`);
    const program = { script, meetingPlace: join(folder, "meet"), journal, more: argumentsOf(name, run) };
    const started = new MemberProcess(program, name, (message, from) => this.#heard(message, from));
    this.processes.push(started);
    void started.ended.then(() => this.#look());
    return started;
  }

  /** Returns when that was. */
  kill(victim: MemberProcess): number {
    this.#views.forget(victim.name);
    return victim.kill();
  }

  tellAll(order: ToMember): void {
    for (const each of this.running) each.tell(order);
  }

  /** Resolves when all that run have told this. */
  async allHave<K extends FromMember["kind"]>(kind: K, otherwise: string): Promise<void> {
    await this.within(otherwise, Promise.all(this.running.map((each) => each.hears(kind))));
  }

  killAll(): void {
    for (const each of this.running) each.kill();
  }

  /** Ends all processes at once, and resolves when they are gone. */
  async end(): Promise<void> {
    this.killAll();
    await Promise.all(this.processes.map(({ ended }) => ended));
  }

  /** Resolves when all that run are in one view, as members with the state. */
  async together(otherwise: string, withinMs = STAGE_MS_MAX): Promise<void> {
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
    await this.within(otherwise, together, withinMs);
    await this.allHave("joined", otherwise);
  }

  /** Lets time pass, and shows how fast updates are delivered meanwhile. */
  async pass(milliseconds: number, remark: string): Promise<void> {
    const before = new Map(this.running.map((each) => [each.name, each.last("tick")]));
    await sleep(milliseconds, undefined, { signal: this.#options.signal });
    if (this.#problem !== undefined) throw this.#problem;
    const rates = new Map<string, number>();
    for (const each of this.running) {
      const from = before.get(each.name) ?? { at: each.last("joined")?.at ?? 0, delivered: 0 };
      const to = each.last("tick");
      if (to === undefined || to.at <= from.at) continue;
      rates.set(each.name, ((to.delivered - from.delivered) * 1000) / (to.at - from.at));
    }
    this.timeline.rates(machineTime(), rates, remark);
  }

  /** Stops the traffic; when what was sent has arrived all report, with a message of this kind. */
  async settle(report: FromMember["kind"], remark: string): Promise<void> {
    this.stoppedAt = machineTime();
    this.timeline.remark(this.stoppedAt, "traffic stops; what was sent arrives");
    this.tellAll({ kind: "stop" });
    await this.allHave("quiet", "the traffic does not come to rest");
    this.tellAll({ kind: "report" });
    await this.allHave(report, "a member does not report");
    this.timeline.remark(machineTime(), remark);
  }

  async leave(): Promise<void> {
    const members = this.running;
    this.tellAll({ kind: "leave" });
    await this.within("a member does not leave", Promise.all(members.map(({ ended }) => ended)));
    this.timeline.left(machineTime(), "all have left, in good order");
  }

  /** The outcome of a stage, which has to come in time. */
  async within<T>(otherwise: string, outcome: Promise<T>, withinMs = STAGE_MS_MAX): Promise<T> {
    const { signal } = this.#options;
    const done = new AbortController();
    const late = sleep(withinMs, undefined, { signal: AbortSignal.any([signal, done.signal]) }).then(() => {
      throw new DemoError(`${otherwise} within ${withinMs / 1000} s`);
    });
    // When the outcome comes first, the sleep is cut short, and nobody waits for it any more.
    late.catch(() => {});
    try {
      return await Promise.race([outcome, late]);
    } finally {
      done.abort();
    }
  }

  /** Why some process cannot go on. */
  get #problem(): DemoError | undefined {
    return this.processes.find(({ problem }) => problem !== undefined)?.problem;
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

  #tellView(view: InstalledView, before: InstalledView | undefined): void {
    const last = Math.max(...view.installedAt.values());
    const remark = this.#options.remarkOn(view, before, last);
    this.timeline.view(last, view.number, [...view.installedAt.keys()].sort(), remark);
  }
}
