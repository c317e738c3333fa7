/**
 * Checks the specifications in spec/ with Spin: each instance to its end, and each planted bug until it is found. `--quick` checks the
 * smallest instances and the bugs that show in small ones, within a minute or two. `--traces` writes runs of the model of the flush, with
 * and without bugs, to test/specification/flush-traces.txt, where a test holds the code against them.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const isQuick = process.argv.includes("--quick");
const root = join(import.meta.dirname, "..");
const TRACES = join(root, "test/specification/flush-traces.txt");

/** `isLarge`: not for `--quick`. */
const INSTANCES = [
  ["cluster", { N: 3, B: 2, M: 1 }],
  ["cluster", { N: 3, B: 2, M: 2, isLarge: true }],
  ["cluster", { N: 4, B: 2, M: 1, isLarge: true }],
  ["cluster", { N: 3, B: 3, M: 1, isLarge: true }],
  ["flush", { N: 3, J: 0, T: 2, M: 1 }],
  ["flush", { N: 2, J: 1, T: 2, M: 1 }],
  ["flush", { N: 3, J: 0, T: 2, M: 2, isLarge: true }],
  ["flush", { N: 2, J: 1, T: 3, M: 2, isLarge: true }],
  ["flush", { N: 3, J: 1, T: 2, M: 1, isLarge: true }],
  ["flush", { N: 4, J: 0, T: 2, M: 1, isLarge: true }],
  ["flush", { N: 3, J: 1, T: 3, M: 1, isLarge: true }],
];

/** With the instance in which each is found. */
const BUGS = [
  ["cluster", "NO_INHERITANCE", { N: 3, B: 2, M: 1 }],
  ["cluster", "LOWEST_BALLOT", { N: 3, B: 3, M: 1, isLarge: true }],
  ["cluster", "NO_PROMISE_CHECK", { N: 3, B: 2, M: 1 }],
  ["cluster", "NO_FREEZE", { N: 3, B: 2, M: 1 }],
  ["cluster", "CUT_MINIMUM", { N: 3, B: 2, M: 1 }],
  ["cluster", "OPTIMISTIC", { N: 3, B: 2, M: 1 }],
  ["cluster", "ACCEPT_WITHOUT_HOLD", { N: 3, B: 2, M: 1 }],
  ["cluster", "TIE_WITHOUT_OLDEST", { N: 2, B: 2, M: 1 }],
  ["flush", "ONE_PHASE", { N: 2, J: 1, T: 2, M: 1 }],
  ["flush", "LATE_HOLD", { N: 2, J: 1, T: 2, M: 1 }],
  ["flush", "NO_REISSUE", { N: 3, J: 0, T: 2, M: 1 }],
  ["flush", "BLIND_REISSUE", { N: 3, J: 0, T: 2, M: 1 }],
  ["flush", "LAGGARDS_SKIPPED", { N: 2, J: 1, T: 2, M: 1 }],
  ["flush", "NO_FREEZE", { N: 3, J: 0, T: 1, M: 1 }],
  ["flush", "NO_PROMISE", { N: 2, J: 1, T: 2, M: 1 }],
  ["flush", "DATA_ONLY", { N: 3, J: 0, T: 1, M: 2 }],
  ["flush", "CUT_MINIMUM", { N: 3, J: 0, T: 1, M: 1 }],
];

/** Runs that end well, by what is to happen in them (GOAL in the model), and how many of each. */
const GOALS = [
  [{ N: 3, J: 0, T: 2, M: 1 }, 2, 4],
  [{ N: 2, J: 1, T: 2, M: 1 }, 4, 4],
  [{ N: 3, J: 1, T: 2, M: 2 }, 1, 4],
  [{ N: 3, J: 1, T: 3, M: 2 }, 9, 4],
  [{ N: 3, J: 1, T: 3, M: 2 }, 10, 4],
  [{ N: 4, J: 0, T: 3, M: 2 }, 8, 4],
];
const GOAL_SECONDS_MAX = 8;
const DEPTH_MAX = 2_000_000;
/** A large instance is cut here: then it says that it was not exhausted. */
const SECONDS_MAX = 900;

for (const tool of ["spin", "gcc"]) {
  if (spawnSync(tool, [tool === "spin" ? "-V" : "--version"]).error === undefined) continue;
  process.stderr.write(`${tool} is not installed: apt-get install -y spin gcc, or see https://spinroot.com\n`);
  process.exit(3);
}

function definesOf(instance, ...names) {
  const numbers = Object.entries(instance).filter(([, value]) => typeof value === "number");
  return [...numbers.map(([name, value]) => `-D${name}=${value}`), ...names.map((name) => `-D${name}`)];
}

