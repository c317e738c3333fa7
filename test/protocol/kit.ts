/** Packets and a small network for tests of the protocol's parts: every link is FIFO, links are not ordered among them. */
import type { Random } from "../../src/base/random.ts";
import type { Effect, Effects } from "../../src/protocol/effects.ts";
import type { Message } from "../../src/protocol/messages.ts";
import type { NodeId, NodeRecord } from "../../src/protocol/view.ts";
import { Packet, PacketBuilder } from "../../src/wire/packet.ts";

/** Ids `a#…`, `b#…`, … in the order of age. */
export function ids(count: number): NodeId[] {
  return Array.from({ length: count }, (_, index) => `${String.fromCharCode(97 + index)}#0000000${index}`);
}

export function recordOf(id: NodeId): NodeRecord {
  return { id, address: id.slice(0, id.indexOf("#")), livenessPort: 0, features: 0, disk: "", weight: 1 };
}

/** A packet of one message, whose payload is this text, in its place of an epoch. */
export function packetOf(flavour: number, sender: number, seqno: number, text = "", epoch = 1): Packet {
  const payload = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const builder = new PacketBuilder(flavour, new Uint8Array(64 + payload.length));
  builder.append(0, payload);
  const packet = builder.finish();
  packet.stamp(1, epoch, sender, seqno, 0);
  return packet;
}

/** The text of a packet that `packetOf` has made. */
export function textOf(packet: Packet): string {
  return new TextDecoder("latin1").decode(packet.bytes.subarray(40, packet.bodyEnd));
}

export function effectsOf<K extends Effect["kind"]>(
  effects: readonly Effect[],
  kind: K,
): Extract<Effect, { readonly kind: K }>[] {
  return effects.filter((effect): effect is Extract<Effect, { readonly kind: K }> => effect.kind === kind);
}

/** The messages of a kind that were sent, with their receivers. */
export function sentOf<K extends Message["kind"]>(
  effects: readonly Effect[],
  kind: K,
): { readonly to: readonly NodeId[]; readonly message: Extract<Message, { readonly kind: K }> }[] {
  return effectsOf(effects, "send").flatMap(({ to, message }) =>
    message.kind === kind ? [{ to, message: message as Extract<Message, { readonly kind: K }> }] : [],
  );
}

type Parcel = { readonly message: Message } | { readonly packet: Packet };

/** What one node of a `Network` does with what comes. */
export interface Station {
  readonly effects: Effects;
  receive(from: NodeId, message: Message): void;
  packet(from: NodeId, packet: Packet): void;
  /** The effects that do not go to the network. */
  other?(effect: Effect): void;
}

/** Carries the effects of several cores to each other, one parcel at a time, from a link that is drawn by lot. */
export class Network {
  readonly #random: Random;
  readonly #stations = new Map<NodeId, Station>();
  readonly #links = new Map<string, { readonly from: NodeId; readonly to: NodeId; readonly parcels: Parcel[] }>();
  /** How often a message arrives: lost ones never, duplicated ones twice. */
  copies: (from: NodeId, to: NodeId, message: Message) => number = () => 1;

  constructor(random: Random) {
    this.#random = random;
  }

  add(id: NodeId, station: Station): void {
    this.#stations.set(id, station);
  }

  /** The node is gone; what it has sent may still arrive. */
  crash(id: NodeId): void {
    this.collect();
    this.#stations.delete(id);
    for (const [key, { to }] of this.#links) if (to === id) this.#links.delete(key);
  }

  /** What a node that has crashed has sent does not arrive any more. */
  forget(from: NodeId): void {
    for (const [key, link] of this.#links) if (link.from === from) this.#links.delete(key);
  }

  isUp(id: NodeId): boolean {
    return this.#stations.has(id);
  }

  /** Takes over what the cores have recorded. */
  collect(): void {
    for (const [from, station] of this.#stations) {
      for (const effect of station.effects.take()) {
        if (effect.kind === "send") for (const to of effect.to) this.#send(from, to, { message: effect.message });
        else if (effect.kind === "multicast")
          for (const to of effect.to) this.#send(from, to, { packet: effect.packet });
        else station.other?.(effect);
      }
    }
  }

  /** Delivers one parcel; false when none is under way. */
  step(): boolean {
    this.collect();
    const busy = [...this.#links.values()].filter(({ parcels }) => parcels.length > 0);
    if (busy.length === 0) return false;
    const { from, to, parcels } = this.#random.pick(busy);
    const parcel = parcels.shift();
    const station = this.#stations.get(to);
    if (parcel === undefined || station === undefined) return true;
    if ("message" in parcel) station.receive(from, parcel.message);
    else station.packet(from, new Packet(parcel.packet.bytes.slice()));
    this.collect();
    return true;
  }

  settle(stepsMax = 100_000): void {
    for (let steps = 0; this.step(); steps++) if (steps > stepsMax) throw new Error("the network does not settle");
  }

  #send(from: NodeId, to: NodeId, parcel: Parcel): void {
    const copies = "message" in parcel ? this.copies(from, to, parcel.message) : 1;
    // Packets travel in a lane of their own.
    const key = `${from} ${to} ${"message" in parcel ? "control" : "bulk"}`;
    const link = this.#links.get(key) ?? { from, to, parcels: [] };
    this.#links.set(key, link);
    for (let copy = 0; copy < copies; copy++) link.parcels.push(parcel);
  }
}
