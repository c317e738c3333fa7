/** Batched updates, and messages that are posted. */
import { describe, expect, test } from "vitest";
import { threeMembers } from "../../test/group/members.ts";
import { batched, borrowed } from "./batch.ts";
import { defineGroup } from "./define.ts";
import { CoterieError } from "./errors.ts";

interface Log {
  entries: string[];
  readonly batches: number[];
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytesOf = (word: string): Uint8Array => new TextEncoder().encode(word);

const journal = defineGroup({
  name: "journal",
  state: (): Log => ({ entries: [], batches: [] }),
  updates: {
    add: batched(({ state }, batch) => {
      let count = 0;
      while (batch.next()) {
        const { bytes, offset, length } = batch;
        const word = text(bytes.subarray(offset, offset + length));
        if (word === "bad") throw new RangeError("bad");
        state.entries.push(word);
        count++;
      }
      state.batches.push(count);
    }),
    first: batched(({ state, position, sender, time }, batch) => {
      if (batch.next()) state.entries.push(`${text(batch.copy())} ${position.index} ${sender === "" || time === 0}`);
    }),
    where: batched((context, batch) => {
      while (batch.next()) context.state.entries.push(`${context.position.index}`);
    }),
    unseen: batched(({ state }) => {
      state.entries.push("unseen");
      throw new RangeError("without looking");
    }),
    late: batched((async () => {}) as unknown as () => void),
    one: ({ state }, word: string) => state.entries.push(word),
    fail: () => {
      throw new RangeError("no");
    },
  },
  maxMessageBytes: 200_000,
});

const log = ({ state }: { readonly state: Log }) => ({ entries: [...state.entries], batches: [...state.batches] });

describe("a batched update", () => {
  test("takes the messages of one turn at once, up to the next of another operation, the same at all members", async () => {
    const { cluster, groups } = await threeMembers(journal);
    cluster.hold();
    const calls = ["a", "b", "c"].map((word) => groups[1].orderedSend.add(bytesOf(word)));
    const between = groups[1].orderedSend.one("-");
    const last = groups[1].orderedSend.add(bytesOf("d"));
    cluster.release();
    expect(await Promise.all(calls)).toEqual([undefined, undefined, undefined]);
    await Promise.all([between, last]);
    await groups[1].flush();
    for (const group of groups)
      expect(group.read(log)).toEqual({ entries: ["a", "b", "c", "-", "d"], batches: [3, 1] });
  });

  test("has the position of the message that it stands at", async () => {
    const { cluster, groups } = await threeMembers(journal);
    cluster.hold();
    const calls = [1, 2, 3].map(() => groups[0].orderedSend.where(bytesOf("x")));
    cluster.release();
    await Promise.all(calls);
    expect(groups[0].read(log).entries).toEqual(["0", "1", "2"]);
    await groups[0].orderedSend.where(bytesOf("x"));
    expect(groups[0].read(log).entries.at(-1)).toBe("3");
  });

  test("fails the message at which it throws, and goes on behind it", async () => {
    const { cluster, groups } = await threeMembers(journal);
    cluster.hold();
    const calls = ["bad", "a", "bad", "b"].map((word) => groups[0].orderedSend.add(bytesOf(word)));
    cluster.release();
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "rejected", "fulfilled"]);
    await groups[0].flush();
    for (const group of groups) expect(group.read(log)).toEqual({ entries: ["a", "b"], batches: [1] });
    expect(groups[1].counters.handlerFailures).toBe(2);
    expect(groups[1].counters.delivered).toBe(4);
  });

  test("fails a message even if it throws before it looks at one", async () => {
    const { cluster, groups } = await threeMembers(journal);
    cluster.hold();
    const calls = [1, 2].map(() => groups[0].send.unseen(bytesOf("x")));
    cluster.release();
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(groups[0].read(log).entries).toEqual(["unseen", "unseen"]);
  });

  test("may skip what it does not look at", async () => {
    const { cluster, groups } = await threeMembers(journal);
    cluster.hold();
    const calls = ["a", "b"].map((word) => groups[0].send.first(bytesOf(word)));
    cluster.release();
    await Promise.all(calls);
    expect(groups[0].read(log).entries).toEqual(["a 0 false"]);
  });