/** Builds a checker in a folder of its own. */
function inFolder(specification, defines, options, use) {
  const folder = mkdtempSync(join(tmpdir(), "coterie-spec-"));
  const model = join(root, "spec", `${specification}.pml`);
  try {
    execFileSync("spin", ["-a", ...defines, model], { cwd: folder, stdio: "pipe" });
    const flags = ["-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=8000", ...options];
    execFileSync("gcc", [...flags, "-o", "pan", "pan.c"], { cwd: folder });
    return use(folder, model);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(folder, seconds, ...more) {
  // Processes with nothing left to do are no error (-E).
  const options = { cwd: folder, encoding: "utf8", timeout: seconds * 1000, killSignal: "SIGINT" };
  return spawnSync("./pan", [`-m${DEPTH_MAX}`, "-E", ...more], options).stdout;
}

/** Runs one instance, and says how many states it has and what was violated. */
function verify(specification, instance, ...bugs) {
  return inFolder(specification, definesOf(instance, ...bugs), instance.isLarge ? ["-O2"] : [], (folder) => {
    const stdout = run(folder, SECONDS_MAX);
    const errors = Number(/errors: (\d+)/.exec(stdout)?.[1] ?? Number.NaN);
    const states = Number(/(\d+) states, stored/.exec(stdout)?.[1] ?? Number.NaN);
    const depth = Number(/depth reached (\d+)/.exec(stdout)?.[1] ?? Number.NaN);
    const isExhausted = !/Search not completed|max search depth too small|out of memory/.test(stdout);
    const violated = /assertion violated (.*) \(at depth/.exec(stdout)?.[1];
    return { errors, states, depth, isExhausted, violated };
  });
}

/** The steps of the run that the checker has just found. */
function trailOf(folder, model, defines) {
  const trail = readFileSync(join(folder, `${model.split("/").at(-1)}.trail`));
  writeFileSync(join(folder, "run.trail"), trail);
  const stdout = execFileSync("spin", ["-t", "-k", "run.trail", ...defines, model], { cwd: folder, encoding: "utf8" });
  const steps = stdout.split("\n").flatMap((line) => /@ (.*)/.exec(line)?.[1] ?? []);
  return steps.map((step) => step.trim().replace(/\s+/g, " ")).join("; ");
}

function writeTraces() {
  const lines = [];
  for (const [, bug, instance] of BUGS.filter(([specification]) => specification === "flush")) {
    const defines = definesOf(instance, bug, "TURNS");
    const steps = inFolder("flush", defines, [], (folder, model) => {
      run(folder, SECONDS_MAX);
      return trailOf(folder, model, defines);
    });
    lines.push(`${bug} ${instance.N} ${instance.J}: ${steps}`);
  }
  for (const [instance, goal, count] of GOALS) {
    const defines = definesOf({ ...instance, GOAL: goal }, "TURNS");
    inFolder("flush", defines, ["-DP_RAND", "-DT_RAND"], (folder, model) => {
      for (let seed = 1, found = 0; found < count && seed <= 2 * count; seed++) {
        if (!/errors: 1/.test(run(folder, GOAL_SECONDS_MAX, `-RS${seed}`))) continue;
        lines.push(`none ${instance.N} ${instance.J}: ${trailOf(folder, model, defines)}`);
        found++;
      }
    });
  }
  const head = "# Runs of spec/flush.pml: the planted bug, the members of the first view, joiners, and the steps.\n";
  writeFileSync(TRACES, `${head}# Written by \`npm run spec -- --traces\`.\n${lines.join("\n")}\n`);
  console.log(`${lines.length} runs of the flush`);
}

function check() {
  let isWrong = false;
  for (const [specification, instance] of INSTANCES) {
    if (isQuick && instance.isLarge) continue;
    const { errors, states, depth, isExhausted, violated } = verify(specification, instance);
    const verdict = errors > 0 ? `violated: ${violated}` : isExhausted ? "exhausted" : "not exhausted";
    const name = definesOf(instance).join(" ").replaceAll("-D", "");
    console.log(`${specification} ${name}: ${states} states, depth ${depth}, ${verdict}`);
    if (errors !== 0 || (!isExhausted && !instance.isLarge)) isWrong = true;
  }
  for (const [specification, bug, instance] of BUGS) {
    if (isQuick && instance.isLarge) continue;
    const { errors, states, violated } = verify(specification, instance, bug);
    console.log(`${specification} ${bug}: ${errors > 0 ? `found after ${states} states: ${violated}` : "NOT FOUND"}`);
    if (!(errors > 0)) isWrong = true;
  }
  process.exitCode = isWrong ? 1 : 0;
}

if (process.argv.includes("--traces")) writeTraces();
else check();
