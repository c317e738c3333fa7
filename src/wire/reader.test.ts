/** `Reader` and `Writer` are each other's inverse, and nothing that a reader is given makes it throw. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeUtf8, Reader } from "./reader.ts";
import { encodeUtf8, Writer } from "./writer.ts";

interface Item {
  readonly write: (writer: Writer) => void;
  readonly read: (reader: Reader) => unknown;
  readonly value: unknown;
}

function item<T>(
  arbitrary: fc.Arbitrary<T>,
  write: (writer: Writer, value: T) => void,
  read: (reader: Reader) => T,
): fc.Arbitrary<Item> {
  return arbitrary.map((value) => ({ write: (writer) => write(writer, value), read, value }));
}

const bytes = fc.uint8Array({ maxLength: 300 });
const text = fc.string({ unit: "binary", maxLength: 40 });
const items: fc.Arbitrary<Item> = fc.oneof(
  item(
    fc.integer({ min: 0, max: 0xff }),
    (w, v) => w.u8(v),
    (r) => r.u8(),
  ),
  item(
    fc.integer({ min: 0, max: 0xffff }),
    (w, v) => w.u16(v),
    (r) => r.u16(),
  ),
  item(
    fc.integer({ min: 0, max: 0xffff_ffff }),
    (w, v) => w.u32(v),
    (r) => r.u32(),
  ),
  item(
    fc.double(),
    (w, v) => w.f64(v),
    (r) => r.f64(),
  ),
  item(
    fc.maxSafeNat(),
    (w, v) => w.varint(v),
    (r) => r.varint(),
  ),
  item(
    bytes,
    (w, v) => w.bytes(v),
    (r) => r.bytes(300).slice(),
  ),
  item(
    text,
    (w, v) => w.text(v),
    (r) => r.text(300),
  ),
);

describe("Writer and Reader", () => {
  test("what is written is read, to the last byte, from a small or a large first buffer", () => {
    fc.assert(
      fc.property(fc.array(items, { maxLength: 30 }), fc.integer({ min: 0, max: 1000 }), (list, capacity) => {
        const writer = new Writer(capacity);
        for (const { write } of list) write(writer);
        const written = writer.finish();
        expect(written.length).toBe(writer.length);
        const reader = new Reader(written);
        for (const { read, value } of list) expect(read(reader)).toEqual(value);
        expect(reader.finished).toBe(true);
      }),
    );
  });

  test("bytes that are cut short read as zero or empty, and fail the reader for good", () => {
    fc.assert(
      fc.property(fc.array(items, { minLength: 1, maxLength: 10 }), fc.nat(), (list, cut) => {
        const writer = new Writer();
        for (const { write } of list) write(writer);
        const whole = writer.finish();
        const reader = new Reader(whole, 0, cut % whole.length);
        for (const { read } of list) {
          const value = read(reader);
          if (reader.failed) expect(value === 0 || (value as { length: number }).length === 0).toBe(true);
        }
        expect(reader.failed).toBe(true);
        expect(reader.finished).toBe(false);
        expect(reader.remaining).toBe(0);
        expect([reader.u8(), reader.u16(), reader.u32(), reader.f64(), reader.varint()]).toEqual([0, 0, 0, 0, 0]);
        expect(reader.text(9)).toBe("");
      }),
    );
  });

  test("reads only between its bounds, and from a view into a larger buffer", () => {
    const buffer = Uint8Array.from([9, 9, 9, 1, 0, 2, 0, 0, 0, 9, 9]);
    const reader = new Reader(buffer.subarray(2, 10), 1, 7);
    expect(reader.u16()).toBe(1);
    expect(reader.u32()).toBe(2);
    expect(reader.finished).toBe(true);
    expect(reader.u8()).toBe(0);
  });

  test("garbage never throws, and no length in it is believed before its bytes are there", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (garbage) => {
        const reader = new Reader(garbage);
        while (reader.remaining > 0) {
          reader.bytes(0xffff_ffff);
          reader.text(0xffff_ffff);
          reader.varint();
          reader.f64();
        }
        expect(reader.remaining).toBe(0);
      }),
    );
    const claim = new Writer();
    claim.varint(Number.MAX_SAFE_INTEGER);
    expect(new Reader(claim.finish()).bytes(Number.MAX_SAFE_INTEGER)).toHaveLength(0);
  });

  test("a length beyond the maximum fails although its bytes are there", () => {
    const writer = new Writer();
    writer.bytes(new Uint8Array(10));
    expect(new Reader(writer.finish()).bytes(10)).toHaveLength(10);
    const reader = new Reader(writer.finish());
    expect(reader.bytes(9)).toHaveLength(0);
    expect(reader.failed).toBe(true);
  });

  test("a varint beyond 2^53 - 1, or longer than eight bytes, fails", () => {
    const ends = [0x7f, 0xff, 0x80];
    for (const last of ends) {
      const reader = new Reader(Uint8Array.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, last, 0]));
      expect(reader.varint()).toBe(0);
      expect(reader.failed).toBe(true);
    }
    expect(new Reader(Uint8Array.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f])).varint()).toBe(2 ** 53 - 1);
  });

  test("a length that is known only at the end is patched in, and a cleared writer begins anew", () => {
    const writer = new Writer(2);
    writer.u32(0);
    writer.raw(Uint8Array.from([1, 2, 3]));
    writer.patchU32(0, writer.length - 4);
    expect([...writer.finish()]).toEqual([3, 0, 0, 0, 1, 2, 3]);
    writer.clear();
    writer.u8(7);
    expect([...writer.finish()]).toEqual([7]);
  });
});

describe("UTF-8", () => {
  test("agrees with the platform's encoder and strict decoder on every string and on all bytes", () => {
    const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    fc.assert(
      fc.property(
        fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) }),
        (value) => {
          expect([...encodeUtf8(value)]).toEqual([...new TextEncoder().encode(value)]);
        },
      ),
    );
    const lead = fc.constantFrom(0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff);
    const byte = fc.oneof(lead, fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf));
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 8 }), (list) => {
        const given = Uint8Array.from(list);
        let expected: string | undefined;
        try {
          expected = strict.decode(given);
        } catch {
          expected = undefined;
        }
        expect(decodeUtf8(given)).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });

  test("a text that is not well-formed fails the reader", () => {
    const reader = new Reader(Uint8Array.from([2, 0xc0, 0xaf]));
    expect(reader.text(10)).toBe("");
    expect(reader.failed).toBe(true);
  });
});
