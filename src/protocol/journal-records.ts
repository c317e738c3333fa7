/**
 * What a node writes into its journal: each record is a frame, as on the wire, so that a packet's record is the packet's
 * own bytes. All others are `u32 length, u8 FRAME_RECORD, u8 version, record`. New kinds and new cases go to the end; a
 * change of what is there takes a new version. docs/STORAGE.md says what each is for.
 */
import { bytes, flag, type Laid, list, optional, record as struct, text, u32, union } from "../wire/layout.ts";
import { FRAME_BYTES_MAX, Packet } from "../wire/packet.ts";
import { Reader } from "../wire/reader.ts";
import { Writer } from "../wire/writer.ts";
import { ballot, CHUNK_BYTES_MAX, proposal, row, SNAPSHOT_BYTES_MAX } from "./messages.ts";
import { groupView, nodeId } from "./view.ts";

const FRAME_RECORD = 3;
const VERSION = 2;
const HEADER_BYTES = 6;

const controlRecord = union({
  // The cluster: see membership/cluster.ts.
  /** This founder has voted for a first view that the node with this disk coordinates; it never votes for another's. */
  founding: { digest: text(64), coordinator: text(16) },
  /** A view of the cluster is in place here, with the directory at its beginning. What lies before it is not needed. */
  view: { decided: proposal, snapshot: bytes(SNAPSHOT_BYTES_MAX) },
  promise: { view: u32, ballot },
  accepted: { view: u32, ballot, proposal },
  // Durable groups: see group-journal.ts.
  /**
   * `self` has begun the epoch of this view, on its way to `target`; epoch `from`, which it was in before, has ended at `cut`.
   * From 0: from none.
   */
  began: { group: u32, name: text(256), self: nodeId, view: groupView, target: u32, from: u32, cut: row },
  /** Epoch `from` may end at this cut, which is held: the step that target `ballot` has issued, to view `to`. */
  cut: { group: u32, ballot: u32, from: u32, to: u32, cut: row },
  /** A piece of the state at the start of a view. */
  checkpoint: { group: u32, view: u32, index: u32, chunk: bytes(CHUNK_BYTES_MAX), last: flag },
  /** The first record: from now on this disk has its id, by which others may know it. */
  minted: { disk: text(16) },
  /** The view again, and what this acceptor has promised, accepted and held in it. What lies before is not needed. */
  again: {
    decided: proposal,
    snapshot: bytes(SNAPSHOT_BYTES_MAX),
    promised: ballot,
    accepted: optional(struct({ ballot, proposal })),
    packets: list(bytes(FRAME_BYTES_MAX), 131_072),
  },
});

/** `packet`: one that the node holds, its own or received; its header says of which group, epoch and sender. */
export type JournalRecord = Laid<typeof controlRecord> | { readonly kind: "packet"; readonly packet: Packet };

const scratch = new Writer(64 * 1024);

/** The record's bytes; those of a packet are not copied, and are needed until they are on disk. */
export function recordFrame(record: JournalRecord): Uint8Array {
  if (record.kind === "packet") return record.packet.bytes;
  scratch.clear();
  scratch.u32(0);
  scratch.u8(FRAME_RECORD);
  scratch.u8(VERSION);
  controlRecord.write(scratch, record);
  scratch.patchU32(0, scratch.length - 4);
  return scratch.finish();
}

/** The record in these bytes, or undefined when there is none that this version knows. */
export function parseRecord(frame: Uint8Array): JournalRecord | undefined {
  const reader = new Reader(frame);
  if (reader.u32() !== frame.length - 4) return undefined;
  if (reader.u8() !== FRAME_RECORD) {
    const packet = Packet.parse(frame);
    return packet && { kind: "packet", packet };
  }
  if (reader.u8() !== VERSION || frame.length <= HEADER_BYTES) return undefined;
  const record = controlRecord.read(reader);
  return reader.finished ? record : undefined;
}

/** The group that a record is about; 0: the cluster. */
export function groupOf(record: JournalRecord): number {
  if (record.kind === "packet") return record.packet.group;
  return "group" in record ? record.group : 0;
}
