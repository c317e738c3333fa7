/**
 * Work shared by rank: every member of the group counts the primes in its share, and the caller adds up what they say.
 * Start it in several terminals to have more members; each line is a number up to which to count.
 *
 *     npx tsx examples/primes.ts
 */
import { createInterface } from "node:readline";
// In a project of your own: from "coterie".
import { ALL, defineGroup, start } from "../src/index.ts";

const workers = defineGroup({
  name: "workers",
  state: () => null,
  queries: {
    /** All members run it in the same view, so each number falls to exactly one of them. */
    count: ({ rank, view }, limit: number) => {
      let primes = rank === 0 && limit >= 2 ? 1 : 0;
      const step = 2 * view.members.length;
      for (let odd = 3 + 2 * rank; odd <= limit; odd += step) if (isPrime(odd)) primes++;
      return primes;
    },
  },
});

await using node = await start();
await using group = await node.join(workers);

console.log(`member ${group.rank} of ${group.view.members.length}; up to which number are primes to be counted?`);
for await (const line of createInterface({ input: process.stdin })) {
  const limit = Number(line);
  if (limit > 1) console.log(`there are ${await primesUpTo(limit)} primes up to ${limit}`);
}

async function primesUpTo(limit: number): Promise<number> {
  let primes = 0;
  for await (const { member, status, value } of group.query(ALL).count.stream(limit)) {
    // The share of a member that fell out is missing: the others share the whole anew.
    if (status !== "value") return primesUpTo(limit);
    console.log(`${member} has found ${value}`);
    primes += value;
  }
  return primes;
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return true;
}
