/** Views, reads, flushes, watching, leaving: what a group tells of its membership. */
import { describe, expect, test } from "vitest";
import { failureOf, threeMembers } from "../../test/group/members.ts";
import { defineGroup } from "./define.ts";
import { CoterieError } from "./errors.ts";
import { createNode } from "./node.ts";

const events: string[] = [];

const counter = defineGroup({
  name: "counter",
  state: () => ({ count: 0, history: [] as string[] }),
  updates: {
    increment: ({ state }, by: number) => {
      state.count += by;
      return state.count;
    },
    object: () => ({ count: 1 }),
  },
  onView: ({ view, joined, left, state, self, rank }) => {
    state.history.push(`${view.number}: +${joined.map((id) => id[0]).join("")} -${left.map((id) => id[0]).join("")}`);
    events.push(`${self[0]} at ${rank} sees ${view.number}`);
  },
  onExcluded: (error) => {
    events.push(error.message);
  },
});

describe("views", () => {
  test("onView runs at the same point of the history at every member, and may change the state", async () => {
    const { cluster, groups, nodes } = await threeMembers(counter);
    await groups[1].leave();
    await cluster.settle();
    const again = await nodes[1].join(counter);
    const expected = ["1: +a -", "2: +b -", "3: +c -", "4: + -b", "5: +b -"];
    for (const group of [groups[0], groups[2], again]) {
      expect(group.read(({ state }) => state.history)).toEqual(expected);
    }
  });

  test("views() gives the present view and every later one, and ends with the membership", async () => {
    const { groups, nodes } = await threeMembers(counter);
    const numbers: number[] = [];
    const reading = (async () => {
      for await (const view of groups[0].views()) numbers.push(view.number);
    })();
    await groups[2].leave();
    await groups[1].leave();
    await nodes[0].close();
    await reading;
    expect(numbers).toEqual([3, 4, 5]);
    expect(groups[0].view).toMatchObject({ number: 5, members: ["a#00000001"] });
    const after: number[] = [];
    for await (const view of groups[0].views()) after.push(view.number);
    expect(after).toEqual([5]);
  });

  test("leaving the loop ends the reading; readers do not disturb each other", async () => {
    const { groups } = await threeMembers(counter);
    for await (const view of groups[0].views()) {
      expect(view.number).toBe(3);
      break;
    }
    const reader = groups[0].views();
    await reader.next();
    const next = reader.next();
    await groups[2].leave();
    expect((await next).value).toMatchObject({ number: 4 });
  });

  test("watch tells how it is, and the comings and goings of a member or of a node in all its incarnations", async () => {
    const { cluster, groups } = await threeMembers(counter);
    const byId = groups[0].watch(groups[1].self);
    const byName = groups[0].watch("b");
    expect((await byId.next()).value).toMatchObject({ kind: "joined", member: "b#00000002", view: { number: 3 } });
    expect((await byName.next()).value).toMatchObject({ kind: "joined", member: "b#00000002" });
    await groups[1].leave();
    expect((await byId.next()).value).toMatchObject({ kind: "left", member: "b#00000002", view: { number: 4 } });
    expect((await byName.next()).value).toMatchObject({ kind: "left", member: "b#00000002" });
    await createNode(cluster.node("b")).join(counter);
    expect((await byName.next()).value).toMatchObject({ kind: "joined", member: "b#00000004", view: { number: 5 } });
    const gone = groups[0].watch("b#00000002");
    expect((await gone.next()).value).toMatchObject({ kind: "left", member: "b#00000002" });
    expect(() => groups[0].watch("")).toThrow("watch");
  });
});

describe("flush", () => {
  test("resolves with nothing, or with the result that it makes stable", async () => {
    const { groups } = await threeMembers(counter);
    expect(await groups[0].flush()).toBeUndefined();
    expect(await groups[0].flush({ copies: 2 })).toBeUndefined();
    expect(await groups[0].flush(await groups[0].send.increment(5))).toBe(5);
    expect(await groups[0].flush(await groups[0].send.object())).toEqual({ count: 1 });
    expect(() => groups[0].flush({ copies: 0 })).toThrow("`copies`");
  });

  test("a signal ends the waiting", async () => {
    const { cluster, groups } = await threeMembers(counter);
    cluster.hold();
    const abort = new AbortController();
    const flushed = groups[0].flush({ signal: abort.signal });
    abort.abort();
    expect(await failureOf(flushed)).toMatchObject({ code: "aborted" });
    expect(await failureOf(groups[0].flush({ signal: abort.signal }))).toMatchObject({ code: "aborted" });
    cluster.release();
    await cluster.settle();
  });
});

