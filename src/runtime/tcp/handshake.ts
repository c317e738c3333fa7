/**
 * What two nodes say to each other before frames flow. The dialler, who wants to receive, sends one `hello`; the other
 * answers with one `welcome`, after which the bytes of its frames follow, or with one `refusal`. On the wire each is a
 * frame:
 *
 *     0  u32 length of what follows      8  u8  kind
 *     4  u32 magic, "COTR"               9  the fields, in the order below
 *
 * The layout up to the version range never changes, so that any two versions can tell each other why they part. Later
 * versions only append fields: bytes after those that a reader knows are ignored. Reading never throws.
 */
import { nodeId, nodeRecord } from "../../protocol/view.ts";
import { f64, flag, type Laid, text, u16, u32, union, word } from "../../wire/layout.ts";
import { Reader } from "../../wire/reader.ts";
import { Writer } from "../../wire/writer.ts";

/** The bytes "COTR", read as a little-endian number. */
export const MAGIC = 0x52_54_4f_43;
const PREFIX_BYTES = 8;

/** A longer handshake is garbage. */
export const HANDSHAKE_BYTES_MAX = 2048;

/** The oldest and the newest version of the link protocol that this code speaks. */
export const VERSION_OLDEST = 1;
export const VERSION_NEWEST = 1;

export const DETAIL_BYTES_MAX = 512;

/** The one answer that may be long. */
export const REPORT_BYTES_MAX = 1024 * 1024;

const cluster = text(64);

/**
 * The refusals of `ports.ts`, and three that stay between links: the acceptor is another incarnation than expected
 * (`replaced`, the detail is its id); it has not linked the dialler (`not-linked`, worth another try); the stream that
 * the dialler wants to resume is gone (`broken`).
 */
export const refusalCode = word(
  "foreign-cluster",
  "version",
  "excluded",
  "closing",
  "same-id",
  "replaced",
  "not-linked",
  "broken",
  "unproven",
);
export type RefusalCode = Laid<typeof refusalCode>;

const handshake = union({
  hello: {
    versionOldest: u16,
    versionNewest: u16,
    cluster,
    record: nodeRecord,
    /** The incarnation that the dialler wants to talk to, or "" for whoever is there. */
    expects: nodeId,
    /** Only asks who is there; no stream begins. */
    probe: flag,
    /** Which of its links to the acceptor's incarnation this is, counted from 1: a link made anew is another session. */
    session: u32,
    /** The acceptor's session as the dialler knows it, or 0. */
    peerSession: u32,
    /** Counts the dialler's attempts in this session: a hello that was overtaken by a later one is void. */
    attempt: u32,
    /** How many bytes of whole frames the dialler has consumed in this session: the stream resumes just there. */
    offset: f64,
  },
  welcome: {
    version: u16,
    cluster,
    record: nodeRecord,
    session: u32,
    /** Where the stream that follows starts; the offset of the hello. */
    offset: f64,
  },
  refusal: { code: refusalCode, detail: text(DETAIL_BYTES_MAX) },
  /** Somebody who is no node asks how this one is; the answer is a report, or a refusal. */
  inquiry: { versionOldest: u16, versionNewest: u16 },
  /** JSON, for people and their tools. */
  report: { version: u16, report: text(REPORT_BYTES_MAX) },
});

export type Handshake = Laid<typeof handshake>;
export type Hello = Extract<Handshake, { readonly kind: "hello" }>;
export type Welcome = Extract<Handshake, { readonly kind: "welcome" }>;
export type Inquiry = Extract<Handshake, { readonly kind: "inquiry" }>;
export type Refused = Extract<Handshake, { readonly kind: "refusal" }>;

/** The message as a whole frame. */
export function handshakeFrame(message: Handshake): Uint8Array {
  const writer = new Writer();
  writer.u32(0);
  writer.u32(MAGIC);
  handshake.write(writer, message);
  writer.patchU32(0, writer.length - 4);
  return writer.finish();
}

/** The message in a whole frame, or undefined when it is none or longer than `bytesMax`. */
export function readHandshake(frame: Uint8Array, bytesMax: number = HANDSHAKE_BYTES_MAX): Handshake | undefined {
  if (frame.length < PREFIX_BYTES || frame.length > bytesMax) return undefined;
  const reader = new Reader(frame);
  if (reader.u32() !== frame.length - 4 || reader.u32() !== MAGIC) return undefined;
  const message = handshake.read(reader);
  if (reader.failed || !isSound(message)) return undefined;
  return message;
}

/** Whether bytes, perhaps the first few only, can be the beginning of a handshake. */
export function mayBeHandshake(bytes: Uint8Array): boolean {
  const reader = new Reader(bytes);
  if (bytes.length >= 4 && reader.u32() > HANDSHAKE_BYTES_MAX - 4) return false;
  return bytes.length < PREFIX_BYTES || reader.u32() === MAGIC;
}

/** The newest version in both ranges, or undefined when they do not meet. */
export function commonVersion(
  oldest: number,
  newest: number,
  otherOldest: number,
  otherNewest: number,
): number | undefined {
  const version = Math.min(newest, otherNewest);
  return version >= Math.max(oldest, otherOldest) ? version : undefined;
}

function isSound(message: Handshake): boolean {
  switch (message.kind) {
    case "hello":
      return isOffset(message.offset) && isRecord(message.record) && isPlain(message.cluster);
    case "welcome":
      return isOffset(message.offset) && isRecord(message.record) && isPlain(message.cluster);
    case "refusal":
      return isPlain(message.detail);
    case "inquiry":
    case "report":
      return true;
  }
}

export function isOffset(offset: number): boolean {
  return Number.isSafeInteger(offset) && offset >= 0;
}

function isRecord({ id, address, disk, livenessPort }: Laid<typeof nodeRecord>): boolean {
  return id !== "" && livenessPort <= 65_535 && [id, address, disk].every(isPlain);
}

/** Whether a text can be shown and logged: it makes no line, and does nothing to a terminal. */
function isPlain(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
  }
  return true;
}
