/** Queries: who answers, when they end (Q1), and how they fail. */
import { describe, expect, test } from "vitest";
import { failureOf, threeMembers } from "../../test/group/members.ts";
import { encodeValue } from "./codec.ts";
import { defineGroup } from "./define.ts";
import { AbortReply, CoterieError, ExcludedError } from "./errors.ts";
import { QUERY } from "./message.ts";
import { ALL, MAJORITY } from "./reply.ts";

/** Answers that handlers at these members wait for. */
const gates = new Map<string, (value: number) => void>();

const definition = defineGroup({
  name: "asked",
  state: () => ({ value: 0 }),
  updates: {
    set: ({ state }, value: number) => {
      state.value = value;
    },
  },
  queries: {
    rank: ({ rank }) => rank,
    value: ({ state }) => state.value,
    nothing: () => undefined,
    nothingLater: async () => {},
    isNull: () => null,
    double: async (_context, value: number) => value * 2,
    length: (_context, bytes: Uint8Array) => bytes.length,
    odd: ({ rank, nullReply }) => (rank % 2 === 1 ? rank : nullReply()),
    forgetful: ({ nullReply }) => {
      nullReply();
    },
    refuse: ({ rank }, by: number) => {
      if (rank === by) throw new AbortReply("not today");
      return rank;
    },
    fail: ({ self }): number => {
      throw new TypeError(`broken at ${self}`);
    },
    failLater: async (): Promise<number> => {
      await Promise.resolve();
      throw new TypeError("broken later");
    },
    unencodable: () => () => 1,
    huge: () => new Uint8Array(2_000_000),
    gate: ({ self }) => new Promise<number>((resolve) => gates.set(self, resolve)),
    where: ({ position, random, sender, time }) => ({ position, sender, time, random: [random(), random()] }),
  },
  maxMessageBytes: 1_000_000,
});

