/**
 * R1 to R3: what a durable group promises over the failure of all its members. Each is judged at the moment when a node has
 * brought the group back from its disk, by what the state that it found contains.
 */
import type { Delivery, Flush, Message, Run, Stay } from "./run.ts";
import { type Checker, Findings, type Violation } from "./violation.ts";

export const recoveryCheckers: readonly Checker[] = [
  {
    property: "R1",
    title: "Durability: what was safe anywhere, or covered by a flush, is there after all members have failed.",
    check: checkDurability,
  },
  {
    property: "R2",
    title: "Exactly once: nothing is applied twice to a state that was brought back.",
    check: checkOnce,
  },
  {
    property: "R3",
    title: "Recovery: a group goes on with the order in which its messages were delivered.",
    check: checkOrder,
  },
];

function checkDurability(run: Run): Violation[] {
  const found = new Findings("R1", run);
  if (run.recoveries.length === 0) return found.violations;
  const flushes = lastFlushes(run).map((flush) => ({ flush, covered: coveredBy(run, flush) }));
  for (const { event, member, view, since, messages } of run.recoveries) {
    const held = new Set(messages);
    const demand = (number: number, name: string, why: string): void => {
      if (number < since || number > view || held.has(name)) return;
      found.add(event, `${member.node.id} brought ${member.group.name} back without ${name}, ${why}`, member.node.id);
    };
    for (const { view: number, message, flavour, member: by } of run.deliveries) {
      if (by.group === member.group && flavour === "safe")
        demand(number, message.name, `which ${by.node.id} had delivered as safe`);
    }
    for (const { flush, covered } of flushes) {
      if (flush.member.group !== member.group) continue;
      for (const message of covered)
        demand(message.stream?.view.number ?? 0, message.name, `which the flush ${flush.name} had covered`);
    }
  }
  return found.violations;
}

/** The last flush of each membership that all held: it covers what those before it did. */
function lastFlushes(run: Run): Flush[] {
  const last = new Map<Flush["spell"], Flush>();
  for (const flush of run.flushes) if (flush.held && flush.copies === undefined) last.set(flush.spell, flush);
  return [...last.values()];
}

/** What a member had sent or delivered in its group during this membership before a flush began, raw messages aside. */
function coveredBy(run: Run, { member, spell, beganAt }: Flush): Message[] {
  const joinedAt = spell?.stays[0]?.installedAt ?? 0;
  const delivered = run.deliveries.filter(
    (delivery) => delivery.member === member && delivery.event >= joinedAt && delivery.event < beganAt,
  );
  const sent = [...run.messages.values()].filter(
    ({ stream, sentAt }) =>
      stream?.sender === member.node && stream.view.group === member.group && sentAt >= joinedAt && sentAt < beganAt,
  );
  return [...delivered.map(({ message }) => message), ...sent].filter(({ stream }) => stream?.flavour !== "raw");
}

function checkOnce(run: Run): Violation[] {
  const found = new Findings("R2", run);
  for (const { event, member, messages } of run.recoveries) {
    const seen = new Set<string>();
    for (const name of messages) {
      if (seen.has(name)) found.add(event, `${member.node.id} has ${name} twice after the recovery`, member.node.id);
      seen.add(name);
    }
  }
  return found.violations;
}

function checkOrder(run: Run): Violation[] {
  const found = new Findings("R3", run);
  for (const { event, member, view, since, messages } of run.recoveries) {
    const flavour = (name: string): string | undefined => run.messages.get(name)?.stream?.flavour;
    const ordered = messages.filter((name) => flavour(name) === "safe" || flavour(name) === "total");
    const places = new Map(ordered.map((name, place) => [name, place]));
    for (const stay of run.stays) {
      if (stay.member.group !== member.group || stay.view.number > view || stay.view.number < since) continue;
      const wrong = firstMisplaced(proven(stay), places);
      if (wrong === undefined) continue;
      const where = `${wrong.message.name} stands elsewhere than in the order in which ${stay.node.id} delivered it`;
      found.add(event, `after ${member.node.id} brought ${member.group.name} back, ${where}`, member.node.id);
    }
  }
  return found.violations;
}

/** The ordered messages of a stay up to its last safe one: that proves that all held the order up to it. */
function proven({ ordered }: Stay): Delivery[] {
  return ordered.slice(0, ordered.findLastIndex(({ flavour }) => flavour === "safe") + 1);
}

function firstMisplaced(deliveries: readonly Delivery[], places: ReadonlyMap<string, number>): Delivery | undefined {
  return deliveries.find(({ message }, index) => {
    const before = deliveries[index - 1];
    if (before === undefined) return false;
    return places.get(message.name) !== (places.get(before.message.name) ?? Number.NaN) + 1;
  });
}
