/**
 * The nodes that want to become of the cluster, as one of its members sees them. A joiner is told whom to link with, says
 * again and again whom it is linked with, and is ready when these are all acceptors that stay: who lacks one would be
 * left out again for missing it (rules A3, C12).
 */
import type { Effects } from "../effects.ts";
import type { ClusterView, NodeId, NodeRecord } from "../view.ts";
import type { Joiner } from "./returning.ts";

export class Joiners {
  readonly #effects: Effects;
  readonly #joiners = new Map<NodeId, Joiner>();

  constructor(effects: Effects) {
    this.#effects = effects;
  }

  /** A node asks to be taken in. */
  wanted(joiner: Joiner, view: ClusterView): void {
    this.#hint(joiner.node.id, view);
    this.#joiners.set(joiner.node.id, joiner);
  }

  /** It has died, is in, or has been in. */
  delete(id: NodeId): void {
    this.#joiners.delete(id);
  }

  /** Another view has other acceptors to link with. */
  hintAll(view: ClusterView): void {
    for (const id of this.#joiners.keys()) this.#hint(id, view);
  }

  /** Who is linked with this node. */
  linked(isLinked: (id: NodeId) => boolean): Joiner[] {
    return [...this.#joiners.values()].filter(({ node }) => isLinked(node.id));
  }

  /** Who is linked with this node and with all these acceptors. */
  ready(acceptors: readonly NodeId[], isLinked: (id: NodeId) => boolean): NodeRecord[] {
    const ready: NodeRecord[] = [];
    for (const { node, linked } of this.#joiners.values()) {
      if (isLinked(node.id) && acceptors.every((id) => linked.has(id))) ready.push(node);
    }
    return ready;
  }

  /** Tells a joiner whom it needs to be linked with; the view will tell it of all the others. */
  #hint(to: NodeId, view: ClusterView): void {
    const nodes = view.nodes.filter(({ id }) => view.acceptors.includes(id));
    this.#effects.send(to, { kind: "clusterHint", nodes });
  }
}
