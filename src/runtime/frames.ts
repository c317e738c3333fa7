/**
 * Control messages as frames: `u32 length, u8 FRAME_CONTROL, message`. Packets are frames already.
 */
import { type Message, message } from "../protocol/messages.ts";
import { FRAME_CONTROL } from "../wire/packet.ts";
import { Reader } from "../wire/reader.ts";
import { Writer } from "../wire/writer.ts";
import type { Lane } from "./ports.ts";

const HEADER_BYTES = 5;
const scratch = new Writer(64 * 1024);

export function controlFrame(value: Message): Uint8Array {
  scratch.clear();
  scratch.u32(0);
  scratch.u8(FRAME_CONTROL);
  message.write(scratch, value);
  scratch.patchU32(0, scratch.length - 4);
  return scratch.finish();
}

/** The message in a frame, or undefined when it is garbage. */
export function parseControl(frame: Uint8Array): Message | undefined {
  if (frame.length <= HEADER_BYTES || frame[4] !== FRAME_CONTROL) return undefined;
  const reader = new Reader(frame, HEADER_BYTES);
  const value = message.read(reader);
  return reader.finished ? value : undefined;
}

/** What carries users' bytes, or a key, from one node to another; in a secure group it is sealed. */
export type SealedMessage = Extract<
  Message,
  { readonly kind: "stateChunk" | "tailChunk" | "answer" | "keyOffer" | "keyTaken" }
>;

const SEALED_KINDS: ReadonlySet<Message["kind"]> = new Set<SealedMessage["kind"]>([
  "stateChunk",
  "tailChunk",
  "answer",
  "keyOffer",
  "keyTaken",
]);

export function isSealedKind(value: Message): value is SealedMessage {
  return SEALED_KINDS.has(value.kind);
}

/** Bulk must not delay control: what carries users' bytes travels in the bulk lane. */
export function laneOf(value: Message): Lane {
  return isSealedKind(value) ? "bulk" : "control";
}
