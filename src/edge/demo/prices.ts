/**
 * The seed's program: prices by name, set with `send`, `orderedSend` and `safeSend`, asked with `query`. The listing is
 * fixed, so that all replicas hold the names in one order and their states can be compared as they are.
 *
 * Every price is also a ticket: a sender's n-th update carries the price n / 100. So each member can tell, from what its
 * own handler was called with, whether an update is missing or came twice, independently of what the library records.
 */
import { defineGroup } from "../../group/define.ts";
import type { GroupView, NodeId } from "../../protocol/view.ts";

/** Who takes part. */
export const NAMES = ["ann", "bob", "cleo"] as const;

const LISTED_PER_OWNER = 500;
/** Names that all members set; the others belong to one member each. */
const SHARED = "all";
const CENTS = 100;

/** What a member wants to hear of its replica. */
export interface Audience {
  readonly onSet: (sender: NodeId, ticket: number) => void;
  readonly onView: (view: GroupView) => void;
}

export type Prices = ReturnType<typeof pricesFor>;

/** The definition, the same at every member; what it tells the audience is not part of the state. */
export function pricesFor(audience: Audience, secure: boolean) {
  return defineGroup({
    name: "prices",
    secure,
    state: () => new Map(listing().map((name) => [name, 0])),
    updates: {
      set: ({ state, sender }, name: string, price: number) => {
        state.set(name, price);
        audience.onSet(sender, Math.round(price * CENTS));
      },
    },
    queries: {
      lookup: ({ state }, name: string) => state.get(name),
    },
    onView: ({ view }) => audience.onView(view),
  });
}

/** What this ticket costs. */
export function priceOf(ticket: number): number {
  return ticket / CENTS;
}

/** A name that only `owner` sets, so that the order of its own updates is order enough. */
export function ownName(owner: string, ticket: number): string {
  return `${owner}-${ticket % LISTED_PER_OWNER}`;
}

/** A name that everybody sets, so that its updates need one order for all. */
export function sharedName(ticket: number): string {
  return ownName(SHARED, ticket);
}

function listing(): readonly string[] {
  const owners = [...NAMES, SHARED];
  return owners.flatMap((owner) => Array.from({ length: LISTED_PER_OWNER }, (_, index) => ownName(owner, index)));
}
