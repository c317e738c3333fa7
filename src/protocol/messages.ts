/**
 * Every control message between nodes: its layout is its definition. Packets of the data path are laid out in
 * `wire/packet.ts`. New messages and new cases of a union go to the end, so that tags keep their meaning.
 */
import { bytes, flag, type Laid, list, optional, record, text, u16, u32, union, varint, word } from "../wire/layout.ts";
import { PUBLIC_KEY_BYTES, proof, SIGNATURE_BYTES } from "./membership/proof.ts";
import { clusterView, groupView, NODES_MAX, nodeId, nodeIds, nodeRecord, operationCodes } from "./view.ts";

export const GROUPS_MAX = 65_536;
export const SNAPSHOT_BYTES_MAX = 2 * 1024 * 1024;
export const CHUNK_BYTES_MAX = 1024 * 1024;
export const EPOCH_SECRET_BYTES = 32;
const GROUP_KEY_BYTES = 32;

/** Ballots are compared by round, then by the proposer's id (rule A2). */
export const ballot = record({ round: u32, proposer: nodeId });
export type Ballot = Laid<typeof ballot>;

export function isLower(a: Ballot, b: Ballot): boolean {
  return a.round < b.round || (a.round === b.round && a.proposer < b.proposer);
}

/** How many packets of each sender of an epoch someone holds, by rank: a row of the stability table. */
export const row = list(u32, NODES_MAX);
export type Row = Laid<typeof row>;

/**
 * What is agreed about the next cluster view: the view, and where the directory's packets of the current view end
 * (`cut`, by acceptor rank). `leavers` are the nodes that are left out because they asked to be. `holders` are acceptors that
 * reported to hold the cut when it was proposed; they are a hint and not part of what is agreed.
 */
export const proposal = record({ view: clusterView, cut: row, leavers: nodeIds, holders: nodeIds });
export type Proposal = Laid<typeof proposal>;

export const directoryCommand = union({
  join: {
    groups: list(
      record({
        name: text(256),
        digest: text(128),
        durable: flag,
        acceptorsMax: varint,
        operations: operationCodes,
        proof: optional(proof),
      }),
      1024,
    ),
  },
  leave: { groups: list(u32, 1024) },
  synced: { group: u32, target: u32 },
  forget: { name: text(256), group: u32 },
  exclude: { group: u32, target: u32, members: nodeIds },
  slow: { group: u32, target: u32, member: nodeId, isSlow: flag },
  renew: { group: u32, target: u32 },
  // In place of a join, by the node that leads: its application does not let the requester in.
  refuse: { names: list(text(256), 1024) },
  // `isBehind`: its disk was no acceptor's when it was last in an epoch of the group, and may lack what was safe then.
  unrecoverable: { group: u32, isBehind: flag },
  rekey: { group: u32, target: u32, publicKey: bytes(PUBLIC_KEY_BYTES), signature: bytes(SIGNATURE_BYTES) },
  // The requester is an acceptor of this target, or a later one, which its disk has the beginning of.
  begun: { group: u32, target: u32 },
});
export type DirectoryCommand = Laid<typeof directoryCommand>;

/** A command as its requester numbered it; executed at most once (rule B4). */
export const directoryRequest = record({ requester: nodeId, number: u32, command: directoryCommand });
export type DirectoryRequest = Laid<typeof directoryRequest>;

/** Where the records of a durable group end on a joiner's disk: its last epoch, and what it held of that. */
export const standing = record({ epoch: u32, held: row });
export type Standing = Laid<typeof standing>;

/**
 * `donor` streams its state at the start of view `since` to `joiner`, or only what has happened since the joiner's `standing`;
 * it stays so in later views while both are in them.
 */
export const transfer = record({ joiner: nodeId, donor: nodeId, since: u32, standing: optional(standing) });
export type Transfer = Laid<typeof transfer>;

/**
 * One step of a group's flush (rules C3 to C5): members of epoch `from` that are in view `view` go on to it with
 * everything up to `cut`. `holders[rank]` is the member that reported to hold most of that sender. `epochSecret` is where
 * the fresh key of a secure group's epoch travels; it is empty for others (rule F-1).
 */
