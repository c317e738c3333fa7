/**
 * A node that is in no cluster yet: it asks all that it is linked with to take it in, links with those that it is told of,
 * and founds a cluster with the other founders if it is one.
 */
import type { Effects } from "../effects.ts";
import type { Records } from "../journal.ts";
import type { Message } from "../messages.ts";
import { type ClusterView, NODES_MAX, type NodeId, type NodeRecord } from "../view.ts";
import { Founding } from "./founding.ts";
import type { ClusterMemory } from "./memory.ts";

export interface JoiningOptions {
  readonly self: NodeRecord;
  /** How long a namesake may stand in the way: it may have died, and be found out. */
  readonly patienceMs: number;
  readonly mintCluster: () => string;
  readonly journal: Records;
  readonly memory: ClusterMemory | undefined;
}

export class Joining {
  readonly #options: JoiningOptions;
  readonly #effects: Effects;
  /** Everybody this node is linked with. */
  readonly #linked: ReadonlyMap<NodeId, NodeRecord>;
  /** The nodes of a cluster that have told whom to link with. */
  readonly #hintedBy = new Set<NodeId>();
  #founding: Founding | undefined;
  #refusedAt: number | undefined;

  constructor(options: JoiningOptions, linked: ReadonlyMap<NodeId, NodeRecord>, effects: Effects) {
    this.#options = options;
    this.#linked = linked;
    this.#effects = effects;
  }

  /** Whether a cluster knows that this node wants to become one of it, and tells it whom to link with. */
  get hinted(): boolean {
    return this.#hintedBy.size > 0;
  }

  /** Founders that have not shown up yet, for people. */
  get awaitedFounders(): readonly string[] {
    return this.#founding?.awaited ?? [];
  }

  /** Begins to found with the other founders; the first view, when there is nobody to wait for. */
  foundWith(addresses: readonly string[]): ClusterView | undefined {
    if (this.#founding !== undefined) return undefined;
    const { self, journal, memory } = this.#options;
    this.#founding = new Founding(self, addresses, this.#effects, journal, memory?.coordinator);
    for (const peer of this.#linked.values()) this.#founding.linked(peer);
    return this.#founding.complete(this.#options.mintCluster);
  }

  /** Asks everybody to be taken in; `left`: the view in which this node's disk was left. */
  ask(left: number): void {
    const linked = [...this.#linked.keys()].slice(0, NODES_MAX);
    this.#effects.broadcast(linked, { kind: "joinCluster", node: this.#options.self, linked, left });
  }

  linkUp(peer: NodeRecord): void {
    this.#founding?.linked(peer);
  }

  linkDown(id: NodeId, gone: boolean): void {
    this.#hintedBy.delete(id);
    this.#founding?.linkDown(id, gone);
  }

  /** A node of a cluster says whom to link with. */
  hint(from: NodeId): void {
    this.#hintedBy.add(from);
  }

  /** Returns whether it is time to give up. */
  refused(now: number): boolean {
    this.#refusedAt ??= now;
    return now - this.#refusedAt >= this.#options.patienceMs;
  }

  /** A message about founding; the first view, if it follows. */
  receive(from: NodeId, message: Message): ClusterView | undefined {
    switch (message.kind) {
      case "foundingOffer":
        this.#founding?.offered(message.node, message.digest);
        break;
      case "foundingCall":
        this.#founding?.called(from, this.#linked.get(from)?.disk ?? "");
        break;
      case "foundingVote":
        return this.#founding?.voted(from, message.fresh, this.#options.mintCluster);
      case "foundingOver":
        this.#founding?.released(from);
        break;
    }
    return undefined;
  }

  /** Whether this may be the node's first view: a founder that has voted waits for the one that it has voted for. */
  accepts(view: ClusterView): boolean {
    return this.#founding?.accepts(view) !== false;
  }
}
