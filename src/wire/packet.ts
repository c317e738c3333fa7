/**
 * A packet is the unit of the data path: a run of messages of one flavour from one sender in one epoch, with one
 * sequence number. Order, stability, repair and garbage collection work on packets, never on messages. Its bytes are a
 * whole frame, laid out by hand, the same for every receiver and kept as they are for repair:
 *
 *     0  u32 length of what follows      12  u32 epoch
 *     4  u8  frame type (PACKET)         16  u32 seqno, per (epoch, sender), from 0
 *     5  u8  flavour and two bits        20  u32 messages in the body
 *     6  u16 rank of the sender          24  f64 the sender's clock, ms since 1970
 *     8  u32 group                       32  body: messages, each  u32 length, u32 tag, payload
 *
 * A long message has a packet for itself. One too large for that is cut into fragments: packets of one message each that
 * carry the `MORE` bit but for the last. A causal packet with the `PAST` bit ends with what its sender had delivered since its last one, and the
 * length of that as a u16; `multicast/causal.ts` says what it is.
 */
import { allocate, keep } from "../base/arena.ts";
import { Carver, SLAB_BYTES, type Slab, SlabPool } from "../base/slabs.ts";

export const FRAME_CONTROL = 1;
export const FRAME_PACKET = 2;
/** A packet, or a control message, of a secure group: see `runtime/secure/sealing.ts`. */
export const FRAME_SEALED_PACKET = 3;
export const FRAME_SEALED_DIRECT = 4;
/** A raw packet of a secure group. */
export const FRAME_SEALED_RAW = 5;

export const PACKET_HEADER_BYTES = 32;
export const MESSAGE_HEADER_BYTES = 8;

/** The size at which a packet is closed: a system call for 64 KiB costs hardly more than one for 4 KiB. */
export const PACKET_BYTES_MAX = 65_536;

/** A packet of a single message may be as long as this: its receivers find it in one piece. */
export const LONG_PACKET_BYTES_MAX = SLAB_BYTES;

/** A frame longer than this is garbage. */
export const FRAME_BYTES_MAX = 4 * 1024 * 1024;

export const FLAVOURS = ["fifo", "causal", "total", "safe", "order", "raw"] as const;

/** How a packet is delivered; `order` packets carry the sequencer's announcements and are not shown to applications. */
export type Flavour = (typeof FLAVOURS)[number];

export const FIFO = 0;
export const CAUSAL = 1;
export const TOTAL = 2;
export const SAFE = 3;
export const ORDER = 4;
/** Outside of epochs: unordered, unreliable, with numbers of its sender's incarnation. */
export const RAW = 5;
const FLAVOUR_MASK = 0x0f;
const MORE = 0x80;
const PAST = 0x40;
const PAST_LENGTH_BYTES = 2;

export function flavourCode(flavour: Flavour): number {
  return FLAVOURS.indexOf(flavour);
}

/** It is the slab of whoever needs its bytes longer than its epoch does, such as the network. */
export class Packet implements Slab {
  #bytes: Uint8Array;
  #view: DataView;
  readonly #slab: Slab | undefined;
  #holds = 1;

  /** `bytes` is a whole frame, at least a header long. The packet is held once, by its maker. */
  constructor(bytes: Uint8Array, slab?: Slab) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#slab = slab;
    slab?.retain();
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Of `bytes`. */
  get view(): DataView {
    return this.#view;
  }

  get flavour(): number {
    return this.view.getUint8(5) & FLAVOUR_MASK;
  }

  /** Whether the message goes on in the sender's next packet of this flavour. */
  get more(): boolean {
    return (this.view.getUint8(5) & MORE) !== 0;
  }

  get sender(): number {
    return this.view.getUint16(6, true);
  }

  get group(): number {
    return this.view.getUint32(8, true);
  }

  get epoch(): number {
    return this.view.getUint32(12, true);
  }

  get seqno(): number {
    return this.view.getUint32(16, true);
  }

  /** How many messages the body holds; a fragment that is not the last counts none. */
  get count(): number {
    return this.view.getUint32(20, true);
  }

  get time(): number {
    return this.view.getFloat64(24, true);
  }

