/**
 * D6 to D8: order among the messages of different senders.
 *
 * D7 and D8 need one order per view to compare with. It is what a member delivered that went on to the next view, since
 * all who go on must agree; without any, in a history that has settled, what the most advanced living member delivered.
 * Who crashed or was excluded may have delivered total (optimistic) messages in an order that nobody else will see; but
 * a safe message proves that all members held the order up to it (rule C8), so up to its last safe message even such a
 * member delivered in the common order.
 */
import type { NodeId } from "../../protocol/view.ts";
import { type Delivery, type Message, NEVER, type Run, type Stay, type ViewRun } from "./run.ts";
import { type Checker, Findings, type Violation } from "./violation.ts";

export const orderCheckers: readonly Checker[] = [
  {
    property: "D6",
    title: "Causal: if a causal message happened before another, it is delivered first everywhere.",
    check: checkCausality,
  },
  {
    property: "D7",
    title:
      "Total: there is one order; members that go on together delivered all of it, safe messages are a prefix " +
      "of their order at every member, and views lie at the same points.",
    check: checkTotalOrder,
  },
  {
    property: "D8",
    title: "Safe: what anybody delivered as safe is delivered by everybody who goes on from the view.",
    check: checkSafety,
  },
];

/**
 * Happened-before is the least transitive relation with m before m' if a node sent m, or delivered it, before it sent
 * m' (both causal, in one view of one group). As every member is held to it, it suffices that a receiver of m' has what
 * the sender had; and, the sender's earlier causal messages being among that, only what was new since those.
 */
function checkCausality(run: Run): Violation[] {
  const found = new Findings("D6", run);
  for (const stay of run.stays) noteCauses(stay);
  const counts: number[] = [];
  for (const stay of run.stays) {
    if (stay.causalCount > 0) checkCauses(stay, counts, found);
  }
  return found.violations;
}

function noteCauses(stay: Stay): void {
  if (!stay.sends.some((message) => message.stream?.flavour === "causal")) return;
  const counts: number[] = [];
  const changed = new Set<number>();
  let next = 0;
  for (const message of stay.sends) {
    if (message.stream?.flavour !== "causal" || message.stream.view !== stay.view) continue;
    for (; next < stay.deliveries.length; next++) {
      const delivery = stay.deliveries[next] as Delivery;
      if (delivery.event > message.sentAt) break;
      const stream = delivery.message.stream;
      if (stream?.flavour !== "causal" || stream.view !== stay.view) continue;
      counts[stream.index] = (counts[stream.index] ?? 0) + 1;
      changed.add(stream.index);
    }
    const own = message.stream.index;
    changed.delete(own);
    message.causes = [own, message.place];
    for (const index of changed) message.causes.push(index, counts[index] ?? 0);
    changed.clear();
  }
}

function checkCauses(stay: Stay, counts: number[], found: Findings): void {
  const { view } = stay;
  counts.length = 0;
  for (let index = view.streams.length; index > 0; index--) counts.push(0);
  for (const { message, event } of stay.deliveries) {
    const { causes, stream } = message;
    if (stream?.flavour !== "causal" || stream.view !== view) continue;
    const missing = causes === undefined ? NEVER : firstMissing(causes, counts);
    counts[stream.index] = (counts[stream.index] ?? 0) + 1;
    if (missing === NEVER) continue;
    const cause = view.streams[missing]?.messages.find((one) => !deliveredBefore(stay, one, event));
    found.add(
      event,
      `${stay.node.id} delivered ${message.name} before ${cause?.name}, which happened before it`,
      stay.node.id,
      stay.member.group.name,
    );
  }
}

/** The first stream of which less was delivered than the causes name. */
function firstMissing(causes: readonly number[], counts: readonly number[]): number {
  for (let pair = 0; pair < causes.length; pair += 2) {
    const stream = causes[pair] as number;
    if ((counts[stream] as number) < (causes[pair + 1] as number)) return stream;
  }
  return NEVER;
}

function deliveredBefore(stay: Stay, message: Message, event: number): boolean {
  return stay.deliveries.some((delivery) => delivery.event < event && delivery.message === message);
}

/** The stay whose deliveries are the order of a view. It gives each message of that order its position. */
export function reference(run: Run, view: ViewRun): Stay | undefined {
  if (view.referenceKnown) return view.reference;
  let chosen: Stay | undefined;
  for (const stay of view.stays) {
    if (stay.next === undefined && !run.settledIn(stay)) continue;
    if (chosen === undefined || precedes(stay, chosen)) chosen = stay;
  }
  view.referenceKnown = true;
  view.reference = chosen;
  if (chosen !== undefined) {
    for (let position = 0; position < chosen.ordered.length; position++) {
      (chosen.ordered[position] as Delivery).message.position = position;
    }
  }
  return chosen;
}

