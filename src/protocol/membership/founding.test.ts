/** A8: founding happens once. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { effectsOf, ids, recordOf, sentOf } from "../../../test/protocol/kit.ts";
import { Effects } from "../effects.ts";
import type { ClusterView, NodeRecord } from "../view.ts";
import { Founding } from "./founding.ts";

const [a, b, c] = ids(3).map(recordOf) as [NodeRecord, NodeRecord, NodeRecord];
const ADDRESSES = ["a", "b", "c"];
const mint = (): string => "minted";

function offer(
  from: NodeRecord,
  addresses: readonly string[] = ADDRESSES,
): { readonly node: NodeRecord; readonly digest: string } {
  const effects = new Effects();
  new Founding(from, addresses, effects).linked(a);
  const [sent] = sentOf(effects.take(), "foundingOffer");
  return { node: from, digest: sent?.message.digest ?? "" };
}

function coordinator(): { readonly founding: Founding; readonly effects: Effects; offer(from: NodeRecord): void } {
  const effects = new Effects();
  const founding = new Founding(a, ADDRESSES, effects);
  return { founding, effects, offer: (from) => founding.offered(from, offer(from).digest) };
}

describe("Founding", () => {
  test("the first view holds all founders, by address, once all have voted", () => {
    const { founding, effects, offer: offered } = coordinator();
    expect(founding.awaited).toEqual(["b", "c"]);
    offered(c);
    expect(founding.awaited).toEqual(["b"]);
    expect(sentOf(effects.take(), "foundingCall")).toEqual([]);
    offered(b);
    expect(sentOf(effects.take(), "foundingCall")[0]?.to).toEqual([c.id, b.id]);
    expect(founding.voted(c.id, true, mint)).toBeUndefined();
    expect(founding.voted(b.id, true, mint)).toEqual({
      cluster: "minted",
      number: 1,
      nodes: [a, b, c],
      acceptors: [a.id, b.id, c.id],
    });
  });

  test("a founder that is alone founds alone", () => {
    const founding = new Founding(a, ["a"], new Effects());
    expect(founding.complete(mint)?.acceptors).toEqual([a.id]);
  });

  test("a vote of a founder whose link went down is void, and so is its offer", () => {
    for (const gone of [false, true]) {
      const { founding, offer: offered } = coordinator();
      offered(b);
      offered(c);
      founding.voted(b.id, true, mint);
      founding.linkDown(b.id, gone);
      expect(founding.awaited).toEqual(["b"]);
      expect(founding.voted(c.id, true, mint)).toBeUndefined();
    }
  });

  test("a founder that restarts is another: its old vote does not count for it", () => {
    const { founding, offer: offered } = coordinator();
    offered(b);
    offered(c);
    founding.voted(b.id, true, mint);
    const again = { ...b, id: "b#ffffffff" };
    offered(again);
    expect(founding.voted(c.id, true, mint)).toBeUndefined();
    expect(founding.voted(again.id, true, mint)?.acceptors).toEqual([a.id, again.id, c.id]);
  });

  test("one founder that is not fresh ends it for good: there is a cluster, and there will be no other", () => {
    const { founding, effects, offer: offered } = coordinator();
    offered(b);
    offered(c);
    effects.take();
    expect(founding.voted(b.id, false, mint)).toBeUndefined();
    expect(sentOf(effects.take(), "foundingOver")[0]?.to).toEqual([b.id, c.id]);
    expect(founding.voted(b.id, true, mint)).toBeUndefined();
    expect(founding.voted(c.id, true, mint)).toBeUndefined();
    offered({ ...b, id: "b#ffffffff" });
    expect(founding.complete(mint)).toBeUndefined();
    expect(effects.empty).toBe(true);
  });

  test("founders with different lists do not found together, however late the lists differ, and somebody is told", () => {
    const long = Array.from({ length: 9 }, (_, index) => `host-with-a-long-name-${index}.example:7000`);
    const other = [...long.slice(0, -1), "host-with-a-long-name-x.example:7000"];
    const self = { ...a, address: long[0] as string };
    const digestOf = (addresses: readonly string[]): string => {
      const effects = new Effects();
      new Founding(b, addresses, effects).linked(self);
      return sentOf(effects.take(), "foundingOffer")[0]?.message.digest ?? "";
    };
    expect(digestOf(long)).not.toBe(digestOf(other));
    const effects = new Effects();
    const founding = new Founding(self, long, effects);
    founding.offered({ ...b, address: long[1] as string }, digestOf(other));
    expect(effectsOf(effects.take(), "notice")).toHaveLength(1);
    expect(founding.awaited).toHaveLength(8);
  });

  test("only the coordinator takes offers and votes, and only it gets them", () => {
    const effects = new Effects();
    const founding = new Founding(b, ADDRESSES, effects);
    founding.linked(c);
    founding.offered(c, offer(c).digest);
    expect(founding.voted(c.id, true, mint)).toBeUndefined();
    expect(effects.empty).toBe(true);
    expect(founding.awaited).toEqual(["a"]);
    founding.linked(a);
    expect(sentOf(effects.take(), "foundingOffer")[0]?.to).toEqual([a.id]);
  });

  test("a vote binds: until its coordinator is gone or gives up, no view without it is installed", () => {
    const viewOf = (...nodes: NodeRecord[]): ClusterView => {
      return { cluster: "x", number: 1, nodes, acceptors: nodes.map(({ id }) => id) };
    };
    const older = { ...a, id: "a#00000000-old" };
    for (const release of ["gone", "over", "lost"] as const) {
      const founding = new Founding(c, ADDRESSES, new Effects());
      expect(founding.accepts(viewOf(older, b, c))).toBe(true);
      founding.called(a.id, "");
      expect(founding.accepts(viewOf(older, b, c))).toBe(false);
      expect(founding.accepts(viewOf(a, b, c))).toBe(true);
      if (release === "over") founding.released(a.id);
      else founding.linkDown(a.id, release === "gone");
      expect(founding.accepts(viewOf(older, b, c))).toBe(release !== "lost");
    }
  });

  test("two incarnations of a coordinator never both found with the same other founder", () => {
    // Each other founder installs, votes, restarts and hears in any order; it plays by the rules of `Cluster`.
    const event = fc.record({
      founder: fc.constantFrom("b", "c"),
      of: fc.nat(1),
      what: fc.constantFrom("offer", "call", "vote", "install", "restart"),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const coordinators = [a, { ...a, id: "a#second" }].map((self) => new Founding(self, ADDRESSES, new Effects()));
        const views: (ClusterView | undefined)[] = [undefined, undefined];
        const others = new Map(
          [b, c].map((record) => [
            record.address,
            { record, founding: new Founding(record, ADDRESSES, new Effects()) },
          ]),
        );
        const votes: { readonly of: number; readonly by: string; readonly fresh: boolean }[] = [];
        const installed = new Map<string, number>();
        let restarts = 0;
        for (const { founder, of, what } of events) {
          const other = others.get(founder);
          const host = coordinators[of];
          if (other === undefined || host === undefined) continue;
          const { id } = other.record;
          const coordinatorId = of === 0 ? a.id : "a#second";
          switch (what) {
            case "offer":
              if (!installed.has(id)) host.offered(other.record, offer(other.record).digest);
              break;
            case "call":
              // A founder is called only when all are there; that it may be called at any time makes it harder.
              if (!installed.has(id)) other.founding.called(coordinatorId, "");
              votes.push({ of, by: id, fresh: !installed.has(id) });
              break;
            case "vote": {
              const vote = votes.shift();
              if (vote !== undefined) {
                const index = vote.of;
                views[index] ??= coordinators[index]?.voted(vote.by, vote.fresh, mint);
              }
              break;
            }
            case "install": {
              const view = views[of];
              if (view?.acceptors.includes(id) && !installed.has(id) && other.founding.accepts(view))
                installed.set(id, of);
              break;
            }
            case "restart": {
              // The old incarnation's links go down everywhere; it has nothing more to say.
              for (const coordinator of coordinators) coordinator.linkDown(id, true);
              const record = { ...other.record, id: `${founder}#restart${restarts++}` };
              others.set(founder, { record, founding: new Founding(record, ADDRESSES, new Effects()) });
            }
          }
        }
        const members = new Set(installed.values());
        expect(members.size).toBeLessThanOrEqual(1);
      }),
      { numRuns: 2000 },
    );
  });
});
