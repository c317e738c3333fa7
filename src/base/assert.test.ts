import { expect, test } from "vitest";
import { AssertionError, assert, present, unreachable } from "./assert.ts";

test("a broken rule is thrown with the rule in its message", () => {
  expect(() => assert(true, "water is wet")).not.toThrow();
  expect(() => assert(false, "water is wet")).toThrow(AssertionError);
  expect(() => assert(false, "water is wet")).toThrow("broken rule: water is wet");
});

test("present gives the value, be it 0 or false, and throws for none", () => {
  expect(present(0, "it is there")).toBe(0);
  expect(present(false, "it is there")).toBe(false);
  expect(() => present(undefined, "it is there")).toThrow("broken rule: it is there");
  expect(() => present(null, "it is there")).toThrow("broken rule: it is there");
});

test("the branch that cannot be reached says what came", () => {
  expect(() => unreachable({ kind: "odd" } as never)).toThrow('unexpected case: {"kind":"odd"}');
});
