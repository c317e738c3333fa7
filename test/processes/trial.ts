/**
 * One run of real processes, from their start to the verdict of the model's checkers on everything that they recorded.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import type { HistoryEvent } from "../../src/protocol/history.ts";
import { type GroupView, nodeName } from "../../src/protocol/view.ts";
import { HISTORY_VERSION, type HistoryHeader } from "../../src/runtime/history-files.ts";
import { check } from "../../src/simulation/axioms/index.ts";
import { DEADLINE_MS, MemberError, MemberProcess, monotonicMs } from "./member-process.ts";

export interface LaunchOptions {
  /** Which counts in the state are the process's; default: the next free. */
  readonly slot?: number;
  readonly nodeArguments?: readonly string[];
}

/** The state of the group "ledger", without its values. */
export interface Ledger {
  readonly counts: readonly number[];
  readonly chain: number;
  readonly values: ReadonlyMap<string, unknown>;
}

/** What became of the messages that a process sent as load. */
export interface Tally {
  readonly sent: number;
  readonly resolved: number;
  /** How many calls failed, by the code of their error. */
  readonly failures: Readonly<Record<string, number>>;
}

export class Trial {
  /** The rendezvous directory of this run. */
  readonly discovery: string;
  readonly processes: MemberProcess[] = [];
  readonly #directory: string;
  #slots = 0;

