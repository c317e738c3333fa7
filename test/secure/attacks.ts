/**
 * What somebody with a member's wire, or with an old member's keys, may try on a sealed group; each attempt says what it
 * got, or nothing. The same list judges the code as it is, and with planted bugs.
 */
import { createDecipheriv, hkdfSync } from "node:crypto";
import type { GroupView } from "../../src/protocol/view.ts";
import type { Opened, Sealing } from "../../src/runtime/secure/sealing.ts";
import { type Packet, PacketBuilder } from "../../src/wire/packet.ts";

export const GROUP = 7;
export const CANARY = "canary-in-a-coal-mine";
const [a, b, c] = ["ann#0000000a", "bob#0000000b", "cat#0000000c"] as const;
const secretOf = (number: number): Uint8Array => new Uint8Array(32).fill(number);

export function viewOf(number: number, members: readonly string[] = [a, b, c]): GroupView {
  return { number, members, synced: members, acceptors: [], lacking: [] };
}

export type MakeSealing = new (self: string) => Sealing;

/** A member that is in the epoch of this view. */
export function memberOf(
  make: MakeSealing,
  self: string,
  view: GroupView,
  { secret = secretOf(view.number), key = undefined as Uint8Array | undefined, group = GROUP } = {},
): Sealing {
  const sealing = new make(self);
  sealing.enter(group, key);
  sealing.learn(group, view, secret);
  sealing.use(group, view.number);
  return sealing;
}

/** A packet with this place, the same bytes for the same place. */
export function packetAt(sender: number, epoch: number, seqno: number, { text = CANARY, group = GROUP } = {}): Packet {
  const builder = new PacketBuilder(0, new Uint8Array(1024));
  builder.append(1, Buffer.from(text));
  const packet = builder.finish();
  packet.stamp(group, epoch, sender, seqno, 0);
  return packet;
}

/** A control frame that carries the canary. */
function controlFrame(text: string = CANARY): Uint8Array {
  const frame = Buffer.concat([Buffer.from([0, 0, 0, 0, 1]), Buffer.from(text)]);
  frame.writeUInt32LE(frame.length - 4, 0);
  return frame;
}

/** A sealed direct message to `to`. */
export function directTo(sealer: Sealing, to: string): Uint8Array {
  return sealer.sealDirect(GROUP, to, controlFrame()) ?? new Uint8Array(0);
}

function textOf(opened: Opened): string {
  return opened.kind === "opened" ? Buffer.from(opened.frame).toString("latin1") : opened.kind;
}

/** The frame with one thing changed. */
function changed(frame: Uint8Array, change: (bytes: Uint8Array, view: DataView) => void): Uint8Array {
  const copy = frame.slice();
  change(copy, new DataView(copy.buffer));
  return copy;
}

/** Opens a sealed packet by the documents alone, with code of its own. */
function openedByTheBook(frame: Uint8Array, secret: Uint8Array, key: Uint8Array, sender: string): string {
  const view = new DataView(frame.buffer, frame.byteOffset);
  const place = `${view.getUint32(8, true)}\0${view.getUint32(12, true)}`;
  const epoch = new Uint8Array(hkdfSync("sha256", secret, key, `coterie 1 packets secret\0${place}\0`, 32));
  const senderKey = new Uint8Array(hkdfSync("sha256", epoch, "", `coterie 1 sender\0${sender}`, 32));
  const nonce = new Uint8Array(12);
  nonce.set(frame.subarray(16, 20));
  const decipher = createDecipheriv("aes-256-gcm", senderKey, nonce);
  decipher.setAAD(frame.subarray(0, 20));
  decipher.setAuthTag(frame.subarray(-16));
  return Buffer.concat([decipher.update(frame.subarray(20, -16)), decipher.final()]).toString("latin1");
}

type Attack = (make: MakeSealing) => string | undefined;

const view1 = viewOf(1);

