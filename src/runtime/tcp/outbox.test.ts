import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { frameNumber, isIntact, numberedFrame } from "../../../test/tcp-kit.ts";
import type { Lane } from "../ports.ts";
import { newCounters } from "./counters.ts";
import { type ByteSink, Outbox } from "./outbox.ts";

/** A socket whose bytes go on only when told to, and the receiver behind it. */
class FakeSocket implements ByteSink {
  writableLength = 0;
  readonly #chunks: Uint8Array[] = [];
  #partial: Uint8Array = new Uint8Array(0);
  readonly #take: (frame: Uint8Array) => void;

  constructor(take: (frame: Uint8Array) => void) {
    this.#take = take;
  }

  write(bytes: Uint8Array): boolean {
    this.#chunks.push(bytes);
    this.writableLength += bytes.length;
    return true;
  }

  cork(): void {}
  uncork(): void {}

  /** So many bytes arrive. */
  carry(count: number): void {
    let left = count;
    while (left > 0) {
      const chunk = this.#chunks.shift();
      if (chunk === undefined) return;
      const part = chunk.subarray(0, left);
      if (part.length < chunk.length) this.#chunks.unshift(chunk.subarray(part.length));
      left -= part.length;
      this.writableLength -= part.length;
      this.#partial = Buffer.concat([this.#partial, part]);
      this.#cut();
    }
  }

  #cut(): void {
    while (this.#partial.length >= 4) {
      const length = new DataView(this.#partial.buffer, this.#partial.byteOffset).getUint32(0, true) + 4;
      if (this.#partial.length < length) return;
      this.#take(this.#partial.subarray(0, length));
      this.#partial = this.#partial.subarray(length);
    }
  }
}

type Step =
  | { readonly kind: "push"; readonly lane: Lane; readonly length: number }
  | { readonly kind: "pump" | "acknowledge" | "reconnect" }
  | { readonly kind: "carry"; readonly count: number };

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("push" as const),
      lane: fc.constantFrom<Lane>("control", "bulk"),
      length: fc.oneof(fc.integer({ min: 9, max: 300 }), fc.integer({ min: 9, max: 20_000 })),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("pump" as const, "acknowledge" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reconnect" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("carry" as const), count: fc.integer({ min: 1, max: 60_000 }) }),
  },
);

const limits = { handedBytesMax: 20_000, windowBytes: 50_000 };