export const step = record({
  from: u32,
  view: groupView,
  cut: row,
  holders: nodeIds,
  transfers: list(transfer, NODES_MAX),
  epochSecret: bytes(EPOCH_SECRET_BYTES),
});
export type Step = Laid<typeof step>;

/** A step, and the target under whose number a leader issued it: the ballot of rule C1. */
export const seenStep = record({ ballot: u32, step });
export type SeenStep = Laid<typeof seenStep>;

export const message = union({
  // Cluster membership: see membership/cluster.ts. `left`: the view in which its disk was left; 0 for none.
  joinCluster: { node: nodeRecord, linked: nodeIds, left: u32 },
  joinRefused: { code: word("name-taken", "closing"), detail: text(300) },
  clusterHint: { nodes: list(nodeRecord, NODES_MAX) },
  leaveCluster: {},
  heartbeat: { view: u32, number: u32, heard: list(varint, NODES_MAX), suspects: nodeIds, frozen: flag },
  excluded: { cluster: text(64), view: u32 },
  // Founding: see membership/founding.ts.
  foundingOffer: { digest: text(64), node: nodeRecord },
  foundingCall: {},
  foundingVote: { fresh: flag },
  foundingOver: {},
  // Agreement on the next cluster view: see membership/agreement.ts.
  prevote: { view: u32, round: u32 },
  prevoteGranted: { view: u32, round: u32 },
  prepare: { view: u32, ballot },
  promise: {
    view: u32,
    ballot,
    held: row,
    accepted: optional(record({ ballot, proposal })),
  },
  accept: { view: u32, ballot, proposal },
  accepted: { view: u32, ballot },
  superseded: { view: u32, promised: ballot },
  installCluster: { decided: proposal, snapshot: optional(bytes(SNAPSHOT_BYTES_MAX)) },
  installedCluster: { view: u32 },
  // The directory: see membership/directory.ts.
  directoryRequest: { request: directoryRequest },
  directoryFeed: { view: u32, index: varint, requests: list(directoryRequest, 4096) },
  // The data path's control: see multicast/.
  row: { group: u32, epoch: u32, row },
  solicit: { group: u32, epoch: u32, target: row },
  fetch: { group: u32, epoch: u32, sender: u16, from: u32, to: u32 },
  // Group flush: see membership/flush.ts.
  report: {
    group: u32,
    directoryIndex: varint,
    target: u32,
    admitted: u32,
    epoch: u32,
    row,
    seen: optional(seenStep),
    standing: optional(standing),
    astray: flag,
  },
  cut: { group: u32, directoryIndex: varint, target: u32, step },
  hold: { group: u32, directoryIndex: varint, target: u32, from: u32 },
  install: { group: u32, directoryIndex: varint, target: u32, from: u32 },
  // State transfer: see membership/transfer.ts.
  stateChunk: { group: u32, view: u32, index: u32, chunk: bytes(CHUNK_BYTES_MAX), last: flag },
  stateCredit: { group: u32, view: u32, index: u32 },
  // Queries: see query.ts.
  answer: {
    group: u32,
    query: u32,
    status: word("value", "null", "abort"),
    value: bytes(CHUNK_BYTES_MAX),
    more: flag,
  },
  // The data path's control, in large views: see multicast/rows.ts.
  stable: { group: u32, epoch: u32, row },
  // State transfer to who has an earlier state on its disk: see membership/tail.ts.
  tailChunk: { group: u32, view: u32, index: u32, chunk: bytes(CHUNK_BYTES_MAX), last: flag },
  // Another key for a group that has one: see runtime/rekeying.ts.
  keyOffer: { group: u32, view: u32, key: bytes(GROUP_KEY_BYTES) },
  keyTaken: { group: u32, view: u32, publicKey: bytes(PUBLIC_KEY_BYTES) },
});
export type Message = Laid<typeof message>;
