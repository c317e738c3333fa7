/**
 * The nodes of a view that have come back on their disks under new ids (rule A1): a view that replaces their old ids lets
 * them continue, as if they had not been away.
 */
import type { ClusterView, NodeId, NodeRecord } from "../view.ts";

/** A node that wants to become one of the cluster, whom it is linked with, and the view that its disk was left in. */
export interface Joiner {
  readonly node: NodeRecord;
  readonly linked: ReadonlySet<NodeId>;
  readonly view: number;
}

/**
 * Old ids that are gone, and who has come back in their places: acceptors with the state of this very view, and all of
 * them linked with each other and with those that stay (`kept`), or they would be left out again at once (A3, C12).
 */
export function returning(
  view: ClusterView,
  isGone: (id: NodeId) => boolean,
  joiners: readonly Joiner[],
  kept: readonly NodeId[],
): Map<NodeId, NodeRecord> {
  const found = new Map<NodeId, NodeRecord>();
  const needed = [...kept];
  for (const { id, disk } of view.nodes) {
    if (disk === "" || !isGone(id)) continue;
    const isAcceptor = view.acceptors.includes(id);
    const joiner = joiners.findLast(
      ({ node, view: left }) => node.disk === disk && (!isAcceptor || left === view.number),
    );
    if (joiner === undefined || !needed.every((other) => joiner.linked.has(other))) continue;
    found.set(id, joiner.node);
    if (isAcceptor) needed.push(joiner.node.id);
  }
  return found;
}
