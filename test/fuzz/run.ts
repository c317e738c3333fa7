/**
 * `npm run fuzz [-- SECONDS [SEED]]`: a million mutated inputs from the network and a hundred thousand from disks, or as
 * many as there is time for (default: 600 seconds). Exit code 1 when one is not borne; it is printed, with the seed.
 */
import { fuzz } from "./fuzz.ts";
import { targets } from "./targets.ts";

const COUNTS = { network: 1_000_000, disk: 100_000 } as const;

const [seconds = 600, seed = 1] = process.argv.slice(2).map(Number);
const all = targets();
const until = performance.now() + seconds * 1000;
for (const [index, target] of all.entries()) {
  const share = COUNTS[target.from] / all.filter(({ from }) => from === target.from).length;
  const now = performance.now();
  const [done, found] = fuzz(target, Math.ceil(share), seed, now + (until - now) / (all.length - index));
  console.log(
    `${target.name.padEnd(26)} ${done.toLocaleString("en").padStart(10)} inputs   ${found?.problem ?? "borne"}`,
  );
  if (found === undefined) continue;
  console.log(`  seed ${seed}: ${found.bytes}`);
  process.exitCode = 1;
}
