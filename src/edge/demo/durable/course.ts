/**
 * The course of the durable demo: three processes, each with a data directory, make entries in one book. All are killed at
 * the same moment and started again; what they find is compared with what was acknowledged. Then they go on, come to rest,
 * report and leave.
 */
import { join } from "node:path";
import { nodeName } from "../../../protocol/view.ts";
import { blocksBytes } from "../../../runtime/log/batch.ts";
import { Folder } from "../../../runtime/log/folder.ts";
import { recover } from "../../../runtime/log/recovery.ts";
import { figure } from "../../output.ts";
import { machineTime } from "../messages.ts";
import { NAMES } from "../prices.ts";
import type { MemberProcess } from "../processes.ts";
import { Stage } from "../stage.ts";
import type { Timeline } from "../timeline.ts";
import type { InstalledView } from "../views.ts";
import { acknowledgedIn } from "./acknowledged.ts";
import { TEXT_BYTES } from "./book.ts";

export interface CourseOptions {
  /** A folder for the rendezvous, the journals and the data directories. */
  readonly folder: string;
  /** How long there is traffic, if not for so many megabytes. */
  readonly seconds: number;
  /** As fast as they can, until each member has written so much. */
  readonly megabytes: number | undefined;
  readonly timeline: Timeline;
  readonly signal: AbortSignal;
}

/** What a member had when it was killed. */
export interface Victim {
  readonly process: MemberProcess;
  readonly acknowledged: number;
  /** Of the records that its log has kept. */
  readonly logBytes: number;
}

const UPDATES_PER_SECOND = 300;
const ROWS = 3;
const WRITING_MS_MAX = 180_000;
const RECOVERY_MS_MAX = 60_000;

export class DurableCourse {
  readonly stage: Stage;
  readonly #options: CourseOptions;
  readonly #timeline: Timeline;
  victims: readonly Victim[] = [];
  successors: readonly MemberProcess[] = [];
  trafficAt: number | undefined;
  killedAt: number | undefined;
  restartedAt: number | undefined;
  /** When the group was whole again, and when all had the book. */
  togetherAt: number | undefined;

  constructor(options: CourseOptions) {
    const { folder, timeline, signal } = options;
    this.#options = options;
    this.#timeline = timeline;
    this.stage = new Stage({
      script: "durable/member",
      folder,
      timeline,
      signal,
      argumentsOf: (name, run) => [dataOf(folder, name), acknowledgedOf(folder, name, run)],
      remarkOn: (view, before) => this.#remarkOn(view, before),
    });
  }

  /** Rejects with a DemoError when it cannot go on, and when the signal fires. */
  async play(): Promise<void> {
    await this.#gather();
    await this.#traffic();
    await this.#kill();
    await this.#restart();
    await this.stage.settle("book", "all report their books");
    await this.stage.leave();
  }

  /** How many of its entries a process has been told of. */
  acknowledgedBy(process: MemberProcess): number {
    const lives = this.stage.processes.filter(({ name }) => name === process.name);
    return acknowledgedIn(acknowledgedOf(this.#options.folder, process.name, lives.indexOf(process) + 1));
  }

  async #gather(): Promise<void> {
    const { stage } = this;
    this.#timeline.begin(stage.startedAt);
    for (const name of NAMES) stage.start(name);
    this.#timeline.starts(stage.startedAt, NAMES, "three processes start, each with a data directory");
    await stage.together("the three members do not come together");
  }

  async #traffic(): Promise<void> {
    const { megabytes, seconds } = this.#options;
    this.trafficAt = machineTime();
    const perSecond = megabytes === undefined ? UPDATES_PER_SECOND : 0;
    this.stage.tellAll({ kind: "traffic", updatesPerSecond: perSecond });
    const rate = perSecond === 0 ? "as many updates as go" : `${perSecond} updates a second`;
    this.#timeline.remark(this.trafficAt, `each sends ${rate}, of a kilobyte, with safeSend`);
    const remark = "on the disks of all";
    if (megabytes === undefined) await this.#pass(seconds / 2, remark);
    else {
      await this.stage.within("so much cannot be written", this.#write(megabytes, remark), WRITING_MS_MAX);
    }
  }

  async #write(megabytes: number, remark: string): Promise<void> {
    const isDone = (): boolean =>
      this.stage.running.every((each) => (each.last("tick")?.delivered ?? 0) * TEXT_BYTES >= megabytes * 1e6);
    for (let row = 0; !isDone(); row++) await this.stage.pass(1000, row === 0 ? remark : "");
  }

  async #kill(): Promise<void> {
    const { folder } = this.#options;
    const killed = this.stage.running;
    const times = killed.map((each) => this.stage.kill(each));
    this.killedAt = Math.max(...times);
    this.#timeline.killed(this.killedAt, NAMES, "SIGKILL for all three, at the same moment");
    await this.stage.within("the killed do not end", Promise.all(killed.map(({ ended }) => ended)));
    this.victims = killed.map((process) => {
      const acknowledged = this.acknowledgedBy(process);
      return { process, acknowledged, logBytes: logBytes(dataOf(folder, process.name)) };
    });
    const acknowledged = this.victims.reduce((sum, each) => sum + each.acknowledged, 0);
    this.#timeline.remark(machineTime(), `${figure(acknowledged)} updates had been acknowledged`);
  }

  async #restart(): Promise<void> {
    this.restartedAt = machineTime();
    this.successors = NAMES.map((name) => this.stage.start(name));
    this.#timeline.starts(this.restartedAt, NAMES, "all three start again, on what their disks hold");
    await this.stage.together("the three do not come back", RECOVERY_MS_MAX);
    this.togetherAt = machineTime();
    this.stage.tellAll({ kind: "traffic", updatesPerSecond: UPDATES_PER_SECOND });
    await this.#pass(Math.min(this.#options.seconds / 2, 5), "all three go on");
  }

  async #pass(seconds: number, remark: string): Promise<void> {
    for (let row = 0; row < ROWS; row++) await this.stage.pass((seconds * 1000) / ROWS, row === 0 ? remark : "");
  }

  #remarkOn({ members, installedAt }: InstalledView, before: InstalledView | undefined): string {
    const joined = members.filter((id) => before?.members.includes(id) !== true).map(nodeName);
    if (joined.length === 0) return "a new view, at whose start all write checkpoints";
    const who = [joined.slice(0, -1).join(", "), ...joined.slice(-1)].filter((part) => part !== "").join(" and ");
    const isFirst = members.length === joined.length;
    if (this.restartedAt === undefined)
      return isFirst ? `${who} make${joined.length > 1 ? "" : "s"} the group` : `${who} joined`;
    const afterMs = figure(Math.max(...installedAt.values()) - this.restartedAt);
    return isFirst
      ? `${who} bring${joined.length > 1 ? "" : "s"} the book back, ${afterMs} ms after the start`
      : `${who} ha${joined.length > 1 ? "ve" : "s"} it, too, after ${afterMs} ms`;
  }
}

function dataOf(folder: string, name: string): string {
  return join(folder, "data", name);
}

function acknowledgedOf(folder: string, name: string, run: number): string {
  return join(folder, `${name}-${run}.acknowledged`);
}

function logBytes(directory: string): number {
  const { segments, spares } = recover(new Folder(directory, "read"));
  const batches = segments.flatMap((segment) => segment.batches);
  for (const file of [...segments.map((segment) => segment.file), ...spares]) file.close();
  return batches.reduce((sum, { bodyBytes }) => sum + blocksBytes(bodyBytes), 0);
}
