/**
 * What a course came to: the figures, all of them from this run's journals and reports, and what is not as it should be.
 */
import { existsSync } from "node:fs";
import type { HistoryEvent } from "../../protocol/history.ts";
import { type NodeId, nodeName } from "../../protocol/view.ts";
import { CHECKERS, check } from "../../simulation/axioms/index.ts";
import type { Course } from "./course.ts";
import { readJournal } from "./journal.ts";
import type { FromMember } from "./messages.ts";
import type { MemberProcess } from "./processes.ts";
import { Record, type Testimony } from "./record.ts";
import { compareOrders, countLost, deliveriesPerSecond, longestPauseMs } from "./verdict.ts";

export const VIEW_CHANGE_MS_MAX = 500;

export type Report = Extract<FromMember, { readonly kind: "report" }>;

export interface FoundViolation {
  readonly property: string;
  readonly message: string;
}

export interface Outcome {
  readonly members: number;
  readonly memberNames: readonly NodeId[];
  readonly killed: NodeId;
  readonly seconds: number;
  /** That entered a view, at all members. */
  readonly updatesSent: number;
  /** Deliveries, at all members together. */
  readonly updatesDelivered: number;
  readonly updatesDeliveredBy: { readonly [node: NodeId]: number };
  readonly lost: number;
  readonly duplicated: number;
  /** Sent by the killed process in its last moments, and delivered by nobody else. */
  readonly unheardOfKilled: number;
  readonly flushes: number;
  readonly queries: number;
  readonly answers: number;
  readonly ordersAgree: boolean;
  readonly orderedUpdatesCompared: number;
  readonly statesAgree: boolean;
  readonly stateEntries: number;
  readonly stateDigests: { readonly [node: NodeId]: string };
  /** From SIGKILL until all survivors had the new view. */
  readonly viewChangeMs: number | null;
  readonly longestPauseMs: number | null;
  /** From the view that admits the restarted member until it has the state. */
  readonly stateTransferMs: number | null;
  /** From the start of the process until it is a member, with the state. */
  readonly restartMs: number | null;
  /** At each member on average. */
  readonly deliveriesPerSecondBefore: number;
  readonly deliveriesPerSecondAfter: number;
  readonly deliveriesPerSecondTogether: number;
  readonly views: readonly { readonly number: number; readonly members: readonly NodeId[]; readonly atMs: number }[];
  readonly events: number;
  readonly checkers: readonly string[];
  readonly violations: readonly FoundViolation[];
  /** Whatever else is wrong. */
  readonly problems: readonly string[];
  readonly ok: boolean;
}

/** One process's part in the course, as its journal tells it. */
interface Part extends Testimony {
  readonly process: MemberProcess;
  readonly report: Report | undefined;
}

export interface Judged {
  readonly outcome: Outcome;
  /** Up to the end of the traffic, in the order of the machine's clock. */
  readonly history: readonly HistoryEvent[];
  /** Indices in it. */
  readonly marks: readonly { readonly event: number; readonly property: string }[];
}

