/** Nodes: joining, several groups in one step, the cluster's views and status, closing. */
import { describe, expect, test } from "vitest";
import { FakeCluster } from "../../test/group/fake-cluster.ts";
import { failureOf } from "../../test/group/members.ts";
import type { ClusterStatus } from "../runtime/application.ts";
import { defineGroup } from "./define.ts";
import { createNode } from "./node.ts";
import { start } from "./start.ts";

const one = defineGroup({ name: "one", state: () => 0, updates: { nothing: () => 1 } });
const two = defineGroup({ name: "two", state: () => "", queries: { name: () => "two" } });

let load = () => {};
const slow = defineGroup({
  name: "slow",
  state: () => 0,
  checkpoint: {
    save: () => [],
    load: () =>
      new Promise<number>((resolve) => {
        load = () => resolve(0);
      }),
  },
});
const broken = defineGroup({
  name: "broken",
  state: () => 0,
  checkpoint: {
    save: () => [],
    load: () => {
      throw new Error("cannot load");
    },
  },
});

describe("join", () => {
  test("a node is in a group once; leaving frees the name", async () => {
    const node = createNode(new FakeCluster().node("a"));
    const group = await node.join(one);
    expect([group.name, group.self, group.rank, group.status]).toEqual(["one", "a#00000001", 0, "active"]);
    expect(await failureOf(node.join(one))).toMatchObject({ code: "already-member", group: "one" });
    await group.leave();
    expect((await node.join(one)).status).toBe("active");
  });

  test("another definition under the same name is refused", async () => {
    const cluster = new FakeCluster();
    await createNode(cluster.node("a")).join(one);
    const other = defineGroup({ name: "one", state: () => 0, version: 2 });
    const error = await failureOf(createNode(cluster.node("b")).join(other));
    expect(error).toMatchObject({ code: "definition-mismatch", group: "one" });
    expect((error as Error).message).toContain(one.digest);
  });

  test("several groups are joined in one step, or none of them", async () => {
    const cluster = new FakeCluster();
    const node = createNode(cluster.node("a"));
    const [first, second] = await node.joinAll([one, two]);
    expect(await first.send.nothing()).toBe(1);
    expect(await second.query(1).name()).toHaveLength(1);
    const other = createNode(cluster.node("b"));
    const mismatched = defineGroup({ name: "two", state: () => "", version: 2 });
    expect(await failureOf(other.joinAll([one, mismatched]))).toMatchObject({ code: "definition-mismatch" });
    expect(first.view.members).toEqual(["a#00000001"]);
    expect(await node.joinAll([])).toEqual([]);
    expect(await failureOf(other.joinAll([one, one]))).toMatchObject({ code: "already-member" });
    expect(await failureOf(other.joinAll(one as unknown as [typeof one]))).toMatchObject({ code: "invalid-option" });
  });

  test("a signal ends it", async () => {
    const cluster = new FakeCluster();
    const node = createNode(cluster.node("a"));
    cluster.hold();
    const abort = new AbortController();
    const joining = node.join(one, { signal: abort.signal });
    abort.abort(new Error("enough"));
    expect(await failureOf(joining)).toMatchObject({ code: "aborted", cause: new Error("enough") });
    expect(await failureOf(node.join(one, { signal: abort.signal }))).toMatchObject({ code: "aborted" });
    cluster.release();
    await cluster.settle();
    expect(cluster.groups.get("one")?.members ?? []).toEqual([]);
    expect((await node.join(one)).status).toBe("active");
  });

  test("a membership that comes after the join was given up is left", async () => {
    const cluster = new FakeCluster();
    await createNode(cluster.node("a")).join(slow);
    const abort = new AbortController();
    const node = createNode(cluster.node("b"));
    const joining = node.join(slow, { signal: abort.signal });
    await new Promise((done) => setImmediate(done));
    abort.abort();
    expect(await failureOf(joining)).toMatchObject({ code: "aborted" });
    load();
    await cluster.settle();
    expect(cluster.groups.get("slow")?.view).toMatchObject({ number: 3, members: ["a#00000001"] });
    const again = node.join(slow);
    await new Promise((done) => setImmediate(done));
    load();
    expect((await again).status).toBe("active");
  });

  test("when one of several states cannot be loaded, all of the groups are left", async () => {
    const cluster = new FakeCluster();
    await createNode(cluster.node("a")).joinAll([one, broken]);
    const error = await failureOf(createNode(cluster.node("b")).joinAll([one, broken]));
    expect(error).toMatchObject({ code: "state-transfer-failed", group: "broken" });
    await cluster.settle();
    expect(cluster.groups.get("one")?.view.members).toEqual(["a#00000001"]);
  });

  test("a state that throws fails the join", async () => {
    const stateless = defineGroup({
      name: "stateless",
      state: () => {
        throw new Error("no state");
      },
    });
    const error = await failureOf(createNode(new FakeCluster().node("a")).join(stateless));
    expect(error).toMatchObject({ code: "handler-failed", group: "stateless", cause: new Error("no state") });
  });
});

