/**
 * `coterie simulate`: runs the production core on simulated machines under faults, and judges every run by the promises
 * of the model. The same seed is the same run, to the event.
 */
import { availableParallelism } from "node:os";
import { type Command, Option } from "commander";
import { DISK_FAULT_KINDS, FAULT_KINDS, type FaultKind } from "../../simulation/faults.ts";
import { listMutants, type Mutant } from "../../simulation/mutants.ts";
import { EXIT, type Exit, exitHelp } from "../exit.ts";
import { badOption, wholeNumber, wordList } from "../options.ts";
import { figure, Output, wrap } from "../output.ts";
import { mutantNamed } from "./mutants.ts";
import { runSeeds } from "./pool.ts";
import { type Ran, report } from "./report.ts";
import type { SeedOutcome } from "./seed.ts";
import { Summary } from "./summary.ts";

interface Options {
  readonly seeds?: number;
  readonly seed?: number;
  readonly from: number;
  readonly members: number;
  readonly duration: number;
  readonly faults?: readonly FaultKind[];
  readonly faultsEvery?: number;
  readonly updates?: number;
  readonly durable?: boolean;
  readonly mutant?: string;
  readonly listMutants?: boolean;
  readonly jobs: number;
  readonly trace?: boolean;
  readonly json?: boolean;
}

const SEEDS_DEFAULT = 100;
const SEED_MAX = 2 ** 32 - 1;
/** No seed takes so long, by far: so much time for any run, and so much more for every simulated millisecond. */
const SEED_MS_MAX = 120_000;
const SLOWNESS_MAX = 20;

export function addSimulate(program: Command): void {
  program
    .command("simulate")
    .description("Run the production code on simulated machines under faults, and judge every run by the model.")
    .option("--seeds <count>", `how many runs (default: ${SEEDS_DEFAULT})`, wholeNumber("--seeds", 1, 10_000_000))
    .addOption(
      new Option("--seed <number>", "run this seed only, and print its trace hash")
        .argParser(wholeNumber("--seed", 0, SEED_MAX))
        .conflicts(["seeds", "from"]),
    )
    .option("--from <seed>", "the first seed", wholeNumber("--from", 0, SEED_MAX), 1)
    .option("--members <count>", "nodes from the start; others come and go", wholeNumber("--members", 1, 15), 5)
    .option(
      "--duration <ms>",
      "simulated time of traffic and faults",
      wholeNumber("--duration", 100, 86_400_000),
      12_000,
    )
    .option("--durable", "nodes have disks, groups are durable, and everything may fail at once, disks too")
    .option(
      "--faults <list>",
      `these only, or none: ${FAULT_KINDS.join(", ")}; with --durable also ${DISK_FAULT_KINDS.join(", ")}`,
      wordList("--faults", [...FAULT_KINDS, ...DISK_FAULT_KINDS]),
    )
    .option("--faults-every <ms>", "on average", wholeNumber("--faults-every", 10, 86_400_000))
    .option("--updates <count>", "that each member sends in a minute, on average", wholeNumber("--updates", 1, 60_000))
    .option("--mutant <name>", "plant this bug, and stop as soon as a run shows it")
    .option("--list-mutants", "list the bugs that can be planted")
    .option("--jobs <count>", "threads", wholeNumber("--jobs", 1, 256), availableParallelism())
    .option("--trace", "with --seed: print all that happened")
    .option("--json", "print one JSON object (with --trace, after one line for each event)")
    .addHelpText("after", exitHelp("a property was violated; it is named"))
    .action(async (options: Options) => {
      process.exitCode = options.listMutants === true ? list(options) : await simulate(options);
    });
}

function list({ json = false }: Options): Exit {
  const output = new Output(json);
  const mutants = listMutants();
  output.record(mutants.map(({ name, violates }) => ({ name, violates })));
  const { bold, dim } = output.colours;
  const width = Math.max(...mutants.map(({ name }) => name.length)) + 2;
  output.line(`${mutants.length} bugs can be planted. Each breaks a promise, and the checkers must notice:\n`);
  for (const { name, violates, why, transcript } of mutants) {
    const shown =
      transcript === undefined ? why : `${why} Random runs hardly meet it; the scenario ${transcript} does.`;
    const [first = "", ...more] = wrap(shown, output.columns - width - 8);
    output.line(`  ${bold(name.padEnd(width))}${violates.padEnd(5)} ${dim(first)}`);
    for (const line of more) output.line(`${" ".repeat(width + 8)}${dim(line)}`);
  }
  output.line(`\ncoterie simulate --mutant ${mutants[0]?.name ?? "NAME"}`);
  return EXIT.ok;
}

