import { describe, expect, test } from "vitest";
import { defineGroup } from "../group/define.ts";
import { simulateCluster } from "./index.ts";

const prices = defineGroup({
  name: "prices",
  state: () => new Map<string, number>(),
  updates: {
    set: ({ state }, name: string, price: number) => {
      state.set(name, price);
    },
  },
  queries: { lookup: ({ state }, name: string) => state.get(name) },
});

describe("a simulated cluster", () => {
  test("runs a user's group, twice alike", async () => {
    const run = await simulateCluster({ seed: 3, twice: true }, async (cluster) => {
      const [a, b, c] = await cluster.start("a", "b", "c");
      const ga = await a.join(prices);
      const gb = await b.join(prices);
      const gc = await c.join(prices);
      await gb.safeSend.set("Harry", 20.75);
      for (const group of [ga, gb, gc]) {
        await cluster.until(() => group.read(({ state }) => state.get("Harry")) === 20.75);
      }
      expect(await gc.query(3).lookup("Harry")).toMatchObject([{ value: 20.75 }, { value: 20.75 }, { value: 20.75 }]);
      await new Promise((resolve) => setTimeout(resolve, 10_000));
      expect(cluster.now).toBeGreaterThan(10_000);
    });
    expect(run.failures).toEqual([]);
  });
});
