/**
 * Between the core and the network: frames that come in become packets and messages of the core, and what the core says
 * becomes frames. What belongs to a secure group is sealed on the way out, once whatever the number of its receivers, and
 * opened on the way in. Nothing passes that is malformed, that is clear in a secure group, or sealed and not good.
 */
import { wordAt } from "../base/arena.ts";
import { Carver, SLAB_BYTES, type Slab, SlabPool } from "../base/slabs.ts";
import type { Message } from "../protocol/messages.ts";
import type { GroupView, NodeId } from "../protocol/view.ts";
import {
  FRAME_PACKET,
  FRAME_SEALED_DIRECT,
  FRAME_SEALED_PACKET,
  FRAME_SEALED_RAW,
  Packet,
  RAW,
} from "../wire/packet.ts";
import type { GroupSecurity } from "./application.ts";
import { controlFrame, isSealedKind, laneOf, parseControl, type SealedMessage } from "./frames.ts";
import type { Network } from "./ports.ts";
import type { GroupKey } from "./secure/group-key.ts";
import { SEAL_BYTES, Sealing } from "./secure/sealing.ts";
import { SpentLater } from "./secure/spent.ts";

/** Who hears what has passed, and what has not. */
export interface GateHost {
  /** Of a link, in its order. */
  packet(from: NodeId, packet: Packet): void;
  rawPacket(from: NodeId, packet: Packet): void;
  /** `bytes`: of its frame. */
  message(from: NodeId, message: Message, bytes: number): void;
  /** What has not passed came over the link of this node: none that keeps to the protocol sends it. */
  offence(from: NodeId, what: string): void;
  /** What has not passed came from anywhere, in the name of this node. */
  garbage(from: NodeId, what: string): void;
}

export class Gate {
  readonly #host: GateHost;
  readonly #sealing: Sealing;
  /** Where sealed packets lie until all receivers have them. */
  readonly #carver = new Carver(new SlabPool());
  /** Frames that did not pass. */
  dropped = 0;
  /** Of the secure groups that this node has asked to join, by name. */
  readonly #securities = new Map<string, GroupSecurity>();

  constructor(self: NodeId, host: GateHost) {
    this.#host = host;
    this.#sealing = new Sealing(self);
  }

  // Groups.

  /** This node asks to join a secure group. */
  expect(name: string, security: GroupSecurity): void {
    this.#securities.set(name, security);
  }

  /** It has entered a group, secure if it is one of those expected; the group's own key, if it has one. */
  enter(name: string, group: number): GroupKey | undefined {
    const security = this.#securities.get(name);
    this.#securities.delete(name);
    if (security !== undefined) this.#sealing.enter(group, security.key?.secret);
    return security?.key;
  }

  learnKey(group: number, view: GroupView, secret: Uint8Array): void {
    this.#sealing.learn(group, view, secret);
  }

  useKey(group: number, epoch: number): void {
    this.#sealing.use(group, epoch);
  }

  /** The group has another key of its own, with this secret, from the next view on. */
  mixIn(group: number, secret: Uint8Array): void {
    this.#sealing.mixIn(group, secret);
  }

  leave(group: number): void {
    this.#sealing.leave(group);
  }

  // In.

  frame(from: NodeId, frame: Uint8Array, slab: Slab | undefined): void {
    const type = frame[4];
    if (type === FRAME_PACKET) {
      const packet = Packet.parse(frame, slab);
      if (packet === undefined) this.#drop(from, "packet");
      else if (this.#sealing.isSecure(packet.group)) {
        packet.release();
        this.#drop(from, "not sealed");
      } else this.#host.packet(from, packet);
    } else if (type === FRAME_SEALED_PACKET || type === FRAME_SEALED_DIRECT || type === FRAME_SEALED_RAW) {
      this.#open(from, frame, this.#drop);
    } else {
      const message = parseControl(frame);
      if (message === undefined) this.#drop(from, "control message");
      else if (isSealedKind(message) && this.#sealing.isSecure(message.group)) this.#drop(from, "not sealed");
      else this.#host.message(from, message, frame.length);
    }
  }

  /** Only raw packets may come this way: nothing else may be forged by it. */
  datagram(from: NodeId, frame: Uint8Array): void {
    if (frame[4] === FRAME_SEALED_RAW) {
      this.#open(from, frame, this.#ignore);
      return;
    }
    const packet = Packet.parse(frame, undefined);
    if (packet === undefined || packet.flavour !== RAW) this.#ignore(from, "datagram");
    else if (this.#sealing.isSecure(packet.group)) this.#ignore(from, "not sealed");
    else this.#host.rawPacket(from, packet);
  }

  #open(from: NodeId, frame: Uint8Array, drop: (from: NodeId, what: string) => void): void {
    const opened = this.#sealing.open(from, frame);
    if (opened.kind === "forged") drop(from, `sealed frame: ${opened.why}`);
    if (opened.kind !== "opened") return;
    if (frame[4] === FRAME_SEALED_DIRECT) {
      const message = parseControl(opened.frame);
      const isOfGroup = message !== undefined && isSealedKind(message) && message.group === wordAt(frame, 8);
      if (isOfGroup) this.#host.message(from, message, frame.length);
      else drop(from, "sealed control message");
      return;
    }
    const packet = Packet.parse(opened.frame, new SpentLater(opened.frame));
    const isRaw = frame[4] === FRAME_SEALED_RAW;
    if (packet === undefined || (packet.flavour === RAW) !== isRaw) drop(from, "sealed packet");
    else if (isRaw) this.#host.rawPacket(from, packet);
    else this.#host.packet(from, packet);
  }

  readonly #drop = (from: NodeId, what: string): void => {
    this.dropped++;
    this.#host.offence(from, what);
  };

  readonly #ignore = (from: NodeId, what: string): void => {
    this.dropped++;
    this.#host.garbage(from, what);
  };

  // Out.

  send(to: readonly NodeId[], message: Message, network: Network): void {
    if (isSealedKind(message) && this.#sealing.isSecure(message.group)) {
      this.#sendSealed(to, message, network);
      return;
    }
    const frame = controlFrame(message);
    const lane = laneOf(message);
    for (const receiver of to) network.send(receiver, lane, frame);
  }

  multicast(to: readonly NodeId[], packet: Packet, network: Network): void {
    if (!this.#sealing.isSecure(packet.group)) {
      for (const receiver of to) network.send(receiver, "bulk", packet.bytes, packet);
      return;
    }
    const length = packet.bytes.length + SEAL_BYTES;
    const piece = length > SLAB_BYTES ? undefined : this.#carver.carve(length);
    const frame = this.#sealing.sealPacket(packet, piece?.bytes);
    for (const receiver of to) network.send(receiver, "bulk", frame, piece?.slab);
    piece?.slab.release();
  }

  /** Sends a raw packet, where possible as a datagram; returns for how many receivers there was no room. */
  sendRaw(to: readonly NodeId[], packet: Packet, network: Network): number {
    const frame = this.#sealing.isSecure(packet.group) ? this.#sealing.sealPacket(packet) : packet.bytes;
    let dropped = 0;
    for (const receiver of to) if (!network.datagram(receiver, frame)) dropped++;
    return dropped;
  }

  #sendSealed(to: readonly NodeId[], message: SealedMessage, network: Network): void {
    const clear = controlFrame(message);
    for (const receiver of to) {
      const frame = this.#sealing.sealDirect(message.group, receiver, clear);
      if (frame !== undefined) network.send(receiver, laneOf(message), frame);
    }
  }
}