async function simulate(options: Options): Promise<Exit> {
  const output = new Output(options.json === true);
  if (options.trace === true && options.seed === undefined) throw badOption("--trace", "needs --seed");
  const mutant = options.mutant === undefined ? undefined : mutantNamed(options.mutant);
  const firstSeed = options.seed ?? options.from;
  const seeds = options.seed === undefined ? (options.seeds ?? SEEDS_DEFAULT) : 1;
  const summary = new Summary();
  const show = (): void => output.progress(progressOf(summary, seeds));
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  process.once("SIGINT", interrupt);
  const cpuBefore = process.cpuUsage();
  const begun = performance.now();
  show();
  await runSeeds({
    setup: {
      simulation: {
        ...mutant?.simulation,
        ...(options.members === undefined ? {} : { members: options.members }),
        durationMs: options.duration,
        ...(options.durable === true ? { durable: true } : {}),
        ...(options.faults === undefined ? {} : { faults: options.faults }),
        ...(options.faultsEvery === undefined ? {} : { faultsEveryMs: options.faultsEvery }),
        ...(options.updates === undefined ? {} : { updatesPerSecond: options.updates / 60 }),
      },
      mutant: mutant?.name,
      wanted: mutant?.violates,
      traces: options.trace === true,
      columns: output.columns,
    },
    firstSeed,
    seeds,
    jobs: options.jobs,
    seedMsMax: SEED_MS_MAX + SLOWNESS_MAX * options.duration,
    onOutcome: (outcome) => {
      summary.add(outcome);
      trace(outcome, output);
      show();
      return mutant === undefined || !isCaught(outcome, mutant);
    },
    signal: interruption.signal,
  });
  process.off("SIGINT", interrupt);
  const cpu = process.cpuUsage(cpuBefore);
  const ran: Ran = {
    summary,
    firstSeed,
    seedsWanted: seeds,
    members: options.members,
    durationMs: options.duration,
    mutant,
    jobs: Math.min(options.jobs, seeds),
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    wallSeconds: (performance.now() - begun) / 1000,
    isInterrupted: interruption.signal.aborted,
    command: commandOf(options),
  };
  report(ran, output);
  if (ran.isInterrupted) return EXIT.interrupted;
  return summary.violations.length > 0 ? EXIT.wrong : EXIT.ok;
}

function isCaught({ violations }: SeedOutcome, mutant: Mutant): boolean {
  return violations.some(({ property }) => property === mutant.violates);
}

function trace({ diagram, history }: SeedOutcome, output: Output): void {
  if (history === undefined) return;
  for (const event of history) output.record(event);
  output.line(diagram);
}

function progressOf({ seeds, simulatedMs, violations }: Summary, wanted: number): string {
  const wrong = violations.length === 0 ? "" : `   ${figure(violations.length)} violations`;
  return `  ${figure(seeds)} of ${figure(wanted)} seeds   ${figure(simulatedMs / 1000)} simulated seconds${wrong}`;
}

/** What to type to run a seed again, up to the seed. */
function commandOf({ members, duration, durable, faults, faultsEvery, updates, mutant }: Options): string {
  const parts = ["coterie simulate"];
  if (members !== 5) parts.push(`--members ${members}`);
  if (duration !== 12_000) parts.push(`--duration ${duration}`);
  if (durable === true) parts.push("--durable");
  if (faults !== undefined) parts.push(`--faults ${faults.length === 0 ? "none" : faults.join(",")}`);
  if (faultsEvery !== undefined) parts.push(`--faults-every ${faultsEvery}`);
  if (updates !== undefined) parts.push(`--updates ${updates}`);
  if (mutant !== undefined) parts.push(`--mutant ${mutant}`);
  return `${parts.join(" ")} --seed`;
}