describe("blocked", () => {
  test("reads throw, sends wait, and it passes", async () => {
    const { cluster, groups, fakes } = await threeMembers(counter);
    fakes[0].block(true);
    cluster.hold();
    expect(groups[0].status).toBe("blocked");
    expect(() => groups[0].read(({ state }) => state.count)).toThrow(CoterieError);
    expect(() => groups[0].read(({ state }) => state.count)).toThrow("the majority of the cluster is out of reach");
    const call = groups[0].send.increment(1);
    fakes[0].block(false);
    cluster.release();
    expect(await call).toBe(1);
    expect(groups[0].status).toBe("active");
    expect(groups[0].read(({ state, rank, self }) => [state.count, rank, self])).toEqual([1, 0, "a#00000001"]);
  });

  test("disposing of a blocked group does not wait; leaving does", async () => {
    const { cluster, groups, fakes } = await threeMembers(counter);
    fakes[0].block(true);
    cluster.hold();
    await groups[0][Symbol.asyncDispose]();
    let left = false;
    const leaving = groups[0].leave().then(() => {
      left = true;
    });
    await new Promise((done) => setImmediate(done));
    expect(left).toBe(false);
    cluster.release();
    await leaving;
    expect(groups[0].status).toBe("left");
  });

  test("disposing stops waiting when the group becomes blocked", async () => {
    const { cluster, groups, fakes } = await threeMembers(counter);
    cluster.hold();
    const disposed = groups[0][Symbol.asyncDispose]();
    fakes[0].block(true);
    await disposed;
    cluster.release();
    await cluster.settle();
  });
});

describe("leaving", () => {
  test("what was sent before is delivered first, what comes after fails", async () => {
    const { cluster, groups } = await threeMembers(counter);
    cluster.roomMax = 1;
    cluster.hold();
    const calls = [groups[0].send.increment(1), groups[0].send.increment(1), groups[0].safeSend.increment(1)];
    const left = groups[0].leave();
    const late = groups[0].send.increment(1);
    expect(groups[0].leave()).toBe(left);
    cluster.release();
    expect(await Promise.all(calls)).toEqual([1, 2, 3]);
    await left;
    expect(await failureOf(late)).toMatchObject({ code: "left" });
    expect(groups[0].status).toBe("left");
    expect(groups[0].signal.reason).toMatchObject({ code: "left" });
    await groups[0].leave();
    expect(groups[1].view.members).toEqual(["b#00000002", "c#00000003"]);
    expect(groups[1].read(({ state }) => state.count)).toBe(3);
    expect(() => groups[0].read(({ state }) => state.count)).toThrow("has left");
  });

  test("an excluded member is told so", async () => {
    const { cluster, groups, fakes, nodes } = await threeMembers(counter);
    events.length = 0;
    fakes[2].exclude();
    await cluster.settle();
    expect(events).toContain(
      "c#00000003 was excluded from group counter. Join again: `node.join(definition)` gives a new group object with the present state.",
    );
    await groups[0].send.increment(7);
    const again = await nodes[2].join(counter);
    expect(again.read(({ state }) => state.count)).toBe(7);
  });
});

test("what callbacks throw, at once or later, is logged and counted and breaks nothing", async () => {
  const loud = defineGroup({
    name: "loud",
    state: () => 0,
    updates: { nothing: () => 1 },
    onView: ({ view }) => {
      if (view.number === 1) throw new Error("at once");
      return Promise.reject(new Error("later")) as unknown as undefined;
    },
    onExcluded: () => {
      throw new Error("excluded");
    },
  });
  const { cluster, groups, fakes, log } = await threeMembers(loud);
  expect(await groups[0].safeSend.nothing()).toBe(1);
  expect(groups[0].counters.callbackFailures).toBe(3);
  fakes[2].exclude();
  await cluster.settle();
  expect(log.map(({ code }) => code)).toEqual(["handler-failed", "handler-failed", "handler-failed", "handler-failed"]);
  expect(log.map(({ message }) => message)).toContain("onExcluded threw");
});
