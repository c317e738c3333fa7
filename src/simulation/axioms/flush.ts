/**
 * F1 and F2: what a resolved `flush()` proves.
 *
 * **F1, as judged.** Let p's flush begin at event b, during one spell of p's membership, and be held at an event at which
 * p is in view w. It covers the messages, raw ones aside, that p sent or delivered in this spell before b. For every
 * covered message m, of view v:
 *
 * 1. Every member that installed a later view directly after v delivered m in v, whether p is still with them or not.
 * 2. In a history that has settled, so did every living member that is still in v.
 * 3. If m is total or safe and p delivered it before b, those members deliver p's covered messages in p's order, before all
 *    others: what a handler returned is stable only if the order is.
 *
 * With `copies: k`, if v = w, m may be lost when k members of w are. So 1 to 3 are then demanded only if less than k
 * members of w are missing from every view that is installed directly after w. (If v is before w, p went on from v
 * itself, and D3 demands as much.)
 *
 * Members that join later hold m in the state they load, which ST1 compares. When nobody goes on from v nothing can be
 * said: the group was lost, or is recovered from disks. What was queued at b but sent after it is not covered here,
 * because a history does not tell when a call was made.
 */
import { reference } from "./order.ts";
import {
  type Delivery,
  type EventOf,
  type Flush,
  type Message,
  NEVER,
  type Run,
  type Stay,
  type ViewRun,
} from "./run.ts";
import { type Checker, Findings, type Violation } from "./violation.ts";

export const flushCheckers: readonly Checker[] = [
  {
    property: "F1",
    title:
      "Flush: when a flush is held, all that the member sent or delivered before it survives, in its order, " +
      "in all members that go on.",
    check: checkHeldFlushes,
  },
  {
    property: "F2",
    title:
      "A flush ends, unless its caller gives up, and is rejected only when the member was excluded, left or closed, or " +
      "the group was lost.",
    check: checkFlushEnds,
  },
];

function checkHeldFlushes(run: Run): Violation[] {
  const found = new Findings("F1", run);
  const covered = new Map<ViewRun, Map<Message, Flush>>();
  for (const [stay, flush] of newestFlushes(run)) {
    const messages = covered.get(stay.view) ?? new Map<Message, Flush>();
    covered.set(stay.view, messages);
    cover(stay, flush, messages);
    checkOrder(run, stay, flush, found);
  }
  for (const [view, messages] of covered) {
    for (const stay of view.stays) {
      if (stay.next !== undefined || run.settledIn(stay)) checkHeld(run, stay, messages, found);
    }
  }
  return found.violations;
}

/** For each stay of a member that flushed, the last flush that covers something of it: that covers the most. */
function newestFlushes(run: Run): ReadonlyMap<Stay, Flush> {
  const newest = new Map<Stay, Flush>();
  for (const flush of run.flushes) {
    if (!flush.held) continue;
    for (let stay = flush.beginStay; stay !== undefined; stay = stay.previous) {
      const before = newest.get(stay);
      if (before !== undefined && stay.next !== undefined && before.beganAt > stay.next.installedAt) break;
      if (stay === flush.endStay && copiesMayBeLost(flush, stay.view)) continue;
      if (before === undefined || before.beganAt < flush.beganAt) newest.set(stay, flush);
    }
  }
  return newest;
}

function copiesMayBeLost(flush: Flush, view: ViewRun): boolean {
  const copies = flush.copies ?? view.members.length;
  if (copies >= view.members.length) return false;
  const judged = new Set<ViewRun>();
  for (const { next } of view.stays) {
    if (next === undefined || judged.has(next.view)) continue;
    judged.add(next.view);
    const lost = view.members.filter((id) => !next.view.members.includes(id)).length;
    if (lost >= copies) return true;
  }
  return false;
}

function cover(stay: Stay, flush: Flush, messages: Map<Message, Flush>): void {
  for (const message of stay.sends) {
    if (message.sentAt > flush.beganAt) break;
    if (message.stream?.flavour !== "raw" && message.stream?.view === stay.view) messages.set(message, flush);
  }
  for (const delivery of stay.deliveries) {
    if (delivery.event > flush.beganAt) break;
    messages.set(delivery.message, flush);
  }
}

function checkHeld(run: Run, stay: Stay, messages: ReadonlyMap<Message, Flush>, found: Findings): void {
  for (const [message, flush] of messages) {
    if (message.deliveredBy(stay.node)) continue;
    const until = stay.next === undefined ? "and never delivered it" : `and installed ${stay.next.view} without it`;
    found.add(
      stay.next?.installedAt ?? run.history.length - 1,
      `${flush.member.node.id} flushed ${message.name}; ${stay.node.id} was in ${stay.view} with it ${until}`,
      stay.node.id,
      stay.member.group.name,
    );
  }
}

/** Demand 3. The other members are compared with each other by D7, so it is enough to compare with one of them. */
function checkOrder(run: Run, stay: Stay, flush: Flush, found: Findings): void {
  const measure = reference(run, stay.view);
  if (measure === undefined || measure === stay) return;
  for (let place = 0; place < stay.ordered.length; place++) {
    const { event, message } = stay.ordered[place] as Delivery;
    if (event > flush.beganAt) return;
    const other = measure.ordered[place];
    if (other === undefined || message.position === NEVER || message.position === place) continue;
    const { node } = measure;
    found.add(
      other.event,
      `${stay.node.id} flushed with ${message.name} as number ${place} of ${stay.view}; ${node.id} delivered ` +
        `${other.message.name} in its place`,
      node.id,
      stay.member.group.name,
    );
    return;
  }
}

function checkFlushEnds(run: Run): Violation[] {
  const found = new Findings("F2", run);
  for (const flush of run.flushes) {
    const { node, group } = flush.member;
    const over = flush.spell === undefined || (flush.spell.over && flush.spell.why !== "crashed");
    if (flush.endedAt === NEVER) {
      if (run.quiescent && node.live)
        found.add(flush.beganAt, `${node.id}'s ${flush.name} never ended`, node.id, group.name);
    } else if (!flush.held && !flush.abandoned && !over) {
      const fault = "was rejected, though it was not excluded, did not leave, and the group was not lost";
      found.add(flush.endedAt, `${node.id}'s ${flush.name} ${fault}`, node.id, group.name);
    }
    if (flush.endedAgainAt !== NEVER) {
      found.add(flush.endedAgainAt, `${node.id}'s ${flush.name} ended twice`, node.id, group.name);
    }
  }
  for (const index of run.strayFlushEnds) {
    const { node, group, flush } = run.history[index] as EventOf<"flush-end">;
    found.add(index, `${node}'s ${flush} ended, but never began`, node, group);
  }
  return found.violations;
}
