/**
 *     npm run torture -- --minutes M [--members N] [--seed S] [--durable] [--json]
 *
 * Exit codes as those of `coterie`: 0 all is right, 1 something is not, 2 the command line, 130 Ctrl-C.
 */
import { parseArgs } from "node:util";
import { EXIT } from "../../src/edge/exit.ts";
import { torture, type Verdict } from "./torture.ts";

const MEMBERS_MIN = 3;
const MEMBERS_MAX = 9;
const MINUTES_MAX = 24 * 60;

interface Settings {
  readonly minutes: number;
  readonly members: number;
  readonly seed: number;
  readonly durable: boolean;
  readonly json: boolean;
}

function settings(): Settings | string {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: "string", default: "1" },
        members: { type: "string", default: "5" },
        seed: { type: "string", default: String(Date.now() % 1_000_000) },
        durable: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
      },
    });
    const [minutes, members, seed] = [Number(values.minutes), Number(values.members), Number(values.seed)];
    if (!(minutes > 0 && minutes <= MINUTES_MAX)) return `--minutes is a number up to ${MINUTES_MAX}`;
    if (!Number.isInteger(members) || members < MEMBERS_MIN || members > MEMBERS_MAX)
      return `--members is a whole number from ${MEMBERS_MIN} to ${MEMBERS_MAX}`;
    if (!Number.isInteger(seed) || seed < 0) return "--seed is a whole number";
    return { minutes, members, seed, durable: values.durable, json: values.json };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function tell(verdict: Verdict): void {
  const { violations, problems, kept, ok, ...figures } = verdict;
  for (const [name, value] of Object.entries(figures)) {
    console.log(`  ${name.padEnd(26)}${typeof value === "object" ? JSON.stringify(value) : value}`);
  }
  for (const { property, message } of violations) console.log(`✖ ${property}: ${message}`);
  for (const problem of problems) console.log(`✖ ${problem}`);
  if (kept !== undefined) console.log(`  the histories are in ${kept}`);
  console.log(ok ? "✔ Nothing is wrong." : "✖ Something is wrong.");
}

async function main(): Promise<number> {
  const chosen = settings();
  if (typeof chosen === "string") {
    console.error(chosen);
    return EXIT.usage;
  }
  const { minutes, members, seed, durable, json } = chosen;
  const interruption = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interruption.abort());
  const progress = (text: string): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[2K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
  };
  try {
    const verdict = await torture({
      seconds: minutes * 60,
      members,
      seed,
      durable,
      signal: interruption.signal,
      progress,
    });
    progress("");
    if (json) console.log(JSON.stringify(verdict));
    else tell(verdict);
    return verdict.ok ? EXIT.ok : EXIT.wrong;
  } catch (error) {
    if (interruption.signal.aborted) return EXIT.interrupted;
    throw error;
  }
}

process.exitCode = await main();
