/**
 * D1 to D5: what is delivered within a view, regardless of the order among senders. Raw messages have D1 only.
 *
 * "Members that go on together" are those that installed the same view directly after the same view.
 */
import { type EventOf, type Message, NEVER, type Run, type Stay, type Stream } from "./run.ts";
import { type Checker, Findings, type Violation } from "./violation.ts";

export const multicastCheckers: readonly Checker[] = [
  {
    property: "D1",
    title: "Integrity and no duplication: a message is delivered at most once at a node, and only if it was sent.",
    check: checkIntegrity,
  },
  {
    property: "D2",
    title: "Sending-view delivery: a message is delivered in the view in which it was sent.",
    check: checkSendingView,
  },
  {
    property: "D3",
    title: "Virtual synchrony: members that go on together from a view delivered the same messages in it.",
    check: checkVirtualSynchrony,
  },
  {
    property: "D4",
    title: "Self-delivery: a sender that goes on to a later view, leaves or lives delivered its own messages.",
    check: checkSelfDelivery,
  },
  {
    property: "D5",
    title: "Reliable FIFO: what a sender sends with one flavour in a view is delivered in order without a gap.",
    check: checkFifo,
  },
];

/** A delivery must agree with the send on sender, group and flavour; at the sender it must come after the send. */
function checkIntegrity(run: Run): Violation[] {
  const found = new Findings("D1", run);
  for (const delivery of run.deliveries) {
    const { message, member, event } = delivery;
    const { node, group } = member;
    const stream = message.stream;
    let fault: string | undefined;
    if (delivery.again) fault = "a second time";
    else if (stream === undefined) fault = "though nobody sent it";
    else if (stream.sender.id !== delivery.sender) fault = `as sent by ${delivery.sender}, not ${stream.sender.id}`;
    else if (stream.view.group !== group) fault = `in ${group.name}, though it was sent in ${stream.view.group.name}`;
    else if (stream.flavour !== delivery.flavour)
      fault = `as ${delivery.flavour}, though it was sent as ${stream.flavour}`;
    else if (stream.sender === node && event < message.sentAt) fault = "before sending it";
    if (fault !== undefined) found.add(event, `${node.id} delivered ${message.name} ${fault}`, node.id, group.name);
  }
  for (const message of run.messages.values()) {
    if (message.sentAgainAt === NEVER) continue;
    const again = run.history[message.sentAgainAt] as EventOf<"send">;
    found.add(
      message.sentAgainAt,
      `${again.node} sent ${message.name}, which was sent before`,
      again.node,
      again.group,
    );
  }
  return found.violations;
}

/** The view of sending, the view of delivery and the view installed at the member must be one. */
function checkSendingView(run: Run): Violation[] {
  const found = new Findings("D2", run);
  for (const index of run.straySends) {
    const { node, group, message, view } = run.history[index] as EventOf<"send">;
    found.add(index, `${node} sent ${message} in view ${view} of ${group}, which is not its view`, node, group);
  }
  for (const delivery of run.deliveries) {
    if (delivery.flavour === "raw") continue;
    const { message, member, stay, view } = delivery;
    const sentIn = message.stream?.view.number ?? view;
    if (stay !== undefined && stay.view.number === view && sentIn === view) continue;
    const present = stay === undefined ? "outside any view" : `while in view ${stay.view.number}`;
    found.add(
      delivery.event,
      `${member.node.id} delivered ${message.name}, sent in view ${sentIn}, as of view ${view} ${present}`,
      member.node.id,
      member.group.name,
    );
  }
  return found.violations;
}

/** The first member that went on from a view to another is the measure for the others that did. */
function checkVirtualSynchrony(run: Run): Violation[] {
  const found = new Findings("D3", run);
  for (const group of run.groups.values()) {
    for (const view of group.views.values()) {
      const measures: Stay[] = [];
      for (const stay of view.stays) {
        if (stay.next === undefined) continue;
        const measure = measures.find((other) => other.next?.view === stay.next?.view);
        if (measure === undefined) measures.push(stay);
        else compareDeliveries(measure, stay, found);
      }
    }
  }
  return found.violations;
}

