/**
 * Raw messages on their way out, and which raw packets of a sender have come: they arrive by datagram, in any order and
 * perhaps twice, and are delivered at most once (D1). An incarnation numbers its raw packets through all of its groups and
 * memberships, so a number never means two packets. What is older than the window cannot be told from a duplicate, and is
 * taken for one.
 */
import { allocate } from "../base/arena.ts";
import { MESSAGE_HEADER_BYTES, PACKET_HEADER_BYTES, type Packet, PacketBuilder, RAW } from "../wire/packet.ts";

const WINDOW = 1024;

/** A packet of several raw messages is closed before this size, so that it fits into one datagram with its envelope. */
const BATCH_BYTES = 1200;
/** The longest raw message, with its envelope. */
export const RAW_BYTES_MAX = 1024 * 1024;
/** What may leave in one turn; more is dropped, because nothing of it may wait. */
const TURN_BYTES_MAX = 2 * RAW_BYTES_MAX;
/** No more messages than this are in a packet of several; the index of a message tells its packet and its place. */
const PACKET_MESSAGES_MAX = 256;

/** The raw messages of one turn, in packets. */
export class RawBatch {
  #sealed: Packet[] = [];
  #open: PacketBuilder | undefined;
  #bytes = 0;
  #messages = 0;

  /** False when it has to be dropped. */
  append(tag: number, payload: Uint8Array): boolean {
    const needed = MESSAGE_HEADER_BYTES + payload.length;
    if (payload.length > RAW_BYTES_MAX || this.#bytes + needed > TURN_BYTES_MAX) return false;
    this.#bytes += needed;
    this.#messages++;
    if (this.#open?.fits(payload.length) === false) this.#seal();
    this.#open ??= new PacketBuilder(RAW, allocate(Math.max(BATCH_BYTES, PACKET_HEADER_BYTES + needed)));
    this.#open.append(tag, payload);
    return true;
  }

  /** What was appended since the last call. */
  take(): readonly Packet[] {
    this.#seal();
    const packets = this.#sealed;
    if (packets.length > 0) this.#sealed = [];
    this.#bytes = 0;
    this.#messages = 0;
    return packets;
  }

  /** Drops what was appended since the last `take`; how many messages that were. */
  drop(): number {
    const dropped = this.#messages;
    this.take();
    return dropped;
  }

  #seal(): void {
    if (this.#open !== undefined) this.#sealed.push(this.#open.finish());
    this.#open = undefined;
  }
}

/** The index of the first message of a raw packet: those of the others follow, and no two packets share one. */
export function rawIndex(packet: Packet): number {
  return packet.seqno * PACKET_MESSAGES_MAX;
}

/** How many messages a raw packet can hold, whatever it says itself. */
export function rawCount({ count, bytes }: Packet): number {
  return Math.min(count, Math.floor((bytes.length - PACKET_HEADER_BYTES) / MESSAGE_HEADER_BYTES));
}

/** Which packets of one sender have come. */
export class RawWindow {
  /** One bit for each number of the window, at its place modulo the window. */
  readonly #seen = new Uint32Array(WINDOW / 32);
  /** The highest number that has come. */
  #highest: number | undefined;

  /** Notes the packet's number; false when it has come before, or may have. Numbers wrap at 2^32. */
  accept(number: number): boolean {
    const highest = this.#highest ?? (number - 1) | 0;
    const ahead = (number - highest) | 0;
    if (ahead <= -WINDOW) return false;
    if (ahead > 0) {
      if (ahead >= WINDOW) this.#seen.fill(0);
      else for (let next = 1; next <= ahead; next++) this.#clear(highest + next);
      this.#highest = number;
    }
    const { place, bit } = placeOf(number);
    const word = this.#seen[place] as number;
    if ((word & bit) !== 0) return false;
    this.#seen[place] = word | bit;
    return true;
  }

  #clear(number: number): void {
    const { place, bit } = placeOf(number);
    this.#seen[place] = (this.#seen[place] as number) & ~bit;
  }
}

function placeOf(number: number): { readonly place: number; readonly bit: number } {
  const at = (number >>> 0) % WINDOW;
  return { place: at >>> 5, bit: 1 << (at & 31) };
}
