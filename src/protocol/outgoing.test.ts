import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  FIFO,
  MESSAGE_HEADER_BYTES,
  MessageCursor,
  PACKET_BYTES_MAX,
  PACKET_HEADER_BYTES,
  type Packet,
  SAFE,
  TOTAL,
} from "../wire/packet.ts";
import { Outgoing } from "./outgoing.ts";

/** Flavour, tag and length of each whole message in these packets, put together from their fragments. */
function messagesIn(packets: readonly Packet[]): { flavour: number; tag: number; length: number }[] {
  const found: { flavour: number; tag: number; length: number }[] = [];
  let before = 0;
  for (const packet of packets) {
    const cursor = new MessageCursor(packet);
    while (cursor.next()) {
      if (packet.more) before += cursor.length;
      else {
        found.push({ flavour: packet.flavour, tag: cursor.tag, length: before + cursor.length });
        before = 0;
      }
    }
  }
  return found;
}

function takeAll(outgoing: Outgoing): Packet[] {
  const packets: Packet[] = [];
  for (let packet = outgoing.take(); packet !== undefined; packet = outgoing.take()) packets.push(packet);
  return packets;
}

describe("Outgoing", () => {
  test("what is queued comes out, whole and in order, however it is packed", () => {
    const message = fc.record({
      flavour: fc.constantFrom(FIFO, TOTAL, SAFE),
      length: fc.oneof(fc.nat(200), fc.constantFrom(0, 4056, 4057, 65_496, 65_497, 150_000)),
      seal: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 20 }), (list) => {
        const outgoing = new Outgoing(Number.POSITIVE_INFINITY, PACKET_BYTES_MAX);
        for (const [tag, { flavour, length, seal }] of list.entries()) {
          expect(outgoing.append(flavour, tag, new Uint8Array(length))).toBe(true);
          if (seal) outgoing.seal();
        }
        outgoing.seal();
        const packets = takeAll(outgoing);
        expect(messagesIn(packets)).toEqual(list.map(({ flavour, length }, tag) => ({ flavour, tag, length })));
        expect(outgoing.taken).toBe(packets.length);
        expect(outgoing.empty).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test("small messages of one flavour share a packet; another flavour opens another", () => {
    const outgoing = new Outgoing(1e6, PACKET_BYTES_MAX);
    for (const flavour of [FIFO, FIFO, TOTAL, TOTAL, FIFO]) outgoing.append(flavour, 0, new Uint8Array(10));
    outgoing.seal();
    expect(takeAll(outgoing).map(({ flavour, count }) => [flavour, count])).toEqual([
      [FIFO, 2],
      [TOTAL, 2],
      [FIFO, 1],
    ]);
  });

  test("a mark covers exactly what was queued before it", () => {
    const outgoing = new Outgoing(1e6, PACKET_BYTES_MAX);
    expect(outgoing.mark()).toBe(0);
    outgoing.append(FIFO, 0, new Uint8Array(1));
    const mark = outgoing.mark();
    outgoing.append(FIFO, 0, new Uint8Array(1));
    outgoing.seal();
    expect(outgoing.taken < mark).toBe(true);
    outgoing.take();
    expect(outgoing.taken >= mark).toBe(true);
    expect(outgoing.empty).toBe(false);
  });

  test("a full queue turns away, remembers that it did, and has room again below half", () => {
    const outgoing = new Outgoing(1000, PACKET_BYTES_MAX);
    let accepted = 0;
    while (outgoing.append(FIFO, 0, new Uint8Array(92))) {
      accepted++;
      outgoing.seal();
    }
    expect(accepted).toBe(10);
    expect(outgoing.roomWanted).toBe(true);
    expect(outgoing.hasRoom).toBe(false);
    for (let count = 0; count < 5; count++) outgoing.take();
    expect(outgoing.hasRoom).toBe(false);
    outgoing.take();
    expect(outgoing.hasRoom).toBe(true);
    expect(outgoing.append(FIFO, 0, new Uint8Array(1))).toBe(true);
  });

  test("no packet changes while it is held, although memory is used again", () => {
    const held: { readonly packet: Packet; readonly mark: number }[] = [];
    const outgoing = new Outgoing(Number.POSITIVE_INFINITY, 300_000);
    for (let round = 0; round < 200; round++) {
      const mark = round % 251;
      outgoing.append(FIFO, round, new Uint8Array([10, 3000, 60_000, 250_000][round % 4] as number).fill(mark));
      outgoing.seal();
      held.push({ packet: outgoing.take() as Packet, mark });
      if (round % 3 === 0) for (const { packet } of held.splice(round % held.length, 2)) packet.release();
      for (const { packet, mark } of held) {
        const { bytes } = packet;
        expect([bytes[PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES], bytes[bytes.length - 1]]).toEqual([mark, mark]);
      }
    }
  });

  test("the payload is copied", () => {
    const outgoing = new Outgoing(1000, PACKET_BYTES_MAX);
    const payload = Uint8Array.from([1, 2, 3]);
    outgoing.append(FIFO, 0, payload);
    payload.fill(9);
    outgoing.seal();
    const cursor = new MessageCursor(outgoing.take() as Packet);
    cursor.next();
    expect([...cursor.payload()]).toEqual([1, 2, 3]);
  });
});
