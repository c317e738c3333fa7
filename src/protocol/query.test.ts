/** Q1: a query ends, with one answer or reason for everybody who was there when it was delivered. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ids } from "../../test/protocol/kit.ts";
import { Effects } from "./effects.ts";
import { Queries } from "./query.ts";

const [a = "", b = "", c = ""] = ids(3);
const NOTHING = new Uint8Array(0);

/** The replies as `status member`, and `done` for the end. */
function said(effects: Effects): string[] {
  return effects.take().flatMap((effect) => {
    if (effect.kind === "reply") return `${effect.status} ${effect.from.slice(0, 1)}`;
    return effect.kind === "queryComplete" ? "done" : [];
  });
}

function opened(query = 1): { readonly queries: Queries; readonly effects: Effects } {
  const effects = new Effects();
  const queries = new Queries(1, effects);
  queries.installed(4, [a, b, c], []);
  queries.open(query);
  return { queries, effects };
}

describe("Queries", () => {
  test("Q1: it is complete when every member of its view has answered, and then only", () => {
    const { queries, effects } = opened();
    queries.delivered(1, [a, b, c], 4);
    queries.answered(a, 1, "value", NOTHING, false);
    queries.answered(b, 1, "null", NOTHING, false);
    expect(said(effects)).toEqual(["value a", "null b"]);
    queries.answered(c, 1, "abort", NOTHING, false);
    expect(said(effects)).toEqual(["abort c", "done"]);
    queries.answered(c, 1, "value", NOTHING, false);
    expect(said(effects)).toEqual([]);
  });

  test("Q1: who is not in the next view has left", () => {
    const { queries, effects } = opened();
    queries.delivered(1, [a, b, c], 4);
    queries.answered(a, 1, "value", NOTHING, false);
    queries.installed(5, [a, c], []);
    expect(said(effects)).toEqual(["value a", "left b"]);
    queries.answered(c, 1, "value", NOTHING, false);
    expect(said(effects)).toEqual(["value c", "done"]);
  });

  test("Q1: delivered as the last act of a view, with its successor already in place, it misses those who left with it", () => {
    const { queries, effects } = opened();
    queries.installed(5, [a, c], []);
    queries.delivered(1, [a, b, c], 4);
    expect(said(effects)).toEqual(["left b"]);
  });

  test("Q1: who is accused and stays is not waited for; who goes has left", () => {
    const { queries, effects } = opened();
    queries.delivered(1, [a, b, c], 4);
    queries.answered(a, 1, "value", NOTHING, false);
    expect(queries.accuse(1, [a, b, c])).toEqual([b, c]);
    expect(queries.accuse(2, [b])).toEqual([]);
    queries.spared([b]);
    expect(said(effects)).toEqual(["value a", "timeout b"]);
    queries.answered(b, 1, "value", NOTHING, false);
    queries.installed(5, [a, b], []);
    expect(said(effects)).toEqual(["left c", "done"]);
  });

  test("Q1: nobody is accused over a query that was not delivered yet", () => {
    const { queries, effects } = opened();
    expect(queries.accuse(1, [a, b, c])).toEqual([]);
    queries.spared([a, b, c]);
    expect(said(effects)).toEqual([]);
  });

  test("Q1: a joiner that begins to load anew answers nothing of earlier views, and is not waited for", () => {
    const { queries, effects } = opened();
    queries.delivered(1, [a, b, c], 4);
    queries.installed(5, [a, b, c], [c]);
    expect(said(effects)).toEqual(["null c"]);
    queries.open(2);
    queries.delivered(2, [a, b, c], 5);
    expect(said(effects)).toEqual([]);
    queries.open(3);
    queries.delivered(3, [a, b, c], 4);
    expect(said(effects)).toEqual(["null c"]);
  });

  test("answers that overtake the query's own delivery count", () => {
    const { queries, effects } = opened();
    queries.answered(b, 1, "value", NOTHING, false);
    queries.answered(b, 1, "value", NOTHING, false);
    expect(said(effects)).toEqual(["value b"]);
    queries.delivered(1, [b], 4);
    expect(said(effects)).toEqual(["done"]);
  });

  test("D-2: an answer of a member that was reported as left is dropped", () => {
    const { queries, effects } = opened();
    queries.delivered(1, [a, b], 4);
    queries.installed(5, [a], []);
    said(effects);
    queries.answered(b, 1, "value", NOTHING, false);
    expect(said(effects)).toEqual([]);
  });

  test("nothing is told of a query that was closed or never opened", () => {
    const { queries, effects } = opened();
    queries.close(1);
    queries.delivered(1, [a], 4);
    queries.answered(a, 1, "value", NOTHING, false);
    queries.answered(a, 9, "value", NOTHING, false);
    expect(said(effects)).toEqual([]);
  });

  test("a long answer is put together from its parts, those of several members apart", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.uint8Array({ maxLength: 9 })), { maxLength: 20 }), (parts) => {
        const { queries, effects } = opened();
        const sent: { readonly [id: string]: number[] } = { [a]: [], [b]: [] };
        for (const [isA, part] of parts) {
          const from = isA ? a : b;
          queries.answered(from, 1, "value", part, true);
          sent[from]?.push(...part);
        }
        for (const from of [a, b]) queries.answered(from, 1, "value", Uint8Array.from([7]), false);
        const values = effects.take().flatMap((effect) => (effect.kind === "reply" ? [[...effect.value]] : []));
        expect(values).toEqual([a, b].map((id) => [...(sent[id] ?? []), 7]));
      }),
    );
  });

  test("an answer beyond 64 MiB is not kept", () => {
    const { queries, effects } = opened();
    const part = new Uint8Array(16 * 1024 * 1024);
    for (let count = 0; count < 5; count++) queries.answered(a, 1, "value", part, true);
    queries.answered(a, 1, "value", part, false);
    const [reply] = effects.take();
    expect(reply?.kind === "reply" ? reply.value.length : -1).toBe(0);
  });
});