/** `failure` is why the course ended early, if it did. */
export function judge(course: Course, seconds: number, failure: string | undefined): Judged {
  const parts = partsOf(course);
  const record = new Record(parts.map(atRest));
  const stayed = parts.filter(({ killedAt }) => killedAt === undefined);
  const victim = parts.find(({ process }) => process === course.victim);
  const successor = parts.find(({ process }) => process === course.successor);
  const killed = victim?.node ?? "";
  const survivors = stayed.filter((part) => part !== successor).map(({ node }) => node);
  const nodes = stayed.map(({ node }) => node);

  const history = merged(parts.map(atRest));
  const atRestViolations = check(history, { quiescent: failure === undefined });
  // The members' departure is no part of the traffic, but has to be right too.
  const violations = distinct([...atRestViolations, ...(failure === undefined ? check(merged(parts)) : [])]);
  const handlers = handlerOpinion(stayed, survivors, killed);
  const { lost, unheard } = countLost(record, killed);
  const orders = compareOrders(record);
  const digests = new Set(stayed.map(({ report }) => report?.digest));
  const reports = stayed.flatMap(({ report }) => report ?? []);
  const { trafficAt, togetherAt, stoppedAt } = course;
  const killedAt = course.victim?.killedAt;
  const changeMs = viewChangeMs(course, killed, survivors);
  const transferMs = stateTransferMs(course, successor?.node);
  const restartedAt = course.successor?.at;
  const joinedAt = course.successor?.last("joined")?.at;
  const rate = (from: number | undefined, to: number | undefined, of: readonly NodeId[]): number =>
    from === undefined || to === undefined ? 0 : Math.round(deliveriesPerSecond(record, of, from, to));
  const breaks = (...properties: readonly string[]): boolean =>
    violations.some(({ property }) => properties.includes(property));

  const facts = {
    members: new Set(stayed.map(({ process }) => process.name)).size,
    memberNames: nodes,
    killed,
    seconds,
    updatesSent: record.sent.length,
    updatesDelivered: record.delivered,
    updatesDeliveredBy: Object.fromEntries(parts.map(({ node }) => [node, deliveredAt(record, node)])),
    lost: Math.max(lost, handlers.lost),
    duplicated: Math.max(record.duplicated, handlers.duplicated),
    unheardOfKilled: unheard,
    flushes: sum(reports.map(({ flushes }) => flushes)),
    queries: sum(reports.map(({ queries }) => queries)),
    answers: sum(reports.map(({ answers }) => answers)),
    ordersAgree: orders.agree && orders.compared > 0 && !breaks("D5", "D6", "D7", "D8", "Q2"),
    orderedUpdatesCompared: orders.compared,
    statesAgree: reports.length === stayed.length && stayed.length > 1 && digests.size === 1 && !breaks("ST1"),
    stateEntries: reports[0]?.entries ?? 0,
    stateDigests: Object.fromEntries(reports.map(({ node, digest }) => [node, digest])),
    viewChangeMs: rounded(changeMs),
    longestPauseMs:
      killedAt === undefined || restartedAt === undefined
        ? null
        : rounded(longestPauseMs(record, survivors, killedAt, restartedAt)),
    stateTransferMs: rounded(transferMs),
    restartMs: restartedAt === undefined || joinedAt === undefined ? null : rounded(joinedAt - restartedAt),
    deliveriesPerSecondBefore: rate(trafficAt, killedAt, survivors),
    deliveriesPerSecondAfter: rate(add(killedAt, changeMs), restartedAt, survivors),
    deliveriesPerSecondTogether: rate(togetherAt, stoppedAt, nodes),
    views: course.views.map(({ number, members, installedAt }) => ({
      number,
      members,
      atMs: rounded(Math.max(...installedAt.values()) - course.startedAt) ?? 0,
    })),
    events: record.events,
    checkers: CHECKERS.map(({ property }) => property),
    violations,
  };
  const complaints = parts.flatMap(({ process, report }) =>
    (report?.complaints ?? []).map((text) => `${process.name}: ${text}`),
  );
  const problems = [...(failure === undefined ? shortcomings(facts) : [failure]), ...handlers.problems, ...complaints];
  const marks = atRestViolations.map(({ event, property }) => ({ event, property }));
  return { outcome: { ...facts, problems, ok: problems.length === 0 && violations.length === 0 }, history, marks };
}

type Facts = Omit<Outcome, "problems" | "ok">;

/** What is not as it should be, in words. */
function shortcomings(facts: Facts): readonly string[] {
  const { viewChangeMs: changeMs, stateTransferMs: transferMs } = facts;
  const problems: string[] = [];
  if (facts.updatesSent === 0) problems.push("nothing was sent");
  if (facts.lost > 0) problems.push(`${facts.lost} updates were lost`);
  if (facts.duplicated > 0) problems.push(`${facts.duplicated} updates were delivered twice`);
  if (!facts.ordersAgree) problems.push("the members delivered in different orders");
  if (!facts.statesAgree) problems.push("the members' states differ");
  if (changeMs === null) problems.push("no new view was installed after the kill");
  else if (changeMs > VIEW_CHANGE_MS_MAX)
    problems.push(`the new view took ${changeMs} ms, more than ${VIEW_CHANGE_MS_MAX}`);
  if (transferMs === null) problems.push("no state was transferred");
  return problems;
}

