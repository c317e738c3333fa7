/** A3 and A5 with weights: what the next view's acceptors are, and that its quorums meet. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ClusterView, hasQuorum, type NodeId, type NodeRecord, votesOf } from "../view.ts";
import { nextView } from "./next-view.ts";

const record = (name: string, weight: number): NodeRecord => {
  return { id: `${name}#1`, address: name, livenessPort: 0, features: 0, disk: "", weight };
};

/** "a1 b0" are two nodes, b without weight; acceptors are in capitals. */
function viewOf(text: string): ClusterView {
  const words = text.split(" ").filter((word) => word !== "");
  const nodes = words.map((word) => record((word[0] as string).toLowerCase(), Number(word.slice(1))));
  const acceptors = nodes.filter((_, index) => /[A-Z]/.test(words[index] as string)).map(({ id }) => id);
  return { cluster: "c", number: 1, nodes, acceptors };
}

interface Wanted {
  readonly condemned?: string;
  readonly leavers?: string;
  readonly joiners?: string;
  readonly directorySize?: number;
  readonly self?: string;
}

const idsOf = (names = ""): Set<NodeId> => new Set([...names].map((name) => `${name}#1`));

function next(view: ClusterView, { condemned, leavers, joiners = "", directorySize = 5, self }: Wanted) {
  const proposer = self === undefined ? view.acceptors.find((id) => !idsOf(condemned).has(id)) : `${self}#1`;
  const changes = { self: proposer ?? "", condemned: idsOf(condemned), leavers: idsOf(leavers), directorySize };
  const returning = new Map<NodeId, NodeRecord>();
  return nextView(view, { ...changes, returning, ready: () => viewOf(joiners).nodes })?.view;
}

const text = (view: ClusterView | undefined): string | undefined =>
  view?.nodes
    .map(({ id, weight }) => `${view.acceptors.includes(id) ? id[0]?.toUpperCase() : id[0]}${weight}`)
    .join(" ");

describe("the next view", () => {
  test.each<[string, Wanted, string | undefined]>([
    // Half of the votes go on if the oldest that has one is among them.
    ["A1 B1 C2", { condemned: "c" }, "A1 B1"],
    ["A1 B1 C2", { condemned: "ab" }, undefined],
    ["A1 B1 C3", { condemned: "ab" }, "C3"],
    ["A1 B1 C3", { condemned: "c" }, undefined],
    ["A0 B1 C1", { condemned: "c" }, "A0 B1"],
    ["A0 B1 C1", { condemned: "ab" }, undefined],
    ["A0 B1 C1", { condemned: "ac" }, "B1"],
    // Leavers vote, however heavy they are.
    ["A1 B1 C5", { leavers: "c" }, "A1 B1"],
    ["A5 B1", { leavers: "a" }, "B1"],
    // No more votes come in than continue; the others wait for the view after it.
    ["A1", { joiners: "b1 c1" }, "A1 B1 c1"],
    ["A1 B1", { joiners: "c1 d1 e1" }, "A1 B1 C1 D1 e1"],
    ["A2", { joiners: "b1 c1 d1" }, "A2 B1 C1 d1"],
    ["A1", { joiners: "b3 c1" }, "A1 b3 C1"],
    // Whoever outweighs all who are there comes in alone.
    ["A1", { joiners: "b4 c3" }, "A1 b4 C3"],
    // Who has no weight becomes no acceptor while somebody has some.
    ["A1", { joiners: "b0 c1" }, "A1 b0 C1"],
    ["A1 b0", { leavers: "a" }, "B0"],
    ["A0", { joiners: "b0" }, "A0 B0"],
    ["A0", { joiners: "b1 c1" }, "A0 B1 c1"],
    ["A1 B1 c0", { condemned: "b" }, "A1 c0"],
    ["A1 B1 C1 d2 e1", { condemned: "c", directorySize: 3 }, "A1 B1 D2 e1"],
  ])("of %s with %o is %s", (view, wanted, expected) => {
    expect(text(next(viewOf(view), wanted))).toBe(expected);
  });
});

describe("quorums", () => {
  const weights = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 7 });
  const chosen = fc.array(fc.boolean(), { minLength: 7, maxLength: 7 });

  const founded = (given: readonly number[]): ClusterView =>
    viewOf(given.map((weight, index) => `${String.fromCharCode(65 + index)}${weight}`).join(" "));

  test("of one view meet, whatever its acceptors weigh", () => {
    fc.assert(
      fc.property(weights, chosen, chosen, (given, one, other) => {
        const view = founded(given);
        const isIn = (which: readonly boolean[]) => (id: NodeId) => which[view.acceptors.indexOf(id)] === true;
        fc.pre(hasQuorum(view, isIn(one)) && hasQuorum(view, isIn(other)));
        const votes = votesOf(view);
        expect(votes.some((vote, rank) => vote > 0 && one[rank] === true && other[rank] === true)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  test("all acceptors are one, and none are not", () => {
    fc.assert(
      fc.property(weights, (given) => {
        expect(hasQuorum(founded(given), () => true)).toBe(true);
        expect(hasQuorum(founded(given), () => false)).toBe(false);
      }),
    );
  });

  const none = new Array<boolean>(7).fill(false);
  const joins = (...joining: number[]) => ({ condemned: none, leaving: none, joining });
  const leaves = (...joining: number[]) => ({ ...joins(...joining), leaving: [true, ...none.slice(1)] });

  test("A3: through any succession of views, who continues is a quorum of the next, or one heavy node came in alone", () => {
    const step = fc.record({
      condemned: chosen,
      leaving: chosen,
      joining: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(weights, fc.array(step, { maxLength: 8 }), fc.integer({ min: 1, max: 7 }), (given, steps, size) => {
        let view = founded(given);
        let names = given.length;
        for (const { condemned, leaving, joining } of steps) {
          const isAt = (flags: readonly boolean[]) => (id: NodeId) =>
            flags[view.nodes.findIndex((n) => n.id === id) % 7];
          const gone = new Set(view.nodes.map(({ id }) => id).filter((id) => isAt(condemned)(id) === true));
          const self = view.acceptors.find((id) => !gone.has(id));
          if (self === undefined) continue;
          const leavers = new Set(view.nodes.map(({ id }) => id).filter((id) => isAt(leaving)(id) === true));
          const joiners = joining.map((weight) => record(`n${names++}`, weight));
          const returning = new Map<NodeId, NodeRecord>();
          const changes = { self, condemned: gone, leavers, returning, ready: () => joiners, directorySize: size };
          const proposed = nextView(view, changes)?.view;
          if (proposed === undefined) continue;
          const stays = (id: NodeId): boolean => view.acceptors.includes(id);
          const added = proposed.acceptors.filter((id) => !stays(id));
          if (added.length > 1) expect(hasQuorum(proposed, stays)).toBe(true);
          expect(proposed.acceptors.length).toBeGreaterThan(0);
          // Whoever goes on without those that are given up is a quorum of the view that ends.
          expect(hasQuorum(view, (id) => !gone.has(id))).toBe(true);
          // Somebody who has weight decides, if anybody has.
          if (proposed.nodes.some(({ weight }) => weight > 0) && added.length > 0)
            expect(added.every((id) => (proposed.nodes.find((n) => n.id === id)?.weight ?? 0) > 0)).toBe(true);
          view = proposed;
        }
      }),
      { numRuns: 2000, examples: [[[0], [leaves(4, 3), joins(3), joins(2)], 4]] },
    );
  });
});
