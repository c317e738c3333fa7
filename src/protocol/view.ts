/**
 * Who is in a cluster or a group, by age, at one moment that all agree on.
 */
import { type Laid, type Layout, list, record, text, u8, u32 } from "../wire/layout.ts";

/**
 * One incarnation of a node: its name, `#`, and eight hexadecimal digits drawn at start. A process that restarts is a
 * new acceptor and gets a new id (rule A1): it never answers for promises that it has lost.
 */
export type NodeId = string;

export const NODES_MAX = 1024;
export const nodeId: Layout<NodeId> = text(96);

export function nodeName(id: NodeId): string {
  return id.slice(0, id.lastIndexOf("#"));
}

/**
 * What others need to know of a node before they can talk to it. Ports are numbers, 0 when there is none. `disk` names the
 * node's data directory, which outlives its incarnations; it is "" when there is none. `weight` is what it counts as an
 * acceptor, 0 to 255.
 */
export const nodeRecord: Layout<{
  readonly id: NodeId;
  readonly address: string;
  readonly livenessPort: number;
  readonly features: number;
  readonly disk: string;
  readonly weight: number;
}> = record({ id: nodeId, address: text(300), livenessPort: u32, features: u32, disk: text(16), weight: u8 });
export type NodeRecord = Laid<typeof nodeRecord>;

export const nodeIds: Layout<readonly NodeId[]> = list(nodeId, NODES_MAX);

/**
 * A view of the cluster. `nodes` are all nodes, oldest first; `acceptors` are those of them, also oldest first, that
 * agree on the next view and keep the directory (rule A9). Number 0 is the view of nobody, before founding.
 */
export const clusterView = record({
  cluster: text(64),
  number: u32,
  nodes: list(nodeRecord, NODES_MAX),
  acceptors: nodeIds,
});
export type ClusterView = Laid<typeof clusterView>;

export function isNodeOf(view: ClusterView, id: NodeId): boolean {
  return view.nodes.some((node) => node.id === id);
}

export function idsOf(view: ClusterView): Set<NodeId> {
  return new Set(view.nodes.map(({ id }) => id));
}

export const OPERATIONS_MAX = 1024;
/** The codes of a group's operations, ascending (`group/message.ts`). */
export const operationCodes: Layout<readonly number[]> = list(u32, OPERATIONS_MAX);

/** Members of a view whose definitions do not have these operations, which other members' have (rule C14). */
export const lack = record({ members: nodeIds, operations: operationCodes });
export type Lack = Laid<typeof lack>;

/**
 * A view of a group: its number is the number of the directory's target that it installs, its members are ranked by
 * age, and `synced` are the members that hold the state (rule C9) at the moment the target was made. `acceptors` are those
 * of a durable group on whose disks a safe message must be (C8); it is empty when all members are. `lacking` says who lacks
 * which operations; it is empty when all members have the same.
 */
export const groupView = record({
  number: u32,
  members: nodeIds,
  synced: nodeIds,
  acceptors: nodeIds,
  lacking: list(lack, NODES_MAX),
});
export type GroupView = Laid<typeof groupView>;

/** Whether a safe message of a durable group must be on this member's disk. */
export function isAcceptor({ acceptors }: Pick<GroupView, "acceptors">, member: NodeId): boolean {
  return acceptors.length === 0 || acceptors.includes(member);
}

/**
 * The acceptors of a durable group that asks for so many; none are named when they are all members, or for 0. Those who hold
 * the state come first, because only they can bring it back, and then the oldest.
 */
export function groupAcceptors(
  members: readonly NodeId[],
  synced: readonly NodeId[],
  count: number,
): readonly NodeId[] {
  if (count === 0 || count >= members.length) return [];
  const holdsState = (member: NodeId): boolean => synced.includes(member);
  const ranked = [...members.filter(holdsState), ...members.filter((member) => !holdsState(member))];
  return ranked.slice(0, count);
}

/** The votes of a view's acceptors, by rank: their weights, or one each if none of them has any. */
export function votesOf(view: ClusterView): number[] {
  const weights = view.acceptors.map((id) => view.nodes.find((node) => node.id === id)?.weight ?? 0);
  return weights.some((weight) => weight > 0) ? weights : weights.map(() => 1);
}

/**
 * M3: more than half of the votes, or exactly half with the oldest member that has any. Any two quorums of one view meet,
 * and so do quorums when a view shrinks to two and then to its oldest member. `votes` are the members', by rank; one each
 * by default.
 */
export function isQuorum(
  members: readonly NodeId[],
  present: (id: NodeId) => boolean,
  votes?: readonly number[],
): boolean {
  let all = 0;
  let count = 0;
  let oldest: NodeId | undefined;
  for (let rank = 0; rank < members.length; rank++) {
    const id = members[rank] as NodeId;
    const vote = votes === undefined ? 1 : (votes[rank] as number);
    if (vote === 0) continue;
    oldest ??= id;
    all += vote;
    if (present(id)) count += vote;
  }
  if (count * 2 > all) return true;
  return count * 2 === all && oldest !== undefined && present(oldest);
}

/** A quorum of the acceptors of a view, by their votes. */
export function hasQuorum(view: ClusterView, present: (id: NodeId) => boolean): boolean {
  return isQuorum(view.acceptors, present, votesOf(view));
}
