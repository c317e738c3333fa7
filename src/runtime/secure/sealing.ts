/**
 * Secure groups: what their members say is sealed with AES-256-GCM at the gate to the network, once per packet,
 * the same bytes for every member (rules F-1 to F-3). The core deals in clear packets, and tells which secret an epoch
 * has. From the secret of an epoch, and the group's own key if it has one, follows a key for each sender:
 *
 *     packets      HKDF(secret, group, epoch, the sender's incarnation); the nonce is the packet's seqno. A packet that is
 *                  sent again, even by another member, is sealed to the very same bytes.
 *     raw packets  likewise, from a secret of their own, because they are numbered apart.
 *     direct       states and answers to queries, from one member to another: a key of their own, a counter as nonce, and
 *                  the receiver's id as associated data. They may arrive views later, so these keys are kept for some.
 *
 * Keys of packets are thrown away when the epoch is left, and with a step that has come to nothing.
 *
 *     0  u32 length      6  u16 rank of the sender; 0       12  u32 epoch             20  the sealed frame
 *     4  u8  3, 4 or 5   8  u32 group                       16  u32 seqno; counter    -16 the tag
 */
import { hkdfSync, type KeyObject } from "node:crypto";
import { allocate } from "../../base/arena.ts";
import { assert } from "../../base/assert.ts";
import type { GroupView, NodeId } from "../../protocol/view.ts";
import {
  FRAME_CONTROL,
  FRAME_PACKET,
  FRAME_SEALED_DIRECT,
  FRAME_SEALED_PACKET,
  FRAME_SEALED_RAW,
  type Packet,
  RAW,
} from "../../wire/packet.ts";
import { keyFor, NONCE_BYTES, opened, sealInto, TAG_BYTES } from "./aead.ts";

const HEADER_BYTES = 20;
/** By so much a sealed frame is longer. */
export const SEAL_BYTES = HEADER_BYTES + TAG_BYTES;
const COUNTER_MAX = 0xffff_ffff;

/** Keys of direct messages are kept for so many views. */
const DIRECT_EPOCHS_MAX = 256;

/** What a sealed frame turned out to be. The opened one has memory of its own. `late`: of an epoch that is over here, so nobody misses it. */
export type Opened =
  | { readonly kind: "opened"; readonly frame: Uint8Array }
  | { readonly kind: "late" }
  | { readonly kind: "forged"; readonly why: string };

const LATE: Opened = { kind: "late" };

export class Sealing {
  readonly #self: NodeId;
  readonly #groups = new Map<number, GroupSealing>();
  readonly #nonce = Buffer.alloc(NONCE_BYTES);

  constructor(self: NodeId) {
    this.#self = self;
  }

  isSecure(group: number): boolean {
    return this.#groups.has(group);
  }

  /** This node enters a secure group; its key, if the group has one, is mixed into all others. */
  enter(group: number, key: Uint8Array | undefined): void {
    this.#groups.get(group)?.destroy();
    this.#groups.set(group, new GroupSealing(group, key));
  }

  /** The secret of an epoch that may come. */
  learn(group: number, view: GroupView, secret: Uint8Array): void {
    this.#group(group).learn(view, secret);
  }

  /** The epoch has come; those before it are over. */
  use(group: number, epoch: number): void {
    this.#group(group).use(epoch);
  }

  /** The key of the epochs that are learned from now on, in place of the one that the group was entered with. */
  mixIn(group: number, key: Uint8Array): void {
    this.#groups.get(group)?.mixIn(key);
  }

  leave(group: number): void {
    this.#groups.get(group)?.destroy();
    this.#groups.delete(group);
  }

  /** `frame`: where the sealed one goes, whatever is there; as long as the packet and `SEAL_BYTES`. */
  sealPacket(packet: Packet, frame = allocate(packet.bytes.length + SEAL_BYTES)): Uint8Array {
    const { group, epoch, sender, seqno } = packet;
    const type = packet.flavour === RAW ? FRAME_SEALED_RAW : FRAME_SEALED_PACKET;
    const key = this.#group(group).packetKey(type, epoch, sender);
    assert(key !== undefined, "a member has the keys of the epochs that it sends in");
    return this.#seal(frame, type, packet.bytes, key, { group, epoch, sender, number: seqno, to: "" });
  }

