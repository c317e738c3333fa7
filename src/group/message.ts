/**
 * What a group's message says, above its tag and payload of `wire/packet.ts`. The tag names the operation and says how
 * the payload begins, so that a plain update of bytes is nothing but its bytes:
 *
 *     bits 0–27  a hash of the operation's name
 *     bit 28     QUERY: the payload begins with the query's number, u32; answers go to the sender
 *     bit 29     AS_BYTES: the one argument is the rest of the payload, else it is the encoded array of arguments
 *     bit 30     AUDIENCE: then come the members that are meant, as `nodeIds`; others let the message pass
 *     bit 31     zero
 *
 * The bits 0 to 28 are the operation's code. It depends on nothing but its name and kind, so it is the same in every
 * definition that has the operation, at every node and on every disk.
 */
import { createHash } from "node:crypto";
import { RAW_BYTES_MAX } from "../protocol/raw.ts";
import { type NodeId, nodeIds } from "../protocol/view.ts";
import { encode } from "../wire/layout.ts";
import { Reader } from "../wire/reader.ts";

export const QUERY = 0x1000_0000;
export const AS_BYTES = 0x2000_0000;
export const AUDIENCE = 0x4000_0000;
/** Of a tag: the operation's code. */
export const OPERATION_MASK = 0x1fff_ffff;
const NAME_MASK = 0x0fff_ffff;
const KNOWN = OPERATION_MASK | AS_BYTES | AUDIENCE;

const QUERY_BYTES = 4;

/** Room for a query's number and an audience, on top of the longest body. */
export const ENVELOPE_BYTES_MAX = 128 * 1024;

/** The longest body of a raw message. */
export const RAW_BODY_BYTES_MAX = RAW_BYTES_MAX - ENVELOPE_BYTES_MAX;

/** The code of the operation of this name. */
export function operationCode(name: string, kind: "update" | "query"): number {
  const hash = createHash("sha256").update(name).digest().readUInt32BE() & NAME_MASK;
  return kind === "query" ? hash | QUERY : hash;
}

/** The members a message is meant for, and those as bytes, made once for many messages. */
export interface Audience {
  readonly members: readonly NodeId[];
  readonly bytes: Uint8Array;
}

export function audienceOf(members: readonly NodeId[]): Audience {
  return { members, bytes: encode(nodeIds, members) };
}

/** A payload that begins with a query's number, an audience, or both. */
export function payloadOf(query: number | undefined, audience: Audience | undefined, body: Uint8Array): Uint8Array {
  const audienceFrom = query === undefined ? 0 : QUERY_BYTES;
  const bodyFrom = audienceFrom + (audience?.bytes.length ?? 0);
  const payload = new Uint8Array(bodyFrom + body.length);
  if (query !== undefined) new DataView(payload.buffer).setUint32(0, query, true);
  if (audience !== undefined) payload.set(audience.bytes, audienceFrom);
  payload.set(body, bodyFrom);
  return payload;
}

/** What stands before the body of a message. */
export interface Envelope {
  readonly query: number | undefined;
  /** Undefined when all members are meant. */
  readonly audience: readonly NodeId[] | undefined;
  /** Where the body begins. */
  readonly from: number;
}

/** The beginning of the message in `bytes` from `from` to `to`, or undefined when it cannot be one. */
export function openMessage(tag: number, bytes: Uint8Array, from: number, to: number): Envelope | undefined {
  if ((tag & ~KNOWN) !== 0) return undefined;
  const reader = new Reader(bytes, from, to);
  const query = (tag & QUERY) === 0 ? undefined : reader.u32();
  const audience = (tag & AUDIENCE) === 0 ? undefined : nodeIds.read(reader);
  return reader.failed ? undefined : { query, audience, from: to - reader.remaining };
}
