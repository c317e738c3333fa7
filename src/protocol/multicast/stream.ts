/**
 * The packets of one sender in one epoch: held from receipt until every member holds them, because a flush may have to
 * forward any of them. Seqnos run from 0 without a gap; a packet is accepted only as the next one.
 */
import { Deque } from "../../base/deque.ts";
import type { Packet } from "../../wire/packet.ts";

export type Acceptance = "next" | "duplicate" | "gap";

export class Stream {
  readonly #packets = new Deque<Packet>();
  #base = 0;
  #bytes = 0;

  /** How many packets of the sender have come: the contiguous prefix 0 … received - 1. */
  get received(): number {
    return this.#base + this.#packets.length;
  }

  /** Bytes of the packets that are still held. */
  get heldBytes(): number {
    return this.#bytes;
  }

  accept(packet: Packet): Acceptance {
    const { seqno } = packet;
    if (seqno < this.received) return "duplicate";
    if (seqno > this.received) return "gap";
    this.#packets.push(packet);
    this.#bytes += packet.bytes.length;
    return "next";
  }

  /** The packet, unless it was forgotten already or has not come. */
  get(seqno: number): Packet | undefined {
    return this.#packets.at(seqno - this.#base);
  }

  /** Lets go of the packets below `seqno`, and tells how many bytes these were. */
  forgetBelow(seqno: number): number {
    const before = this.#bytes;
    while (this.#base < seqno) {
      const packet = this.#packets.shift();
      if (packet === undefined) break;
      this.#bytes -= packet.bytes.length;
      this.#base++;
      packet.release();
    }
    return before - this.#bytes;
  }
}