/** The journals that there are, of processes that came so far as to have a node. */
function partsOf(course: Course): readonly Part[] {
  return course.processes.flatMap((process) => {
    if (!existsSync(process.journal)) return [];
    const events = readJournal(process.journal);
    const node = events[0]?.node;
    if (node === undefined) return [];
    const { killedAt } = process;
    const isKilled = killedAt !== undefined;
    const at = Math.max(killedAt ?? 0, events.at(-1)?.at ?? 0);
    const told = isKilled ? [...events, { kind: "crash", at, node } as const] : events;
    return [{ process, node, events: told, killedAt, report: process.last("report") }];
  });
}

/** A process's part up to its report. */
function atRest({ node, events, killedAt, report }: Part): Testimony {
  return { node, killedAt, events: report === undefined ? events : events.slice(0, report.events) };
}

/** One history; the events of each process stay in their order. */
function merged(testimonies: readonly Testimony[]): HistoryEvent[] {
  return testimonies.flatMap(({ events }) => events).sort((a, b) => a.at - b.at);
}

/** What the update handlers saw, whatever the journals say. */
function handlerOpinion(
  stayed: readonly Part[],
  survivors: readonly NodeId[],
  killed: NodeId,
): { readonly lost: number; readonly duplicated: number; readonly problems: readonly string[] } {
  const problems: string[] = [];
  let lost = 0;
  let duplicated = 0;
  const ofKilled = new Set<string>();
  for (const { node, report } of stayed) {
    for (const seen of report?.seen ?? []) {
      duplicated += seen.duplicates;
      if (!survivors.includes(node)) continue;
      if (seen.sender === killed) ofKilled.add(seen.digest);
      const issued = stayed.find((each) => each.node === seen.sender)?.report?.issued ?? seen.count;
      lost += issued - seen.count;
    }
  }
  if (ofKilled.size > 1) problems.push(`the survivors' handlers saw different updates of ${killed}`);
  if (lost > 0) problems.push(`${lost} updates never came to a handler`);
  return { lost, duplicated, problems };
}

/** From the kill until every survivor's `onView` was called with a view without the killed member. */
function viewChangeMs({ views, victim }: Course, killed: NodeId, survivors: readonly NodeId[]): number | undefined {
  const killedAt = victim?.killedAt;
  const change = views.findIndex(({ members }) => members.includes(killed)) + 1;
  const view = views.slice(change).find(({ members }) => !members.includes(killed));
  const times = survivors.flatMap((node) => view?.installedAt.get(nodeName(node)) ?? []);
  if (killedAt === undefined || times.length === 0 || times.length < survivors.length) return undefined;
  return Math.max(...times) - killedAt;
}

/** From the view that admits a member, at whoever is the first to install it, until the member has the state and begins. */
function stateTransferMs({ views }: Course, joiner: NodeId | undefined): number | undefined {
  const view = joiner === undefined ? undefined : views.find(({ members }) => members.includes(joiner));
  if (view === undefined || joiner === undefined) return undefined;
  const begun = view.installedAt.get(nodeName(joiner));
  const others = [...view.installedAt].filter(([name]) => name !== nodeName(joiner)).map(([, at]) => at);
  return begun === undefined || others.length === 0 ? undefined : begun - Math.min(...others);
}

function deliveredAt(record: Record, node: NodeId): number {
  return sum(record.staysOf(node).map(({ delivered }) => delivered.length));
}

function distinct(violations: readonly FoundViolation[]): readonly FoundViolation[] {
  const byText = new Map(violations.map(({ property, message }) => [`${property} ${message}`, { property, message }]));
  return [...byText.values()];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function add(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a + b;
}

function rounded(value: number | undefined): number | null {
  return value === undefined ? null : Math.round(value * 10) / 10;
}
