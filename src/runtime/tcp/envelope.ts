/**
 * What stands around the frame in a datagram:
 *
 *     0  u32 magic, "COTD"     5  u8  kind
 *     4  u8  version, 1        6  the cluster's id, the sender's, the receiver's: each its length and its UTF-8
 *
 * Then comes the frame, or the number of a probe, u32. A datagram of another version is dropped. Reading never throws.
 */
import { nodeId } from "../../protocol/view.ts";
import { text } from "../../wire/layout.ts";
import { Reader } from "../../wire/reader.ts";
import { Writer } from "../../wire/writer.ts";

/** The bytes "COTD", read as a little-endian number. */
const MAGIC = 0x44_54_4f_43;
const VERSION = 1;

/** No datagram is longer: it travels whole on any network of our days. */
export const DATAGRAM_BYTES_MAX = 1400;

const KINDS = ["frame", "probe", "answer"] as const;
const clusterId = text(64);

export interface Envelope {
  /** A frame; a question whether datagrams come through; the answer, with the same number. */
  readonly kind: (typeof KINDS)[number];
  readonly cluster: string;
  readonly sender: string;
  readonly receiver: string;
  readonly body: Uint8Array;
}

const writer = new Writer();

export function envelopeFor(kind: Envelope["kind"], cluster: string, sender: string, receiver: string): Uint8Array {
  writer.clear();
  writer.u32(MAGIC);
  writer.u8(VERSION);
  writer.u8(KINDS.indexOf(kind));
  clusterId.write(writer, cluster);
  nodeId.write(writer, sender);
  nodeId.write(writer, receiver);
  return writer.finish();
}

/** Undefined for what is no datagram of this protocol. The body is a part of the same bytes. */
export function openEnvelope(datagram: Uint8Array): Envelope | undefined {
  if (datagram.length > DATAGRAM_BYTES_MAX) return undefined;
  const reader = new Reader(datagram);
  if (reader.u32() !== MAGIC || reader.u8() !== VERSION) return undefined;
  const kind = KINDS[reader.u8()];
  const cluster = clusterId.read(reader);
  const sender = nodeId.read(reader);
  const receiver = nodeId.read(reader);
  if (reader.failed || kind === undefined) return undefined;
  return { kind, cluster, sender, receiver, body: datagram.subarray(datagram.length - reader.remaining) };
}

export function numberBody(number: number): Uint8Array {
  const body = new Uint8Array(4);
  new DataView(body.buffer).setUint32(0, number, true);
  return body;
}

/** The number at the beginning; bytes that are missing read as zero. */
export function numberIn(body: Uint8Array): number {
  return new Reader(body).u32();
}
