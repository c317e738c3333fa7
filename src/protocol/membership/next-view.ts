/**
 * The cluster view that an acceptor would propose as the successor of its own, from whom it has given up, who leaves,
 * and who is ready to come in (rules A3, A5, A9).
 */
import type { Proposal } from "../messages.ts";
import { type ClusterView, hasQuorum, type NodeId, type NodeRecord, nodeName } from "../view.ts";

export interface Changes {
  /** The proposer. */
  readonly self: NodeId;
  readonly condemned: ReadonlySet<NodeId>;
  readonly leavers: ReadonlySet<NodeId>;
  /** Of the condemned: those who have come back on their disks, by their old ids (A1). They continue. */
  readonly returning: ReadonlyMap<NodeId, NodeRecord>;
  /** The nodes that may come in, when these acceptors stay. */
  readonly ready: (acceptors: readonly NodeId[]) => readonly NodeRecord[];
  /** At most so many acceptors. */
  readonly directorySize: number;
}

/** The next view, and who leaves by it in good order; undefined when this proposer may propose none. */
export function nextView(view: ClusterView, changes: Changes): Pick<Proposal, "view" | "leavers"> | undefined {
  const { self, condemned, returning, directorySize } = changes;
  // A view that keeps a silent senior would be led by it, and its newcomers, who have not missed it yet, refuse the next.
  const seniors = view.acceptors.slice(0, view.acceptors.indexOf(self));
  if (!seniors.every((id) => condemned.has(id))) return undefined;
  // A3, A5: those that are not given up form a quorum; leavers are among them and vote.
  if (!hasQuorum(view, (id) => !condemned.has(id) || returning.has(id))) return undefined;
  const staying = view.nodes.map(({ id }) => id).filter((id) => !condemned.has(id));
  const joiners = changes.ready(view.acceptors.filter((id) => !condemned.has(id) && !changes.leavers.has(id)));
  const isLast = staying.every((id) => changes.leavers.has(id)) && joiners.length === 0;
  // When all leave, the last to go is the one that lets the others go.
  const leavers = staying.filter((id) => changes.leavers.has(id) && !(isLast && id === self));
  const nodes: NodeRecord[] = [];
  const before = new Set(view.acceptors);
  for (const node of view.nodes) {
    const back = returning.get(node.id);
    if (back !== undefined && before.has(node.id)) before.add(back.id);
    const next = condemned.has(node.id) ? back : node;
    if (next !== undefined && !leavers.includes(next.id)) nodes.push(next);
  }
  const names = new Set(nodes.map(({ id }) => nodeName(id)));
  const disks = new Set(nodes.map(({ disk }) => disk).filter((disk) => disk !== ""));
  for (const joiner of joiners) {
    if (names.has(nodeName(joiner.id)) || disks.has(joiner.disk)) continue;
    names.add(nodeName(joiner.id));
    if (joiner.disk !== "") disks.add(joiner.disk);
    nodes.push(joiner);
  }
  if (nodes.length === 0) return undefined;
  const acceptors = nextAcceptors(before, nodes, directorySize);
  return { view: { cluster: view.cluster, number: view.number + 1, nodes, acceptors }, leavers };
}

/**
 * The acceptors that continue and some other nodes, the oldest first, but none without weight while any node has some.
 * `before`: the acceptors so far, those who are back by their new ids, too.
 */
function nextAcceptors(before: ReadonlySet<NodeId>, nodes: readonly NodeRecord[], directorySize: number): NodeId[] {
  const isWeighed = nodes.some(({ weight }) => weight > 0);
  const votesOf = ({ weight }: NodeRecord): number => (isWeighed ? weight : 1);
  const continuing = nodes.filter(({ id }) => before.has(id));
  const others = nodes.filter((node) => !before.has(node.id) && votesOf(node) > 0);
  const durable = others.filter(({ disk }) => disk !== "");
  // E4: nodes with a disk come first, and once all acceptors have one it stays so.
  const staysDurable = continuing.length > 0 && continuing.every(({ disk }) => disk !== "");
  const candidates = staysDurable ? durable : [...durable, ...others.filter(({ disk }) => disk === "")];
  const places = directorySize - continuing.length;
  // A3: no more votes are added in one view than continue; if that leaves out all, the lightest is added alone.
  const added = new Set<NodeRecord>();
  let room = continuing.reduce((votes, node) => votes + votesOf(node), 0);
  // Half of the votes are a quorum only with the oldest, so fewer are added if that is to be one of the added.
  const eldest = nodes.findIndex((node) => before.has(node.id) && votesOf(node) > 0);
  let needed = 1;
  for (const node of candidates) {
    const votes = votesOf(node) + (nodes.indexOf(node) < eldest ? needed : 0);
    if (added.size >= places || votes > room) continue;
    if (votes > votesOf(node)) needed = 0;
    room -= votes;
    added.add(node);
  }
  const [lightest] = candidates.toSorted((a, b) => votesOf(a) - votesOf(b));
  if (added.size === 0 && lightest !== undefined && places > 0) added.add(lightest);
  return nodes.filter((node) => before.has(node.id) || added.has(node)).map(({ id }) => id);
}
