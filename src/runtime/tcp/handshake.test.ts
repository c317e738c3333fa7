import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Reader } from "../../wire/reader.ts";
import {
  commonVersion,
  type Handshake,
  handshakeFrame,
  mayBeHandshake,
  readHandshake,
  refusalCode,
} from "./handshake.ts";

const vectors: readonly { readonly message: Handshake; readonly hex: string }[] = JSON.parse(
  readFileSync(new URL("./handshake.vectors.json", import.meta.url), "utf8"),
);

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const shortText = (bytesMax: number) =>
  fc.string({ unit: "grapheme", maxLength: bytesMax / 8 }).filter((t) => Buffer.byteLength(t) <= bytesMax);
const offset = fc.maxSafeNat();
const nodeRecord = fc.record({
  id: shortText(96).filter((id) => id !== ""),
  address: shortText(300),
  livenessPort: u16,
  features: u32,
  disk: shortText(16),
  weight: fc.integer({ min: 0, max: 255 }),
});
const codes = Array.from({ length: 8 }, (_, code) => refusalCode.read(new Reader(Uint8Array.of(code))));
const messages: fc.Arbitrary<Handshake> = fc.oneof(
  fc.record({
    kind: fc.constant("hello" as const),
    versionOldest: u16,
    versionNewest: u16,
    cluster: shortText(64),
    record: nodeRecord,
    expects: shortText(96),
    probe: fc.boolean(),
    session: u32,
    peerSession: u32,
    attempt: u32,
    offset,
  }),
  fc.record({
    kind: fc.constant("welcome" as const),
    version: u16,
    cluster: shortText(64),
    record: nodeRecord,
    session: u32,
    offset,
  }),
  fc.record({ kind: fc.constant("refusal" as const), code: fc.constantFrom(...codes), detail: shortText(512) }),
);

describe("the handshake", () => {
  it.each(vectors)("of $message.kind is the same bytes for ever: $hex", ({ message, hex }) => {
    expect(Buffer.from(handshakeFrame(message)).toString("hex")).toBe(hex);
    expect(readHandshake(Buffer.from(hex, "hex"))).toEqual(message);
  });

  it("reads what it wrote", () => {
    fc.assert(
      fc.property(messages, (message) => {
        const frame = handshakeFrame(message);
        expect(mayBeHandshake(frame)).toBe(true);
        expect(readHandshake(frame)).toEqual(message);
      }),
    );
  });

  it("ignores fields that a later version appends", () => {
    fc.assert(
      fc.property(messages, fc.uint8Array({ maxLength: 50 }), (message, more) => {
        const frame = handshakeFrame(message);
        const longer = new Uint8Array(frame.length + more.length);
        longer.set(frame);
        longer.set(more, frame.length);
        new DataView(longer.buffer).setUint32(0, longer.length - 4, true);
        expect(readHandshake(longer)).toEqual(message);
      }),
    );
  });

  it("is none with a text that makes lines in a log or does something to a terminal", () => {
    const [hello] = vectors.flatMap(({ message }) => (message.kind === "hello" ? [message] : []));
    if (hello === undefined) throw new Error("there is no example");
    for (const text of ["x\ny#00000001", "x\x1b[2J#00000001", "\x7f", "\u009b"]) {
      for (const field of ["id", "address", "disk"]) {
        const forged: Handshake = { ...hello, record: { ...hello.record, [field]: text } };
        expect(readHandshake(handshakeFrame(forged))).toBeUndefined();
      }
      expect(readHandshake(handshakeFrame({ ...hello, cluster: text }))).toBeUndefined();
      expect(readHandshake(handshakeFrame({ kind: "refusal", code: "closing", detail: text }))).toBeUndefined();
    }
  });

  it("never throws on garbage", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (garbage) => {
        expect(readHandshake(garbage)).toBeUndefined();
        mayBeHandshake(garbage);
      }),
    );
  });

  it("never throws on a handshake with flipped, cut or added bytes", () => {
    const mutations = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(messages, mutations, fc.nat(), (message, flips, cut) => {
        const frame = handshakeFrame(message);
        for (const [at, byte] of flips) frame[at % frame.length] = byte;
        const read = readHandshake(frame);
        if (read !== undefined) expect(readHandshake(handshakeFrame(read))).toEqual(read);
        const short = frame.slice(0, cut % frame.length);
        if (short.length >= 4) new DataView(short.buffer).setUint32(0, short.length - 4, true);
        readHandshake(short);
      }),
      { numRuns: 1000 },
    );
  });

  it("agrees on the newest version that both speak", () => {
    expect(commonVersion(1, 3, 2, 5)).toBe(3);
    expect(commonVersion(1, 1, 1, 1)).toBe(1);
    expect(commonVersion(1, 2, 3, 4)).toBeUndefined();
    expect(commonVersion(3, 4, 1, 2)).toBeUndefined();
  });
});
