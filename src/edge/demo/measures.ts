/**
 * How long things took, and how fast updates were delivered. All times are of one clock, the machine's.
 */
import { type NodeId, nodeName } from "../../protocol/view.ts";
import type { Course } from "./course.ts";
import type { Ledger } from "./ledger.ts";
import { deliveriesPerSecond, longestPauseMs } from "./verdict.ts";

export interface Measures {
  /** From SIGKILL until `onView` had been called with the new view at all survivors. */
  readonly viewChangeMs: number | null;
  /** The longest time without a delivery at a survivor, from the kill to the restart. */
  readonly longestPauseMs: number | null;
  /** From the view that admits the restarted member until it has the state. */
  readonly stateTransferMs: number | null;
  /** From the start of the process until it is a member, with the state. */
  readonly restartMs: number | null;
  /** At each survivor on average: before the kill, between the new view and the restart, and with all three again. */
  readonly deliveriesPerSecondBefore: number;
  readonly deliveriesPerSecondAfter: number;
  readonly deliveriesPerSecondTogether: number;
}

export interface Nodes {
  readonly killed: NodeId;
  /** Who was there from the beginning to the end. */
  readonly survivors: readonly NodeId[];
  /** The killed member's next incarnation. */
  readonly successor: NodeId | undefined;
}

export function measure(course: Course, ledger: Ledger, nodes: Nodes): Measures {
  const { survivors } = nodes;
  const { trafficAt, togetherAt, stage } = course;
  const killedAt = course.victim?.killedAt;
  const restartedAt = course.successor?.at;
  const joinedAt = course.successor?.last("joined")?.at;
  const changedAt = newViewAt(course, nodes);
  const rate = (from: number | undefined, to: number | undefined): number =>
    from === undefined || to === undefined ? 0 : Math.round(deliveriesPerSecond(ledger, survivors, from, to));
  return {
    viewChangeMs: between(killedAt, changedAt),
    longestPauseMs:
      killedAt === undefined || restartedAt === undefined
        ? null
        : rounded(longestPauseMs(ledger, survivors, killedAt, restartedAt)),
    stateTransferMs: stateTransferMs(course, nodes.successor),
    restartMs: between(restartedAt, joinedAt),
    deliveriesPerSecondBefore: rate(trafficAt, killedAt),
    deliveriesPerSecondAfter: rate(changedAt, restartedAt),
    deliveriesPerSecondTogether: rate(togetherAt, stage.stoppedAt),
  };
}

/** When the last survivor had a view without the killed member. */
function newViewAt({ stage: { views } }: Course, { killed, survivors }: Nodes): number | undefined {
  const begun = views.findIndex(({ members }) => members.includes(killed));
  if (begun < 0) return undefined;
  const view = views.slice(begun).find(({ members }) => !members.includes(killed));
  const times = survivors.flatMap((node) => view?.installedAt.get(nodeName(node)) ?? []);
  return times.length === 0 || times.length < survivors.length ? undefined : Math.max(...times);
}

function stateTransferMs({ stage: { views } }: Course, joiner: NodeId | undefined): number | null {
  if (joiner === undefined) return null;
  const installedAt = views.find(({ members }) => members.includes(joiner))?.installedAt ?? new Map<string, number>();
  const others = [...installedAt].filter(([name]) => name !== nodeName(joiner)).map(([, at]) => at);
  return others.length === 0 ? null : between(Math.min(...others), installedAt.get(nodeName(joiner)));
}

function between(from: number | undefined, to: number | undefined): number | null {
  return from === undefined || to === undefined ? null : rounded(to - from);
}

/** Milliseconds, to a tenth. */
export function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
