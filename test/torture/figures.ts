/** Figures from the histories of a run: what was sent and delivered, and for how long nothing was. */
import type { HistoryEvent } from "../../src/protocol/history.ts";
import { readHistories } from "../../src/simulation/histories.ts";

export interface Figures {
  readonly events: number;
  readonly incarnations: number;
  readonly updatesSent: number;
  /** At all members together. */
  readonly updatesDelivered: number;
  /** Views of the cluster and of groups, each counted once. */
  readonly views: number;
  readonly exclusions: number;
  /** The longest time between two deliveries, wherever they were. */
  readonly longestUnavailabilityMs: number;
}

export function figuresOf(histories: string): Figures {
  const { events, nodes } = readHistories([histories]);
  const kinds = new Map<HistoryEvent["kind"], number>();
  const views = new Set<string>();
  let before: number | undefined;
  let longest = 0;
  for (const event of events) {
    kinds.set(event.kind, (kinds.get(event.kind) ?? 0) + 1);
    if (event.kind === "install") views.add(`${event.group} ${event.number}`);
    if (event.kind !== "deliver") continue;
    longest = Math.max(longest, event.at - (before ?? event.at));
    before = event.at;
  }
  return {
    events: events.length,
    incarnations: nodes.length,
    updatesSent: kinds.get("send") ?? 0,
    updatesDelivered: kinds.get("deliver") ?? 0,
    views: views.size,
    exclusions: kinds.get("exclude") ?? 0,
    longestUnavailabilityMs: Math.round(longest),
  };
}
