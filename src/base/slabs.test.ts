import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Carver, type Piece, SLAB_BYTES, SlabPool } from "./slabs.ts";

describe("a slab", () => {
  it("is used again when it is neither filled nor retained", () => {
    const pool = new SlabPool();
    const slab = pool.take();
    slab.retain();
    slab.retain();
    slab.filled();
    slab.release();
    expect(pool.freeCount).toBe(0);
    slab.release();
    expect(pool.freeCount).toBe(1);
    expect(pool.take()).toBe(slab);
    slab.retain();
    slab.release();
    expect(pool.freeCount).toBe(0);
  });

  it("that is released more often than retained is a programmer's error", () => {
    const slab = new SlabPool().take();
    slab.retain();
    slab.release();
    expect(() => slab.release()).toThrow("released as often");
  });
});

describe("a carver", () => {
  it("gives no byte to two who have it", () => {
    const step = fc.oneof(
      fc.record({ length: fc.integer({ min: 1, max: 5000 }), kept: fc.nat(5000) }),
      fc.record({ length: fc.integer({ min: SLAB_BYTES >> 2, max: SLAB_BYTES }), kept: fc.nat(SLAB_BYTES) }),
      fc.record({ release: fc.nat(1000) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const pool = new SlabPool(2);
        const carver = new Carver(pool);
        const had: { readonly bytes: Uint8Array; readonly slab: Piece["slab"]; readonly mark: number }[] = [];
        const isIntact = ({ bytes, mark }: { readonly bytes: Uint8Array; readonly mark: number }): boolean =>
          bytes[0] === mark && bytes[bytes.length - 1] === mark;
        for (const [index, each] of steps.entries()) {
          if ("release" in each) {
            for (const { slab } of had.splice(each.release % (had.length + 1), 1)) slab.release();
            continue;
          }
          const { bytes, slab } = carver.carve(each.length);
          const kept = bytes.subarray(0, Math.max(1, Math.min(each.kept, each.length)));
          carver.trim(kept);
          const mark = index + 1;
          kept.fill(mark);
          had.push({ bytes: kept, slab, mark });
          expect(had.every(isIntact)).toBe(true);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("begins its slab anew when nobody has anything in it, and else goes on behind what was kept", () => {
    const carver = new Carver(new SlabPool());
    const first = carver.carve(1000);
    carver.trim(first.bytes.subarray(0, 10));
    const second = carver.carve(1000);
    expect(second.bytes.byteOffset - first.bytes.byteOffset).toBe(16);
    first.slab.release();
    second.slab.release();
    expect(carver.carve(1000).bytes.byteOffset).toBe(first.bytes.byteOffset);
  });

  it("lets go of a slab that has no room, and takes it again when it is free", () => {
    const pool = new SlabPool();
    const carver = new Carver(pool);
    const first = carver.carve(SLAB_BYTES);
    const second = carver.carve(1);
    expect(second.slab).not.toBe(first.slab);
    first.slab.release();
    expect(pool.freeCount).toBe(1);
    expect(carver.carve(SLAB_BYTES).slab).toBe(first.slab);
  });
});
