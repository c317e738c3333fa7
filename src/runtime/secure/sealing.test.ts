import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { ATTACKS, CANARY, directTo, GROUP, memberOf, packetAt, viewOf } from "../../../test/secure/attacks.ts";
import { Packet, RAW } from "../../wire/packet.ts";
import { Sealing } from "./sealing.ts";

test.each(Object.keys(ATTACKS))("%s", (name) => {
  expect(ATTACKS[name]?.(Sealing)).toBeUndefined();
});

describe("any bytes", () => {
  const opener = memberOf(Sealing, "bob#0000000b", viewOf(1));

  it("are late or forged, never opened, and never throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(3, 4, 5), fc.boolean(), (bytes, type, isAimed) => {
        const frame = bytes.slice();
        if (frame.length > 16) {
          frame[4] = type;
          if (isAimed) frame.set([0, 0, 0, GROUP, 0, 0, 0, 1, 0, 0, 0], 5);
        }
        expect(opener.open("ann#0000000a", frame).kind).not.toBe("opened");
      }),
      { numRuns: 2000 },
    );
  });
});

describe("any packet", () => {
  it("comes back as it was, and shows nothing outside", () => {
    const [sealer, opener] = [
      memberOf(Sealing, "ann#0000000a", viewOf(9)),
      memberOf(Sealing, "bob#0000000b", viewOf(9)),
    ];
    fc.assert(
      fc.property(fc.string({ maxLength: 900 }), fc.nat(0xffff_ffff), (text, seqno) => {
        const packet = packetAt(0, 9, seqno, { text: CANARY + text });
        const frame = sealer.sealPacket(packet);
        expect(Buffer.from(frame).includes(CANARY)).toBe(false);
        expect(frame.length).toBe(packet.bytes.length + 36);
        expect(opener.open("ann#0000000a", frame)).toEqual({ kind: "opened", frame: new Uint8Array(packet.bytes) });
      }),
      { numRuns: 300 },
    );
  });

  it("that is raw has a key of its own, because its number may be that of another", () => {
    const [sealer, opener] = [
      memberOf(Sealing, "ann#0000000a", viewOf(9)),
      memberOf(Sealing, "bob#0000000b", viewOf(9)),
    ];
    const packet = packetAt(0, 9, 4, { text: CANARY });
    const raw = new Packet(packet.bytes.slice());
    raw.bytes[5] = RAW;
    const [sealed, sealedRaw] = [sealer.sealPacket(packet), sealer.sealPacket(raw)];
    expect([sealed[4], sealedRaw[4]]).toEqual([3, 5]);
    expect(opener.open("ann#0000000a", sealedRaw)).toEqual({ kind: "opened", frame: raw.bytes });
    // Byte by byte, the same place in two packets of one number: with one key the sums would be alike.
    const sums = (a: Uint8Array, b: Uint8Array) => a.map((byte, at) => byte ^ (b[at] ?? 0));
    const clear = sums(packet.bytes, raw.bytes);
    expect(sums(sealed.subarray(20, -16), sealedRaw.subarray(20, -16))).not.toEqual(clear);
    sealedRaw[4] = 3;
    expect(opener.open("ann#0000000a", sealedRaw).kind).toBe("forged");
  });

  it("stays openable for a direct message that comes views later", () => {
    const [sealer, opener] = [
      memberOf(Sealing, "ann#0000000a", viewOf(1)),
      memberOf(Sealing, "bob#0000000b", viewOf(1)),
    ];
    const late = directTo(sealer, "bob#0000000b");
    for (let number = 2; number <= 200; number++) {
      opener.learn(GROUP, viewOf(number), new Uint8Array(32).fill(number));
      opener.use(GROUP, number);
    }
    expect(opener.open("ann#0000000a", late).kind).toBe("opened");
  });
});