/** Who went on comes before who did not; then the lower next view, then the longer sequence. */
function precedes(stay: Stay, other: Stay): boolean {
  const next = stay.next?.view.number ?? Number.POSITIVE_INFINITY;
  const otherNext = other.next?.view.number ?? Number.POSITIVE_INFINITY;
  return next === otherNext ? stay.ordered.length > other.ordered.length : next < otherNext;
}

function checkTotalOrder(run: Run): Violation[] {
  const found = new Findings("D7", run);
  for (const group of run.groups.values()) {
    for (const view of group.views.values()) {
      if (!view.stays.some((stay) => stay.ordered.length > 0)) continue;
      const measure = reference(run, view);
      for (const stay of view.stays) {
        if (measure === undefined || stay === measure) continue;
        const bond = bondOf(run, stay, measure);
        if (bond === "none") checkUpToSafe(stay, measure, found);
        else comparePrefix(stay, measure, bond === "equal", found);
      }
      if (view.safe.length > 0) compareSafe(view, found);
    }
  }
  return found.violations;
}

/**
 * How a member's order is tied to the measure's: equal if they go on together; a prefix if they both go on, or if
 * the member is in the measure's next view and only crashed or has not installed it yet; else not at all.
 */
function bondOf(run: Run, stay: Stay, measure: Stay): "equal" | "prefix" | "none" {
  if (stay.next !== undefined) return stay.next.view === measure.next?.view ? "equal" : "prefix";
  if (measure.next === undefined) return run.settledIn(stay) ? "prefix" : "none";
  const goesOn = stay.spell.why === undefined || stay.spell.why === "crashed";
  return goesOn && measure.next.view.members.includes(stay.node.id) ? "prefix" : "none";
}

function comparePrefix(stay: Stay, measure: Stay, whole: boolean, found: Findings): void {
  const mine = stay.ordered;
  const theirs = measure.ordered;
  const length = Math.min(mine.length, theirs.length);
  for (let index = 0; index < length; index++) {
    const delivery = mine[index] as Delivery;
    const other = theirs[index] as Delivery;
    if (delivery.message === other.message) continue;
    reportOrder(stay, delivery, `as number ${index}, where ${measure.node.id} delivered ${other.message.name}`, found);
    return;
  }
  if (mine.length === theirs.length || !whole) return;
  const [shorter, longer] = mine.length < theirs.length ? [stay, measure] : [measure, stay];
  const missing = longer.ordered[length] as Delivery;
  const end = shorter.next?.installedAt ?? missing.event;
  found.add(
    end,
    `${shorter.node.id} left ${stay.view} without ${missing.message.name}, number ${length} of the order of ` +
      longer.node.id,
    shorter.node.id,
    stay.member.group.name,
  );
}

/** Up to its last safe message a member has the common order, though entries whose data was lost are missing there. */
function checkUpToSafe(stay: Stay, measure: Stay, found: Findings): void {
  const last = stay.ordered.findLastIndex((delivery) => delivery.flavour === "safe");
  let place = 0;
  for (let index = 0; index <= last; index++) {
    const delivery = stay.ordered[index] as Delivery;
    const { position } = delivery.message;
    if (position === NEVER) continue;
    if (position !== place) {
      const other = measure.ordered[place]?.message.name;
      reportOrder(stay, delivery, `and then a safe message, where ${measure.node.id} delivered ${other}`, found);
      return;
    }
    place++;
  }
}

function compareSafe(view: ViewRun, found: Findings): void {
  let longest: Stay | undefined;
  for (const stay of view.stays) if (stay.safeCount > (longest?.safeCount ?? 0)) longest = stay;
  if (longest === undefined) return;
  const order = longest.ordered.filter((delivery) => delivery.flavour === "safe");
  for (const stay of view.stays) {
    if (stay.safeCount === 0 || stay === longest) continue;
    let place = 0;
    for (const delivery of stay.ordered) {
      if (delivery.flavour !== "safe") continue;
      const other = order[place++];
      if (other?.message === delivery.message) continue;
      const theirs = `where ${longest.node.id} delivered ${other?.message.name}`;
      reportOrder(stay, delivery, `as safe message ${place - 1}, ${theirs}`, found);
      break;
    }
  }
}

function reportOrder(stay: Stay, delivery: Delivery, fault: string, found: Findings): void {
  const id: NodeId = stay.node.id;
  found.add(delivery.event, `${id} delivered ${delivery.message.name} ${fault}`, id, stay.member.group.name);
}

function checkSafety(run: Run): Violation[] {
  const found = new Findings("D8", run);
  for (const group of run.groups.values()) {
    for (const view of group.views.values()) {
      if (view.safe.length === 0) continue;
      for (const stay of view.stays) {
        if (stay.next === undefined || stay.safeCount === view.safe.length) continue;
        const missing = view.safe.find((message) => !message.deliveredBy(stay.node));
        if (missing === undefined) continue;
        found.add(
          stay.next.installedAt,
          `${stay.node.id} installed ${stay.next.view} without ${missing.name}, delivered as safe in ${view}`,
          stay.node.id,
          group.name,
        );
      }
    }
  }
  return found.violations;
}
