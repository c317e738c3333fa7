import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CAUSAL,
  FIFO,
  FLAVOURS,
  flavourCode,
  fragments,
  MESSAGE_HEADER_BYTES,
  MessageCursor,
  ORDER,
  PACKET_BYTES_MAX,
  PACKET_HEADER_BYTES,
  Packet,
  PacketBuilder,
  RAW,
  SAFE,
  TOTAL,
} from "./packet.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function messagesIn(packet: Packet): { readonly tag: number; readonly payload: number[] }[] {
  const cursor = new MessageCursor(packet);
  const found: { tag: number; payload: number[] }[] = [];
  while (cursor.next()) found.push({ tag: cursor.tag, payload: [...cursor.payload()] });
  expect(cursor.malformed).toBe(false);
  return found;
}

describe("a packet", () => {
  test("has the header that the documentation draws", () => {
    const builder = new PacketBuilder(SAFE);
    builder.append(0x01020304, Uint8Array.from([0xaa, 0xbb]));
    const packet = builder.finish();
    packet.stamp(0x0a0b0c0d, 7, 0x0203, 0xfffffffe, 1.5);
    expect(hex(packet.bytes)).toBe(
      "26000000" + // length of what follows
        "02" + // PACKET
        "03" + // safe
        "0302" + // rank
        "0d0c0b0a" + // group
        "07000000" + // epoch
        "feffffff" + // seqno
        "01000000" + // messages
        "000000000000f83f" + // time
        "02000000" + // length of the payload
        "04030201" + // tag
        "aabb",
    );
    const { flavour, more, sender, group, epoch, seqno, count, time } = packet;
    expect({ flavour, more, sender, group, epoch, seqno, count, time }).toEqual({
      flavour: SAFE,
      more: false,
      sender: 0x0203,
      group: 0x0a0b0c0d,
      epoch: 7,
      seqno: 0xfffffffe,
      count: 1,
      time: 1.5,
    });
  });

  test("holds the messages that were appended, in order", () => {
    const message = fc.record({
      tag: fc.integer({ min: 0, max: 0xffff_ffff }),
      payload: fc.uint8Array({ maxLength: 50 }),
    });
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 20 }),
        fc.constantFrom(FIFO, CAUSAL, TOTAL, SAFE),
        (list, flavour) => {
          const builder = new PacketBuilder(flavour);
          for (const { tag, payload } of list) builder.append(tag, payload);
          expect(builder.count).toBe(list.length);
          const parsed = Packet.parse(builder.finish().bytes);
          expect(parsed?.count).toBe(list.length);
          expect(parsed?.flavour).toBe(flavour);
          expect(parsed?.bytes.length).toBe(builder.length);
          const expected = list.map(({ tag, payload }) => ({ tag, payload: [...payload] }));
          if (parsed !== undefined) expect(messagesIn(parsed)).toEqual(expected);
        },
      ),
    );
  });

  test("fits says exactly when a message still fits", () => {
    const room = PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES + 10;
    const builder = new PacketBuilder(FIFO, new Uint8Array(room));
    expect([builder.fits(10), builder.fits(11)]).toEqual([true, false]);
    builder.append(1, new Uint8Array(10));
    expect(builder.length).toBe(room);
    expect(builder.fits(0)).toBe(false);
  });

  test("what cannot be a packet is not parsed", () => {
    const good = new PacketBuilder(ORDER).finish().bytes;
    expect(Packet.parse(good)).toBeDefined();
    expect(Packet.parse(good.subarray(0, PACKET_HEADER_BYTES - 1))).toBeUndefined();
    const control = good.slice();
    control[4] = 1;
    expect(Packet.parse(control)).toBeUndefined();
    const unknown = good.slice();
    unknown[5] = RAW + 1;
    expect(Packet.parse(unknown)).toBeUndefined();
  });

  test("a body of garbage ends the walk within the packet's bytes, and is called malformed if it is cut short", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (body) => {
        const bytes = new Uint8Array(PACKET_HEADER_BYTES + body.length);
        bytes[4] = 2;
        bytes.set(body, PACKET_HEADER_BYTES);
        const packet = new Packet(bytes);
        const cursor = new MessageCursor(packet);
        let end = PACKET_HEADER_BYTES;
        while (cursor.next()) {
          end = cursor.from + cursor.length;
          expect(cursor.payload()).toHaveLength(cursor.length);
        }
        expect(end).toBeLessThanOrEqual(bytes.length);
        expect(cursor.malformed).toBe(end < bytes.length);
        expect(cursor.next()).toBe(false);
      }),
    );
  });

  test("a causal packet ends with its past, which is no part of its body", () => {
    const builder = new PacketBuilder(CAUSAL);
    builder.append(5, Uint8Array.from([0xaa]));
    const packet = builder.finish();
    expect([packet.bodyEnd, packet.pastEnd]).toEqual([41, 41]);
    packet.addPast(Uint8Array.from([0x01, 0x02, 0x00, 0x07]));
    packet.stamp(1, 7, 2, 3, 0);
    expect(hex(packet.bytes)).toBe(
      "2b000000" + // length of what follows
        "02" + // PACKET
        "41" + // causal, with a past
        "0200" + // rank
        "01000000" + // group
        "07000000" + // epoch
        "03000000" + // seqno
        "01000000" + // messages
        "0000000000000000" + // time
        "01000000" + // length of the payload
        "05000000" + // tag
        "aa" +
        "01020007" + // past: ranks skipped, packets, ranks skipped, packets
        "0400", // length of the past
    );
    const parsed = Packet.parse(packet.bytes);
    expect([parsed?.flavour, parsed?.more, parsed?.bodyEnd, parsed?.pastEnd]).toEqual([CAUSAL, false, 41, 45]);
    expect(messagesIn(packet)).toEqual([{ tag: 5, payload: [0xaa] }]);
    const [first] = fragments(CAUSAL, 1, new Uint8Array(70_000), PACKET_BYTES_MAX) as [Packet];
    first.addPast(new Uint8Array(3));
    expect([first.flavour, first.more, first.count]).toEqual([CAUSAL, true, 0]);
    expect(messagesIn(first)[0]?.payload).toHaveLength(PACKET_BYTES_MAX - PACKET_HEADER_BYTES - MESSAGE_HEADER_BYTES);
  });

  test("a past that does not fit into its packet, or another's than a causal one, is garbage", () => {
    const packet = new PacketBuilder(CAUSAL).finish();
    packet.addPast(Uint8Array.from([1, 2]));
    const { bytes } = packet;
    expect(Packet.parse(bytes)?.bodyEnd).toBe(PACKET_HEADER_BYTES);
    expect(Packet.parse(bytes.with(34, 3))).toBeUndefined();
    expect(Packet.parse(bytes.with(35, 1))).toBeUndefined();
    expect(Packet.parse(bytes.with(5, bytes[5] === undefined ? 0 : (bytes[5] & 0xf0) | TOTAL))).toBeUndefined();
    expect(Packet.parse(bytes.subarray(0, PACKET_HEADER_BYTES + 1))).toBeUndefined();
  });

  test("its memory is free again when the last holder lets go, and only then", () => {
    const calls: string[] = [];
    const slab = { retain: () => void calls.push("retain"), release: () => void calls.push("release") };
    const packet = new Packet(new Uint8Array(PACKET_HEADER_BYTES), slab);
    packet.retain();
    packet.release();
    expect(calls).toEqual(["retain"]);
    packet.release();
    expect(calls).toEqual(["retain", "release"]);
  });
});

