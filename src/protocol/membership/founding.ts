/**
 * Founding by configured founders (rule A8): view 1 holds *all* of them, and it is made only when all are present, fresh
 * and agreed on one list. The founder with the lowest address coordinates. The others' offers are their votes: an offer
 * binds its founder to this incarnation of the coordinator until it hears of a live cluster, and a founder that has
 * installed any view is not fresh and never offers again.
 *
 * Why one crash cannot found twice: a coordinator that restarts is a new incarnation and needs new offers from all. If
 * the first view of the old one reached anybody, that founder is not fresh, and the new one finds a live cluster instead.
 * If it reached nobody, all are bound to the new incarnation and refuse what of the old one is still under way.
 */
import type { Effects } from "../effects.ts";
import type { ClusterView, NodeId, NodeRecord } from "../view.ts";

export class Founding {
  readonly #self: NodeRecord;
  readonly #addresses: readonly string[];
  readonly #effects: Effects;
  readonly #offers = new Map<string, NodeRecord>();
  #boundTo: NodeId | undefined;

  /** `addresses`: all founders, this node included, sorted. */
  constructor(self: NodeRecord, addresses: readonly string[], effects: Effects) {
    this.#self = self;
    this.#addresses = addresses;
    this.#effects = effects;
    this.#offers.set(self.address, self);
  }

  get coordinates(): boolean {
    return this.#addresses[0] === this.#self.address;
  }

  /** Founders that have not shown up yet, for people. */
  get awaited(): readonly string[] {
    return this.coordinates ? this.#addresses.filter((address) => !this.#offers.has(address)) : this.#addresses.slice(0, 1);
  }

  /** A founder is linked: the coordinator gets this one's offer. */
  linked(peer: NodeRecord): void {
    if (peer.address !== this.#addresses[0]) return;
    this.#boundTo = peer.id;
    this.#effects.send(peer.id, { kind: "foundingOffer", digest: this.#digest(), node: this.#self, fresh: true });
  }

  /** The coordinator's first view, once all have offered. */
  offered(node: NodeRecord, digest: string, mintCluster: () => string): ClusterView | undefined {
    if (!this.coordinates || digest !== this.#digest() || !this.#addresses.includes(node.address)) return undefined;
    this.#offers.set(node.address, node);
    return this.complete(mintCluster);
  }

  complete(mintCluster: () => string): ClusterView | undefined {
    if (!this.coordinates || this.#offers.size < this.#addresses.length) return undefined;
    const nodes = this.#addresses.map((address) => this.#offers.get(address) as NodeRecord);
    return { cluster: mintCluster(), number: 1, nodes, acceptors: nodes.map(({ id }) => id) };
  }

  /** The founder's link is gone: its offer is void. */
  withdrawn(id: NodeId): void {
    for (const [address, node] of this.#offers) if (node.id === id) this.#offers.delete(address);
  }

  /** Whether a first view from this coordinator may be installed. */
  accepts(coordinator: NodeId): boolean {
    return this.#boundTo === undefined || this.#boundTo === coordinator;
  }

  #digest(): string {
    return this.#addresses.join(" ").slice(0, 64);
  }
}