  constructor() {
    this.#directory = mkdtempSync(join(tmpdir(), "coterie-trial-"));
    this.discovery = join(this.#directory, "rendezvous");
  }

  /** Runs a process; its node is not started yet. */
  async launch(name: string, options: LaunchOptions = {}): Promise<MemberProcess> {
    const historyPath = join(this.#directory, `history-${this.processes.length}-${name}.jsonl`);
    const slot = options.slot ?? this.#slots++;
    const { nodeArguments = [] } = options;
    const process = new MemberProcess({ name, slot, historyPath, nodeArguments });
    this.processes.push(process);
    await process.event("ready");
    return process;
  }

  /** Runs a process, starts its node, found through the rendezvous directory unless told, and joins the groups. */
  async member(
    name: string,
    options: LaunchOptions & { readonly start?: object; readonly groups?: readonly string[] } = {},
  ): Promise<MemberProcess> {
    const process = await this.launch(name, options);
    await process.call("start", { name, discovery: this.discovery, ...options.start });
    for (const group of options.groups ?? ["ledger"]) await process.call("join", group);
    return process;
  }

  /** Members of one group, by age. */
  async members(
    names: readonly string[],
    options: LaunchOptions & { readonly start?: object } = {},
  ): Promise<MemberProcess[]> {
    const launched = await Promise.all(names.map((name) => this.launch(name, options)));
    for (const member of launched) {
      await member.call("start", { name: member.name, discovery: this.discovery, ...options.start });
      await member.call("join", "ledger");
    }
    await Promise.all(launched.map((member) => member.view("ledger", (view) => view.members.length >= names.length)));
    return launched;
  }

  /** A process in the place of one that has ended: the same name and slot. */
  restart(before: MemberProcess, options: LaunchOptions & { readonly start?: object } = {}): Promise<MemberProcess> {
    return this.member(before.name, { ...options, slot: before.slot });
  }

  /**
   * Waits until these members of the group, all that live, are in one view, hold all messages and have delivered them,
   * and compares their states. Nothing may be under way: loads must have been stopped.
   */
  async settle(members: readonly MemberProcess[], group = "ledger"): Promise<Ledger> {
    const names = members.map(({ name }) => name);
    await Promise.all(members.map((member) => viewOf(member, group, names)));
    await Promise.all(members.map((member) => member.call("flush", group)));
    // What is ordered before this query has been delivered where it is answered.
    for (const member of members.slice(0, 1)) {
      const replies = await member.call<readonly unknown[]>("query", group, "ALL", { order: "safe" }, "chain");
      expect(replies).toHaveLength(members.length);
    }
    const states = await Promise.all(members.map((member) => member.call<Ledger>("read", group)));
    for (const state of states) expect(state).toEqual(states[0]);
    return states[0] as Ledger;
  }

  /** Does a call again until it no longer fails with this code; fails at the deadline, or with another error. */
  async retry<T>(code: string, call: () => Promise<T>): Promise<T> {
    const deadline = monotonicMs() + DEADLINE_MS;
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof MemberError) || error.code !== code || monotonicMs() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  /** The history of the whole run up to now. Events of one process stay in their order. */
  history(): HistoryEvent[] {
    const events = this.processes.flatMap((process) => {
      let latest = 0;
      return process.history().map((event) => {
        latest = Math.max(latest, event.at);
        return { event, at: latest };
      });
    });
    return events.sort((left, right) => left.at - right.at).map(({ event }) => event);
  }

  /** Holds the run against the model, as it is now; `quiescent` if it has settled. */
  judge(options: { readonly quiescent: boolean }): HistoryEvent[] {
    const faults = this.processes.map(({ fault }) => fault).filter((fault) => fault !== undefined);
    expect(faults).toEqual([]);
    const history = this.history();
    const violations = check(history, options);
    if (violations.length > 0) {
      const kept = join(tmpdir(), "coterie-violations");
      mkdirSync(kept, { recursive: true });
      const path = join(kept, `${Date.now()}.jsonl`);
      const header: HistoryHeader = { coterie: "history", version: HISTORY_VERSION };
      writeFileSync(path, [header, ...history].map((line) => `${JSON.stringify(line)}\n`).join(""));
      throw new Error(`the history, kept in ${path}, breaks the model:\n${JSON.stringify(violations, undefined, 2)}`);
    }
    return history;
  }

  async end(): Promise<void> {
    await Promise.all(this.processes.map((process) => process.kill()));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Waits until the member's newest view of the group consists of just these nodes. */
export function viewOf(member: MemberProcess, group: string, names: readonly string[]): Promise<GroupView> {
  return member.until(`a view of ${group} with just ${names.join(" ")}`, () => {
    const newest = member.events.findLast((event) => event.kind === "view" && event.group === group);
    if (newest?.kind !== "view") return undefined;
    return areNames(newest.view, names) ? newest.view : undefined;
  });
}

/** The statuses of the member's node, from event number `from` on. */
export function statusesOf(member: MemberProcess, from = 0): string[] {
  return member.events.slice(from).flatMap((event) => (event.kind === "status" ? [event.status] : []));
}

/** Waits until a node that was excluded after event number `from` is in the cluster again, as another incarnation. */
export async function entersAgain(member: MemberProcess, from: number): Promise<void> {
  await member.until("its return to the cluster", () => {
    const statuses = statusesOf(member, from);
    return statuses.includes("joining") && statuses.at(-1) === "primary" ? true : undefined;
  });
}

/** Whether the view consists of just these nodes. */
export function areNames(view: GroupView, names: readonly string[]): boolean {
  const present = view.members.map(nodeName);
  return present.length === names.length && names.every((name) => present.includes(name));
}

/** Messages, one after the other, that a view change takes at most. */
const STEPS_MAX = 12;

/**
 * What to add to the bound of a view change on a machine that is busy with other things: the time that its messages need
 * now to get from one process into the other. A few milliseconds, unless other programs take most of the processors.
 */
export async function allowanceMs(members: readonly MemberProcess[]): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < 5; round++) {
    const from = monotonicMs();
    await Promise.all(members.map((member) => member.call("self")));
    times.push(monotonicMs() - from);
  }
  return Math.max(...times) * STEPS_MAX;
}

/** A figure of the acceptance list, measured in this run. */
export function figure(what: string, value: number | string): void {
  console.log(`figure: ${what}: ${typeof value === "number" ? Math.round(value * 10) / 10 : value}`);
}