describe("replies", () => {
  test("ALL: one reply per member, by rank", async () => {
    const { groups } = await threeMembers(definition);
    expect(await groups[1].query(ALL).rank()).toEqual([
      { member: "a#00000001", status: "value", value: 0 },
      { member: "b#00000002", status: "value", value: 1 },
      { member: "c#00000003", status: "value", value: 2 },
    ]);
    const values = async (replies: PromiseLike<readonly { value?: unknown }[]>) =>
      (await replies).map(({ value }) => value);
    expect(await values(groups[0].query(ALL).double(4))).toEqual([8, 8, 8]);
    expect(await values(groups[0].query(ALL).length(new Uint8Array(9)))).toEqual([9, 9, 9]);
  });

  test("a number, or MAJORITY: as soon as so many values have come", async () => {
    const { groups } = await threeMembers(definition);
    expect(await groups[0].query(1).rank()).toHaveLength(1);
    expect(await groups[0].query(MAJORITY).rank()).toHaveLength(2);
    expect(await groups[0].query(99).rank()).toHaveLength(3);
  });

  test("null replies are answers, but not values", async () => {
    const { groups } = await threeMembers(definition);
    const replies = await groups[0].query(2).odd();
    expect(replies.map(({ status }) => status)).toEqual(["null", "value", "null"]);
    for (const query of ["forgetful", "nothing", "nothingLater"] as const) {
      expect((await groups[0].query(1)[query]()).map(({ status }) => status)).toEqual(["null", "null", "null"]);
    }
    expect((await groups[0].query(ALL).isNull()).map(({ status, value }) => [status, value])).toEqual([
      ["value", null],
      ["value", null],
      ["value", null],
    ]);
  });

  test("MAJORITY counts the members of the view in which the query is delivered", async () => {
    const { cluster, groups, fakes } = await threeMembers(definition);
    cluster.hold();
    fakes[2].exclude();
    const replies = groups[0].query(MAJORITY).rank();
    cluster.release();
    expect(await replies).toHaveLength(2);
  });

  test("a query runs where its order puts it", async () => {
    const { cluster, groups } = await threeMembers(definition);
    for (const order of ["fifo", "causal", "ordered", "safe"] as const) {
      cluster.hold();
      groups[0].orderedSend.set(5);
      const before = groups[0].query(ALL, { order }).value();
      groups[0].orderedSend.set(6);
      cluster.release();
      expect((await before).map(({ value }) => value)).toEqual([5, 5, 5]);
      const [first, ...others] = (await groups[1].query(ALL, { order }).where()).map(({ value }) => value);
      expect(first?.sender).toBe("b#00000002");
      expect(first?.position.sender).toBe(order === "fifo" || order === "causal" ? "b#00000002" : undefined);
      for (const other of others) expect(other).toEqual(first);
    }
  });

  test("a member that leaves while it is asked is reported as left (Q1)", async () => {
    const { cluster, groups, fakes } = await threeMembers(definition);
    const replies = groups[0].query(ALL).gate();
    await cluster.settle();
    gates.get("a#00000001")?.(10);
    fakes[1].exclude();
    await cluster.settle();
    gates.get("c#00000003")?.(30);
    gates.get("b#00000002")?.(20);
    expect(await replies).toEqual([
      { member: "a#00000001", status: "value", value: 10 },
      { member: "b#00000002", status: "left" },
      { member: "c#00000003", status: "value", value: 30 },
    ]);
  });

  test("a subset is asked; who is not in the view is reported as left", async () => {
    const { cluster, groups, nodes } = await threeMembers(definition);
    const [a, b, c] = groups;
    expect(await a.to([c.self, b.self]).query(ALL).rank()).toEqual([
      { member: c.self, status: "value", value: 2 },
      { member: b.self, status: "value", value: 1 },
    ]);
    expect(await a.to([a.self, b.self, c.self]).query(MAJORITY).rank()).toHaveLength(2);
    await nodes[2].close();
    await cluster.settle();
    expect(await a.to([b.self, c.self]).query(ALL).rank()).toEqual([
      { member: b.self, status: "value", value: 1 },
      { member: c.self, status: "left" },
    ]);
    expect(await a.to(c.self).query(ALL).rank()).toEqual([{ member: c.self, status: "left" }]);
  });
});

describe("failures", () => {
  test("AbortReply rejects the query with its reason", async () => {
    const { groups } = await threeMembers(definition);
    for (const by of [0, 2]) {
      const error = await failureOf(groups[0].query(ALL).refuse(by));
      expect(error).toBeInstanceOf(AbortReply);
      expect(error).toMatchObject({ code: "query-aborted", reason: "not today", group: "asked", view: 3 });
    }
    for (const group of groups) expect(group.counters.handlerFailures).toBe(0);
  });

  test.each(["fail", "failLater"] as const)(
    "a handler that throws (%s) rejects the query and says where",
    async (query) => {
      const { groups, log } = await threeMembers(definition);
      const error = await failureOf(groups[0].to(groups[2].self).query(ALL)[query]());
      expect(error).toMatchObject({ code: "handler-failed" });
      expect((error as Error).message).toContain(`c#00000003: ${query} threw: broken`);
      expect(groups[2].counters.handlerFailures).toBe(1);
      expect(log.map(({ code, error: cause }) => [code, cause instanceof TypeError])).toEqual([
        ["handler-failed", true],
      ]);
    },
  );

  test("a result that cannot be carried rejects the query", async () => {
    const { groups } = await threeMembers(definition);
    expect(await failureOf(groups[0].query(ALL).unencodable())).toMatchObject({ code: "not-encodable" });
    expect(await failureOf(groups[0].query(ALL).huge())).toMatchObject({ code: "message-too-large" });
  });

  test("arguments that cannot be carried reject it at once", async () => {
    const { groups } = await threeMembers(definition);
    const wrong = (() => 1) as unknown as number;
    expect(await failureOf(groups[0].query(ALL).double(wrong))).toMatchObject({ code: "not-encodable" });
    const large = new Uint8Array(1_000_001);
    expect(await failureOf(groups[0].query(ALL).length(large))).toMatchObject({ code: "message-too-large" });
  });

  test("bad options throw and are named", async () => {
    const { groups } = await threeMembers(definition);
    const query = (wanted: unknown, options?: object) => () => groups[0].query(wanted as number, options);
    expect(query(0)).toThrow("the number of replies");
    expect(query(1.5)).toThrow(CoterieError);
    expect(query("all")).toThrow("ALL, MAJORITY");
    expect(query(ALL, { order: "total" })).toThrow("`order`");
    expect(query(ALL, { timeoutMs: 0 })).toThrow("`timeoutMs`");
    expect(query(ALL, { onTimeout: "exclude" })).toThrow("`onTimeout` is none of null, abort, suspect");
    expect(query(ALL, { timeout: 5 })).toThrow("`timeout` is not an option");
  });
});

