/** Sends: results, failures, order, bytes, subsets, room, signals. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { failureOf, threeMembers } from "../../test/group/members.ts";
import { defineGroup } from "./define.ts";
import { CoterieError, OutcomeUnknownError } from "./errors.ts";
import type { Position } from "./operations.ts";
import { OUTBOX_LIMITS } from "./outbox.ts";

interface Log {
  entries: string[];
}

const kept: Uint8Array[] = [];

const journal = defineGroup({
  name: "journal",
  state: (): Log => ({ entries: [] }),
  updates: {
    add: ({ state }, entry: string) => state.entries.push(entry),
    bytes: ({ state }, bytes: Uint8Array) => {
      kept.push(bytes);
      state.entries.push(`${bytes.length} bytes`);
      return bytes;
    },
    two: (_context, a: Uint8Array, b: Uint8Array) => a.length + b.length,
    nothing: () => {},
    where: ({ position, sender, time, rank, self, view }) => ({
      position,
      sender,
      time,
      rank,
      self,
      view: view.number,
    }),
    roll: ({ state, random }) => {
      state.entries.push(`${random()} ${random()}`);
    },
    draw: ({ random }, count: number) => Array.from({ length: count }, () => random()),
    fail: ({ state }, entry: string): void => {
      state.entries.push(entry);
      throw new RangeError(`no ${entry}`);
    },
    late: ({ state }, entry: string): unknown => {
      state.entries.push(entry);
      return Promise.reject(new Error("too late"));
    },
    replace: (context, entries: string[]) => {
      context.state = { entries };
    },
    price: (_context, name: string, price: number) => `${name} ${price}`,
  },
  schema: { price: z.tuple([z.string().trim(), z.number().positive()]) },
  maxMessageBytes: 300_000,
});

const entries = ({ state }: { readonly state: Log }) => [...state.entries];

describe("results", () => {
  test("a send resolves when it was delivered here, with what the handler returned here", async () => {
    const { groups } = await threeMembers(journal);
    expect(await groups[0].send.add("x")).toBe(1);
    expect(await groups[1].orderedSend.add("y")).toBe(2);
    expect(await groups[2].safeSend.add("z")).toBe(3);
    expect(await groups[0].causalSend.add("a")).toBe(4);
    expect(await groups[2].send.nothing()).toBeUndefined();
    for (const group of groups) expect(group.read(entries)).toEqual(["x", "y", "z", "a"]);
  });

  test("each flavour's results go to its own calls, in the order of the calls", async () => {
    const { cluster, groups } = await threeMembers(journal);
    cluster.hold();
    const calls = [
      groups[0].send.add("1"),
      groups[0].safeSend.add("2"),
      groups[0].send.add("3"),
      groups[0].orderedSend.add("4"),
      groups[0].safeSend.add("5"),
    ];
    cluster.release();
    expect(await Promise.all(calls)).toEqual([1, 2, 3, 4, 5]);
    cluster.isTotalSlow = true;
    cluster.hold();
    const overtaken = [
      groups[0].safeSend.add("8"),
      groups[0].send.add("6"),
      groups[0].orderedSend.add("9"),
      groups[0].send.add("7"),
    ];
    cluster.release();
    expect(await Promise.all(overtaken)).toEqual([8, 6, 9, 7]);
    expect(groups[1].read(entries)).toEqual(["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
  });

  test("a call's outcome can be asked for late, and more than once", async () => {
    const { cluster, groups } = await threeMembers(journal);
    const call = groups[0].send.add("x");
    await cluster.settle();
    expect(await call).toBe(1);
    expect(await call.then((length) => length + 1)).toBe(2);
    let finished = false;
    expect(
      await call.finally(() => {
        finished = true;
      }),
    ).toBe(1);
    expect(finished).toBe(true);
  });

  test("handlers see the same place, time and random numbers at every replica", async () => {
    const { cluster, groups } = await threeMembers(journal);
    const expected = { time: cluster.time, rank: 1, self: "b#00000002", sender: "b#00000002", view: 3 };
    const at = (index: number, sender?: string): Position => ({ view: 3, index, sender });
    expect(await groups[1].send.where()).toEqual({ ...expected, position: at(0, "b#00000002") });
    expect(await groups[1].send.where()).toEqual({ ...expected, position: at(1, "b#00000002") });
    expect(await groups[1].causalSend.where()).toEqual({ ...expected, position: at(0, "b#00000002") });
    cluster.hold();
    const batch = [groups[1].send.where(), groups[1].send.where()];
    cluster.release();
    const indexes = (await Promise.all(batch)).map(({ position }) => position.index);
    expect(indexes).toEqual([2, 3]);
    await groups[0].safeSend.nothing();
    expect(await groups[1].orderedSend.where()).toEqual({ ...expected, position: at(1) });
    await Promise.all([
      groups[0].send.roll(),
      groups[0].send.roll(),
      groups[1].send.roll(),
      groups[2].orderedSend.roll(),
    ]);
    const rolled = groups[0].read(entries);
    expect(new Set(rolled.flatMap((entry) => entry.split(" "))).size).toBe(8);
    for (const group of groups) expect(group.read(entries)).toEqual(rolled);
  });

  test("random numbers depend on the message's place only, not on how many were drawn before", async () => {
    const draws = async (count: number) => {
      const { groups } = await threeMembers(journal);
      await groups[0].send.draw(count);
      return groups[0].send.draw(1);
    };
    expect(await draws(1)).toEqual(await draws(5));
  });

  test("an update may replace the state", async () => {
    const { groups } = await threeMembers(journal);
    await groups[0].send.replace(["new"]);
    expect(await groups[0].send.add("x")).toBe(2);
    for (const group of groups) expect(group.read(entries)).toEqual(["new", "x"]);
  });
});

describe("bytes", () => {
  test("arrive as they were, in memory that stays", async () => {
    const { cluster, groups } = await threeMembers(journal);
    kept.length = 0;
    const sent = [Buffer.from("first"), new Uint8Array(0), new Uint8Array([7]).subarray(0, 1)];
    cluster.hold();
    const calls = sent.map((bytes) => groups[0].send.bytes(bytes));
    sent[0]?.fill(0);
    cluster.release();
    const results = await Promise.all(calls);
    expect(kept).toHaveLength(9);
    const expected = [new TextEncoder().encode("first"), new Uint8Array(0), new Uint8Array([7])];
    expect(kept.filter((_bytes, index) => index < 3)).toEqual(expected);
    expect(results).toEqual(expected);
    expect(Object.getPrototypeOf(results[0])).toBe(Uint8Array.prototype);
  });

  test("with other arguments they are encoded", async () => {
    const { groups } = await threeMembers(journal);
    expect(await groups[0].send.two(new Uint8Array(3), new Uint8Array(4))).toBe(7);
  });

  test("longer than a packet come in parts, between other messages", async () => {
    const { cluster, groups } = await threeMembers(journal);
    const long = new Uint8Array(200_000).map((_byte, index) => index % 251);
    cluster.hold();
    const calls = [groups[0].send.add("before"), groups[0].send.bytes(long), groups[0].send.add("after")];
    const others = [groups[1].send.bytes(long), groups[1].orderedSend.bytes(long), groups[1].send.add("other")];
    cluster.release();
    for (const call of [calls[1], ...others.slice(0, 2)]) {
      expect(Buffer.compare((await call) as unknown as Uint8Array, long)).toBe(0);
    }
    await Promise.all([...calls, ...others]);
    const all = groups[2].read(entries);
    expect(all.filter((entry) => entry === "200000 bytes")).toHaveLength(3);
    expect(all.indexOf("before")).toBeLessThan(all.indexOf("after"));
    expect(groups[0].read(entries)).toEqual(all);
  });
});

describe("failures", () => {
  test("an update that throws is its sender's failure; the state stays and the group goes on", async () => {
    const { groups, log } = await threeMembers(journal);
    const error = await failureOf(groups[0].send.fail("half"));
    expect(error).toBeInstanceOf(CoterieError);
    expect(error).toMatchObject({ code: "handler-failed", group: "journal", view: 3, retryable: false });
    expect((error as CoterieError).cause).toEqual(new RangeError("no half"));
    expect(await groups[0].send.add("next")).toBe(2);
    for (const group of groups) {
      expect(group.read(entries)).toEqual(["half", "next"]);
      expect(group.counters.handlerFailures).toBe(1);
    }
    expect(log.map(({ code, group }) => [code, group])).toEqual([
      ["handler-failed", "journal"],
      ["handler-failed", "journal"],
    ]);
  });

  test("an update that returns a promise is refused alike at every replica", async () => {
    const { groups, log } = await threeMembers(journal);
    expect(await failureOf(groups[0].send.late("x"))).toMatchObject({ code: "asynchronous-update" });
    for (const group of groups) {
      expect(group.read(entries)).toEqual(["x"]);
      expect(group.counters.handlerFailures).toBe(1);
    }
    expect(log.some(({ message }) => message.includes("returned a promise"))).toBe(true);
  });

  test("arguments are checked by the schema before anything is sent, and sent as it outputs them", async () => {
    const { groups } = await threeMembers(journal);
    const sent = groups[0].counters.sent;
    const error = await failureOf(groups[0].send.price("Harry", -1));
    expect(error).toMatchObject({ code: "invalid-argument", group: "journal" });
    expect((error as Error).message).toContain("price: argument 2:");
    expect(groups[0].counters.sent).toBe(sent);
    expect(await groups[0].send.price("  Harry ", 1)).toBe("Harry 1");
  });

  test("a schema that throws, waits or outputs no tuple is an error", async () => {
    const schema = (validate: () => never) => ({ "~standard": { version: 1, vendor: "test", validate } as const });
    const odd = defineGroup({
      name: "odd",
      state: () => 0,
      updates: { throws: () => 1, waits: () => 1, none: () => 1 },
      schema: {
        throws: schema(() => {
          throw new Error("broken");
        }),
        waits: schema(() => Promise.resolve({ value: [] }) as never),
        none: schema(() => ({ value: "x" }) as never),
      },
    });
    const { groups } = await threeMembers(odd);
    expect(await failureOf(groups[0].send.throws())).toMatchObject({ code: "invalid-argument" });
    expect(await failureOf(groups[0].send.waits())).toMatchObject({
      remedy: "Use a schema that validates synchronously.",
    });
    expect(await failureOf(groups[0].send.none())).toMatchObject({ code: "invalid-argument" });
  });

  test("what cannot be encoded is refused, with the argument and the place", async () => {
    const { groups } = await threeMembers(journal);
    const error = await failureOf(groups[0].send.replace([(() => 1) as unknown as string]));
    expect(error).toMatchObject({ code: "not-encodable", group: "journal" });
    expect((error as Error).message).toContain("argument 1 of replace: its [0] is a function");
    const other = await failureOf(groups[0].send.add(Symbol("s") as unknown as string));
    expect((other as Error).message).toContain("argument 1 of add: it is a symbol");
  });

  test("a message longer than maxMessageBytes is refused", async () => {
    const { groups } = await threeMembers(journal);
    const codes = [
      await failureOf(groups[0].send.bytes(new Uint8Array(300_001))),
      await failureOf(groups[0].send.add("x".repeat(300_000))),
    ];
    for (const error of codes) expect(error).toMatchObject({ code: "message-too-large" });
    expect(await groups[0].send.bytes(new Uint8Array(300_000))).toHaveLength(300_000);
  });

  test("a failure that nobody awaits is logged and counted, never an unhandled rejection", async () => {
    const { cluster, groups, log } = await threeMembers(journal);
    groups[0].send.fail("x");
    groups[0].send.price("x", -1);
    const heard = groups[0].send.price("x", -1);
    expect(await failureOf(heard)).toMatchObject({ code: "invalid-argument" });
    await cluster.settle();
    expect(groups[0].counters.unheardFailures).toBe(2);
    expect(log.filter(({ code }) => code === "unheard")).toHaveLength(1);
  });
});

describe("subsets", () => {
  test("only the members that are named run the update", async () => {
    const { cluster, groups } = await threeMembers(journal);
    const [a, b, c] = groups;
    expect(await a.to(b.self).send.add("b")).toBeUndefined();
    expect(await a.to([a.self, c.self]).safeSend.add("a and c")).toBe(1);
    expect(await a.to([a.self]).orderedSend.bytes(new Uint8Array(2))).toHaveLength(2);
    expect(await a.to([b.self, c.self]).causalSend.add("b and c")).toBeUndefined();
    await cluster.settle();
    const [atA, atB, atC] = groups.map((group) => group.read(entries));
    expect(atA).toEqual(["a and c", "2 bytes"]);
    expect(atB).toEqual(["b", "b and c"]);
    expect(atC).toEqual(["a and c", "b and c"]);
  });

  test("what cannot be members is refused", async () => {
    const { groups } = await threeMembers(journal);
    for (const members of ["b", [], ["a#00000001", "a#00000001"], [5]]) {
      expect(() => groups[0].to(members as string[])).toThrow("to: ");
    }
  });
});

describe("room", () => {
  test("calls without room wait in order, over flavours and flushes, and lose nothing", async () => {
    const { cluster, groups } = await threeMembers(journal);
    cluster.roomMax = 2;
    cluster.hold();
    const order: string[] = [];
    const calls = Array.from({ length: 10 }, (_each, index) => {
      const call = index % 2 === 0 ? groups[0].send.add(`${index}`) : groups[0].safeSend.add(`${index}`);
      return call.then(() => order.push(`${index}`));
    });
    const flushed = groups[0].flush().then(() => order.push("flush"));
    const last = groups[0].send.add("last").then(() => order.push("last"));
    expect(groups[0].counters).toMatchObject({ sent: 2, queued: 9 });
    cluster.release();
    await Promise.all([...calls, flushed, last]);
    expect(order.slice(0, 10)).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    expect(order).toContain("flush");
    expect(groups[2].read(entries)).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "last"]);
  });

  test("beyond the bound calls are refused as overloaded", async () => {
    const { cluster, groups } = await threeMembers(journal);
    cluster.roomMax = 0;
    const large = new Uint8Array(300_000);
    const fitting = Math.floor(OUTBOX_LIMITS.bytesMax / large.length);
    for (let call = 0; call < fitting; call++) groups[0].send.bytes(large);
    const error = await failureOf(groups[0].send.bytes(large));
    expect(error).toMatchObject({ code: "overloaded", retryable: true, group: "journal" });
    expect(groups[0].counters).toMatchObject({ queued: fitting, overloaded: 1 });
    for (let call = fitting; call < OUTBOX_LIMITS.callsMax; call++) groups[0].send.nothing();
    expect(await failureOf(groups[0].send.nothing())).toMatchObject({ code: "overloaded" });
  });
});

describe("signals", () => {
  test("aborting takes back what waits; it has no effect", async () => {
    const { cluster, groups } = await threeMembers(journal);
    cluster.roomMax = 1;
    cluster.hold();
    const abort = new AbortController();
    const first = groups[0].send.add("first");
    const call = groups[0].with({ signal: abort.signal }).send.add("second");
    const third = groups[0].send.add("third");
    abort.abort(new Error("enough"));
    expect(await failureOf(call)).toMatchObject({ code: "aborted", cause: new Error("enough") });
    cluster.release();
    await Promise.all([first, third]);
    expect(groups[1].read(entries)).toEqual(["first", "third"]);
  });

  test("aborting what was sent only ends the waiting: the outcome is unknown", async () => {
    const { cluster, groups } = await threeMembers(journal);
    cluster.hold();
    const abort = new AbortController();
    const call = groups[0].with({ signal: abort.signal }).safeSend.add("x");
    const bytes = groups[0].with({ signal: abort.signal }).to(groups[1].self).send.bytes(new Uint8Array(1));
    abort.abort();
    for (const each of [call, bytes]) expect(await failureOf(each)).toBeInstanceOf(OutcomeUnknownError);
    cluster.release();
    await cluster.settle();
    expect(groups[1].read(entries)).toEqual(["x", "1 bytes"]);
  });

  test("a signal that was aborted before sends nothing, and one that is aborted after does nothing", async () => {
    const { groups } = await threeMembers(journal);
    expect(await failureOf(groups[0].with({ signal: AbortSignal.abort() }).send.add("x"))).toMatchObject({
      code: "aborted",
    });
    const abort = new AbortController();
    expect(await groups[0].with({ signal: abort.signal }).send.add("y")).toBe(1);
    abort.abort();
    expect(groups[0].read(entries)).toEqual(["y"]);
    expect(() => groups[0].with({} as { signal: AbortSignal })).toThrow("`signal` is not an AbortSignal");
  });
});
