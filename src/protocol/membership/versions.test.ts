import fc from "fast-check";
import { expect, test } from "vitest";
import type { NodeId } from "../view.ts";
import { incomparable, isSubset, lackingIn, type Version, withMember, withOnly } from "./versions.ts";

const operations = fc.uniqueArray(fc.nat(5), { maxLength: 4 }).map((codes) => codes.sort((a, b) => a - b));

test("what a view says is lacking is what its members' definitions lack of each other's", () => {
  const step = fc.record({ member: fc.nat(5), operations, joins: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      let versions: readonly Version[] = [];
      const present = new Map<NodeId, readonly number[]>();
      for (const { member, operations: wanted, joins } of steps) {
        const id = `${member}#00000000`;
        const goesWithAll = [...present.values()].every(
          (others) => isSubset(others, wanted) || isSubset(wanted, others),
        );
        expect(incomparable(versions, wanted) === undefined).toBe(goesWithAll);
        if (!joins) {
          present.delete(id);
          versions = withOnly(versions, [...present.keys()]);
        } else if (goesWithAll && !present.has(id)) {
          present.set(id, wanted);
          versions = withMember(versions, id, wanted);
        }
        const all = [...new Set([...present.values()].flat())].sort();
        for (const [node, own] of present) {
          const lacks = lackingIn(versions).flatMap((lack) => (lack.members.includes(node) ? lack.operations : []));
          expect(lacks).toEqual(all.filter((operation) => !own.includes(operation)));
        }
      }
    }),
  );
});

test("of three definitions, each adds to the one before or the third is refused", () => {
  const versions = withMember(withMember([], "a", [1]), "b", [1, 2]);
  expect(incomparable(versions, [1, 2, 3])).toBeUndefined();
  expect(incomparable(versions, [])).toBeUndefined();
  expect(incomparable(versions, [1, 3])).toEqual({ operations: [1, 2], members: ["b"] });
  // An operation can be taken away once nobody is left who does not know better.
  expect(incomparable(versions, [2])).toEqual({ operations: [1], members: ["a"] });
  expect(incomparable(withOnly(versions, ["b"]), [2])).toBeUndefined();
});
