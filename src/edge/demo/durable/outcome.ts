/**
 * What a durable course came to. What was acknowledged is looked up in the books that the members found when they came back,
 * and in those that they had in the end; the checkers of the model judge the journals in their own way.
 */
import type { HistoryEvent } from "../../../protocol/history.ts";
import { type NodeId, nodeName } from "../../../protocol/view.ts";
import { CHECKERS, check } from "../../../simulation/axioms/index.ts";
import { rounded } from "../measures.ts";
import type { BookReport } from "../messages.ts";
import { distinct, type FoundViolation } from "../outcome.ts";
import { merged, type Part, partsOf } from "../parts.ts";
import type { MemberProcess } from "../processes.ts";
import type { DurableCourse } from "./course.ts";

export const RECOVERY_MS_MAX = 5000;

export interface DurableOutcome {
  readonly members: number;
  readonly seconds: number;
  /** By the killed and, after the failure, by their successors. */
  readonly updatesAcknowledged: number;
  readonly updatesAcknowledgedAfter: number;
  /** In the book that was brought back, and how many of them nobody had been told of yet. */
  readonly updatesRecovered: number;
  readonly unacknowledgedRecovered: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly ordersAgree: boolean;
  /** Deliveries of the killed that were found again, each in its place. */
  readonly orderedUpdatesCompared: number;
  readonly statesAgree: boolean;
  readonly stateDigests: { readonly [node: NodeId]: string };
  /** From the start of the processes until the first is a member again, and until all are. */
  readonly firstBackMs: number | null;
  readonly recoveryMs: number | null;
  /** Of records on each disk when all were killed, on average. */
  readonly logBytes: number;
  readonly updatesPerSecond: number;
  readonly views: readonly { readonly number: number; readonly members: readonly NodeId[]; readonly atMs: number }[];
  readonly events: number;
  readonly checkers: readonly string[];
  readonly violations: readonly FoundViolation[];
  /** Whatever is wrong, in words. */
  readonly problems: readonly string[];
  readonly ok: boolean;
}

export interface DurablyJudged {
  readonly outcome: DurableOutcome;
  readonly history: readonly HistoryEvent[];
  readonly marks: readonly { readonly event: number; readonly property: string }[];
}

/** `failure` is why the course ended early, if it did. */
export function judge(course: DurableCourse, seconds: number, failure: string | undefined): DurablyJudged {
  const parts = partsOf(course.stage.processes);
  const history = merged(parts.map(atRest));
  const broken = check(history, { quiescent: failure === undefined });
  // The members' departure has to be right, too.
  const violations = distinct([...broken, ...(failure === undefined ? check(merged(parts)) : [])]);
  const facts = factsOf(course, parts, violations, seconds);
  const books = course.successors.flatMap((each) => each.last("book")?.book ?? []);
  const complaints = books.flatMap((book) => book.complaints.map((each) => `${nodeName(book.node)}: ${each}`));
  const problems = [...(failure === undefined ? shortcomings(facts) : [failure]), ...complaints];
  const outcome = { ...facts, violations, problems, ok: problems.length === 0 && violations.length === 0 };
  return { outcome, history, marks: broken.map(({ event, property }) => ({ event, property })) };
}

/** A process's part up to its report. */
function atRest(part: Part): Part {
  const book = part.process.last("book")?.book;
  return book === undefined ? part : { ...part, events: part.events.slice(0, book.events) };
}

type Facts = Omit<DurableOutcome, "problems" | "ok">;

