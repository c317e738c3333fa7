/**
 *     npm run flood -- [--connections N] [--per-second N] [--seconds S] [--certificates] [--json]
 *
 * Three processes in a group, over TLS, send as fast as they can; then an attacker without the key floods their ports with
 * connections that never end their handshake, from many addresses. What is measured: what the group delivers in the flood,
 * as a ratio to what it delivered before. Meanwhile and afterwards a node that is new must be let in, and who has the key must
 * be answered at an address that nobody knows. Exit codes as those of `coterie`.
 */
import { parseArgs } from "node:util";
import { EXIT } from "../../src/edge/exit.ts";
import { type Flooded, flood } from "./flood.ts";

/** What must remain of the group's throughput. */
const RATIO_MIN = 0.7;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      connections: { type: "string", default: "10000" },
      "per-second": { type: "string", default: "20000" },
      seconds: { type: "string", default: "10" },
      certificates: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const numbers = [values.connections, values["per-second"], values.seconds].map(Number);
  const [connections = 0, perSecond = 0, seconds = 0] = numbers;
  if (!numbers.every((number) => number > 0)) {
    console.error("--connections, --per-second and --seconds are numbers above 0");
    return EXIT.usage;
  }
  const flooded: Flooded = await flood({
    connections,
    perSecond,
    seconds,
    credentials: values.certificates ? "certificates" : "key",
  });
  const isRight = flooded.ratio >= RATIO_MIN && flooded.problems.length === 0;
  if (values.json) console.log(JSON.stringify({ ok: isRight, must: RATIO_MIN, ...flooded }));
  else for (const [name, value] of Object.entries(flooded)) console.log(`  ${name.padEnd(22)}${JSON.stringify(value)}`);
  return isRight ? EXIT.ok : EXIT.wrong;
}

process.exitCode = await main();