  /** Undefined when `to` has been no member for so long that nothing it may read is left. */
  sealDirect(group: number, to: NodeId, frame: Uint8Array): Uint8Array | undefined {
    const sealing = this.#group(group);
    const epoch = sealing.sharedWith(to);
    const key = epoch === undefined ? undefined : sealing.directKey(epoch, this.#self);
    if (epoch === undefined || key === undefined) return undefined;
    const sealed = allocate(frame.length + SEAL_BYTES);
    const at = { group, epoch, sender: 0, number: sealing.count(), to };
    return this.#seal(sealed, FRAME_SEALED_DIRECT, frame, key, at);
  }

  /** The frame, as it was before it was sealed, or why it is dropped. It came from the link of `from`. */
  open(from: NodeId, frame: Uint8Array): Opened {
    if (frame.length < SEAL_BYTES) return forged("too short");
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    const group = view.getUint32(8, true);
    const epoch = view.getUint32(12, true);
    const sealing = this.#groups.get(group);
    // It may have been left a moment ago, or be entered in a moment, when its members do not send yet.
    if (sealing === undefined) return LATE;
    const type = frame[4] as number;
    const isPacket = type !== FRAME_SEALED_DIRECT;
    const key = isPacket ? sealing.packetKey(type, epoch, view.getUint16(6, true)) : sealing.directKey(epoch, from);
    // A raw packet may also come before this member hears of its epoch, and is then lost.
    if (key === undefined)
      return type === FRAME_SEALED_RAW || sealing.isElsewhere(epoch) ? LATE : forged("there is no key for it");
    const number = view.getUint32(16, true);
    const to = isPacket ? "" : this.#self;
    const clear = opened(key, this.#nonceOf(number), associated(frame, to), frame.subarray(HEADER_BYTES));
    if (clear === undefined) return forged("it was changed, or belongs elsewhere");
    if (isPacket ? !isSamePlace(frame, clear) : clear[4] !== FRAME_CONTROL) return forged("it is not what it says");
    if (!isPacket && !sealing.isNewer(epoch, from, number)) return forged("it was repeated");
    return { kind: "opened", frame: clear };
  }

  #group(group: number): GroupSealing {
    const sealing = this.#groups.get(group);
    assert(sealing !== undefined, "what is sealed belongs to a secure group that was entered");
    return sealing;
  }

  #seal(
    frame: Uint8Array,
    type: number,
    clear: Uint8Array,
    key: KeyObject,
    at: { group: number; epoch: number; sender: number; number: number; to: NodeId },
  ): Uint8Array {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    view.setUint32(0, frame.length - 4, true);
    view.setUint16(4, type, true);
    view.setUint16(6, at.sender, true);
    view.setUint32(8, at.group, true);
    view.setUint32(12, at.epoch, true);
    view.setUint32(16, at.number, true);
    sealInto(frame, HEADER_BYTES, key, this.#nonceOf(at.number), associated(frame, at.to), clear);
    return frame;
  }

  #nonceOf(number: number): Buffer {
    this.#nonce.writeUInt32LE(number, 0);
    return this.#nonce;
  }
}

/** The keys of one group at one member. */
class GroupSealing {
  readonly #group: number;
  #key: Uint8Array;
  readonly #epochs = new Map<number, EpochKeys>();
  /** Of the same epochs. */
  readonly #raws = new Map<number, EpochKeys>();
  readonly #directs = new Map<number, DirectKeys>();
  /** The epoch that this member is in; 0 before the first. */
  current = 0;
  /** The newest epoch whose secret was learned. */
  #newest = 0;
  #count = 0;

  constructor(group: number, key: Uint8Array | undefined) {
    this.#group = group;
    this.#key = key?.slice() ?? new Uint8Array(0);
  }

