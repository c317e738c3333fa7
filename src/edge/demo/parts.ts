/**
 * What each process of a course leaves behind: its journal, how its life ended, and its report.
 */
import { existsSync } from "node:fs";
import type { HistoryEvent } from "../../protocol/history.ts";
import { readJournal } from "./journal.ts";
import type { Testimony } from "./ledger.ts";
import type { FromMember } from "./messages.ts";
import type { MemberProcess } from "./processes.ts";

export type Report = Extract<FromMember, { readonly kind: "report" }>;

/** One process's part in the course. */
export interface Part extends Testimony {
  readonly process: MemberProcess;
  readonly report: Report | undefined;
}

/** The parts of all processes that came so far as to have a node. */
export function partsOf(processes: readonly MemberProcess[]): readonly Part[] {
  return processes.flatMap((process) => {
    if (!existsSync(process.journal)) return [];
    const events = readJournal(process.journal);
    const node = events[0]?.node;
    if (node === undefined) return [];
    const { killedAt } = process;
    const at = Math.max(killedAt ?? 0, events.at(-1)?.at ?? 0);
    const told = killedAt === undefined ? events : [...events, { kind: "crash", at, node } as const];
    return [{ process, node, events: told, killedAt, report: process.last("report") }];
  });
}

/** A process's part up to its report, when all traffic had come to rest. */
export function atRest({ node, events, killedAt, report }: Part): Testimony {
  return { node, killedAt, events: report === undefined ? events : events.slice(0, report.events) };
}

/** One history, by the machine's clock; the events of each process stay in their order. */
export function merged(testimonies: readonly Testimony[]): HistoryEvent[] {
  return testimonies.flatMap(({ events }) => events).sort((a, b) => a.at - b.at);
}