function compareDeliveries(measure: Stay, stay: Stay, found: Findings): void {
  const extra = firstNotAt(stay, measure);
  if (extra === undefined && stay.deliveries.length === measure.deliveries.length) return;
  const lacking = firstNotAt(measure, stay);
  const [message, holder, other] = lacking === undefined ? [extra, stay, measure] : [lacking, measure, stay];
  if (message === undefined) return;
  const next = other.next;
  if (next === undefined) return;
  found.add(
    next.installedAt,
    `${other.node.id} installed ${next.view} after ${other.view} without ${message.name}, which ${holder.node.id} ` +
      "delivered before doing the same",
    other.node.id,
    other.member.group.name,
  );
}

/** The first message delivered in one stay whose delivery is not in the other member's history. */
function firstNotAt(stay: Stay, other: Stay): Message | undefined {
  const node = other.node;
  for (const delivery of stay.deliveries) if (!delivery.message.deliveredBy(node)) return delivery.message;
  return undefined;
}

/** Excused are senders that crashed or were excluded, and those whose group was lost. */
function checkSelfDelivery(run: Run): Violation[] {
  const found = new Findings("D4", run);
  for (const stay of run.stays) {
    const end = endOfSelfDelivery(run, stay);
    if (end === undefined) continue;
    for (const message of stay.sends) {
      if (message.stream?.flavour === "raw" || message.deliveredBy(stay.node)) continue;
      found.add(
        end,
        `${stay.node.id} sent ${message.name} in ${stay.view} and never delivered it`,
        stay.node.id,
        stay.member.group.name,
      );
    }
  }
  return found.violations;
}

/** The event by which a member must have delivered what it sent during a stay. */
function endOfSelfDelivery(run: Run, stay: Stay): number | undefined {
  if (stay.next !== undefined) return stay.next.installedAt;
  if (stay.spell.why === "left") return stay.spell.overAt;
  return run.settledIn(stay) ? run.history.length - 1 : undefined;
}

/**
 * Per stay and stream, deliveries count up from 0. In a history that has settled, members of a view that is still
 * installed also have all that its living senders sent in it.
 */
function checkFifo(run: Run): Violation[] {
  const found = new Findings("D5", run);
  const expected: number[] = [];
  for (const stay of run.stays) {
    expected.length = 0;
    for (let index = stay.view.streams.length; index > 0; index--) expected.push(0);
    for (const { message, event } of stay.deliveries) {
      const { stream, place } = message;
      if (stream === undefined || stream.view !== stay.view) continue;
      const due = expected[stream.index] ?? 0;
      expected[stream.index] = Math.max(due, place + 1);
      if (place === due) continue;
      const missed = place > due ? `without ${stream.messages[due]?.name} before it` : "too late";
      found.add(
        event,
        `${stay.node.id} delivered ${message.name} (${stream.flavour} ${place} of ${stream.sender.id}) ${missed}`,
        stay.node.id,
        stay.member.group.name,
      );
    }
    if (run.settledIn(stay)) checkTails(stay, expected, found);
  }
  return found.violations;
}

function checkTails(stay: Stay, expected: readonly number[], found: Findings): void {
  for (const stream of stay.view.streams) {
    const missing = stream.messages[expected[stream.index] ?? 0];
    if (stream.flavour === "raw" || missing === undefined || !isAlive(stream, stay)) continue;
    found.add(
      missing.sentAt,
      `${stay.node.id} never delivered ${missing.name} of ${stream.sender.id}, though both live in ${stay.view}`,
      stay.node.id,
      stay.member.group.name,
    );
  }
}

function isAlive(stream: Stream, stay: Stay): boolean {
  const sender = stream.sender.members.get(stay.member.group.name);
  return stream.sender.live && sender?.stay?.view === stay.view;
}
