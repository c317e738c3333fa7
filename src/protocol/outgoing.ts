/**
 * Messages on their way into an epoch: packed into packets as they come, and queued while the group is wedged or the
 * sender has no credit. Nobody's message fails because of a view change: it enters the next epoch.
 */
import { Deque } from "../base/deque.ts";
import { Carver, SlabPool } from "../base/slabs.ts";
import { fragments, MESSAGE_HEADER_BYTES, PACKET_HEADER_BYTES, type Packet, PacketBuilder } from "../wire/packet.ts";

const FIRST_BYTES = 1024;
const PACKET_BYTES = 65_536;

/** Where the packets of all groups lie until all have them: most slabs are used again before they are cold. */
const memory = new Carver(new SlabPool(32));

export class Outgoing {
  readonly #packets = new Deque<Packet>();
  readonly #bytesMax: number;
  readonly #packetBytesMax: number;
  #open: PacketBuilder | undefined;
  #openBytes = FIRST_BYTES;
  #queuedBytes = 0;
  #sealed = 0;
  #taken = 0;
  /** Whether somebody was turned away and is to be told of room. */
  roomWanted = false;

  /** Bytes that may wait, and those of a packet of one message. */
  constructor(bytesMax: number, packetBytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#packetBytesMax = packetBytesMax;
  }

  get empty(): boolean {
    return this.#packets.length === 0 && this.#open === undefined;
  }

  /** Counts packets: those below `taken` have entered an epoch; `mark` is one beyond what was queued until now. */
  get taken(): number {
    return this.#taken;
  }

  mark(): number {
    this.seal();
    return this.#sealed;
  }

  /** Queues a message; false when the queue is full. The payload is copied. */
  append(flavour: number, tag: number, payload: Uint8Array): boolean {
    if (this.#queuedBytes >= this.#bytesMax) {
      this.roomWanted = true;
      return false;
    }
    this.#queuedBytes += payload.length + MESSAGE_HEADER_BYTES;
    if (PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES + payload.length > PACKET_BYTES) {
      this.seal();
      for (const packet of fragments(flavour, tag, payload, this.#packetBytesMax, memory)) this.#push(packet);
      return true;
    }
    let open = this.#open;
    if (open !== undefined && (open.flavour !== flavour || !open.fits(payload.length))) {
      this.seal();
      open = undefined;
    }
    if (open === undefined) {
      const needed = PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES + payload.length;
      const { bytes, slab } = memory.carve(Math.max(this.#openBytes, needed));
      open = new PacketBuilder(flavour, bytes, slab);
      this.#open = open;
    }
    open.append(tag, payload);
    return true;
  }

  /** Closes the open packet. */
  seal(): void {
    const open = this.#open;
    if (open === undefined) return;
    // The next packet gets room for what those before it turned out to need: little for slow senders, full packets for fast
    // ones, even if each turn of theirs ends with a small one.
    this.#openBytes = Math.min(PACKET_BYTES, Math.max(FIRST_BYTES, open.length * 2, this.#openBytes / 2));
    this.#open = undefined;
    const packet = open.finish();
    memory.trim(packet.bytes);
    this.#push(packet);
  }

  /** The next packet to enter the epoch. */
  take(): Packet | undefined {
    const packet = this.#packets.shift();
    if (packet === undefined) return undefined;
    this.#taken++;
    this.#queuedBytes -= packet.bytes.length - PACKET_HEADER_BYTES;
    if (this.#queuedBytes < 0) this.#queuedBytes = 0;
    return packet;
  }

  /** Whether those who were turned away may come back. */
  get hasRoom(): boolean {
    return this.#queuedBytes * 2 < this.#bytesMax;
  }

  #push(packet: Packet): void {
    this.#packets.push(packet);
    this.#sealed++;
  }
}
