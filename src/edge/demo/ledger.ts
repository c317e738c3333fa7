/**
 * What the journals of all processes say of the group, arranged for counting: who was in which view, and what was sent
 * and delivered in it. The checkers of the model judge the same journals in their own way; this is for figures, and a
 * second opinion.
 */
import type { HistoryEvent } from "../../protocol/history.ts";
import type { NodeId } from "../../protocol/view.ts";

/** The life of one process. */
export interface Testimony {
  readonly node: NodeId;
  readonly events: readonly HistoryEvent[];
  /** When it was killed; undefined for who stayed to the end. */
  readonly killedAt: number | undefined;
}

/** One member's time in one view of the group. */
export interface Stay {
  readonly node: NodeId;
  readonly view: number;
  readonly members: readonly NodeId[];
  readonly installedAt: number;
  /** It went on to a later view, or was there at the end: it must have delivered all of this view. */
  isWhole: boolean;
  /** The updates, in the order of their delivery. */
  readonly delivered: Delivered[];
  readonly distinct: Set<string>;
}

export interface Delivered {
  readonly message: string;
  readonly at: number;
  readonly isOrdered: boolean;
  readonly isSafe: boolean;
}

export interface Sent {
  readonly message: string;
  readonly sender: NodeId;
  readonly view: number;
}

export class Ledger {
  readonly sent: Sent[] = [];
  readonly stays: Stay[] = [];
  /** The stays of each view. */
  readonly views = new Map<number, Stay[]>();
  /** Deliveries of what had been delivered to the same process before. */
  duplicated = 0;
  delivered = 0;
  events = 0;
  readonly #queries = new Set<string>();

  constructor(testimonies: readonly Testimony[]) {
    for (const { events } of testimonies) {
      for (const event of events) if (event.kind === "query") this.#queries.add(event.query);
    }
    for (const testimony of testimonies) this.#add(testimony);
  }

  staysOf(node: NodeId): readonly Stay[] {
    return this.stays.filter((stay) => stay.node === node);
  }

  #add({ node, events, killedAt }: Testimony): void {
    const seen = new Set<string>();
    let stay: Stay | undefined;
    this.events += events.length;
    for (const event of events) {
      if (event.kind === "install" && event.group !== "") {
        if (stay !== undefined) stay.isWhole = true;
        const { number: view, members, at: installedAt } = event;
        stay = { node, view, members, installedAt, isWhole: false, delivered: [], distinct: new Set() };
        this.stays.push(stay);
        const others = this.views.get(view);
        if (others === undefined) this.views.set(view, [stay]);
        else others.push(stay);
      } else if (event.kind === "send" && !this.#queries.has(event.message)) {
        this.sent.push({ message: event.message, sender: node, view: event.view });
      } else if (event.kind === "deliver" && !this.#queries.has(event.message)) {
        const { message, at, flavour } = event;
        this.delivered++;
        if (seen.has(message)) this.duplicated++;
        seen.add(message);
        const isSafe = flavour === "safe";
        stay?.delivered.push({ message, at, isSafe, isOrdered: isSafe || flavour === "total" });
        stay?.distinct.add(message);
      }
    }
    if (stay !== undefined && killedAt === undefined) stay.isWhole = true;
  }
}
