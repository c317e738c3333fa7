/**
 * Judges a run by its ledger. An update counts as
 *
 * - *lost* when a member lacks it that was in its view to the view's end, though its sender was too, or another such
 *   member has it, or the sender's `safeSend` had come back. What the killed process sent in its last moments may have
 *   reached nobody; if it reached one survivor, it must have reached all;
 * - *duplicated* when a process delivered it again.
 *
 * Orders agree when the ordered updates of a view came in one order at all of its members, up to where the killed one
 * had got; its very last ones may differ, except that what came back to it as safe must stand.
 */
import type { NodeId } from "../../protocol/view.ts";
import type { Ledger, Sent, Stay } from "./ledger.ts";

export interface Count {
  readonly lost: number;
  /** Sent by the killed process, and delivered by no survivor: nobody was ever told of them. */
  readonly unheard: number;
}

export function countLost(ledger: Ledger, killed: NodeId): Count {
  let lost = 0;
  let unheard = 0;
  for (const sent of ledger.sent) {
    const stays = ledger.views.get(sent.view) ?? [];
    const whole = stays.filter(({ isWhole }) => isWhole);
    const holders = whole.filter(({ distinct }) => distinct.has(sent.message));
    if (holders.length < whole.length && mustBeThere(sent, stays, holders)) lost++;
    if (sent.sender === killed && holders.length === 0) unheard++;
  }
  return { lost, unheard };
}

function mustBeThere({ message, sender }: Sent, stays: readonly Stay[], holders: readonly Stay[]): boolean {
  if (holders.length > 0) return true;
  const own = stays.find(({ node }) => node === sender);
  if (own === undefined || own.isWhole) return true;
  return own.delivered.some((delivered) => delivered.isSafe && delivered.message === message);
}

export interface Orders {
  readonly agree: boolean;
  /** How many ordered updates were compared. */
  readonly compared: number;
}

export function compareOrders(ledger: Ledger): Orders {
  let agree = true;
  let compared = 0;
  for (const stays of ledger.views.values()) {
    const sequences = stays.filter(({ isWhole }) => isWhole).map((stay) => orderOf(stay));
    const [measure = [], ...others] = sequences;
    compared += measure.length;
    if (others.some((other) => !isPrefix(other, measure) || other.length !== measure.length)) agree = false;
    const known = new Set(measure);
    for (const stay of stays) {
      if (stay.isWhole || sequences.length === 0) continue;
      if (
        !isPrefix(
          provenOf(stay).filter((message) => known.has(message)),
          measure,
        )
      )
        agree = false;
    }
  }
  return { agree, compared };
}

function orderOf({ delivered }: Stay): readonly string[] {
  return delivered.filter(({ isOrdered }) => isOrdered).map(({ message }) => message);
}

/** What a member that was cut off delivered in the order of all, as its last safe update proves. */
function provenOf({ delivered }: Stay): readonly string[] {
  const ordered = delivered.filter(({ isOrdered }) => isOrdered);
  const proven = ordered.slice(0, ordered.findLastIndex(({ isSafe }) => isSafe) + 1);
  return proven.map(({ message }) => message);
}

function isPrefix(shorter: readonly string[], longer: readonly string[]): boolean {
  return shorter.every((message, index) => longer[index] === message);
}

/** Updates delivered per second at a member on average, between two times. */
export function deliveriesPerSecond(ledger: Ledger, nodes: readonly NodeId[], from: number, to: number): number {
  if (nodes.length === 0 || to <= from) return 0;
  const delivered = nodes.flatMap((node) => ledger.staysOf(node)).flatMap((stay) => stay.delivered);
  return (delivered.filter(({ at }) => at >= from && at < to).length * 1000) / (to - from) / nodes.length;
}

/** The longest time without a delivery at one of these members, between two times. */
export function longestPauseMs(ledger: Ledger, nodes: readonly NodeId[], from: number, to: number): number {
  let longest = 0;
  for (const node of nodes) {
    let before = from;
    for (const { at } of ledger.staysOf(node).flatMap((stay) => stay.delivered)) {
      if (at < from || at > to) continue;
      longest = Math.max(longest, at - before);
      before = at;
    }
    longest = Math.max(longest, to - before);
  }
  return longest;
}
