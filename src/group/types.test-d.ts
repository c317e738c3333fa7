/**
 * What the compiler infers from a definition, and what it refuses. Every refusal is an expected error: the file fails to
 * compile when one of them is accepted.
 */
import { expectTypeOf, test } from "vitest";
import { z } from "zod";
import {
  ALL,
  defineGroup,
  type Group,
  type GroupView,
  MAJORITY,
  type Node,
  type Optimistic,
  type Plain,
  type Position,
  type Reply,
  type Stable,
} from "../index.ts";

const prices = defineGroup({
  name: "prices",
  state: () => new Map<string, number>(),
  updates: {
    set: ({ state }, name: string, price: number) => {
      state.set(name, price);
    },
    count: ({ state, time, random, position, sender, rank, self, view }) => {
      expectTypeOf(time).toBeNumber();
      expectTypeOf(random()).toBeNumber();
      expectTypeOf(position).toEqualTypeOf<Position>();
      expectTypeOf(sender).toBeString();
      expectTypeOf(rank).toBeNumber();
      expectTypeOf(self).toBeString();
      expectTypeOf(view).toEqualTypeOf<GroupView>();
      return state.size;
    },
    remove: ({ state }, name: string) => state.get(name),
    optional: (_context, a: string, b?: number, ...rest: boolean[]) => `${a}${b}${rest}`,
    bytes: (_context, bytes: Uint8Array) => bytes.length > 0,
    dynamic: () => JSON.parse("1"),
  },
  queries: {
    lookup: ({ state }, name: string) => state.get(name),
    slow: async ({ state }) => state.size,
    perhaps: ({ state, nullReply }, name: string) => state.get(name) ?? nullReply(),
  },
  onView: ({ view, joined, left, state }) => {
    expectTypeOf(view).toEqualTypeOf<GroupView>();
    expectTypeOf(joined).toEqualTypeOf<readonly string[]>();
    expectTypeOf(left).toEqualTypeOf<readonly string[]>();
    expectTypeOf(state).toEqualTypeOf<Map<string, number>>();
  },
});

const empty = defineGroup({ name: "empty", state: () => null });

declare const node: Node;
declare const group: Group<typeof prices>;

test("join gives the group of its definition", () => {
  expectTypeOf(node.join(prices)).resolves.toEqualTypeOf<Group<typeof prices>>();
  expectTypeOf(node.joinAll([prices, empty])).resolves.toEqualTypeOf<
    readonly [Group<typeof prices>, Group<typeof empty>]
  >();
});

test("sends take the handler's arguments and resolve with its result", () => {
  expectTypeOf(group.send.set).parameters.toEqualTypeOf<[name: string, price: number]>();
  expectTypeOf(group.safeSend.optional).parameters.toEqualTypeOf<
    [a: string, b?: number | undefined, ...rest: boolean[]]
  >();
  expectTypeOf(group.orderedSend.count).parameters.toEqualTypeOf<[]>();
  expectTypeOf(group.send.count()).resolves.toEqualTypeOf<Optimistic<number>>();
  expectTypeOf(group.rawSend.set).parameters.toEqualTypeOf<[name: string, price: number]>();
  expectTypeOf(group.rawSend.count()).resolves.toEqualTypeOf<number>();
  expectTypeOf(group.to("a").rawSend.count()).resolves.toEqualTypeOf<number | undefined>();
  expectTypeOf(group.causalSend.set).parameters.toEqualTypeOf<[name: string, price: number]>();
  expectTypeOf(group.causalSend.remove("a")).resolves.toEqualTypeOf<Optimistic<number | undefined>>();
  expectTypeOf(group.to("a").causalSend.count()).resolves.toEqualTypeOf<Optimistic<number | undefined>>();
  expectTypeOf(group.orderedSend.remove("a")).resolves.toEqualTypeOf<Optimistic<number | undefined>>();
  expectTypeOf(group.safeSend.remove("a")).resolves.toEqualTypeOf<Stable<number | undefined>>();
  expectTypeOf(group.safeSend.set("a", 1)).resolves.toEqualTypeOf<Stable<void>>();
  const dynamic = group.send.dynamic();
  expectTypeOf<Awaited<typeof dynamic>>().toBeAny();
  expectTypeOf(group.to("a").safeSend.count()).resolves.toEqualTypeOf<Stable<number | undefined>>();
});

