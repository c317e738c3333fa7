/**
 * Q1 and Q2: a query ends, with one answer or reason for everybody who was asked: every member of the view in which it
 * was delivered, or its audience.
 *
 * A query that asks for less than all may end with `enough` values; answers that come after that may be recorded or not.
 * Who is reported as having left must be absent from that view, or from a later view of the caller, unless the caller
 * itself is gone.
 */
import type { NodeId } from "../../protocol/view.ts";
import { reference } from "./order.ts";
import { type Delivery, NEVER, type Query, type Run, type Stay, type ViewRun } from "./run.ts";
import { type Checker, Findings, type Violation } from "./violation.ts";

export const queryCheckers: readonly Checker[] = [
  {
    property: "Q1",
    title: "A query ends: everybody who is asked answers or is reported as having left.",
    check: checkQueries,
  },
  {
    property: "Q2",
    title: "An ordered query runs at the same point of the order at every member.",
    check: checkPositions,
  },
];

function checkQueries(run: Run): Violation[] {
  const found = new Findings("Q1", run);
  for (const query of run.queries) {
    const { caller } = query;
    if (caller === undefined) {
      const stray = query.replies[0]?.event ?? query.ends[0]?.event ?? 0;
      found.add(stray, `an answer to ${query.message.name}, which nobody asked`);
      continue;
    }
    const report = (event: number, fault: string): void =>
      found.add(event, `${caller.node.id}'s query ${query.message.name} ${fault}`, caller.node.id, caller.group.name);
    const end = query.ends[0];
    if (end === undefined && run.quiescent && caller.node.live) report(query.askedAt, "never ended");
    if (query.ends.length > 1) report(query.ends[1]?.event ?? NEVER, "ended twice");
    const stay = query.message.ownDelivery?.stay;
    if (stay === undefined) continue;
    checkReplies(run, query, stay, report);
    if (end !== undefined) checkEnd(query, stay, end.event, end.end.outcome, report);
  }
  return found.violations;
}

type Report = (event: number, fault: string) => void;

function checkReplies(run: Run, query: Query, stay: Stay, report: Report): void {
  const answered = new Set<NodeId>();
  const asked = query.audience ?? stay.view.members;
  for (const { event, reply } of query.replies) {
    const { member, status } = reply;
    if (!asked.includes(member)) report(event, `has an answer of ${member}, which was not asked in ${stay.view}`);
    else if (answered.has(member)) report(event, `has a second answer of ${member}`);
    else if (status === "left" && !departs(stay, member)) report(event, `reports that ${member} left, but it did not`);
    else if ((status === "value" || status === "abort") && !ranAt(run, query, member)) {
      report(event, `has an answer of ${member}, which never delivered it`);
    }
    answered.add(member);
  }
}

/** The view or some later one of the caller is without the member, or the caller's own membership is over. */
function departs(stay: Stay, member: NodeId): boolean {
  if (stay.spell.over) return true;
  for (let later: Stay | undefined = stay; later !== undefined; later = later.next) {
    if (!later.view.members.includes(member)) return true;
  }
  return false;
}

function ranAt(run: Run, query: Query, member: NodeId): boolean {
  const node = run.nodes.get(member);
  return node !== undefined && query.message.deliveredBy(node);
}

function checkEnd(query: Query, stay: Stay, at: number, outcome: string, report: Report): void {
  const earlier = query.replies.filter(({ event }) => event < at);
  if (outcome === "complete") {
    const asked = query.audience ?? stay.view.members;
    const silent = asked.find((id) => !earlier.some(({ reply }) => reply.member === id));
    if (silent !== undefined) report(at, `was complete without an answer of ${silent}`);
  } else if (outcome === "enough") {
    const values = earlier.filter(({ reply }) => reply.status === "value").length;
    if (values < query.wanted) report(at, `ended with ${values} values, though ${query.wanted} were wanted`);
  }
}

/** Judged at the members that go on from the view, and at the end of a history that has settled; see D7 for the others. */
function checkPositions(run: Run): Violation[] {
  const found = new Findings("Q2", run);
  const views = new Set<ViewRun>();
  for (const { message } of run.queries) if (message.stream !== undefined) views.add(message.stream.view);
  for (const view of views) {
    const measure = reference(run, view);
    if (measure === undefined) continue;
    for (const stay of view.stays) {
      if (stay !== measure && (stay.next !== undefined || run.settledIn(stay))) comparePositions(stay, measure, found);
    }
  }
  return found.violations;
}

function comparePositions(stay: Stay, measure: Stay, found: Findings): void {
  for (let place = 0; place < stay.ordered.length; place++) {
    const { event, message } = stay.ordered[place] as Delivery;
    if (message.query === undefined || message.position === place || message.position === NEVER) continue;
    found.add(
      event,
      `query ${message.name} was number ${place} at ${stay.node.id}, ${message.position} at ${measure.node.id}`,
      stay.node.id,
      stay.member.group.name,
    );
  }
}
