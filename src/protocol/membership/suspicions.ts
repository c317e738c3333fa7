/**
 * Whom the next view is to leave out (rule C12). An acceptor counts whom it misses itself and whom others have long been
 * missing, as their heartbeats say; so one deaf node condemns nobody but itself.
 */
import { type ClusterView, hasQuorum, type NodeId, votesOf } from "../view.ts";
import type { FailureDetector } from "./failure-detector.ts";

export class Suspicions {
  readonly #self: NodeId;
  readonly #failureTimeoutMs: number;
  readonly #detector: FailureDetector;
  #view: ClusterView | undefined;
  /** Whom others suspect, as their last heartbeat said, and since when. */
  readonly #complaints = new Map<NodeId, ReadonlyMap<NodeId, number>>();

  constructor(self: NodeId, failureTimeoutMs: number, detector: FailureDetector) {
    this.#self = self;
    this.#failureTimeoutMs = failureTimeoutMs;
    this.#detector = detector;
  }

  /** A view was installed: what was said in another means nothing in it. */
  begin(view: ClusterView): void {
    this.#view = view;
    this.#complaints.clear();
  }

  /** A heartbeat says whom its sender suspects; returns whether it suspects anybody whom it has not suspected before. */
  complained(by: NodeId, suspects: readonly NodeId[], now: number): boolean {
    const before = this.#complaints.get(by);
    this.#complaints.set(by, new Map(suspects.map((id) => [id, before?.get(id) ?? now])));
    return !suspects.every((id) => before?.has(id) === true);
  }

  suspects(id: NodeId, now: number): boolean {
    return this.#detector.suspects(id, now) || this.#isCutOff(id, now);
  }

  /** The nodes to leave out: those that a quorum gives up, and the younger of any two that cannot reach each other. */
  condemned(view: ClusterView, now: number): Set<NodeId> {
    const age = new Map(view.nodes.map(({ id }, index) => [id, index] as const));
    const condemned = new Set<NodeId>();
    const self = this.#self;
    const votes = votesOf(view);
    const voices = view.acceptors.map((by, rank) => ({ by, votes: votes[rank] as number }));
    const heard = voices.filter(({ by }) => by === self || !this.suspects(by, now));
    for (const { id } of view.nodes) {
      if (id === self || !this.suspects(id, now)) continue;
      const agreeing = heard.filter(({ by }) => by === self || this.#complaints.get(by)?.has(id));
      // An older node that only this one misses stays: this one is the younger of the two (C12).
      const isYounger = (age.get(id) as number) > (age.get(self) as number);
      if (isYounger || this.#isCutOff(id, now) || isMost(agreeing, heard)) condemned.add(id);
    }
    const isYounger = (a: NodeId, b: NodeId): boolean => (age.get(a) as number) > (age.get(b) as number);
    for (const by of this.#complaints.keys()) {
      if (condemned.has(by) || !age.has(by) || this.suspects(by, now)) continue;
      const missed = this.#missedBy(by, now).filter((id) => age.has(id) && !condemned.has(id));
      // Of two that cannot reach each other the younger goes (C12): the complainer, if it misses anybody older.
      if (missed.some((id) => isYounger(by, id))) condemned.add(by);
      else for (const id of missed) if (id !== self) condemned.add(id);
    }
    return condemned;
  }

  /** Whom a node has long been missing although this one hears them. */
  #missedBy(by: NodeId, now: number): NodeId[] {
    const missed: NodeId[] = [];
    for (const [id, since] of this.#complaints.get(by) ?? []) if (this.#livesDespite(id, since, now)) missed.push(id);
    return missed;
  }

  /** Whether an acceptor says itself that it hears no quorum: it is deaf, and what it leads stands still. */
  #isCutOff(id: NodeId, now: number): boolean {
    const view = this.#view;
    if (!this.#complaints.has(id) || view?.acceptors.includes(id) !== true) return false;
    const missed = this.#missedBy(id, now);
    return missed.length > 0 && !hasQuorum(view, (acceptor) => !missed.includes(acceptor));
  }

  /** Whether this node has heard that one while another has long been missing it: not all notice a death at once. */
  #livesDespite(id: NodeId, complainedSince: number, now: number): boolean {
    const heardAt = id === this.#self ? now : this.#detector.heardAt(id);
    return !this.#detector.suspects(id, now) && heardAt > complainedSince + this.#failureTimeoutMs / 4;
  }
}

interface Voice {
  readonly votes: number;
}

/** By votes; by heads among those without any, who may be all that have lived on beside acceptors that are back. */
function isMost(some: readonly Voice[], all: readonly Voice[]): boolean {
  return sum(all) > 0 ? sum(some) * 2 > sum(all) : some.length * 2 > all.length;
}

function sum(voices: readonly Voice[]): number {
  return voices.reduce((all, { votes }) => all + votes, 0);
}
