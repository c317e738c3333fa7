import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { frameNumber, isIntact, numberedFrame } from "../../../test/tcp-kit.ts";
import { SLAB_BYTES, type Slab, SlabPool } from "../../base/slabs.ts";
import { FrameReader, type ReadOutcome } from "./frame-reader.ts";

const FRAME_MAX = 4 * 1024 * 1024;

function feed(reader: FrameReader, bytes: Uint8Array, readBytes: () => number): ReadOutcome {
  for (let at = 0; at < bytes.length; ) {
    const space = reader.space();
    const count = Math.min(space.length, bytes.length - at, readBytes());
    space.set(bytes.subarray(at, at + count));
    at += count;
    const outcome = reader.filled(count);
    if (outcome !== "ok") return outcome;
  }
  return "ok";
}

function concatenated(frames: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(frames);
}

describe("a frame reader", () => {
  it("cuts any stream into its frames, and leaves alone those that are retained", () => {
    const lengths = fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: 9, max: 5000 }) },
      { weight: 4, arbitrary: fc.integer({ min: 60_000, max: 400_000 }) },
      { weight: 1, arbitrary: fc.integer({ min: SLAB_BYTES - 10, max: SLAB_BYTES + 10 }) },
    );
    const pool = new SlabPool(4);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(lengths, fc.boolean()), { maxLength: 60 }),
        fc.array(fc.oneof(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: SLAB_BYTES })), { minLength: 1 }),
        (frames, reads) => {
          const kept: { frame: Uint8Array; slab: Slab; number: number }[] = [];
          let count = 0;
          const reader = new FrameReader(pool, FRAME_MAX, (frame, slab) => {
            expect(frameNumber(frame)).toBe(count);
            expect(frame.length).toBe(frames[count]?.[0]);
            expect(isIntact(frame)).toBe(true);
            if (frames[count]?.[1]) {
              slab.retain();
              kept.push({ frame, slab, number: count });
            }
            count++;
            return true;
          });
          const stream = concatenated(frames.map(([length], number) => numberedFrame(number, length)));
          // Large streams in tiny reads would take for ever; their reads are at least a thousandth of them.
          let turn = 0;
          const least = Math.ceil(stream.length / 1000);
          expect(feed(reader, stream, () => Math.max(least, reads[turn++ % reads.length] as number))).toBe("ok");
          expect(count).toBe(frames.length);
          for (const { frame, slab, number } of kept) {
            expect(frameNumber(frame)).toBe(number);
            expect(isIntact(frame)).toBe(true);
            slab.release();
          }
          reader.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  it("says that a length which no frame has is garbage, before it takes memory for it", () => {
    const lengths = [FRAME_MAX - 3, 0x7fff_ffff, 0xffff_ffff];
    for (const length of lengths) {
      const reader = new FrameReader(new SlabPool(), FRAME_MAX, () => true);
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setUint32(0, length, true);
      expect(feed(reader, bytes, () => 8)).toBe("garbage");
    }
  });

  it("fills one slab over and over while nobody retains it", () => {
    const pool = new SlabPool();
    const buffers = new Set<ArrayBufferLike>();
    const reader = new FrameReader(pool, FRAME_MAX, (frame) => {
      buffers.add(frame.buffer);
      return true;
    });
    const stream = numberedFrame(1, 100_000);
    for (let round = 0; round < 100; round++) feed(reader, stream, () => stream.length);
    expect(buffers.size).toBe(1);
    reader.close();
    expect(pool.freeCount).toBe(1);
  });

  it("does not fill a slab again from its start while a frame in it is retained", () => {
    const kept: Uint8Array[] = [];
    const reader = new FrameReader(new SlabPool(), FRAME_MAX, (frame, slab) => {
      if (kept.length > 0) return true;
      slab.retain();
      kept.push(frame);
      return true;
    });
    // Each read ends with a frame, which is when a slab that nobody needs is begun anew.
    for (let number = 1; number <= 50; number++) feed(reader, numberedFrame(number, 100_000), () => 100_000);
    expect(kept.map((frame) => [frameNumber(frame), isIntact(frame)])).toEqual([[1, true]]);
  });

  it("stops at once when its taker has enough, and gives the slab back only after that frame", () => {
    const pool = new SlabPool();
    let seen = 0;
    const reader: FrameReader = new FrameReader(pool, FRAME_MAX, (_, slab) => {
      seen++;
      reader.close();
      expect(pool.freeCount).toBe(0);
      slab.retain();
      return true;
    });
    const stream = concatenated([numberedFrame(0, 50), numberedFrame(1, 50)]);
    expect(feed(reader, stream, () => stream.length)).toBe("stopped");
    expect(seen).toBe(1);
    expect(pool.freeCount).toBe(0);
    expect(reader.space().length).toBe(1);
  });
});
