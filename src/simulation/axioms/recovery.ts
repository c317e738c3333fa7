/**
 * R1 to R3: what a durable group promises over the failure of all its members. Each is judged at the moment when a node has
 * brought the group back from its disk, by what the state that it found contains.
 */
import type { Delivery, Message, Recovered, Run, Stay } from "./run.ts";
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
  for (const recovered of run.recoveries) {
    const { event, member, view, messages } = recovered;
    const held = new Set(messages);
    const miss = (name: string, why: string): void => {
      if (held.has(name)) return;
      found.add(event, `${member.node.id} brought ${member.group.name} back without ${name}, ${why}`, member.node.id);
    };
    for (const { view: number, message, flavour, member: by } of run.deliveries) {
      if (number <= view && by.group === member.group && flavour === "safe")
        miss(message.name, `which ${by.node.id} had delivered as safe`);
    }
    for (const flush of run.flushes) {
      if (!flush.held || flush.member.group !== member.group || flush.copies !== undefined) continue;
      const since = flush.spell?.stays[0]?.installedAt ?? 0;
      for (const message of coveredBy(run, flush.member, since, flush.beganAt))
        if ((message.stream?.view.number ?? 0) <= view) miss(message.name, `which the flush ${flush.name} had covered`);
    }
  }
  return found.violations;
}

/** What a member had sent or delivered in its group between two events, raw messages aside. */
function coveredBy(run: Run, member: Recovered["member"], since: number, before: number): Message[] {
  const delivered = run.deliveries.filter(
    (delivery) => delivery.member === member && delivery.event >= since && delivery.event < before,
  );
  const sent = [...run.messages.values()].filter(
    ({ stream, sentAt }) =>
      stream?.sender === member.node && stream.view.group === member.group && sentAt >= since && sentAt < before,
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
  for (const { event, member, view, messages } of run.recoveries) {
    const flavour = (name: string): string | undefined => run.messages.get(name)?.stream?.flavour;
    const ordered = messages.filter((name) => flavour(name) === "safe" || flavour(name) === "total");
    const places = new Map(ordered.map((name, place) => [name, place]));
    for (const stay of run.stays) {
      if (stay.member.group !== member.group || stay.view.number > view) continue;
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
