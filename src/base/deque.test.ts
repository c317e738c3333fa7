import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Deque } from "./deque.ts";

type Step =
  | { readonly kind: "push" | "unshift"; readonly value: number }
  | { readonly kind: "shift" | "pop" | "clear" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("push", "unshift"), value: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("shift", "pop") }) },
  { weight: 1, arbitrary: fc.constant({ kind: "clear" as const }) },
);

describe("Deque", () => {
  test("is an array with two ends, whatever is done to it", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const deque = new Deque<number>();
        let model: number[] = [];
        for (const action of steps) {
          switch (action.kind) {
            case "push":
              deque.push(action.value);
              model.push(action.value);
              break;
            case "unshift":
              deque.unshift(action.value);
              model.unshift(action.value);
              break;
            case "shift":
              expect(deque.shift()).toBe(model.shift());
              break;
            case "pop":
              expect(deque.pop()).toBe(model.pop());
              break;
            case "clear":
              deque.clear();
              model = [];
          }
          expect(deque.length).toBe(model.length);
          expect(deque.first()).toBe(model[0]);
          expect(deque.last()).toBe(model.at(-1));
        }
        expect([...deque]).toEqual(model);
        for (let index = -1; index <= model.length; index++) {
          expect(deque.at(index)).toBe(index < 0 ? undefined : model[index]);
        }
      }),
    );
  });

  test("keeps the order when the ring grows while it is wrapped around", () => {
    const deque = new Deque<number>();
    for (let value = 0; value < 12; value++) deque.push(value);
    for (let value = 0; value < 10; value++) expect(deque.shift()).toBe(value);
    for (let value = 12; value < 60; value++) deque.push(value);
    expect([...deque]).toEqual(Array.from({ length: 50 }, (_, index) => index + 10));
  });
});
