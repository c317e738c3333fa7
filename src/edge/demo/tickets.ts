/**
 * What a member's update handler was called with, by sender.
 */
import { createHash } from "node:crypto";
import type { NodeId } from "../../protocol/view.ts";
import type { SeenOf } from "./messages.ts";

export class Tickets {
  readonly #bySender = new Map<NodeId, { readonly tickets: Set<number>; duplicates: number }>();
  /** How many updates there were. */
  count = 0;

  readonly add = (sender: NodeId, ticket: number): void => {
    this.count++;
    let seen = this.#bySender.get(sender);
    if (seen === undefined) {
      seen = { tickets: new Set(), duplicates: 0 };
      this.#bySender.set(sender, seen);
    }
    if (seen.tickets.has(ticket)) seen.duplicates++;
    seen.tickets.add(ticket);
  };

  report(): readonly SeenOf[] {
    return [...this.#bySender].map(([sender, { tickets, duplicates }]) => ({
      sender,
      count: tickets.size,
      duplicates,
      digest: digestOf([...tickets].sort((a, b) => a - b)),
    }));
  }
}

export function digestOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 12);
}
