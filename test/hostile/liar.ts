/**
 * What somebody says who has been let in and keeps to no rule: well-formed lies about views, votes, states and packets, made
 * of what it knows, and the same with changes. A seed tells the same lies again.
 */
import type { Random } from "../../src/base/random.ts";
import type { Message } from "../../src/protocol/messages.ts";
import type { ClusterView, GroupView, NodeId, NodeRecord } from "../../src/protocol/view.ts";
import { controlFrame } from "../../src/runtime/frames.ts";
import { FRAME_SEALED_DIRECT, FRAME_SEALED_PACKET, FRAME_SEALED_RAW, PacketBuilder } from "../../src/wire/packet.ts";
import { mutated } from "../fuzz/mutate.ts";

/** What the liar knows of the cluster and of one group. */
export interface Known {
  readonly self: NodeRecord;
  readonly cluster: ClusterView;
  readonly group: number;
  readonly view: GroupView;
}

const FAR = 0xffff_ffff;

/** The next lie, a whole frame: half of them are well-formed. */
export function lie(known: Known, random: Random): Uint8Array {
  const told = random.chance(0.7) ? controlFrame(messageOf(known, random)) : packetOf(known, random);
  if (random.chance(0.5)) return told.slice();
  const changed = mutated(told, controlFrame(messageOf(known, random)), random);
  const frame = changed.length < 5 ? Uint8Array.from([1, 0, 0, 0, 0]) : changed;
  new DataView(frame.buffer).setUint32(0, frame.length - 4, true);
  return frame;
}

/** A lie that every receiver understands. */
export function understandable(known: Known, random: Random): Uint8Array {
  return controlFrame(messageOf(known, random));
}

function messageOf({ self, cluster, group, view }: Known, random: Random): Message {
  const ids = cluster.nodes.map(({ id }) => id);
  const someone = (): NodeId => random.pick([...ids, self.id]);
  const number = (about: number): number => random.pick([0, about - 1, about, about + 1, about + 2, FAR]) >>> 0;
  const row = (): number[] => Array.from({ length: random.pick([0, 1, 3, 3, 3, 9]) }, () => number(random.below(2000)));
  const ballot = { round: number(3), proposer: someone() };
  const clusterView: ClusterView = {
    ...cluster,
    number: number(cluster.number),
    nodes: random.pick([cluster.nodes, [self], [...cluster.nodes, self], cluster.nodes.slice(1), []]),
    acceptors: random.pick([ids, [self.id], [...ids, self.id], []]),
  };
  const proposal = { view: clusterView, cut: row(), leavers: random.pick([[], ids]), holders: [someone()] };
  const target = number(view.number);
  const epoch = number(view.number);
  const groupView: GroupView = {
    number: target,
    members: random.pick([view.members, [self.id], [...view.members, self.id], []]),
    synced: random.pick([view.members, [self.id]]),
    acceptors: [],
    lacking: [],
  };
  const step = {
    from: epoch,
    view: groupView,
    cut: row(),
    holders: [someone()],
    transfers: [{ joiner: someone(), donor: self.id, since: target, standing: undefined }],
    epochSecret: new Uint8Array(random.pick([0, 32])),
  };
  const directoryIndex = random.pick([0, 1, 5, 1000, Number.MAX_SAFE_INTEGER]);
  const chunk = new Uint8Array(random.pick([0, 10, 1000]));
  const request = {
    requester: someone(),
    number: number(1),
    command: random.pick([
      { kind: "exclude", group, target, members: ids },
      { kind: "leave", groups: [group] },
      { kind: "renew", group, target },
      { kind: "join", groups: [] },
    ] as const),
  };
  const at = { group, view: target, index: number(1) };
  return random.pick<Message>([
    // It does not ask to be taken in itself: then it would be a node, and trusted.
    { kind: "joinCluster", node: { ...self, id: random.pick(ids) }, linked: ids, left: number(cluster.number) },
    { kind: "joinRefused", code: "name-taken", detail: "go away" },
    { kind: "clusterHint", nodes: [{ ...self, id: someone() }] },
    { kind: "leaveCluster" },
    {
      kind: "heartbeat",
      view: number(cluster.number),
      number: number(7),
      heard: row(),
      suspects: ids,
      frozen: random.chance(0.5),
    },
    { kind: "excluded", cluster: cluster.cluster, view: number(cluster.number) },
    { kind: "foundingCall" },
    { kind: "foundingVote", fresh: true },
    { kind: "foundingOver" },
    { kind: "prevote", view: number(cluster.number), round: number(3) },
    { kind: "prevoteGranted", view: number(cluster.number), round: number(3) },
    { kind: "prepare", view: number(cluster.number), ballot },
    { kind: "promise", view: number(cluster.number), ballot, held: row(), accepted: { ballot, proposal } },
    { kind: "accept", view: number(cluster.number), ballot, proposal },
    { kind: "accepted", view: number(cluster.number), ballot },
    { kind: "superseded", view: number(cluster.number), promised: ballot },
    { kind: "installCluster", decided: proposal, snapshot: random.pick([undefined, chunk]) },
    { kind: "installedCluster", view: number(cluster.number) },
    { kind: "directoryRequest", request },
    { kind: "directoryFeed", view: number(cluster.number), index: directoryIndex, requests: [request] },
    { kind: "row", group: random.pick([0, group]), epoch: random.pick([epoch, cluster.number]), row: row() },
    { kind: "solicit", group, epoch, target: row() },
    { kind: "fetch", group: random.pick([0, group]), epoch, sender: random.below(4), from: 0, to: FAR },
    {
      kind: "report",
      group,
      directoryIndex,
      target,
      admitted: 0,
      epoch,
      row: row(),
      seen: { ballot: target, step },
      standing: undefined,
      astray: random.chance(0.5),
    },
    { kind: "cut", group, directoryIndex, target, step },
    { kind: "hold", group, directoryIndex, target, from: epoch },
    { kind: "install", group, directoryIndex, target, from: epoch },
    { kind: "stateChunk", ...at, chunk, last: random.chance(0.5) },
    { kind: "tailChunk", ...at, chunk, last: random.chance(0.5) },
    { kind: "stateCredit", ...at },
    { kind: "answer", group, query: number(5), status: "value", value: chunk, more: random.chance(0.5) },
    { kind: "stable", group, epoch, row: row() },
  ]);
}

/** A packet of some sender at some place, in clear or with the type of a sealed one. */
function packetOf({ cluster, group, view }: Known, random: Random): Uint8Array {
  const builder = new PacketBuilder(random.below(6), new Uint8Array(256));
  for (let count = 1 + random.below(3); count > 0; count--) {
    builder.append(random.below(8), new Uint8Array(random.below(40)).fill(random.below(256)));
  }
  const packet = builder.finish();
  const epoch = random.pick([view.number, view.number + 1, cluster.number, cluster.number + 1, FAR]);
  packet.stamp(random.pick([0, group, group + 1]), epoch, random.below(4), random.below(3000), 0);
  const frame = packet.bytes.slice();
  if (random.chance(0.2)) frame[4] = random.pick([FRAME_SEALED_PACKET, FRAME_SEALED_DIRECT, FRAME_SEALED_RAW]);
  return frame;
}
