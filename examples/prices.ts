/**
 * Prices, replicated: the seed's program. Start it in several terminals; every process has all prices, whoever sets them.
 *
 *     npx tsx examples/prices.ts
 */
import { ALL, defineGroup, start } from "../src/index.ts";

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
    console.log(`prices members: ${view.members.join(" ")}`);
  },
});

await using node = await start();
await using group = await node.join(prices);

await group.safeSend.set("Harry", 20.75);
const replies = await group.query(ALL).lookup("Harry");
console.log(replies.map((reply) => `${reply.member} ${reply.value}`).join("\n"));

console.log("Press Ctrl-C to leave.");
await new Promise((resolve) => process.once("SIGINT", resolve));
