/** Members with different definitions of one group: a rolling upgrade. */
import { expect, test } from "vitest";
import { FakeCluster } from "../../test/group/fake-cluster.ts";
import { failureOf } from "../../test/group/members.ts";
import { defineGroup } from "./define.ts";
import type { CoterieError } from "./errors.ts";
import { createNode, type Node } from "./node.ts";
import { ALL } from "./reply.ts";

const state = () => ({ total: 0, notes: [] as string[] });
const add = ({ state: at }: { state: ReturnType<typeof state> }, by: number) => {
  at.total += by;
  return at.total;
};
const total = ({ state: at }: { state: ReturnType<typeof state> }) => at.total;

const older = defineGroup({ name: "g", state, updates: { add }, queries: { total } });
const newer = defineGroup({
  name: "g",
  state,
  updates: {
    add,
    note: ({ state: at }, text: string) => at.notes.push(text),
    raw: ({ state: at }, bytes: Uint8Array) => at.notes.push(`raw ${bytes.length}`),
  },
  queries: { total, notes: ({ state: at }) => at.notes },
});

interface Nodes {
  readonly cluster: FakeCluster;
  readonly nodes: readonly [Node, Node, Node];
  readonly log: string[];
}

function nodes(): Nodes {
  const cluster = new FakeCluster();
  const log: string[] = [];
  const made = ["a", "b", "c"].map((name) =>
    createNode(cluster.node(name), { log: ({ code }) => void log.push(code) }),
  );
  return { cluster, nodes: made as unknown as Nodes["nodes"], log };
}

test("members with older and newer definitions are in one group, and share what all of them have", async () => {
  const {
    cluster,
    nodes: [a, b, c],
  } = nodes();
  const [old, young] = [await a.join(older), await b.join(newer)];
  expect(await young.orderedSend.add(2)).toBe(2);
  expect(await old.send.add(3)).toBe(5);
  const late = await c.join(older);
  await cluster.settle();
  expect(await young.query(ALL).total()).toHaveLength(3);
  for (const group of [old, young, late]) expect(group.read(({ state: at }) => at.total)).toBe(5);
  expect(young.view.lacking).toMatchObject([{ members: ["a#00000001", "c#00000003"], operations: { length: 3 } }]);
});

test("an operation that a member lacks is refused before anything is sent, and works once all have it", async () => {
  const {
    cluster,
    nodes: [a, b],
  } = nodes();
  const [old, young] = [await a.join(older), await b.join(newer)];
  const { sent } = young.counters;
  expect(young.supports("note")).toBe(false);
  expect(young.supports("add")).toBe(true);
  expect(() => young.supports("other" as "add")).toThrow(expect.objectContaining({ code: "unknown-operation" }));
  const calls = [young.send.note("x"), young.safeSend.raw(new Uint8Array(3)), young.query(ALL).notes()];
  for (const call of calls) {
    expect(await failureOf(call)).toMatchObject({ code: "not-supported", retryable: true, group: "g", view: 2 });
  }
  expect(((await failureOf(young.send.note("x"))) as CoterieError).message).toContain(
    "note: not in the definition of a#",
  );
  expect(() => young.send.note.post("x")).toThrow(expect.objectContaining({ code: "not-supported" }));
  expect(young.counters.sent).toBe(sent);
  await old.leave();
  await cluster.settle();
  expect(young.supports("note")).toBe(true);
  expect(await young.send.note("y")).toBe(1);
  expect(await young.send.raw(new Uint8Array(3))).toBe(2);
  expect(await young.query(ALL).notes()).toMatchObject([{ value: ["y", "raw 3"] }]);
});

test("a call that is under way when a member without the operation joins is run by nobody, and fails", async () => {
  const {
    cluster,
    nodes: [a, b, c],
    log,
  } = nodes();
  const groups = [await a.join(newer), await b.join(newer)] as const;
  await cluster.settle();
  const joining = c.join(older);
  await Promise.resolve();
  const calls = [
    groups[0].send.note("x"),
    groups[0].orderedSend.raw(new Uint8Array(3)),
    groups[0].send.note("long".repeat(50_000)),
    groups[1].query(ALL).notes(),
  ];
  const added = groups[1].send.add(1);
  expect(groups[1].send.note.post("y")).toBeUndefined();
  for (const call of calls) expect(await failureOf(call)).toMatchObject({ code: "not-supported", view: 3 });
  expect(await added).toBe(1);
  const old = await joining;
  await cluster.settle();
  for (const group of [...groups, old]) {
    expect(group.counters).toMatchObject({ unsupported: 5, malformed: 0 });
    expect(group.read(({ state: at }) => at)).toEqual({ total: 1, notes: [] });
  }
  expect(log).toEqual(["not-supported"]);
});

test("calls to some of the members need only those to have the operation", async () => {
  const {
    cluster,
    nodes: [a, b, c],
  } = nodes();
  const old = await a.join(older);
  const young = [await b.join(newer), await c.join(newer)] as const;
  await cluster.settle();
  const both = young[0].to([young[0].self, young[1].self]);
  expect(await both.orderedSend.note("x")).toBe(1);
  expect(await both.query(ALL).notes()).toMatchObject([{ value: ["x"] }, { value: ["x"] }]);
  expect(young[1].read(({ state: at }) => at.notes)).toEqual(["x"]);
  expect(old.counters).toMatchObject({ unsupported: 0, malformed: 0 });
  const all = young[0].to([old.self, young[1].self]);
  expect(await failureOf(all.send.note("y"))).toMatchObject({ code: "not-supported" });
});

test("a definition that neither adds nor removes only is refused, and the difference is named", async () => {
  const {
    nodes: [a, b],
  } = nodes();
  await a.join(older);
  const other = defineGroup({ name: "g", state, updates: { total: () => 1, reset: () => 2 } });
  const error = (await failureOf(b.join(other))) as CoterieError;
  expect(error).toMatchObject({ code: "definition-mismatch", group: "g" });
  expect(error.message).toContain("they have no `reset`; `total` is a query there; it lacks 2 of their operations");
  const versioned = defineGroup({ name: "g", state, updates: { add }, queries: { total }, version: 2 });
  expect(((await failureOf(b.join(versioned))) as CoterieError).message).toContain(older.digest);
});

test("a raw message runs at those that have its operation; a member that lacks it counts it and answers null", async () => {
  const {
    cluster,
    nodes: [a, b, c],
    log,
  } = nodes();
  const old = await a.join(older);
  const young = [await b.join(newer), await c.join(newer)] as const;
  await cluster.settle();
  expect(await young[0].rawSend.note("x")).toBe(1);
  expect(await young[0].rawSend.raw(new Uint8Array(3))).toBe(2);
  expect(await young[0].to([young[0].self, young[1].self]).rawSend.note("y")).toBe(3);
  expect(await young[0].rawSend.add(1)).toBe(1);
  const replies = await young[0].query(ALL, { order: "raw", timeoutMs: 1000 }).notes();
  const notes = { status: "value", value: ["x", "raw 3", "y"] };
  expect(replies).toMatchObject([{ member: old.self, status: "null" }, notes, notes]);
  await cluster.settle();
  expect(old.counters).toMatchObject({ unsupported: 3, malformed: 0, rawReceived: 5, delivered: 1 });
  expect(old.read(({ state: at }) => at)).toEqual({ total: 1, notes: [] });
  expect(young[1].counters).toMatchObject({ unsupported: 0, malformed: 0, delivered: 5 });
  expect(log).toEqual([]);
});
