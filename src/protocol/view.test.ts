import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ids } from "../../test/protocol/kit.ts";
import { isQuorum, nodeName } from "./view.ts";

const quorum = (acceptors: readonly string[], present: string): boolean =>
  isQuorum(acceptors, (id) => present.includes(id));

describe("a quorum", () => {
  test("is more than half, or exactly half with the oldest", () => {
    expect(quorum(["a"], "a")).toBe(true);
    expect(quorum(["a", "b"], "a")).toBe(true);
    expect(quorum(["a", "b"], "b")).toBe(false);
    expect(quorum(["a", "b", "c"], "bc")).toBe(true);
    expect(quorum(["a", "b", "c"], "a")).toBe(false);
    expect(quorum(["a", "b", "c", "d"], "ad")).toBe(true);
    expect(quorum(["a", "b", "c", "d"], "bc")).toBe(false);
    expect(quorum([], "")).toBe(false);
  });

  test("meets every other quorum of the same view", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.nat(127), fc.nat(127), (size, one, other) => {
        const acceptors = ids(size);
        const has = (set: number) => (id: string) => ((set >> acceptors.indexOf(id)) & 1) === 1;
        if (!isQuorum(acceptors, has(one)) || !isQuorum(acceptors, has(other))) return;
        expect(acceptors.some((id) => has(one)(id) && has(other)(id))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

test("a node's name is its id without the incarnation", () => {
  expect(nodeName("db.eu-1#0a1b2c3d")).toBe("db.eu-1");
  expect(nodeName("odd#name#0a1b2c3d")).toBe("odd#name");
});
