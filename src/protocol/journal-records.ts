/**
 * What a node writes into its journal: each record is a frame, as on the wire, so that a packet's record is the packet's
 * own bytes. All others are `u32 length, u8 FRAME_RECORD, u8 version, record`. New kinds and new cases go to the end; a
 * change of what is there takes a new version. docs/STORAGE.md says what each is for.
 */
import { bytes, type Laid, text, u32, union } from "../wire/layout.ts";
import { Packet } from "../wire/packet.ts";
import { Reader } from "../wire/reader.ts";
import { Writer } from "../wire/writer.ts";
import { ballot, proposal, SNAPSHOT_BYTES_MAX } from "./messages.ts";

const FRAME_RECORD = 3;
const VERSION = 1;
const HEADER_BYTES = 6;

const controlRecord = union({
  // The cluster: see membership/cluster.ts.
  /** This founder has voted for a first view that the node with this disk coordinates; it never votes for another's. */
  founding: { digest: text(64), coordinator: text(16) },
  /** A view of the cluster is in place here, with the directory at its beginning. What lies before it is not needed. */
  view: { decided: proposal, snapshot: bytes(SNAPSHOT_BYTES_MAX) },
  promise: { view: u32, ballot },
  accepted: { view: u32, ballot, proposal },
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