describe("fragments", () => {
  test("put together they are the payload, and only the last has no more to follow", () => {
    const room = PACKET_BYTES_MAX - PACKET_HEADER_BYTES - MESSAGE_HEADER_BYTES;
    for (const length of [room + 1, 2 * room, 2 * room + 1, 300_000]) {
      const payload = Uint8Array.from({ length }, (_, index) => (index * 31) & 0xff);
      const packets = fragments(TOTAL, 77, payload, PACKET_BYTES_MAX);
      expect(packets).toHaveLength(Math.ceil(length / room));
      const found: number[] = [];
      for (const [index, packet] of packets.entries()) {
        const isLast = index === packets.length - 1;
        expect(packet.bytes.length).toBeLessThanOrEqual(PACKET_BYTES_MAX);
        expect([packet.flavour, packet.more, packet.count]).toEqual([TOTAL, !isLast, isLast ? 1 : 0]);
        const [message] = messagesIn(packet);
        expect(message?.tag).toBe(77);
        for (const byte of message?.payload ?? []) found.push(byte);
      }
      expect(Buffer.compare(Uint8Array.from(found), payload)).toBe(0);
    }
  });
});

test("flavours have the codes of the wire", () => {
  expect(FLAVOURS.map(flavourCode)).toEqual([FIFO, CAUSAL, TOTAL, SAFE, ORDER, RAW]);
});
