/**
 * The course of the demo: three processes found a cluster, all send, the oldest member is killed in the midst of it, the
 * others go on, it comes back with their state, traffic stops, all report, all leave. What happens when is kept for the
 * verdict, also when the course ends early.
 */
import { nodeName } from "../../protocol/view.ts";
import { figure } from "../output.ts";
import type { MemberCredentials } from "./credentials.ts";
import { machineTime } from "./messages.ts";
import { NAMES } from "./prices.ts";
import { DemoError, type MemberProcess } from "./processes.ts";
import { Stage } from "./stage.ts";
import type { Timeline } from "./timeline.ts";
import type { InstalledView } from "./views.ts";

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

export class Course {
  readonly stage: Stage;
  readonly #timeline: Timeline;
  readonly #seconds: number;
  victim: MemberProcess | undefined;
  /** The killed member's second life. */
  successor: MemberProcess | undefined;
  trafficAt: number | undefined;
  /** All three send again. */
  togetherAt: number | undefined;

  constructor({ folder, credentials, seconds, timeline, signal }: CourseOptions) {
    this.#timeline = timeline;
    this.#seconds = seconds;
    this.stage = new Stage({
      script: "member",
      folder,
      timeline,
      signal,
      argumentsOf: (name) => (credentials === undefined ? [] : [JSON.stringify(credentials.get(name))]),
      remarkOn: (view, before, at) => this.#remarkOn(view, before, at),
    });
  }

  /** Rejects with a DemoError when it cannot go on, and when the signal fires. */
  async play(): Promise<void> {
    await this.#gather();
    await this.#traffic();
    await this.#kill();
    await this.#restart();
    await this.stage.settle("report", "all report their states");
    await this.stage.leave();
  }

  async #gather(): Promise<void> {
    const { stage } = this;
    this.#timeline.begin(stage.startedAt);
    for (const name of NAMES) stage.start(name);
    const pids = stage.processes.map(({ pid }) => pid).join(", ");
    this.#timeline.starts(stage.startedAt, NAMES, `three processes start: ${pids}`);
    await stage.together("the three members do not come together");
  }

  async #traffic(): Promise<void> {
    this.trafficAt = machineTime();
    this.stage.tellAll({ kind: "traffic", updatesPerSecond: UPDATES_PER_SECOND });
    this.#timeline.remark(this.trafficAt, `each sends ${UPDATES_PER_SECOND} updates a second, flushes and queries`);
    await this.#pass("updates delivered");
  }

  async #kill(): Promise<void> {
    const oldest = this.stage.views.at(-1)?.members[0];
    const victim = this.stage.running.find(({ name }) => oldest !== undefined && nodeName(oldest) === name);
    if (victim === undefined) throw new DemoError("no view was installed");
    this.victim = victim;
    const { name } = victim;
    const at = this.stage.kill(victim);
    this.#timeline.killed(at, [name], `SIGKILL for ${name}, the oldest member, which orders the updates`);
    await this.stage.together("the survivors do not agree on a view without it");
    await this.#pass("the survivors go on");
  }

  async #restart(): Promise<void> {
    const name = this.victim?.name ?? "";
    const successor = this.stage.start(name);
    this.successor = successor;
    this.#timeline.starts(successor.at, [name], `${name} starts again: process ${successor.pid}`);
    await this.stage.together(`${name} does not come back`);
    successor.tell({ kind: "traffic", updatesPerSecond: UPDATES_PER_SECOND });
    this.togetherAt = machineTime();
    await this.#pass("all three send again");
  }

  /** One phase of traffic, with a row of rates now and then. */
  async #pass(remark: string): Promise<void> {
    const rowMs = (this.#seconds * 1000) / PHASES / RATE_ROWS;
    for (let row = 0; row < RATE_ROWS; row++) await this.stage.pass(rowMs, row === 0 ? remark : "");
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