describe("an outbox", () => {
  it("brings each frame once and in the order of its lane, whatever connections are lost", () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 300 }), (script) => {
        const outbox = new Outbox(limits, newCounters());
        const pushed = { control: 0, bulk: 0 };
        const taken = { control: 0, bulk: 0 };
        let pushedBytes = 0;
        let consumed = 0;
        let acknowledged = 0;
        const connected = () =>
          new FakeSocket((frame) => {
            const number = frameNumber(frame);
            const lane = (number & 1) === 0 ? "control" : "bulk";
            expect(number >>> 1).toBe(taken[lane]++);
            expect(isIntact(frame)).toBe(true);
            consumed += frame.length;
          });
        let socket = connected();
        outbox.resume(socket, 0);
        let retained = 0;
        const push = (lane: Lane, frame: Uint8Array): void => {
          let holds = 0;
          const retain = (): void => {
            if (holds++ === 0) retained++;
          };
          // Whoever gets the memory next writes to it at once.
          const release = (): void => {
            if (--holds > 0) return;
            retained--;
            frame.fill(0xff);
          };
          outbox.push(lane, frame, { retain, release });
        };
        const run = (step: Step) => {
          switch (step.kind) {
            case "push":
              push(step.lane, numberedFrame(pushed[step.lane]++ * 2 + (step.lane === "bulk" ? 1 : 0), step.length));
              pushedBytes += step.length;
              break;
            case "pump":
              outbox.pump();
              expect(socket.writableLength).toBeLessThanOrEqual(limits.handedBytesMax + 65_536);
              break;
            case "acknowledge":
              acknowledged = consumed;
              expect(outbox.consumed(consumed)).toBe(true);
              break;
            case "reconnect":
              outbox.detach();
              socket = connected();
              expect(outbox.canResume(consumed)).toBe(true);
              outbox.resume(socket, consumed);
              acknowledged = consumed;
              break;
            case "carry":
              socket.carry(step.count);
          }
          expect(outbox.backlogBytes).toBe(pushedBytes - acknowledged);
        };
        for (const step of script) run(step);
        while (outbox.backlogBytes > 0) {
          for (const kind of ["pump", "carry", "acknowledge"] as const) run({ kind, count: 1_000_000 } as Step);
        }
        expect(taken).toEqual(pushed);
        expect(retained).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it("refuses to resume before what was acknowledged, or after what was written", () => {
    const outbox = new Outbox(limits, newCounters());
    const socket = new FakeSocket(() => {});
    outbox.resume(socket, 0);
    outbox.push("bulk", numberedFrame(0, 5000));
    expect(outbox.canResume(5000)).toBe(false);
    outbox.pump();
    expect(outbox.canResume(0)).toBe(true);
    expect(outbox.canResume(5001)).toBe(false);
    expect(outbox.consumed(5001)).toBe(false);
    expect(outbox.consumed(5000)).toBe(true);
    expect(outbox.consumed(4999)).toBe(false);
    expect(outbox.canResume(0)).toBe(false);
    expect(outbox.canResume(5000)).toBe(true);
  });

  it("writes no more in a turn than it was told to, in whole chunks, and says whether there is more", () => {
    const outbox = new Outbox(limits, newCounters());
    const socket = new FakeSocket(() => {});
    outbox.resume(socket, 0);
    for (let number = 0; number < 3; number++) outbox.push("bulk", numberedFrame(number, 5000));
    const turns = [1, 2, 3].map(() => [outbox.pump(6000), socket.writableLength]);
    expect(turns).toEqual([
      [true, 10_000],
      [false, 15_000],
      [false, 15_000],
    ]);
  });

  it("gathers small frames and writes large ones as they are", () => {
    const writes: Uint8Array[] = [];
    const outbox = new Outbox(limits, newCounters());
    outbox.resume({ writableLength: 0, write: (bytes) => writes.push(bytes) > 0, cork() {}, uncork() {} }, 0);
    const large = numberedFrame(0, 10_000);
    for (let number = 0; number < 10; number++) outbox.push("bulk", numberedFrame(number, 50));
    outbox.push("bulk", large);
    outbox.push("bulk", numberedFrame(11, 50));
    outbox.pump();
    expect(writes.map((bytes) => bytes.length)).toEqual([500, 10_000, 50]);
    expect(writes[1]).toBe(large);
  });

  it("writes no further ahead of its receiver than the window, but at least one frame", () => {
    const outbox = new Outbox({ handedBytesMax: 1_000_000, windowBytes: 30_000 }, newCounters());
    const socket = new FakeSocket(() => {});
    outbox.resume(socket, 0);
    for (let number = 0; number < 10; number++) outbox.push("bulk", numberedFrame(number, 20_000));
    outbox.pump();
    expect(socket.writableLength).toBe(40_000);
    socket.carry(40_000);
    outbox.pump();
    expect(socket.writableLength).toBe(0);
    outbox.consumed(20_000);
    outbox.pump();
    expect(socket.writableLength).toBe(20_000);
  });

  it("uses the memory that small frames are gathered in again", () => {
    const buffers = new Set<ArrayBufferLike>();
    const outbox = new Outbox(limits, newCounters());
    let written = 0;
    const write = (bytes: Uint8Array) => {
      if (bytes.buffer.byteLength > 1000) buffers.add(bytes.buffer);
      written += bytes.length;
      return true;
    };
    outbox.resume({ writableLength: 0, write, cork() {}, uncork() {} }, 0);
    for (let round = 0; round < 100; round++) {
      for (let number = 0; number < 10; number++) outbox.push("bulk", numberedFrame(number, 1000));
      outbox.pump();
      outbox.consumed(written);
    }
    expect(buffers.size).toBeLessThanOrEqual(2);
  });
});
