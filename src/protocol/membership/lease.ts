/**
 * Whether this node may serve (rule C10): only while a quorum of the acceptors of its very view has answered it within the
 * lease time. Heartbeats are numbered, and an acceptor's heartbeat says which number it has heard last from every node; so
 * what renews the lease is a round trip, and frames that waited in a cut connection, or come from acceptors that are in a
 * later view, renew nothing. Own pauses count: a node that has slept asks again before it serves.
 */
import type { ClusterView, NodeId } from "../view.ts";
import { hasQuorum } from "../view.ts";

const SENT_MAX = 64;

export class Lease {
  readonly #self: NodeId;
  readonly #leaseMs: number;
  /** When heartbeats of this view were sent, by number; the recent ones. */
  readonly #sentAt = new Map<number, number>();
  readonly #confirmedAt = new Map<NodeId, number>();
  /** The newest number heard from each node in this view. */
  readonly #heard = new Map<NodeId, number>();
  #next = 1;

  constructor(self: NodeId, leaseMs: number) {
    this.#self = self;
    this.#leaseMs = leaseMs;
  }

  /**
   * A view was installed: to agree on it was an answer of its acceptors. Not so for a node that does not serve (`serves`):
   * the news may be old, and it waits for the first round trip.
   */
  begin(view: ClusterView, now: number, serves: boolean): void {
    this.#sentAt.clear();
    this.#heard.clear();
    this.#confirmedAt.clear();
    for (const id of view.acceptors) this.#confirmedAt.set(id, serves ? now : Number.NEGATIVE_INFINITY);
  }

  /** The number of a heartbeat that is sent now. */
  number(now: number): number {
    const number = this.#next++;
    this.#sentAt.set(number, now);
    this.#sentAt.delete(number - SENT_MAX);
    return number;
  }

  /** What an acceptor tells everybody: the numbers it has heard, by age of the nodes. */
  heard(view: ClusterView): number[] {
    return view.nodes.map(({ id }) => this.#heard.get(id) ?? 0);
  }

  /** A heartbeat of the same view has come. */
  receive(view: ClusterView, from: NodeId, number: number, heard: readonly number[]): void {
    this.#heard.set(from, Math.max(number, this.#heard.get(from) ?? 0));
    if (!this.#confirmedAt.has(from)) return;
    const confirmed = this.#sentAt.get(heard[view.nodes.findIndex(({ id }) => id === this.#self)] ?? 0);
    if (confirmed === undefined) return;
    this.#confirmedAt.set(from, Math.max(confirmed, this.#confirmedAt.get(from) ?? 0));
  }

  /** The acceptors that have not answered within the lease time. */
  silent(now: number): NodeId[] {
    const silent: NodeId[] = [];
    for (const [id, at] of this.#confirmedAt) if (id !== this.#self && now - at >= this.#leaseMs) silent.push(id);
    return silent;
  }

  holds(view: ClusterView, now: number): boolean {
    const silent = this.silent(now);
    return hasQuorum(view, (id) => !silent.includes(id));
  }
}
