/** rawSend and raw queries: what they give, when they are dropped, and what is counted. */
import { describe, expect, test } from "vitest";
import { failureOf, threeMembers } from "../../test/group/members.ts";
import type { HistoryEvent } from "../protocol/history.ts";
import { check } from "../simulation/axioms/index.ts";
import { defineGroup } from "./define.ts";
import { CoterieError } from "./errors.ts";
import { RAW_BODY_BYTES_MAX } from "./message.ts";
import { ALL, MAJORITY } from "./reply.ts";

/** What handlers saw, by member: raw updates do not touch the replicated state. */
const seen = new Map<string, string[]>();

const definition = defineGroup({
  name: "cursors",
  state: () => ({ updates: 0 }),
  updates: {
    move: ({ self, random, position }, to: string) => {
      const at = seen.get(self) ?? [];
      seen.set(self, at);
      return at.push(`${to} ${position.sender} ${position.index} ${random()}`);
    },
    frame: (_context, bytes: Uint8Array) => bytes.length,
    fail: (): void => {
      throw new RangeError("no");
    },
    two: (_context, a: Uint8Array, b: number) => a.length + b,
  },
  queries: { rank: ({ rank }) => rank, never: () => new Promise<number>(() => {}) },
});

const movesAt = (member: string): string[] => seen.get(member)?.map((move) => move.split(" ")[0] ?? "") ?? [];

async function members() {
  seen.clear();
  return threeMembers(definition);
}

describe("rawSend", () => {
  test("runs here and wherever it gets, and resolves with what the handler returned here", async () => {
    const { cluster, groups } = await members();
    cluster.deaf.add(groups[1].self);
    expect(await groups[0].rawSend.move("x")).toBe(1);
    expect(await groups[0].rawSend.frame(new Uint8Array(7))).toBe(7);
    expect(await failureOf(groups[0].rawSend.fail())).toMatchObject({ code: "handler-failed" });
    await cluster.settle();
    expect(groups.map(({ self }) => movesAt(self))).toEqual([["x"], [], ["x"]]);
    expect(groups.map(({ counters }) => [counters.rawSent, counters.rawReceived, counters.rawDropped])).toEqual([
      [3, 0, 0],
      [0, 0, 0],
      [0, 3, 0],
    ]);
    expect(groups[0].counters).toMatchObject({ sent: 3, delivered: 3 });
  });

  test("its place and random numbers are the same wherever it gets, and are no other message's", async () => {
    const { cluster, groups } = await members();
    await Promise.all([groups[0].rawSend.move("1"), groups[0].rawSend.move("2"), groups[1].rawSend.move("3")]);
    await cluster.settle();
    await groups[2].leave();
    await groups[0].rawSend.move("4");
    await cluster.settle();
    const [first = [], second = []] = groups.map(({ self }) => seen.get(self));
    expect(second).toEqual(first);
    expect(new Set(first.map((move) => move.split(" ")[3])).size).toBe(4);
    const indexes = first.filter((move) => move.includes(groups[0].self)).map((move) => Number(move.split(" ")[2]));
    expect(indexes).toEqual([...indexes].sort((a, b) => a - b));
    expect(new Set(indexes).size).toBe(3);
  });

  test("to some members only", async () => {
    const { cluster, groups } = await members();
    const [a, b, c] = groups;
    expect(await a.to([b.self]).rawSend.move("b")).toBeUndefined();
    expect(await a.to([a.self, c.self]).rawSend.move("ac")).toBe(1);
    await cluster.settle();
    expect(groups.map(({ self }) => movesAt(self))).toEqual([["ac"], ["b"], ["ac"]]);
  });

  test("never waits: it passes those that do, and what cannot leave now is dropped", async () => {
    const { cluster, groups } = await members();
    cluster.roomMax = 0;
    const waits = groups[0].send.move("waits");
    expect(await groups[0].rawSend.move("passes")).toBe(1);
    cluster.roomMax = Number.POSITIVE_INFINITY;
    cluster.rawOutcome = "full";
    expect(await failureOf(groups[0].rawSend.move("x"))).toMatchObject({ code: "overloaded", retryable: true });
    cluster.rawOutcome = "blocked";
    expect(await failureOf(groups[0].rawSend.move("x"))).toMatchObject({ code: "blocked", retryable: true });
    cluster.rawOutcome = "over";
    expect(await failureOf(groups[0].rawSend.frame(new Uint8Array(1)))).toMatchObject({ code: "left" });
    expect(groups[0].counters).toMatchObject({ rawSent: 1, rawDropped: 3, overloaded: 1 });
    waits.catch(() => {});
    await groups[1].leave();
    expect(await failureOf(groups[1].rawSend.move("late"))).toMatchObject({ code: "left" });
  });

  test("those that were dropped before anybody got them fail, in order", async () => {
    const { cluster, groups, fakes } = await members();
    cluster.hold();
    const calls = [groups[0].rawSend.move("1"), groups[0].rawSend.move("2"), groups[0].rawSend.move("3")];
    const outcomes = calls.map((call) => call.then(String, (error: CoterieError) => error.code));
    fakes[0].dropRaw(2);
    cluster.release();
    expect(await Promise.all(outcomes)).toEqual(["blocked", "blocked", "1"]);
    expect(groups[0].counters).toMatchObject({ rawSent: 3, rawDropped: 2 });
  });

  test("can be posted", async () => {
    const { cluster, groups } = await members();
    expect(groups[0].rawSend.move.post("x")).toBeUndefined();
    await cluster.settle();
    expect(groups.map(({ self }) => movesAt(self))).toEqual([["x"], ["x"], ["x"]]);
    cluster.rawOutcome = "blocked";
    expect(() => groups[0].rawSend.move.post("x")).toThrow(expect.objectContaining({ code: "blocked" }));
  });

  test("a long one is refused", async () => {
    const { groups } = await members();
    const bytes = new Uint8Array(RAW_BODY_BYTES_MAX + 1);
    expect(await failureOf(groups[0].rawSend.frame(bytes))).toMatchObject({ code: "message-too-large" });
    expect(await failureOf(groups[0].rawSend.two(bytes, 1))).toMatchObject({ code: "message-too-large" });
    expect(await groups[0].rawSend.frame(bytes.subarray(1))).toBe(RAW_BODY_BYTES_MAX);
  });
});

