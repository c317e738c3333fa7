/** Raw messages on their way out, in small packets and within bounds; and D1: at most once, whatever order they come in. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Packet } from "../wire/packet.ts";
import { RAW_BYTES_MAX, RawBatch, RawWindow, rawCount, rawIndex } from "./raw.ts";

test("D1: every number is accepted once, in any order within the window, also where numbers wrap", () => {
  const start = fc.constantFrom(0, 1, 5000, 0x7fff_fff0, 0xffff_fff0);
  const steps = fc.array(fc.integer({ min: 0, max: 1000 }), { maxLength: 300 });
  fc.assert(
    fc.property(start, steps, (first, offsets) => {
      const window = new RawWindow();
      const seen = new Set<number>();
      for (const offset of offsets) {
        const number = (first + offset) >>> 0;
        expect(window.accept(number)).toBe(!seen.has(number));
        seen.add(number);
      }
    }),
  );
});

test("what is older than the window is taken for a duplicate, and a leap forgets it", () => {
  const window = new RawWindow();
  expect([window.accept(10), window.accept(5), window.accept(5)]).toEqual([true, true, false]);
  expect(window.accept(10 + 1023)).toBe(true);
  expect([window.accept(10), window.accept(9), window.accept(11)]).toEqual([false, false, true]);
  expect([window.accept(1_000_000), window.accept(1033), window.accept(999_999)]).toEqual([true, false, true]);
});

test("the messages of a turn leave in packets that fit into a datagram; a long one has one of its own", () => {
  const batch = new RawBatch();
  for (let count = 0; count < 30; count++) expect(batch.append(1, new Uint8Array(100))).toBe(true);
  expect(batch.append(2, new Uint8Array(5000))).toBe(true);
  const packets = batch.take();
  expect(packets.map(({ count }) => count)).toEqual([10, 10, 10, 1]);
  expect(packets.map(({ bytes }) => bytes.length <= 1200)).toEqual([true, true, true, false]);
  expect(batch.take()).toEqual([]);
});

test("no more leaves in a turn than is bounded, nor a message that is too long", () => {
  const batch = new RawBatch();
  expect(batch.append(1, new Uint8Array(RAW_BYTES_MAX + 1))).toBe(false);
  expect(batch.append(1, new Uint8Array(RAW_BYTES_MAX))).toBe(true);
  expect(batch.append(1, new Uint8Array(RAW_BYTES_MAX))).toBe(false);
  expect(batch.append(1, new Uint8Array(9))).toBe(true);
  expect(batch.drop()).toBe(2);
  expect(batch.drop()).toBe(0);
  expect(batch.append(1, new Uint8Array(RAW_BYTES_MAX))).toBe(true);
  expect(batch.take()).toHaveLength(1);
});

test("no two raw messages of a sender share an index", () => {
  const batch = new RawBatch();
  for (let count = 0; count < 1000; count++) batch.append(1, new Uint8Array(0));
  let next = 0;
  for (const [number, packet] of batch.take().entries()) {
    packet.stamp(1, 1, 0, number, 0);
    expect(rawIndex(packet)).toBeGreaterThanOrEqual(next);
    next = rawIndex(packet) + packet.count;
  }
});

test("a packet does not count for more messages than it can hold", () => {
  const bytes = new Uint8Array(50).fill(0xff);
  expect(rawCount(new Packet(bytes))).toBe(2);
});
