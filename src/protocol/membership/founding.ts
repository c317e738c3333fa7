/**
 * Founding by configured founders (rule A8): view 1 holds *all* of them, and it is made only when all are present, fresh
 * and agreed on one list. The founder with the lowest address coordinates: it waits for an offer from everybody, then calls
 * for votes. A vote says that its founder is in no cluster, and binds it to this incarnation of the coordinator: until that
 * is gone, or says that it will not found, the founder installs no view without it.
 *
 * Why one crash cannot found twice: a coordinator that restarts is a new incarnation and needs new votes from all. Whoever
 * has installed a view of the old one votes no, and then the new one never founds; whoever votes yes has not installed one,
 * and will not. So of two first views at most one ever has members besides its coordinator.
 *
 * With a data directory the vote is on disk before it is cast, and the first view before its coordinator tells of it. A
 * founder that restarts votes again only for the coordinator with the same disk: that one votes no itself if its disk
 * knows of a view, and if it does not, no view was ever made.
 */
import { hashString } from "../../base/random.ts";
import type { Effects } from "../effects.ts";
import { type Records, VOLATILE } from "../journal.ts";
import type { ClusterView, NodeId, NodeRecord } from "../view.ts";

export class Founding {
  readonly #self: NodeRecord;
  readonly #addresses: readonly string[];
  readonly #effects: Effects;
  readonly #journal: Records;
  /** The disk of the coordinator that an earlier incarnation on this disk has voted for. */
  readonly #votedFor: string | undefined;
  /** At the coordinator: who is there, and who of them has voted since all were. */
  readonly #offers = new Map<string, NodeRecord>();
  readonly #votes = new Set<NodeId>();
  #over = false;
  /** At the others. */
  #boundTo: NodeId | undefined;

  /** `addresses`: all founders, this node included, sorted. */
  constructor(
    self: NodeRecord,
    addresses: readonly string[],
    effects: Effects,
    journal: Records = VOLATILE,
    votedFor?: string,
  ) {
    this.#self = self;
    this.#addresses = addresses;
    this.#effects = effects;
    this.#journal = journal;
    this.#votedFor = votedFor;
    this.#offers.set(self.address, self);
  }

  /** Founders that have not shown up yet, for people. */
  get awaited(): readonly string[] {
    if (!this.#coordinates) return this.#addresses.slice(0, 1);
    return this.#addresses.filter((address) => !this.#offers.has(address));
  }

  /** A node is linked: if it coordinates, it gets this one's offer. */
  linked(peer: NodeRecord): void {
    if (peer.address !== this.#addresses[0]) return;
    this.#effects.send(peer.id, { kind: "foundingOffer", digest: this.#digest(), node: this.#self });
  }

  /** A founder is there; once all are, they are called to vote. */
  offered(node: NodeRecord, digest: string): void {
    if (!this.#coordinates || this.#over) return;
    if (digest !== this.#digest() || !this.#addresses.includes(node.address)) {
      const detail = { node: node.id, address: node.address, ours: this.#addresses.join(" ") };
      this.#effects.perform({ kind: "notice", what: "a founder has another list of founders", detail });
      return;
    }
    this.#offers.set(node.address, node);
    if (this.#offers.size < this.#addresses.length) return;
    this.#votes.clear();
    this.#effects.broadcast(this.#others(), { kind: "foundingCall" });
  }

  /** The coordinator calls: this founder, which is in no cluster, votes for it. */
  called(coordinator: NodeId, disk: string): void {
    if (this.#votedFor !== undefined && (this.#votedFor !== disk || disk === "")) {
      this.#effects.send(coordinator, { kind: "foundingVote", fresh: false });
      return;
    }
    this.#boundTo = coordinator;
    this.#journal.write({ kind: "founding", digest: this.#digest(), coordinator: disk });
    this.#journal.after(() => this.#effects.send(coordinator, { kind: "foundingVote", fresh: true }));
  }

  /** The first view, once all have voted for it. A founder that is not fresh has seen a cluster: there will be no other. */
  voted(by: NodeId, fresh: boolean, mintCluster: () => string): ClusterView | undefined {
    if (!this.#coordinates || this.#over) return undefined;
    if (!fresh) {
      this.#over = true;
      this.#effects.broadcast(this.#others(), { kind: "foundingOver" });
      return undefined;
    }
    this.#votes.add(by);
    return this.complete(mintCluster);
  }

  /** The first view, when there is nobody to wait for. */
  complete(mintCluster: () => string): ClusterView | undefined {
    const isComplete =
      this.#offers.size === this.#addresses.length && this.#others().every((id) => this.#votes.has(id));
    if (!this.#coordinates || this.#over || !isComplete) return undefined;
    const nodes = this.#addresses.map((address) => this.#offers.get(address) as NodeRecord);
    return { cluster: mintCluster(), number: 1, nodes, acceptors: nodes.map(({ id }) => id) };
  }

  /** The coordinator will not found any more. */
  released(by: NodeId): void {
    if (this.#boundTo === by) this.#boundTo = undefined;
  }

  /** The node's link is down; `gone` when its incarnation does not live any more. */
  linkDown(id: NodeId, gone: boolean): void {
    this.#votes.delete(id);
    for (const [address, node] of this.#offers) if (node.id === id) this.#offers.delete(address);
    if (gone) this.released(id);
  }

  /** Whether this view may be installed: a founder that has voted waits for a view with the one that it has voted for. */
  accepts(view: ClusterView): boolean {
    return this.#boundTo === undefined || view.nodes.some(({ id }) => id === this.#boundTo);
  }

  get #coordinates(): boolean {
    return this.#addresses[0] === this.#self.address;
  }

  #others(): NodeId[] {
    return [...this.#offers.values()].map(({ id }) => id).filter((id) => id !== this.#self.id);
  }

  #digest(): string {
    const list = this.#addresses.join(" ");
    return `${list.length}.${hashString(list).toString(16)}`;
  }
}