  learn(view: GroupView, secret: Uint8Array): void {
    if (this.#epochs.get(view.number)?.isOf(secret)) return;
    // F-2: of the epochs that may come only the one of the newest step does.
    for (const number of this.#epochs.keys()) if (number > this.current) this.#drop(number);
    this.#newest = view.number;
    const derive = (purpose: string, about: string): Buffer =>
      Buffer.from(
        hkdfSync("sha256", secret, this.#key, `coterie 1 ${purpose}\0${this.#group}\0${view.number}\0${about}`, 32),
      );
    this.#epochs.set(view.number, new EpochKeys(view.members, secret, derive("packets secret", "")));
    this.#raws.set(view.number, new EpochKeys(view.members, secret, derive("raw secret", "")));
    this.#directs.set(view.number, new DirectKeys(view.members, derive("direct secret", "")));
  }

  mixIn(key: Uint8Array): void {
    this.#key.fill(0);
    this.#key = key.slice();
  }

  use(epoch: number): void {
    this.current = epoch;
    for (const number of this.#epochs.keys()) if (number < epoch) this.#drop(number);
    for (const [number, keys] of this.#directs) {
      if (this.#directs.size <= DIRECT_EPOCHS_MAX) break;
      keys.destroy();
      this.#directs.delete(number);
    }
  }

  /**
   * Whether its members may well speak in this epoch although there is no key for it here: it is over, or this member has
   * been excluded meanwhile and does not know yet. Who enters again knows nothing of its earlier membership.
   */
  isElsewhere(epoch: number): boolean {
    return epoch !== this.#newest;
  }

  packetKey(type: number, epoch: number, rank: number): KeyObject | undefined {
    return (type === FRAME_SEALED_RAW ? this.#raws : this.#epochs).get(epoch)?.of(rank);
  }

  directKey(epoch: number, sender: NodeId): KeyObject | undefined {
    return this.#directs.get(epoch)?.of(sender);
  }

  /** Whether the sender's direct message of this number comes after all others of it in the epoch; notes it. */
  isNewer(epoch: number, sender: NodeId, number: number): boolean {
    return this.#directs.get(epoch)?.isNewer(sender, number) === true;
  }

  /** The newest epoch that both this member and `other` have been in: who has left is still answered. */
  sharedWith(other: NodeId): number | undefined {
    let newest: number | undefined;
    for (const [epoch, keys] of this.#directs) {
      if (epoch <= this.current && epoch > (newest ?? 0) && keys.members.includes(other)) newest = epoch;
    }
    return newest;
  }

  /** The number of the next direct message, whatever its epoch. */
  count(): number {
    assert(this.#count < COUNTER_MAX, "a nonce serves once");
    return ++this.#count;
  }

  destroy(): void {
    for (const keys of [...this.#epochs.values(), ...this.#raws.values()]) keys.destroy();
    for (const keys of this.#directs.values()) keys.destroy();
    this.#key.fill(0);
  }

  #drop(epoch: number): void {
    for (const keys of [this.#epochs, this.#raws]) {
      keys.get(epoch)?.destroy();
      keys.delete(epoch);
    }
    if (epoch < this.current) return;
    this.#directs.get(epoch)?.destroy();
    this.#directs.delete(epoch);
  }
}

class EpochKeys {
  readonly #members: readonly NodeId[];
  /** Of the epoch: tells whether a step that comes again is this one. */
  readonly #origin: Uint8Array;
  readonly #secret: Buffer;
  readonly #keys: (KeyObject | undefined)[] = [];

  constructor(members: readonly NodeId[], origin: Uint8Array, secret: Buffer) {
    this.#members = members;
    this.#origin = origin.slice();
    this.#secret = secret;
  }

  isOf(origin: Uint8Array): boolean {
    return this.#origin.length === origin.length && this.#origin.every((byte, at) => byte === origin[at]);
  }

  of(rank: number): KeyObject | undefined {
    const known = this.#keys[rank];
    const member = this.#members[rank];
    if (known !== undefined || member === undefined) return known;
    const key = senderKey(this.#secret, member);
    this.#keys[rank] = key;
    return key;
  }

  destroy(): void {
    this.#origin.fill(0);
    this.#secret.fill(0);
    this.#keys.length = 0;
  }
}

class DirectKeys {
  readonly members: readonly NodeId[];
  readonly #secret: Buffer;
  readonly #keys = new Map<NodeId, KeyObject>();
  readonly #newest = new Map<NodeId, number>();

  constructor(members: readonly NodeId[], secret: Buffer) {
    this.members = members;
    this.#secret = secret;
  }

  of(sender: NodeId): KeyObject {
    let key = this.#keys.get(sender);
    if (key === undefined) {
      key = senderKey(this.#secret, sender);
      this.#keys.set(sender, key);
    }
    return key;
  }

  isNewer(sender: NodeId, number: number): boolean {
    if (number <= (this.#newest.get(sender) ?? 0)) return false;
    this.#newest.set(sender, number);
    return true;
  }

  destroy(): void {
    this.#secret.fill(0);
    this.#keys.clear();
  }
}

function senderKey(secret: Uint8Array, sender: NodeId): KeyObject {
  return keyFor(`coterie 1 sender\0${sender}`, secret, "");
}

/** What the tag covers beside the sealed bytes. */
function associated(frame: Uint8Array, to: NodeId): Uint8Array {
  const header = frame.subarray(0, HEADER_BYTES);
  return to === "" ? header : Buffer.concat([header, Buffer.from(to)]);
}

/** Whether a packet has the place that its frame had outside. */
function isSamePlace(sealed: Uint8Array, clear: Uint8Array): boolean {
  if (clear.length < HEADER_BYTES || clear[4] !== FRAME_PACKET) return false;
  for (let at = 6; at < HEADER_BYTES; at++) if (clear[at] !== sealed[at]) return false;
  return true;
}

function forged(why: string): Opened {
  return { kind: "forged", why };
}
