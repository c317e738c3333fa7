/** The program that the design began with, as users write it, on a cluster without a protocol. */
import { expect, test } from "vitest";
import { FakeCluster } from "../../test/group/fake-cluster.ts";
import { ALL, defineGroup } from "../index.ts";
import { createNode } from "./node.ts";

const prices = defineGroup({
  name: "prices",
  state: () => new Map<string, number>(),
  updates: {
    set: ({ state }, name: string, price: number) => {
      state.set(name, price);
    },
  },
  queries: {
    lookup: ({ state }, name: string) => state.get(name),
  },
  onView: ({ view }) => {
    views.push(`prices members: ${view.members.join(" ")}`);
  },
});
const views: string[] = [];

test("the program of the slides: every member answers with the price", async () => {
  const cluster = new FakeCluster();
  const a = createNode(cluster.node("a"));
  const b = createNode(cluster.node("b"));
  {
    await using node = a;
    await using group = await node.join(prices);
    const other = await b.join(prices);
    await group.safeSend.set("Harry", 20.75);
    const replies = await group.query(ALL).lookup("Harry");
    expect(replies.map((reply) => reply.value)).toEqual([20.75, 20.75]);
    expect(other.read(({ state }) => state.get("Harry"))).toBe(20.75);
  }
  await b.close();
  expect(views).toEqual([
    "prices members: a#00000001",
    "prices members: a#00000001 b#00000002",
    "prices members: a#00000001 b#00000002",
    "prices members: b#00000002",
  ]);
});
