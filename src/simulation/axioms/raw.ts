/**
 * D9: what is promised of raw messages beyond D1, M3 and M4, which hold for all messages. They may be lost, overtake each
 * other, and come in another view than that in which they were sent.
 */
import type { Run } from "./run.ts";
import { type Checker, Findings, type Violation } from "./violation.ts";

export const rawCheckers: readonly Checker[] = [
  {
    property: "D9",
    title: "Raw messages: one is delivered only by members of the view in which it was sent.",
    check: checkReceivers,
  },
];

function checkReceivers(run: Run): Violation[] {
  const found = new Findings("D9", run);
  for (const { flavour, message, member, event } of run.deliveries) {
    const sentIn = message.stream?.view;
    if (flavour !== "raw" || sentIn === undefined || sentIn.members.includes(member.node.id)) continue;
    found.add(
      event,
      `${member.node.id} delivered ${message.name}, sent in ${sentIn}, of which it is no member`,
      member.node.id,
      member.group.name,
    );
  }
  return found.violations;
}
