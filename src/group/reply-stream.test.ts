/** Replies as they come: their order, their end, and a reader that leaves. */
import { expect, test } from "vitest";
import { failureOf, threeMembers } from "../../test/group/members.ts";
import { defineGroup } from "./define.ts";
import { AbortReply } from "./errors.ts";
import { ALL } from "./reply.ts";

const gates = new Map<string, (value: number) => void>();

const definition = defineGroup({
  name: "streamed",
  state: () => 0,
  queries: {
    gate: ({ self }) => new Promise<number>((resolve) => gates.set(self, resolve)),
    refuse: ({ rank }) => {
      if (rank === 1) throw new AbortReply("not today");
      return rank;
    },
  },
});

function open(member: "a" | "b" | "c", value: number): void {
  gates.get(`${member}#0000000${" abc".indexOf(member)}`)?.(value);
}

test("replies come as they come, and the stream ends with the query", async () => {
  const { cluster, groups, fakes } = await threeMembers(definition);
  const stream = groups[0].query(ALL).gate.stream();
  const first = stream.next();
  await cluster.settle();
  open("c", 30);
  expect(await first).toEqual({ done: false, value: { member: "c#00000003", status: "value", value: 30 } });
  fakes[1].exclude();
  open("a", 10);
  await cluster.settle();
  const rest: unknown[] = [];
  for await (const { member, status } of stream) rest.push([member, status]);
  expect(rest).toContainEqual(["b#00000002", "left"]);
  expect(rest).toContainEqual(["a#00000001", "value"]);
  expect(rest).toHaveLength(2);
  expect((await stream.next()).done).toBe(true);
});

test("it ends with the values that were wanted, and all who wait for more are told", async () => {
  const { cluster, groups } = await threeMembers(definition);
  const stream = groups[0].query(1).gate.stream();
  const nexts = [stream.next(), stream.next()];
  await cluster.settle();
  open("b", 2);
  expect((await Promise.all(nexts)).map(({ done }) => done)).toEqual([false, true]);
});

test("leaving the loop ends the query", async () => {
  const { cluster, groups } = await threeMembers(definition);
  const member = cluster.groups.get("streamed")?.member(groups[0].self);
  const waiting = groups[0].query(ALL).gate.stream();
  const next = waiting.next();
  await cluster.settle();
  for (const name of ["a", "b", "c"] as const) open(name, 1);
  for await (const { value } of groups[0].query(ALL, { timeoutMs: 50 }).refuse.stream()) {
    expect(value).toBe(0);
    break;
  }
  expect((await next).done).toBe(false);
  await waiting.return?.();
  expect(member?.openQueries).toBe(0);
  expect((await waiting.next()).done).toBe(true);
  cluster.advance(100);
  await cluster.settle();
});

test("a reader that waits is let go by `return`", async () => {
  const { cluster, groups } = await threeMembers(definition);
  const stream = groups[0].query(ALL).gate.stream();
  const next = stream.next();
  await cluster.settle();
  await stream.return?.();
  expect((await next).done).toBe(true);
});

test("what the query rejects with is thrown, after the replies before it, once", async () => {
  const { cluster, groups } = await threeMembers(definition);
  const seen: unknown[] = [];
  const read = async (): Promise<void> => {
    for await (const { value } of groups[0].query(ALL).refuse.stream()) {
      seen.push(value);
      await cluster.settle();
    }
  };
  expect(await failureOf(read())).toBeInstanceOf(AbortReply);
  expect(seen).toEqual([0]);
  const aborted = groups[0].query(ALL, { signal: AbortSignal.abort() }).refuse.stream();
  expect(await failureOf(aborted.next())).toMatchObject({ code: "aborted" });
  expect((await aborted.next()).done).toBe(true);
});

test("the failure of a stream that nobody reads goes to the log", async () => {
  const { cluster, groups, log } = await threeMembers(definition);
  groups[0].query(ALL).refuse.stream();
  await cluster.settle();
  await new Promise((done) => setImmediate(done));
  expect(log.map(({ code }) => code)).toEqual(["unheard"]);
});
