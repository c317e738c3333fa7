import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { packetOf } from "../../../test/protocol/kit.ts";
import { FIFO, Packet } from "../../wire/packet.ts";
import { Stream } from "./stream.ts";

describe("Stream", () => {
  test("accepts each seqno once, in order; what comes early is a gap and what comes again a duplicate", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("accept" as const), seqno: fc.integer({ min: 0, max: 30 }) }),
      fc.record({ kind: fc.constant("forget" as const), seqno: fc.integer({ min: 0, max: 30 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const stream = new Stream();
        let received = 0;
        let base = 0;
        for (const { kind, seqno } of steps) {
          if (kind === "accept") {
            const expected = seqno < received ? "duplicate" : seqno > received ? "gap" : "next";
            expect(stream.accept(packetOf(FIFO, 0, seqno))).toBe(expected);
            if (expected === "next") received++;
          } else {
            stream.forgetBelow(seqno);
            base = Math.max(base, Math.min(seqno, received));
          }
          expect(stream.received).toBe(received);
          expect(stream.heldBytes).toBe((received - base) * packetOf(FIFO, 0, 0).bytes.length);
          for (let at = 0; at <= received; at++) {
            expect(stream.get(at)?.seqno).toBe(at >= base && at < received ? at : undefined);
          }
        }
      }),
    );
  });

  test("lets go of the memory of what is forgotten", () => {
    let released = 0;
    const slab = { retain: () => {}, release: () => released++ };
    const stream = new Stream();
    for (let seqno = 0; seqno < 3; seqno++) stream.accept(new Packet(packetOf(FIFO, 0, seqno).bytes, slab));
    stream.forgetBelow(2);
    expect(released).toBe(2);
    stream.forgetBelow(9);
    expect(released).toBe(3);
    expect(stream.received).toBe(3);
  });
});