  /** Where the body ends. */
  get bodyEnd(): number {
    return this.pastEnd - (this.#hasPast ? pastBytes(this.#bytes) : 0);
  }

  /** The past lies from `bodyEnd` to here. */
  get pastEnd(): number {
    return this.#bytes.length - (this.#hasPast ? PAST_LENGTH_BYTES : 0);
  }

  get #hasPast(): boolean {
    return (this.#view.getUint8(5) & PAST) !== 0;
  }

  /** Adds the past behind the body: done at most once, before the packet enters an epoch. It has at most 65,535 bytes. */
  addPast(past: Uint8Array): void {
    const end = this.#bytes.length;
    const bytes = allocate(end + past.length + PAST_LENGTH_BYTES);
    bytes.set(this.#bytes);
    bytes.set(past, end);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view.setUint32(0, bytes.length - 4, true);
    this.#view.setUint8(5, this.#view.getUint8(5) | PAST);
    this.#view.setUint16(end + past.length, past.length, true);
  }

  /** Gives the packet its place: done once, when it enters an epoch. */
  stamp(group: number, epoch: number, sender: number, seqno: number, time: number): void {
    this.view.setUint16(6, sender, true);
    this.view.setUint32(8, group, true);
    this.view.setUint32(12, epoch, true);
    this.view.setUint32(16, seqno, true);
    this.view.setFloat64(24, time, true);
  }

  retain(): void {
    this.#holds++;
  }

  /** One holder less. Forgetting to release costs memory, not correctness. */
  release(): void {
    this.#holds--;
    if (this.#holds === 0) this.#slab?.release();
  }

  /** The packet in a frame from the wire, or undefined when it cannot be one. */
  static parse(frame: Uint8Array, slab?: Slab): Packet | undefined {
    if (frame.length < PACKET_HEADER_BYTES || frame[4] !== FRAME_PACKET) return undefined;
    const flavour = (frame[5] as number) & FLAVOUR_MASK;
    if (flavour > RAW) return undefined;
    if (((frame[5] as number) & PAST) !== 0 && (flavour !== CAUSAL || !endsWithPast(frame))) return undefined;
    return new Packet(frame, slab);
  }
}

function pastBytes(frame: Uint8Array): number {
  const at = frame.length - PAST_LENGTH_BYTES;
  return (frame[at] as number) + (frame[at + 1] as number) * 0x100;
}

function endsWithPast(frame: Uint8Array): boolean {
  const room = frame.length - PACKET_HEADER_BYTES - PAST_LENGTH_BYTES;
  return room >= 0 && pastBytes(frame) <= room;
}

/** Builds one packet by appending messages; `undefined` from `finish` means that nothing was appended. */
export class PacketBuilder {
  readonly flavour: number;
  readonly #bytes: Uint8Array;
  readonly #slab: Slab | undefined;
  readonly #view: DataView;
  #length = PACKET_HEADER_BYTES;
  #count = 0;

  /** The bytes may lie in a slab, which was retained for the packet. */
  constructor(flavour: number, bytes: Uint8Array = new Uint8Array(PACKET_BYTES_MAX), slab?: Slab) {
    this.flavour = flavour;
    this.#bytes = bytes;
    this.#slab = slab;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.#length;
  }

  get count(): number {
    return this.#count;
  }

  /** Whether a message with this payload still fits. */
  fits(payloadBytes: number): boolean {
    return this.#length + MESSAGE_HEADER_BYTES + payloadBytes <= this.#bytes.length;
  }

  append(tag: number, payload: Uint8Array): void {
    this.#view.setUint32(this.#length, payload.length, true);
    this.#view.setUint32(this.#length + 4, tag, true);
    this.#bytes.set(payload, this.#length + MESSAGE_HEADER_BYTES);
    this.#length += MESSAGE_HEADER_BYTES + payload.length;
    this.#count++;
  }

  finish(): Packet {
    const bytes = keep(this.#bytes, this.#length);
    bytes[4] = FRAME_PACKET;
    bytes[5] = this.flavour;
    this.#view.setUint32(0, this.#length - 4, true);
    this.#view.setUint32(20, this.#count, true);
    const packet = new Packet(bytes, this.#slab);
    this.#slab?.release();
    return packet;
  }
}

/** The packets of one long message: mostly one, and fragments if it does not fit into that. They lie in what is carved. */
export function fragments(
  flavour: number,
  tag: number,
  payload: Uint8Array,
  packetBytesMax = LONG_PACKET_BYTES_MAX,
  carver = new Carver(new SlabPool()),
): Packet[] {
  const room = packetBytesMax - PACKET_HEADER_BYTES - MESSAGE_HEADER_BYTES;
  const packets: Packet[] = [];
  for (let from = 0; from < payload.length; from += room) {
    const part = payload.subarray(from, Math.min(payload.length, from + room));
    const { bytes, slab } = carver.carve(PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES + part.length);
    const builder = new PacketBuilder(flavour, bytes, slab);
    builder.append(tag, part);
    const packet = builder.finish();
    if (from + room < payload.length) {
      packet.bytes[5] = flavour | MORE;
      packet.bytes.fill(0, 20, 24);
    }
    packets.push(packet);
  }
  return packets;
}

/**
 * Walks the messages of a packet's body. `next` returns false at the end; a body that is cut short ends there, and
 * `malformed` says so.
 */
export class MessageCursor {
  readonly #packet: Packet;
  readonly #end: number;
  #at = PACKET_HEADER_BYTES;
  tag = 0;
  from = 0;
  length = 0;
  malformed = false;

  constructor(packet: Packet) {
    this.#packet = packet;
    this.#end = packet.bodyEnd;
  }

  next(): boolean {
    const { view } = this.#packet;
    const end = this.#end;
    if (this.#at === end) return false;
    if (this.#at + MESSAGE_HEADER_BYTES > end) return this.#stop();
    this.length = view.getUint32(this.#at, true);
    this.tag = view.getUint32(this.#at + 4, true);
    this.from = this.#at + MESSAGE_HEADER_BYTES;
    if (this.length > end - this.from) return this.#stop();
    this.#at = this.from + this.length;
    return true;
  }

  /** Whether there is a next message, and it has this tag. */
  isNext(tag: number): boolean {
    const at = this.#at;
    return at + MESSAGE_HEADER_BYTES <= this.#end && this.#packet.view.getUint32(at + 4, true) === tag;
  }

  /** The payload of the current message, as a view of the packet's bytes. */
  payload(): Uint8Array {
    return this.#packet.bytes.subarray(this.from, this.from + this.length);
  }

  #stop(): boolean {
    this.#at = this.#end;
    this.malformed = true;
    return false;
  }
}
