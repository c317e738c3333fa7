/**
 * Who speaks for an acceptor (rule A1). An acceptor with a data directory is its disk: when its incarnation has ended, the
 * incarnation that runs on the same disk speaks for it, until a view replaces the old id by the new one. An acceptor
 * without one dies with its process.
 */
import type { ClusterView, NodeId, NodeRecord } from "../view.ts";

export class Seats {
  readonly #linked: ReadonlyMap<NodeId, NodeRecord>;

  /** `linked`: everybody this node is linked with. */
  constructor(linked: ReadonlyMap<NodeId, NodeRecord>) {
    this.#linked = linked;
  }

  /** The node that speaks for a node of the view: itself, or who has come back on its disk. */
  speaker(view: ClusterView, id: NodeId): NodeId {
    const disk = diskOf(view, id);
    // Whoever else names the disk of a node that is there does not tell the truth.
    if (disk === "" || this.#linked.has(id)) return id;
    let found = id;
    for (const peer of this.#linked.values()) if (peer.disk === disk && peer.id !== id) found = peer.id;
    return found;
  }

  /** The node of the view that this one speaks for; undefined when there is none. */
  seat(view: ClusterView, speaker: NodeId): NodeId | undefined {
    if (view.nodes.some(({ id }) => id === speaker)) return speaker;
    const disk = this.#linked.get(speaker)?.disk ?? "";
    if (disk === "") return undefined;
    return view.nodes.find((node) => node.disk === disk && !this.#linked.has(node.id))?.id;
  }
}

function diskOf(view: ClusterView, id: NodeId): string {
  return view.nodes.find((node) => node.id === id)?.disk ?? "";
}
