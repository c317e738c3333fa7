import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DueHeap } from "./heap.ts";

describe("DueHeap", () => {
  test("gives the least time first, and equal times in the order of their arrival", () => {
    const action = fc.oneof(
      { weight: 3, arbitrary: fc.record({ time: fc.integer({ min: 0, max: 9 }) }) },
      { weight: 2, arbitrary: fc.constant("pop" as const) },
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 300 }), (actions) => {
        const heap = new DueHeap<number>();
        const model: { readonly time: number; readonly value: number }[] = [];
        let count = 0;
        for (const given of actions) {
          if (given !== "pop") {
            heap.push(given.time, count);
            model.push({ time: given.time, value: count++ });
            model.sort((a, b) => a.time - b.time || a.value - b.value);
          } else {
            expect(heap.pop()).toBe(model.shift()?.value);
          }
          expect(heap.size).toBe(model.length);
          expect(heap.nextTime).toBe(model[0]?.time ?? Number.POSITIVE_INFINITY);
        }
        while (model.length > 0) expect(heap.pop()).toBe(model.shift()?.value);
        expect(heap.pop()).toBeUndefined();
      }),
    );
  });
});
