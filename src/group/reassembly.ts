/**
 * Puts together messages that were too large for one packet. Their parts follow each other in the sender's packets of
 * one flavour, all in one view; what is incomplete when the view ends was never fully sent, and is dropped by all.
 */
import type { NodeId } from "../protocol/view.ts";
import { MessageCursor, type Packet } from "../wire/packet.ts";
import { copyOf, joined } from "./bytes.ts";

interface Parts {
  readonly tag: number;
  parts: Uint8Array[];
  bytes: number;
  /** The parts do not belong together, or are too many; the rest is taken and dropped. */
  malformed: boolean;
}

export interface Whole {
  readonly tag: number;
  /** Not shared with any packet; undefined when the parts did not make a message. */
  readonly payload: Uint8Array | undefined;
}

export class Reassembly {
  /** By sender, then by flavour. */
  readonly #begun = new Map<NodeId, Map<number, Parts>>();
  readonly #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Whether any message is incomplete. */
  get active(): boolean {
    return this.#begun.size > 0;
  }

  /** Whether a message of this sender and flavour is incomplete. */
  expects(sender: NodeId, flavour: number): boolean {
    return this.#begun.get(sender)?.has(flavour) ?? false;
  }

  /** Takes one part: a packet with `more`, or the first one without it after such. Returns the message at its last part. */
  add(packet: Packet, sender: NodeId): Whole | undefined {
    const { flavour } = packet;
    const ofSender = this.#begun.get(sender) ?? new Map<number, Parts>();
    const cursor = new MessageCursor(packet);
    const present = cursor.next();
    const message = ofSender.get(flavour) ?? { tag: cursor.tag, parts: [], bytes: 0, malformed: false };
    message.parts.push(present ? copyOf(cursor.payload()) : new Uint8Array(0));
    message.bytes += cursor.length;
    const belongs =
      present && cursor.length > 0 && message.tag === cursor.tag && message.bytes <= this.#bytesMax && !cursor.next();
    if (!belongs || message.malformed) {
      message.malformed = true;
      message.parts = [];
    }
    if (packet.more) {
      ofSender.set(flavour, message);
      this.#begun.set(sender, ofSender);
      return undefined;
    }
    ofSender.delete(flavour);
    if (ofSender.size === 0) this.#begun.delete(sender);
    return { tag: message.tag, payload: message.malformed ? undefined : joined(message.parts) };
  }

  /** A view ended. */
  reset(): void {
    this.#begun.clear();
  }
}
