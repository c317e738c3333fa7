/**
 * Prices, replicated: the seed's program. Start it in several terminals; every process has all prices, whoever sets them.
 *
 *     npx tsx examples/prices.ts
 *
 * Type "Harry 21.5" to set a price everywhere, and "Harry" to ask every member for it.
 */
import { createInterface } from "node:readline";
// In a project of your own: from "coterie".
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
await show("Harry");

console.log("Press Ctrl-C to leave.");
const lines = createInterface({ input: process.stdin });
const stopped = new Promise((resolve) => process.once("SIGINT", resolve)).then(() => lines.close());
for await (const line of lines) {
  const [name = "", price] = line.trim().split(/\s+/);
  if (price !== undefined) await group.safeSend.set(name, Number(price));
  else if (name !== "") await show(name);
}
await stopped;

async function show(name: string): Promise<void> {
  const replies = await group.query(ALL).lookup(name);
  for (const { member, value } of replies) console.log(`${name} at ${member}: ${value ?? "no price"}`);
}