describe("close", () => {
  test("ends all memberships, joins and readings; later joins fail", async () => {
    const cluster = new FakeCluster();
    const node = createNode(cluster.node("a"));
    const group = await node.join(one);
    const statuses = node.cluster.statuses();
    expect((await statuses.next()).value).toBe("primary");
    const joining = node.join(two);
    const closed = node.close();
    expect(node.close()).toBe(closed);
    expect(await failureOf(joining)).toMatchObject({ code: "closed" });
    await closed;
    expect(group.status).toBe("closed");
    expect((await statuses.next()).done).toBe(true);
    expect(await failureOf(node.join(two))).toMatchObject({ code: "closed" });
  });

  test("what waits for room is sent first, and later calls fail", async () => {
    const cluster = new FakeCluster();
    const other = await createNode(cluster.node("b")).join(one);
    const node = createNode(cluster.node("a"));
    const group = await node.join(one);
    cluster.roomMax = 1;
    cluster.hold();
    const calls = [group.send.nothing(), group.send.nothing(), group.safeSend.nothing()];
    const closed = node.close();
    const late = group.send.nothing();
    cluster.release();
    expect(await Promise.all(calls)).toEqual([1, 1, 1]);
    expect(await failureOf(late)).toMatchObject({ code: "closed" });
    await closed;
    expect(other.counters.delivered).toBe(3);
  });

  test("a node that left its groups in good order has closed them", async () => {
    const fake = new FakeCluster().node("a");
    const node = createNode(fake);
    const group = await node.join(one);
    fake.closesAs = "left";
    await node.close();
    expect(group.status).toBe("closed");
    expect(group.signal.reason).toMatchObject({ code: "closed" });
  });

  test("a witness joins no group", async () => {
    const node = createNode(new FakeCluster().node("w"), { witness: true });
    expect(await failureOf(node.join(one))).toMatchObject({ code: "witness" });
    expect(await failureOf(node.joinAll([one, two]))).toMatchObject({ code: "witness" });
    await node.close();
    expect(await failureOf(node.join(one))).toMatchObject({ code: "closed" });
  });

  test("calls that get no room are not waited for long, and those of a blocked group not at all", async () => {
    const cluster = new FakeCluster();
    const fakes = [cluster.node("a"), cluster.node("b")] as const;
    const [first, second] = [createNode(fakes[0]), createNode(fakes[1])];
    const groups = [await first.join(one), await second.join(two)] as const;
    cluster.roomMax = 0;
    const failures = [groups[0].send.nothing(), groups[1].query(1).name()].map((call) => failureOf(call));
    fakes[1].block(true);
    await second.close();
    expect(groups[1].status).toBe("closed");
    const closed = first.close();
    await cluster.settle();
    expect(groups[0].status).toBe("active");
    cluster.advance(1000);
    await closed;
    for (const failure of failures) expect(await failure).toMatchObject({ code: "closed" });
  });

  test("a node that cannot leave in time tells its groups all the same", async () => {
    const fake = new FakeCluster().node("a");
    const node = createNode(fake);
    const group = await node.join(one);
    fake.close = () => Promise.resolve();
    await node.close();
    expect(group.status).toBe("closed");
    expect(await failureOf(group.send.nothing())).toMatchObject({ code: "closed" });
  });

  test("is what the signal of its options, and `await using`, do", async () => {
    const cluster = new FakeCluster();
    const abort = new AbortController();
    const first = createNode(cluster.node("a"), { signal: abort.signal });
    const group = await first.join(one);
    abort.abort();
    await first.close();
    expect(group.status).toBe("closed");
    let other: Awaited<ReturnType<typeof first.join<typeof one>>> | undefined;
    {
      await using node = createNode(cluster.node("b"));
      other = await node.join(one);
    }
    expect(other.status).toBe("closed");
    const third = createNode(cluster.node("c"), { signal: abort.signal });
    expect(await failureOf(third.join(one))).toMatchObject({ code: "closed" });
  });
});

test("the cluster's views and statuses are told as they come", async () => {
  const cluster = new FakeCluster();
  const fake = cluster.node("a");
  const node = createNode(fake);
  expect(node.self).toBe("a#00000001");
  expect(node.cluster.view).toBeUndefined();
  const views = node.cluster.views();
  const statuses = node.cluster.statuses();
  const view = { cluster: "c", number: 1, nodes: [], acceptors: [] };
  fake.show(view);
  fake.block(true);
  fake.block(false);
  expect(node.cluster.view).toBe(view);
  expect((await views.next()).value).toBe(view);
  expect((await node.cluster.views().next()).value).toBe(view);
  const seen: (ClusterStatus | undefined)[] = [];
  for (let each = 0; each < 3; each++) seen.push((await statuses.next()).value);
  expect(seen).toEqual(["primary", "blocked", "primary"]);
  expect(node.cluster.status).toBe("primary");
});

test("start refuses bad options before it does anything", async () => {
  expect(await failureOf(start({ listen: "nowhere" }))).toMatchObject({ code: "invalid-option" });
});
