/**
 * What a course came to: the figures, all of them from this run's journals and reports, and what is not as it should be.
 */
import type { HistoryEvent } from "../../protocol/history.ts";
import type { NodeId } from "../../protocol/view.ts";
import { CHECKERS, check } from "../../simulation/axioms/index.ts";
import type { Course } from "./course.ts";
import type { Security } from "./credentials.ts";
import { Ledger } from "./ledger.ts";
import { type Measures, measure, rounded } from "./measures.ts";
import { atRest, merged, type Part, partsOf } from "./parts.ts";
import { compareOrders, countLost } from "./verdict.ts";

export const VIEW_CHANGE_MS_MAX = 500;

export interface FoundViolation {
  readonly property: string;
  readonly message: string;
}

/** What the update handlers saw, whatever the journals say. */
interface HandlerOpinion {
  readonly lost: number;
  readonly duplicated: number;
  readonly problems: readonly string[];
}

export interface Setting {
  readonly seconds: number;
  readonly security: Security | "none";
}

interface Facts extends Measures, Setting {
  readonly members: number;
  readonly memberNames: readonly NodeId[];
  readonly killed: NodeId;
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
  readonly views: readonly { readonly number: number; readonly members: readonly NodeId[]; readonly atMs: number }[];
  readonly events: number;
  readonly checkers: readonly string[];
  readonly violations: readonly FoundViolation[];
}

export interface Outcome extends Facts {
  /** Whatever is wrong, in words. */
  readonly problems: readonly string[];
  readonly ok: boolean;
}

export interface Judged {
  readonly outcome: Outcome;
  /** Up to the end of the traffic, in the order of the machine's clock. */
  readonly history: readonly HistoryEvent[];
  /** Events of it at which promises were broken. */
  readonly marks: readonly { readonly event: number; readonly property: string }[];
}

/** `failure` is why the course ended early, if it did. */
export function judge(course: Course, setting: Setting, failure: string | undefined): Judged {
  const parts = partsOf(course.stage.processes);
  const history = merged(parts.map(atRest));
  const broken = check(history, { quiescent: failure === undefined });
  // The members' departure is no part of the traffic, but has to be right, too.
  const violations = distinct([...broken, ...(failure === undefined ? check(merged(parts)) : [])]);
  const stayed = parts.filter(({ killedAt }) => killedAt === undefined);
  const killed = parts.find(({ process }) => process === course.victim)?.node ?? "";
  const survivors = stayed.filter(({ process }) => process !== course.successor).map(({ node }) => node);
  const opinion = handlerOpinion(stayed, survivors, killed);
  const facts = factsOf({ course, parts, stayed, killed, survivors, opinion, violations, setting });
  const complaints = stayed.flatMap(({ process, report }) =>
    (report?.complaints ?? []).map((complaint) => `${process.name}: ${complaint}`),
  );
  const problems = [...(failure === undefined ? shortcomings(facts) : [failure]), ...opinion.problems, ...complaints];
  return {
    outcome: { ...facts, problems, ok: problems.length === 0 && violations.length === 0 },
    history,
    marks: broken.map(({ event, property }) => ({ event, property })),
  };
}

interface Evidence {
  readonly course: Course;
  readonly parts: readonly Part[];
  /** Of the processes that were not killed. */
  readonly stayed: readonly Part[];
  readonly killed: NodeId;
  readonly survivors: readonly NodeId[];
  readonly opinion: HandlerOpinion;
  readonly violations: readonly FoundViolation[];
  readonly setting: Setting;
}

function factsOf({ course, parts, stayed, killed, survivors, opinion, violations, setting }: Evidence): Facts {
  const ledger = new Ledger(parts.map(atRest));
  const { lost, unheard } = countLost(ledger, killed);
  const orders = compareOrders(ledger);
  const reports = stayed.flatMap(({ report }) => report ?? []);
  const digests = new Set(reports.map(({ digest }) => digest));
  const successor = stayed.find(({ process }) => process === course.successor)?.node;
  const areKept = (...properties: readonly string[]): boolean =>
    !violations.some(({ property }) => properties.includes(property));
  return {
    members: new Set(stayed.map(({ process }) => process.name)).size,
    memberNames: stayed.map(({ node }) => node),
    killed,
    ...setting,
    updatesSent: ledger.sent.length,
    updatesDelivered: ledger.delivered,
    updatesDeliveredBy: Object.fromEntries(parts.map(({ node }) => [node, deliveredAt(ledger, node)])),
    lost: Math.max(lost, opinion.lost),
    duplicated: Math.max(ledger.duplicated, opinion.duplicated),
    unheardOfKilled: unheard,
    flushes: sum(reports.map(({ flushes }) => flushes)),
    queries: sum(reports.map(({ queries }) => queries)),
    answers: sum(reports.map(({ answers }) => answers)),
    ordersAgree: orders.agree && orders.compared > 0 && areKept("D5", "D6", "D7", "D8", "Q2"),
    orderedUpdatesCompared: orders.compared,
    statesAgree: reports.length === stayed.length && stayed.length > 1 && digests.size === 1 && areKept("ST1"),
    stateEntries: reports[0]?.entries ?? 0,
    stateDigests: Object.fromEntries(reports.map(({ node, digest }) => [node, digest])),
    ...measure(course, ledger, { killed, survivors, successor }),
    views: course.stage.views.map(({ number, members, installedAt }) => {
      return { number, members, atMs: rounded(Math.max(...installedAt.values()) - course.stage.startedAt) };
    }),
    events: ledger.events,
    checkers: CHECKERS.map(({ property }) => property),
    violations,
  };
}

function shortcomings(facts: Facts): readonly string[] {
  const { viewChangeMs, stateTransferMs } = facts;
  const problems: string[] = [];
  if (facts.updatesSent === 0) problems.push("nothing was sent");
  if (facts.lost > 0) problems.push(`${facts.lost} updates were lost`);
  if (facts.duplicated > 0) problems.push(`${facts.duplicated} updates were delivered twice`);
  if (!facts.ordersAgree) problems.push("the members delivered in different orders");
  if (!facts.statesAgree) problems.push("the members' states differ");
  if (viewChangeMs === null) problems.push("no new view was installed after the kill");
  else if (viewChangeMs > VIEW_CHANGE_MS_MAX) {
    problems.push(`the new view took ${viewChangeMs} ms, more than ${VIEW_CHANGE_MS_MAX}`);
  }
  if (stateTransferMs === null) problems.push("no state was transferred");
  return problems;
}

/** Every sender's tickets count up from 0, so whoever was there all the time has seen all of those who still live. */
function handlerOpinion(stayed: readonly Part[], survivors: readonly NodeId[], killed: NodeId): HandlerOpinion {
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

function deliveredAt(ledger: Ledger, node: NodeId): number {
  return sum(ledger.staysOf(node).map(({ delivered }) => delivered.length));
}

export function distinct(violations: readonly FoundViolation[]): readonly FoundViolation[] {
  const byText = new Map(violations.map(({ property, message }) => [`${property} ${message}`, { property, message }]));
  return [...byText.values()];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