test("wrong calls are refused", () => {
  // @ts-expect-error: the second argument is missing
  group.send.set("a");
  // @ts-expect-error: it is not a number
  group.send.set("a", "1");
  // @ts-expect-error: there is no third
  group.send.set("a", 1, 2);
  // @ts-expect-error: no such update
  group.send.sett("a", 1);
  // @ts-expect-error: a query is not an update
  group.send.lookup("a");
  // @ts-expect-error: an update is not a query
  group.query(ALL).set("a", 1);
  // @ts-expect-error: no such number of replies
  group.query("all");
  // @ts-expect-error: no such order
  group.query(ALL, { order: "total" });
  // @ts-expect-error: a group without operations has none
  void (async () => (await node.join(empty)).send.anything());
  // @ts-expect-error: not a definition
  void node.join({ name: "prices" });
  // @ts-expect-error: no members of members
  group.to("a").to("b");
});

test("queries resolve with replies of what the handler returns in the end", () => {
  expectTypeOf(group.query(ALL).lookup("a")).resolves.toEqualTypeOf<Reply<number>[]>();
  expectTypeOf(group.query(MAJORITY).slow()).resolves.toEqualTypeOf<Reply<number>[]>();
  expectTypeOf(group.query(ALL, { order: "causal" }).slow()).resolves.toEqualTypeOf<Reply<number>[]>();
  expectTypeOf(group.query(2).perhaps("a")).resolves.toEqualTypeOf<Reply<number>[]>();
  const reply = {} as Reply<number>;
  expectTypeOf(reply.value).toEqualTypeOf<number | undefined>();
  if (reply.status === "value") expectTypeOf(reply.value).toEqualTypeOf<number>();
});

test("stable may be used as optimistic and both as plain values, never back", async () => {
  const optimistic = await group.send.count();
  const stable = await group.safeSend.count();
  expectTypeOf(stable).toExtend<Optimistic<number>>();
  expectTypeOf(stable).toExtend<number>();
  expectTypeOf(optimistic).toExtend<number>();
  expectTypeOf(optimistic).not.toExtend<Stable<number>>();
  expectTypeOf(optimistic + stable).toEqualTypeOf<number>();
  const dispense = (amount: Stable<number>): number => amount;
  dispense(stable);
  dispense(await group.flush(optimistic));
  // @ts-expect-error: not flushed
  dispense(optimistic);
  // @ts-expect-error: not a result of the group
  dispense(20);
  // @ts-expect-error: computed from results, but no longer one
  dispense(stable + 1);
  // @ts-expect-error: a local read may see what is not flushed
  dispense(group.read(({ state }) => state.size));
  // @ts-expect-error: only results can be made stable
  await group.flush(20);
});

test("what acts on the world refuses all that was not made stable", async () => {
  const dispense = (_amount: Stable<number>): void => {};
  dispense(await group.safeSend.count());
  for (const early of [group.send.count(), group.causalSend.count(), group.orderedSend.count()]) {
    // @ts-expect-error: not flushed
    dispense(await early);
    dispense(await group.flush(await early));
  }
  const raw = await group.rawSend.count();
  // @ts-expect-error: a raw message may not get to anybody else
  dispense(raw);
  // @ts-expect-error: nor does a flush cover it
  await group.flush(raw);
  const own = group.read(({ state }) => state.size);
  // @ts-expect-error: a local read may see what is not flushed
  dispense(own);
  dispense(await group.flush(own));
  const [reply] = await group.query(ALL, { order: "safe" }).slow();
  if (reply?.status === "value") {
    // @ts-expect-error: another member's state may depend on what is not flushed there
    dispense(reply.value);
    // @ts-expect-error: nor does a flush of this member make it stable
    await group.flush(reply.value);
  }
});

test("replies come one by one, with the same types", async () => {
  for await (const reply of group.query(ALL).perhaps.stream("a")) expectTypeOf(reply).toEqualTypeOf<Reply<number>>();
  // @ts-expect-error: the argument is missing
  group.query(ALL).perhaps.stream();
  // @ts-expect-error: no such action
  group.query(ALL, { onTimeout: "report" });
});