  test("that returns a promise is refused", async () => {
    const { groups } = await threeMembers(journal);
    await expect(groups[0].send.late(bytesOf("x"))).rejects.toMatchObject({ code: "asynchronous-update" });
  });

  test("takes a message in parts, or one for some of the members, by itself", async () => {
    const { groups } = await threeMembers(journal);
    await groups[0].send.add(new Uint8Array(150_000).fill(97));
    await groups[0].to(groups[0].self).send.add(bytesOf("b"));
    expect(groups[0].read(log).entries.map(({ length }) => length)).toEqual([150_000, 1]);
    expect(groups[0].read(log).batches).toEqual([1, 1]);
  });

  test("takes nothing but bytes", async () => {
    const { groups } = await threeMembers(journal);
    const call = groups[0].send.add("text" as unknown as Uint8Array);
    await expect(call).rejects.toMatchObject({ code: "handler-failed" });
  });
});

test("a borrowed update gets a view of what came, and returns as others do; a kept one gets a copy", async () => {
  const memories: ArrayBufferLike[] = [];
  const look = ({ state }: { state: string[] }, message: Uint8Array): number => {
    memories.push(message.buffer);
    return state.push(text(message));
  };
  const { cluster, groups } = await threeMembers(
    defineGroup({ name: "words", state: (): string[] => [], updates: { borrow: borrowed(look), keep: look } }),
  );
  cluster.hold();
  const calls = [
    groups[0].send.borrow(bytesOf("a")),
    groups[0].send.keep(bytesOf("b")),
    groups[0].send.borrow(bytesOf("c")),
  ];
  cluster.release();
  expect(await Promise.all(calls)).toEqual([1, 2, 3]);
  const [first, second, third] = memories;
  expect(third).toBe(first);
  expect(second).not.toBe(first);
});

describe("post", () => {
  test("sends, in the order of calls, and asks for no outcome", async () => {
    const { cluster, groups } = await threeMembers(journal);
    cluster.hold();
    expect(groups[0].orderedSend.one.post("a")).toBeUndefined();
    const call = groups[0].orderedSend.one("b");
    expect(groups[0].orderedSend.add.post(bytesOf("c"))).toBeUndefined();
    const last = groups[0].orderedSend.one("d");
    cluster.release();
    expect(await call).toBe(2);
    expect(await last).toBe(4);
    expect(groups[0].read(log).entries).toEqual(["a", "b", "c", "d"]);
  });

  test("says when to wait", async () => {
    const { cluster, groups } = await threeMembers(journal);
    cluster.roomMax = 1;
    cluster.hold();
    expect(groups[0].send.add.post(bytesOf("a"))).toBeUndefined();
    const room = groups[0].send.add.post(bytesOf("b"));
    expect(room).toBeInstanceOf(Promise);
    cluster.roomMax = Number.POSITIVE_INFINITY;
    cluster.release();
    await room;
    expect(groups[0].send.one.post("more")).toBeUndefined();
  });

  test("throws what cannot be sent, and logs what the update throws", async () => {
    const { groups } = await threeMembers(journal);
    expect(() => groups[0].send.one.post((() => {}) as unknown as string)).toThrow(CoterieError);
    expect(() => groups[0].send.add.post(new Uint8Array(200_001))).toThrow(/message-too-large|more than/);
    groups[0].send.fail.post();
    await groups[0].send.one("after");
    expect(groups[0].counters.handlerFailures).toBe(1);
    expect(groups[0].counters.unheardFailures).toBe(0);
  });

  test("that waits for room ends with the membership", async () => {
    const { cluster, groups, nodes } = await threeMembers(journal);
    cluster.roomMax = 1;
    cluster.hold();
    groups[0].send.add.post(bytesOf("a"));
    const room = groups[0].send.add.post(bytesOf("b"));
    const closed = nodes[0].close();
    cluster.release();
    await Promise.all([room, closed]);
    expect(() => groups[0].send.add.post(bytesOf("c"))).toThrow(CoterieError);
  });
});