/** By name; each returns what went wrong. */
export const ATTACKS: { readonly [name: string]: Attack } = {
  "what is sealed is what the documents say": (make) => {
    const key = new Uint8Array(32).fill(99);
    const frame = memberOf(make, a, view1, { key }).sealPacket(packetAt(0, 1, 0x01020304));
    try {
      return openedByTheBook(frame, secretOf(1), key, a).includes(CANARY) ? undefined : "it holds something else";
    } catch {
      return "it cannot be opened by the book";
    }
  },
  "members open what members seal, also when another forwards it": (make) => {
    const frame = memberOf(make, a, view1).sealPacket(packetAt(0, 1, 0));
    const again = memberOf(make, c, view1).sealPacket(packetAt(0, 1, 0));
    if (Buffer.compare(frame, again) !== 0) return "it is not sealed to the same bytes again";
    return textOf(memberOf(make, b, view1).open(c, frame)).includes(CANARY) ? undefined : "it is not opened";
  },
  "no bit of a frame can be changed": (make) => {
    const [sealer, opener] = [memberOf(make, a, view1), memberOf(make, b, view1)];
    for (const frame of [sealer.sealPacket(packetAt(0, 1, 3)), directTo(sealer, b)]) {
      for (let bit = 4 * 8; bit < frame.length * 8; bit++) {
        const flipped = changed(frame, (bytes) => {
          bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
        });
        if (opener.open(a, flipped).kind === "opened") return `bit ${bit} can be changed`;
      }
    }
    return undefined;
  },
  "no frame can be cut short or made longer": (make) => {
    const frame = memberOf(make, a, view1).sealPacket(packetAt(0, 1, 3));
    const opener = memberOf(make, b, view1);
    for (let length = 0; length < frame.length; length++) {
      if (opener.open(a, frame.slice(0, length)).kind === "opened") return `${length} bytes are enough`;
    }
    return opener.open(a, Buffer.concat([frame, Buffer.of(0)])).kind === "opened" ? "one more is accepted" : undefined;
  },
  "a frame keeps its place: sender, epoch, seqno, group": (make) => {
    const frame = memberOf(make, a, view1).sealPacket(packetAt(0, 1, 3));
    const opener = memberOf(make, b, view1);
    opener.learn(GROUP, viewOf(2), secretOf(1));
    opener.enter(GROUP + 1, undefined);
    opener.learn(GROUP + 1, view1, secretOf(1));
    opener.use(GROUP + 1, 1);
    const moved: readonly ((bytes: Uint8Array, view: DataView) => void)[] = [
      (_, view) => view.setUint16(6, 1, true),
      (_, view) => view.setUint32(8, GROUP + 1, true),
      (_, view) => view.setUint32(12, 2, true),
      (_, view) => view.setUint32(16, 4, true),
    ];
    const found = moved.findIndex((change) => opener.open(a, changed(frame, change)).kind === "opened");
    return found < 0 ? undefined : `it can be moved: ${["sender", "group", "epoch", "seqno"][found]}`;
  },
  "equal words look different in each packet, from each sender, in each epoch and group": (make) => {
    const bodies = [
      memberOf(make, a, view1).sealPacket(packetAt(0, 1, 0)),
      memberOf(make, a, view1).sealPacket(packetAt(0, 1, 1)),
      memberOf(make, b, view1).sealPacket(packetAt(1, 1, 0)),
      memberOf(make, a, viewOf(2), { secret: secretOf(1) }).sealPacket(packetAt(0, 2, 0)),
      memberOf(make, a, view1, { group: 8 }).sealPacket(packetAt(0, 1, 0, { group: 8 })),
    ].map((frame) => Buffer.from(frame.subarray(60, -16)).toString("hex"));
    return new Set(bodies).size === bodies.length ? undefined : "a key and a nonce serve twice";
  },
  "direct messages never use a nonce twice, and are for one receiver": (make) => {
    const sealer = memberOf(make, a, view1);
    const [one, other] = [directTo(sealer, b), directTo(sealer, b)];
    if (Buffer.compare(one.subarray(20, -16), other.subarray(20, -16)) === 0) return "a nonce serves twice";
    if (memberOf(make, c, view1).open(a, one).kind === "opened") return "another receiver takes it";
    if (memberOf(make, b, view1).open(c, one).kind === "opened") return "another sender can send it";
    return textOf(memberOf(make, b, view1).open(a, one)).includes(CANARY) ? undefined : "its receiver cannot open it";
  },
  "direct messages are taken once, and in their order": (make) => {
    const [sealer, opener] = [memberOf(make, a, view1), memberOf(make, b, view1)];
    const frames = Array.from({ length: 3 }, () => directTo(sealer, b));
    const taken = [0, 0, 2, 1, 2].map((at) => opener.open(a, frames[at] as Uint8Array).kind === "opened");
    return taken.join() === "true,false,true,false,false" ? undefined : `taken: ${taken}`;
  },
  "who was left out of a view cannot read it, with all that it knew before": (make) => {
    const [stays, goes] = [memberOf(make, a, view1), memberOf(make, b, view1)];
    const view2 = viewOf(2, [a, c]);
    stays.learn(GROUP, view2, secretOf(2));
    stays.use(GROUP, 2);
    const packet = stays.sealPacket(packetAt(0, 2, 0));
    const direct = directTo(stays, c);
    if (goes.open(a, packet).kind === "opened" || goes.open(a, direct).kind === "opened") return "it reads on";
    // Nor when it takes its old secret for the new one.
    goes.learn(GROUP, viewOf(2, [a, b, c]), secretOf(1));
    if (goes.open(a, packet).kind === "opened") return "an old secret opens a new epoch";
    return undefined;
  },
  "who has left is still answered, with a key that it has": (make) => {
    const [stays, goes] = [memberOf(make, a, view1), memberOf(make, b, view1)];
    stays.learn(GROUP, viewOf(2, [a, c]), secretOf(2));
    stays.use(GROUP, 2);
    return textOf(goes.open(a, directTo(stays, b))).includes(CANARY) ? undefined : "it is not";
  },
  "who joins cannot read what was said before": (make) => {
    const frame = memberOf(make, a, view1).sealPacket(packetAt(0, 1, 0));
    const joiner = memberOf(make, c, viewOf(2));
    return joiner.open(a, frame).kind === "opened" ? "it reads back" : undefined;
  },
  "an epoch that was left cannot be opened any more": (make) => {
    const [sealer, opener] = [memberOf(make, a, view1), memberOf(make, b, view1)];
    const frame = sealer.sealPacket(packetAt(0, 1, 0));
    opener.learn(GROUP, viewOf(2), secretOf(2));
    if (opener.open(a, frame).kind !== "opened") return "it is closed too early";
    opener.use(GROUP, 2);
    return opener.open(a, frame).kind === "late" ? undefined : "its keys are still there";
  },
  "a step that came to nothing leaves no key": (make) => {
    const opener = memberOf(make, b, view1);
    opener.learn(GROUP, viewOf(2), secretOf(2));
    const frame = memberOf(make, a, viewOf(2)).sealPacket(packetAt(0, 2, 0));
    opener.learn(GROUP, viewOf(3), secretOf(3));
    return opener.open(a, frame).kind === "opened" ? "its secret was kept" : undefined;
  },
  "a step that comes again keeps its key": (make) => {
    const opener = memberOf(make, b, view1);
    opener.learn(GROUP, viewOf(2), secretOf(2));
    opener.use(GROUP, 2);
    const sealer = memberOf(make, a, viewOf(2));
    const direct = directTo(sealer, b);
    if (opener.open(a, direct).kind !== "opened") return "its key is lost";
    opener.learn(GROUP, viewOf(2), secretOf(2));
    if (opener.open(a, sealer.sealPacket(packetAt(0, 2, 0))).kind !== "opened") return "its key is lost";
    return opener.open(a, direct).kind === "opened" ? "what was taken is taken again" : undefined;
  },
  "the epoch's secret is nothing without the group's key": (make) => {
    const key = new Uint8Array(32).fill(99);
    const frame = memberOf(make, a, view1, { key }).sealPacket(packetAt(0, 1, 0));
    return memberOf(make, b, view1).open(a, frame).kind === "opened" ? "it opens" : undefined;
  },
  "nothing is opened after leaving": (make) => {
    const frame = memberOf(make, a, view1).sealPacket(packetAt(0, 1, 0));
    const opener = memberOf(make, b, view1);
    opener.leave(GROUP);
    return opener.open(a, frame).kind === "late" ? undefined : "it opens";
  },
};

/** The attacks that get something. */
export function successful(make: MakeSealing): string[] {
  return Object.entries(ATTACKS).flatMap(([name, attack]) => {
    let got: string | undefined;
    try {
      got = attack(make);
    } catch (error) {
      got = String(error);
    }
    return got === undefined ? [] : [`${name}: ${got}`];
  });
}
