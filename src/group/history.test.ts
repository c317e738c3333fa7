/** The events that a group records are those of its run: the checkers of the model find nothing to object to in them. */
import { expect, test } from "vitest";
import { failureOf, threeMembers } from "../../test/group/members.ts";
import type { HistoryEvent } from "../protocol/history.ts";
import { check } from "../simulation/axioms/index.ts";
import { defineGroup } from "./define.ts";
import { AbortReply } from "./errors.ts";
import { ALL, MAJORITY } from "./reply.ts";

const definition = defineGroup({
  name: "recorded",
  state: () => [] as string[],
  updates: {
    add: ({ state }, entry: string) => state.push(entry),
    bytes: ({ state }, bytes: Uint8Array) => state.push(`${bytes.length}`),
  },
  queries: {
    count: ({ state }) => state.length,
    refuse: (): number => {
      throw new AbortReply("no");
    },
    never: () => new Promise<number>(() => {}),
  },
});

test("a run without faults breaks no promise", async () => {
  const history: HistoryEvent[] = [];
  const { cluster, groups, nodes, fakes } = await threeMembers(definition, (event) => void history.push(event));
  const [a, b, c] = groups;
  await Promise.all([
    a.send.add("1"),
    b.orderedSend.add("2"),
    c.safeSend.add("3"),
    b.causalSend.add("causal"),
    a.send.bytes(new Uint8Array(150_000)),
  ]);
  await a.query(ALL).count();
  await b.query(MAJORITY, { order: "ordered" }).count();
  await failureOf(c.query(ALL, { order: "safe" }).refuse());
  const timedOut = a.query(ALL, { timeoutMs: 10 }).never();
  await cluster.settle();
  cluster.advance(10);
  await timedOut;
  await a.to(b.self).query(ALL).count();
  await b.flush();
  await b.flush({ copies: 2 });
  const abort = new AbortController();
  const abandoned = b.flush({ signal: abort.signal });
  abort.abort();
  await failureOf(abandoned);
  fakes[2].exclude();
  await cluster.settle();
  await b.leave();
  await a.safeSend.add("4");
  const again = await nodes[1].join(definition);
  await again.send.add("5");
  await cluster.settle();

  expect(check(history).map((violation) => violation.message)).toEqual([]);
  const kinds = new Map<string, number>();
  for (const { kind } of history) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  expect(Object.fromEntries(kinds)).toEqual({
    install: 1 + 2 + 3 + 2 + 1 + 2,
    state: 1 + 2 + 3 + 2 + 1 + 2,
    send: 12,
    deliver: 10 * 3 + 1 + 2,
    query: 5,
    reply: 3 + 2 + 1 + 3 + 1,
    "query-end": 5,
    "flush-begin": 3,
    "flush-end": 3,
    end: 2,
  });
});

test("the checkers see what is wrong in it: a delivery left out", async () => {
  const history: HistoryEvent[] = [];
  const { cluster, groups } = await threeMembers(definition, (event) => void history.push(event));
  await groups[0].send.add("1");
  await groups[2].leave();
  await cluster.settle();
  const at = history.findIndex((event) => event.kind === "deliver" && event.node === groups[1].self);
  history.splice(at, 1);
  expect(check(history).map(({ property }) => property)).toContain("D3");
});