test("the marks work for void, undefined, null, booleans, unions and objects", async () => {
  const confirm = (_receipt: Stable<void>): void => {};
  confirm(await group.safeSend.set("a", 1));
  confirm(await group.flush(await group.send.set("a", 1)));
  // @ts-expect-error: not flushed
  confirm(await group.send.set("a", 1));
  // @ts-expect-error: a flush of everything is not a receipt for one update
  confirm(undefined);
  const perhaps = await group.send.remove("a");
  if (perhaps !== undefined) {
    expectTypeOf(perhaps).toExtend<number>();
    expectTypeOf(perhaps).not.toExtend<Stable<number>>();
  }
  expectTypeOf(perhaps ?? 0).toExtend<number>();
  expectTypeOf<Stable<number | undefined>>().toExtend<Optimistic<number | undefined>>();
  expectTypeOf<Optimistic<number | undefined>>().not.toExtend<Stable<number | undefined>>();
  expectTypeOf<Optimistic<boolean>>().toExtend<boolean>();
  expectTypeOf<Optimistic<boolean>>().not.toExtend<Stable<boolean>>();
  expectTypeOf<Optimistic<{ a: 1 } | null>>().toExtend<{ a: 1 } | null>();
  expectTypeOf<Optimistic<Map<string, number>>>().toExtend<Map<string, number>>();
  expectTypeOf<Plain<Optimistic<number | undefined>>>().toEqualTypeOf<number | undefined>();
  expectTypeOf<Plain<Stable<boolean>>>().toEqualTypeOf<boolean>();
  const word = {} as Optimistic<"a" | "b">;
  if (word === "a") expectTypeOf(word).toExtend<"a">();
});

test("flush with options resolves with nothing", () => {
  expectTypeOf(group.flush()).resolves.toEqualTypeOf<void>();
  expectTypeOf(group.flush({ copies: 2 })).resolves.toEqualTypeOf<void>();
  // @ts-expect-error: no such option
  group.flush({ copy: 2 });
});

test("an update that may return a promise is refused", () => {
  defineGroup({
    name: "late",
    state: () => ({ n: 0 }),
    updates: {
      // @ts-expect-error: asynchronous
      asynchronous: async ({ state }, by: number) => {
        state.n += by;
      },
      // @ts-expect-error: sometimes a promise
      sometimes: ({ state }, by: number) => (by > 0 ? state.n : Promise.resolve(by)),
      fine: ({ state }, by: number) => state.n + by,
    },
  });
});

test("wrong definitions are refused", () => {
  // @ts-expect-error: no state
  defineGroup({ name: "x" });
  // @ts-expect-error: what is no option is not accepted silently
  defineGroup({ name: "x", state: () => 0, secret: true });
  // @ts-expect-error: the state has no such property
  defineGroup({ name: "x", state: () => ({ n: 0 }), updates: { f: ({ state }) => state.m } });
  // @ts-expect-error: queries cannot assign the state
  defineGroup({ name: "x", state: () => 0, queries: { f: (context) => (context.state = 1) } });
  defineGroup({ name: "x", state: () => 0 as number, updates: { f: (context) => (context.state = 1) } });
  defineGroup({
    name: "x",
    state: () => new Set<string>(),
    checkpoint: {
      save: (state) => [new TextEncoder().encode([...state].join())],
      // @ts-expect-error: it loads another kind of state
      load: async () => new Map(),
    },
  });
});

test("a schema is for the tuple of an operation's arguments", () => {
  defineGroup({
    name: "x",
    state: () => 0,
    updates: { set: (_context, name: string, price: number) => `${name}${price}` },
    queries: { get: (_context, name: string) => name },
    schema: { set: z.tuple([z.string(), z.number().positive()]), get: z.tuple([z.string()]) },
  });
  defineGroup({
    name: "x",
    state: () => 0,
    updates: { set: (_context, name: string, price: number) => `${name}${price}` },
    // @ts-expect-error: it outputs other arguments
    schema: { set: z.tuple([z.number()]) },
  });
  defineGroup({
    name: "x",
    state: () => 0,
    updates: { set: (_context, name: string) => name },
    // @ts-expect-error: no such operation
    schema: { put: z.tuple([z.string()]) },
  });
});

test("what is open is named among the operations of its kind", () => {
  defineGroup({
    name: "x",
    state: () => 0,
    updates: { set: (_context, name: string) => name },
    queries: { get: (_context, name: string) => name },
    open: { updates: { set: true }, queries: { get: true } },
  });
  defineGroup({
    name: "x",
    state: () => 0,
    updates: { set: (_context, name: string) => name },
    // @ts-expect-error: no such update
    open: { updates: { get: true } },
  });
});