describe("a raw query", () => {
  test("is answered by those it gets to; the others have had their time", async () => {
    const { cluster, groups } = await members();
    const [a, b, c] = groups;
    cluster.deaf.add(b.self);
    const replies = a.query(ALL, { order: "raw", timeoutMs: 20 }).rank();
    expect(await a.query(1, { order: "raw", timeoutMs: 20 }).rank()).toHaveLength(1);
    await cluster.settle();
    cluster.advance(20);
    expect(await replies).toEqual([
      { member: a.self, status: "value", value: 0 },
      { member: b.self, status: "timeout" },
      { member: c.self, status: "value", value: 2 },
    ]);
    expect((await a.query(MAJORITY, { order: "raw", timeoutMs: 20 }).rank()).map(({ value }) => value)).toEqual([0, 2]);
    const strict = a.query(ALL, { order: "raw", timeoutMs: 20, onTimeout: "abort" }).rank();
    await cluster.settle();
    cluster.advance(20);
    expect(await failureOf(strict)).toMatchObject({ code: "timeout" });
  });

  test("asks some members only", async () => {
    const { groups } = await members();
    const [a, b, c] = groups;
    const replies = await a.to([b.self, c.self]).query(ALL, { order: "raw", timeoutMs: 20 }).rank();
    expect(replies.map(({ member }) => member)).toEqual([b.self, c.self]);
  });

  test("needs a time-out, and accuses nobody", async () => {
    const { groups } = await members();
    const ask = (options: object) => () => groups[0].query(ALL, { order: "raw", ...options });
    expect(ask({})).toThrow(/`order: "raw"` needs `timeoutMs`/);
    expect(ask({ timeoutMs: 5, onTimeout: "suspect" })).toThrow(/nobody is to blame/);
    try {
      ask({})();
    } catch (error) {
      expect(error).toBeInstanceOf(CoterieError);
      expect(error).toMatchObject({ code: "invalid-argument", group: "cursors" });
    }
  });

  test("that is dropped here rejects; one that is dropped with its turn ends with its time", async () => {
    const { cluster, groups, fakes } = await members();
    const query = { order: "raw", timeoutMs: 20 } as const;
    cluster.rawOutcome = "blocked";
    expect(await failureOf(groups[0].query(ALL, query).rank())).toMatchObject({ code: "blocked" });
    cluster.rawOutcome = "sent";
    cluster.hold();
    const replies = groups[0].query(ALL, query).rank();
    fakes[0].dropRaw(1);
    cluster.release();
    await cluster.settle();
    cluster.advance(20);
    expect((await replies).map(({ status }) => status)).toEqual(["timeout", "timeout", "timeout"]);
  });
});

test("the history of raw messages has ids of its own, and breaks no promise", async () => {
  const history: HistoryEvent[] = [];
  const { cluster, groups } = await threeMembers(definition, (event) => void history.push(event));
  await Promise.all([groups[0].send.frame(new Uint8Array(1)), groups[0].rawSend.frame(new Uint8Array(1))]);
  cluster.deaf.add(groups[2].self);
  const replies = groups[1].query(ALL, { order: "raw", timeoutMs: 20 }).rank();
  await cluster.settle();
  cluster.advance(20);
  await replies;
  const raw = history.flatMap((event) => (event.kind === "send" && event.flavour === "raw" ? event.message : []));
  expect(raw.map((id) => id.replace(/^cursors.[0-9]+./, ""))).toEqual(["raw/a#00000001/0.0", "raw/b#00000002/0.0"]);
  expect(check(history).map(({ message }) => message)).toEqual([]);
});