function factsOf(
  course: DurableCourse,
  parts: readonly Part[],
  violations: readonly FoundViolation[],
  seconds: number,
): Facts {
  const { victims, successors, trafficAt, killedAt, restartedAt, stage } = course;
  const found = successors.flatMap((each) => each.last("found")?.book ?? []);
  const books = successors.flatMap((each) => each.last("book")?.book ?? []);
  const acknowledged = sum(victims.map((victim) => victim.acknowledged));
  const recovered = Math.min(...found.map(sizeOf));
  const lost = sum([
    ...victims.map(({ process, acknowledged: count }) => missing(process, count, [...found, ...books])),
    ...successors.map((process) => missing(process, course.acknowledgedBy(process), books)),
  ]);
  const all = [...found, ...books];
  const orders = compareOrders(parts);
  const joinedAt = successors.flatMap((each) => each.last("joined")?.at ?? []);
  const isBack = successors.length > 0 && joinedAt.length === successors.length;
  const areKept = (...properties: readonly string[]): boolean =>
    !violations.some(({ property }) => properties.includes(property));
  return {
    members: new Set(successors.map(({ name }) => name)).size,
    seconds,
    updatesAcknowledged: acknowledged,
    updatesAcknowledgedAfter: sum(successors.map((each) => course.acknowledgedBy(each))),
    updatesRecovered: found.length === 0 ? 0 : recovered,
    unacknowledgedRecovered: found.length === 0 ? 0 : Math.max(0, recovered - acknowledged),
    lost: lost + Math.max(0, ...all.map(({ skipped }) => skipped)),
    duplicated: Math.max(0, ...all.map(({ repeated }) => repeated)),
    ordersAgree: orders.agree && orders.compared > 0 && areKept("R3", "D5", "D7", "D8"),
    orderedUpdatesCompared: orders.compared,
    statesAgree:
      books.length === successors.length &&
      new Set(found.map(({ chain }) => chain)).size === 1 &&
      new Set(books.map(({ chain }) => chain)).size === 1 &&
      areKept("ST1"),
    stateDigests: Object.fromEntries(books.map(({ node, chain }) => [node, chain])),
    firstBackMs:
      restartedAt === undefined || joinedAt.length === 0 ? null : rounded(Math.min(...joinedAt) - restartedAt),
    recoveryMs: restartedAt === undefined || !isBack ? null : rounded(Math.max(...joinedAt) - restartedAt),
    logBytes: victims.length === 0 ? 0 : Math.round(sum(victims.map(({ logBytes }) => logBytes)) / victims.length),
    updatesPerSecond:
      trafficAt === undefined || killedAt === undefined
        ? 0
        : Math.round((acknowledged * 1000) / Math.max(1, killedAt - trafficAt)),
    views: stage.views.map(({ number, members, installedAt }) => {
      return { number, members, atMs: rounded(Math.max(...installedAt.values()) - stage.startedAt) };
    }),
    events: sum(parts.map(({ events }) => events.length)),
    checkers: CHECKERS.map(({ property }) => property),
    violations,
  };
}

/** How many of a process's first `count` entries are missing in the book that has fewest. */
function missing(process: MemberProcess, count: number, books: readonly BookReport[]): number {
  const node = process.last("started")?.node;
  const countIn = ({ entries }: BookReport): number => entries.find(([sender]) => sender === node)?.[1] ?? 0;
  return Math.max(0, ...books.map((book) => count - countIn(book)));
}

/** All that a killed member delivered, from the view on with which the recovery began, stands in that order in what was found. */
function compareOrders(parts: readonly Part[]): { readonly agree: boolean; readonly compared: number } {
  let agree = true;
  let compared = 0;
  const recoveries = parts.flatMap(({ events }) => events.flatMap((event) => (event.kind === "recover" ? event : [])));
  for (const { messages, since = 0 } of recoveries) {
    for (const { events, killedAt } of parts) {
      if (killedAt === undefined) continue;
      let place = 0;
      for (const event of events) {
        if (event.kind !== "deliver" || event.view < since) continue;
        if (messages[place++] !== event.message) agree = false;
        compared++;
      }
    }
  }
  return { agree, compared };
}

function shortcomings(facts: Facts): readonly string[] {
  const { recoveryMs } = facts;
  const problems: string[] = [];
  if (facts.updatesAcknowledged === 0) problems.push("nothing was acknowledged");
  if (facts.lost > 0) problems.push(`${facts.lost} acknowledged updates were lost`);
  if (facts.duplicated > 0) problems.push(`${facts.duplicated} updates were delivered twice`);
  if (!facts.ordersAgree) problems.push("what was found stands in another order");
  if (!facts.statesAgree) problems.push("the members' books differ");
  if (recoveryMs === null) problems.push("not all came back");
  else if (recoveryMs > RECOVERY_MS_MAX)
    problems.push(`the recovery took ${recoveryMs} ms, more than ${RECOVERY_MS_MAX}`);
  return problems;
}

function sizeOf({ entries }: BookReport): number {
  return sum(entries.map(([, count]) => count));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