describe("ends", () => {
  test("a time-out reports who has not answered", async () => {
    const { cluster, groups } = await threeMembers(definition);
    const replies = groups[0].query(ALL, { timeoutMs: 100 }).gate();
    await cluster.settle();
    gates.get("b#00000002")?.(2);
    await cluster.settle();
    cluster.advance(99);
    await cluster.settle();
    cluster.advance(1);
    expect(await replies).toEqual([
      { member: "a#00000001", status: "timeout" },
      { member: "b#00000002", status: "value", value: 2 },
      { member: "c#00000003", status: "timeout" },
    ]);
    gates.get("a#00000001")?.(1);
    await cluster.settle();
  });

  test("a time-out before the delivery reports the present members, and takes back what waits", async () => {
    const { cluster, groups } = await threeMembers(definition);
    cluster.roomMax = 1;
    cluster.hold();
    const first = groups[0].send.set(1);
    const replies = groups[0].query(ALL, { timeoutMs: 100 }).rank();
    cluster.advance(100);
    expect((await replies).map(({ status }) => status)).toEqual(["timeout", "timeout", "timeout"]);
    cluster.release();
    await first;
    await cluster.settle();
    expect(groups[0].counters).toMatchObject({ sent: 1, delivered: 1 });
  });

  test("a time-out may reject instead", async () => {
    const { cluster, groups } = await threeMembers(definition);
    const replies = groups[0].query(2, { timeoutMs: 100, onTimeout: "abort" }).gate();
    await cluster.settle();
    cluster.advance(100);
    expect(await failureOf(replies)).toMatchObject({ code: "timeout", retryable: true });
  });

  describe("a time-out may accuse", () => {
    const hasty = { timeoutMs: 100, onTimeout: "suspect" } as const;

    test("those who have not answered: the group goes on without them", async () => {
      const { cluster, groups } = await threeMembers(definition);
      const replies = groups[0].query(ALL, hasty).gate();
      await cluster.settle();
      gates.get("a#00000001")?.(1);
      gates.get("b#00000002")?.(2);
      await cluster.settle();
      cluster.advance(100);
      expect((await replies).map(({ status }) => status)).toEqual(["value", "value", "left"]);
      await cluster.settle();
      expect(groups[2].status).toBe("excluded");
      expect(await failureOf(groups[2].send.set(1))).toBeInstanceOf(ExcludedError);
      expect(groups[0].view.members).toEqual([groups[0].self, groups[1].self]);
    });

    test("but not a majority of the members, nor the caller itself", async () => {
      const { cluster, groups } = await threeMembers(definition);
      const most = groups[0].query(ALL, hasty).gate();
      await cluster.settle();
      gates.get("a#00000001")?.(1);
      await cluster.settle();
      cluster.advance(100);
      expect((await most).map(({ status }) => status)).toEqual(["value", "timeout", "timeout"]);
      const own = groups[0].query(ALL, hasty).gate();
      await cluster.settle();
      gates.get("b#00000002")?.(2);
      gates.get("c#00000003")?.(3);
      await cluster.settle();
      cluster.advance(100);
      expect((await own).map(({ status }) => status)).toEqual(["timeout", "value", "value"]);
      expect(groups.map(({ status }) => status)).toEqual(["active", "active", "active"]);
    });

    test("nobody over a query that was not delivered yet", async () => {
      const { cluster, groups } = await threeMembers(definition);
      cluster.hold();
      const replies = groups[0].query(ALL, hasty).rank();
      cluster.advance(100);
      expect((await replies).map(({ status }) => status)).toEqual(["timeout", "timeout", "timeout"]);
      cluster.release();
      await cluster.settle();
      expect(groups[2].status).toBe("active");
    });
  });

  test("an answer in time cancels the time-out", async () => {
    const { cluster, groups } = await threeMembers(definition);
    const replies = await groups[0].query(ALL, { timeoutMs: 100 }).rank();
    cluster.advance(1000);
    expect(replies.map(({ status }) => status)).toEqual(["value", "value", "value"]);
  });

  test("a signal ends it, before or after it was sent", async () => {
    const { cluster, groups } = await threeMembers(definition);
    const abort = new AbortController();
    const sent = groups[0].query(ALL, { signal: abort.signal }).gate();
    const scoped = groups[0].with({ signal: abort.signal }).query(ALL).gate();
    await cluster.settle();
    cluster.roomMax = 0;
    const waiting = groups[0].query(ALL, { signal: abort.signal }).rank();
    abort.abort();
    const late = groups[0].query(ALL, { signal: abort.signal }).rank();
    for (const query of [sent, scoped, waiting, late])
      expect(await failureOf(query)).toMatchObject({ code: "aborted" });
    cluster.roomMax = 10;
    gates.get("a#00000001")?.(1);
    await cluster.settle();
  });

  test("when the caller's membership ends, its queries fail", async () => {
    const { cluster, groups, fakes } = await threeMembers(definition);
    const asked = groups[0].query(ALL).gate();
    await cluster.settle();
    fakes[0].exclude();
    await cluster.settle();
    expect(await failureOf(asked)).toBeInstanceOf(ExcludedError);
    expect(await failureOf(groups[0].query(ALL).rank())).toBeInstanceOf(ExcludedError);
    gates.get("a#00000001")?.(1);
    await cluster.settle();
  });

  test("nothing is left open when queries have ended", async () => {
    const { cluster, groups } = await threeMembers(definition);
    const member = cluster.groups.get("asked")?.member(groups[0].self);
    await groups[0].query(ALL).rank();
    const first = groups[0].query(1).gate();
    await cluster.settle();
    expect(member?.openQueries).toBe(1);
    gates.get("b#00000002")?.(2);
    await first;
    expect(member?.openQueries).toBe(0);
    await failureOf(groups[0].query(ALL).refuse(0));
    await failureOf(groups[0].query(ALL).unencodable());
    await cluster.settle();
    expect(member?.openQueries).toBe(0);
  });
});

test("queries that cannot be understood are counted, and answered so that they end", async () => {
  const { cluster, groups, log } = await threeMembers(definition);
  const member = cluster.groups.get("asked")?.member(groups[0].self);
  const before = groups[1].counters.malformed;
  member?.send(0, QUERY | 500, new Uint8Array([1, 0, 0, 0, 0x90]));
  member?.send(0, QUERY, new Uint8Array([1]));
  member?.send(0, QUERY, new Uint8Array([1, 0, 0, 0, 0xc1]));
  member?.send(0, 0xfff0_0000, new Uint8Array(0));
  member?.send(0, 99, encodeValue([]) as Uint8Array);
  await cluster.settle();
  expect(groups[1].counters.malformed - before).toBe(5);
  expect(log.every(({ code }) => code === "malformed")).toBe(true);
});
