/**
 * Checks the specifications in spec/ with Spin: each instance to its end, and each planted bug until it is found. `--quick` checks the
 * smallest instance and the bugs that show in small ones, within a minute.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const isQuick = process.argv.includes("--quick");
const model = join(import.meta.dirname, "../spec/cluster.pml");

const INSTANCES = [
  { N: 3, B: 2, M: 1 },
  { N: 3, B: 2, M: 2 },
  { N: 4, B: 2, M: 1, isLarge: true },
  { N: 3, B: 3, M: 1, isLarge: true },
].slice(0, isQuick ? 1 : undefined);

/** With the instance in which each is found. */
const BUGS = [
  ["NO_INHERITANCE", { N: 3, B: 2, M: 1 }],
  ["LOWEST_BALLOT", { N: 3, B: 3, M: 1, isLarge: true }],
  ["NO_PROMISE_CHECK", { N: 3, B: 2, M: 1 }],
  ["NO_FREEZE", { N: 3, B: 2, M: 1 }],
  ["CUT_MINIMUM", { N: 3, B: 2, M: 1 }],
  ["OPTIMISTIC", { N: 3, B: 2, M: 1 }],
  ["ACCEPT_WITHOUT_HOLD", { N: 3, B: 2, M: 1 }],
  ["TIE_WITHOUT_OLDEST", { N: 2, B: 2, M: 1 }],
];
const DEPTH_MAX = 2_000_000;
/** A large instance is cut here: then it says that it was not exhausted. */
const SECONDS_MAX = 900;

for (const tool of ["spin", "gcc"]) {
  if (spawnSync(tool, [tool === "spin" ? "-V" : "--version"]).error === undefined) continue;
  process.stderr.write(`${tool} is not installed: apt-get install -y spin gcc, or see https://spinroot.com\n`);
  process.exit(3);
}

/** Runs one instance, and says how many states it has and what was violated. */
function verify({ N, B, M }, bug) {
  const folder = mkdtempSync(join(tmpdir(), "coterie-spec-"));
  try {
    const defines = [`-DN=${N}`, `-DB=${B}`, `-DM=${M}`, ...(bug === undefined ? [] : [`-D${bug}`])];
    execFileSync("spin", ["-a", ...defines, model], { cwd: folder, stdio: "pipe" });
    execFileSync("gcc", ["-w", "-O2", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=6000", "-o", "pan", "pan.c"], {
      cwd: folder,
    });
    // Acceptors with nothing left to do are no error (-E).
    const options = { cwd: folder, encoding: "utf8", timeout: SECONDS_MAX * 1000, killSignal: "SIGINT" };
    const { stdout } = spawnSync("./pan", [`-m${DEPTH_MAX}`, "-E"], options);
    const errors = Number(/errors: (\d+)/.exec(stdout)?.[1] ?? Number.NaN);
    const states = Number(/(\d+) states, stored/.exec(stdout)?.[1] ?? Number.NaN);
    const isExhausted = !/Search not completed|max search depth too small|out of memory/.test(stdout);
    const violated = /assertion violated (.*) \(at depth/.exec(stdout)?.[1];
    return { errors, states, isExhausted, violated };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

let isWrong = false;
for (const instance of INSTANCES) {
  const { errors, states, isExhausted, violated } = verify(instance);
  const { N, B, M, isLarge = false } = instance;
  const verdict = errors > 0 ? `violated: ${violated}` : isExhausted ? "exhausted" : "not exhausted";
  console.log(`${N} acceptors, ${B} ballots, ${M} commands: ${states} states, ${verdict}`);
  if (errors !== 0 || (!isExhausted && !isLarge)) isWrong = true;
}
for (const [bug, instance] of BUGS) {
  if (isQuick && instance.isLarge) continue;
  const { errors, states, violated } = verify(instance, bug);
  console.log(`${bug}: ${errors > 0 ? `found after ${states} states: ${violated}` : "NOT FOUND"}`);
  if (!(errors > 0)) isWrong = true;
}
process.exitCode = isWrong ? 1 : 0;
