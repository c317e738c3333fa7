/**
 * `coterie explore`: follows every order of events in a small world over the production core, within stated allowances,
 * and judges every outcome by the promises of the model.
 */
import { type Command, Option } from "commander";
import { diagram } from "../../simulation/diagram.ts";
import { type Acts, NO_ACTS } from "../../simulation/explore/configuration.ts";
import type { Exploration, ExplorationOptions, Figures } from "../../simulation/explore/explore.ts";
import { openExplorer } from "../../simulation/mutation.ts";
import { CAUSAL, FIFO, RAW, SAFE, TOTAL } from "../../wire/packet.ts";
import { EXIT, type Exit, exitHelp } from "../exit.ts";
import { wholeNumber, wordList } from "../options.ts";
import { figure, Output } from "../output.ts";
import { mutantNamed } from "../simulate/mutants.ts";

interface Options extends Partial<Acts> {
  readonly members: number;
  readonly acceptors?: number;
  readonly group: boolean;
  readonly flavours: readonly (keyof typeof FLAVOURS)[];
  readonly depth: number;
  readonly states: number;
  readonly seconds: number;
  readonly mutant?: string;
  readonly json?: boolean;
}

const FLAVOURS = { fifo: FIFO, causal: CAUSAL, total: TOTAL, safe: SAFE, raw: RAW };
const ACTS: readonly (readonly [keyof Acts, string])[] = [
  ["sends", "messages that members send"],
  ["crashes", "nodes that die"],
  ["joins", "nodes of the cluster that may join the group"],
  ["leaves", "members that leave the group"],
  ["closes", "nodes that leave the cluster in good order"],
  ["partitions", "times that the nodes fall into two sides"],
  ["cuts", "times that two nodes cannot reach each other"],
  ["flushes", "flushes that members call"],
  ["wakes", "timers that fire"],
  ["batches", "frames that come before the turn for the one before"],
  ["losses", "datagrams of raw messages that never arrive"],
];
const ACT_MAX = 9;
const PATH_SHOWN = 60;

export function addExplore(program: Command): void {
  const command = program
    .command("explore")
    .description("Follow every order of events in a small world over the production code, and judge every outcome.")
    .option("--members <count>", "members of the group", wholeNumber("--members", 1, 6), 3)
    .option("--acceptors <count>", "nodes that agree on views; all by default", wholeNumber("--acceptors", 1, 9))
    .option("--no-group", "only the cluster: the nodes are in no group");
  for (const [act, what] of ACTS) {
    const option = `--${act}`;
    command.option(`${option} <count>`, what, wholeNumber(option, 0, ACT_MAX));
  }
  command
    .addOption(
      new Option("--flavours <list>", "of the messages, in turn, the last message first")
        .argParser(wordList("--flavours", ["fifo", "causal", "total", "safe", "raw"]))
        .default(["safe", "total"], "safe,total"),
    )
    .option("--depth <steps>", "follow a run no further", wholeNumber("--depth", 1, 2000), 1000)
    .option("--states <count>", "stop after so many", wholeNumber("--states", 1, 100_000_000), 10_000_000)
    .option("--seconds <count>", "stop after so long", wholeNumber("--seconds", 1, 1_000_000), 60)
    .option("--mutant <name>", "plant this bug; `coterie simulate --list-mutants` lists them")
    .option("--json", "print one JSON object")
    .addHelpText("after", "\nWithout any of sends to losses: one send and one crash.")
    .addHelpText("after", exitHelp("a property was violated; it is named"))
    .action(async (options: Options) => {
      process.exitCode = await run(options);
    });
}

async function run(options: Options): Promise<Exit> {
  const output = new Output(options.json === true);
  const mutant = options.mutant === undefined ? undefined : mutantNamed(options.mutant);
  const explore = await openExplorer(mutant);
  const begun = performance.now();
  const seconds = (): number => (performance.now() - begun) / 1000;
  const world = worldOf(options);
  const exploration = explore({
    ...world,
    hasEnough: (soFar) => {
      output.progress(progressOf(soFar));
      return seconds() >= options.seconds;
    },
  });
  report(exploration, world, options, seconds(), output);
  return exploration.violations.length > 0 ? EXIT.wrong : EXIT.ok;
}

function worldOf(options: Options): ExplorationOptions {
  const { members, group: hasGroup, depth: depthMax, states: statesMax } = options;
  const isTold = ACTS.some(([act]) => options[act] !== undefined);
  const given: Partial<Acts> = isTold ? options : { sends: 1, crashes: 1 };
  const acts = Object.fromEntries(ACTS.map(([act]) => [act, given[act] ?? NO_ACTS[act]])) as unknown as Acts;
  return {
    members,
    others: acts.joins,
    directorySize: options.acceptors ?? members + acts.joins,
    hasGroup,
    flavours: options.flavours.map((flavour) => FLAVOURS[flavour]),
    acts,
    depthMax,
    statesMax,
  };
}

function progressOf({ states, transitions, judged }: Figures): string {
  return `  ${figure(states)} states   ${figure(transitions)} transitions   ${figure(judged)} outcomes`;
}

function report(
  exploration: Exploration,
  world: ExplorationOptions,
  { mutant }: Options,
  wallSeconds: number,
  output: Output,
): void {
  const { history, violations, path, exhausted, states, transitions, depth, judged, histories } = exploration;
  const marks = violations.flatMap(({ event, property }) => (event === undefined ? [] : [{ event, property }]));
  const [worst] = violations;
  const around = worst?.event ?? Math.max(0, history.length - 1);
  const drawing = worst === undefined ? undefined : diagram(history, { around, marks, width: output.columns });
  const { history: _, ...figures } = exploration;
  output.record({
    ...(mutant === undefined ? {} : { mutant }),
    world,
    ...figures,
    wallSeconds: Math.round(wallSeconds * 100) / 100,
    ...(drawing === undefined ? {} : { diagram: drawing }),
  });
  const { bold, dim, green, red, yellow } = output.colours;
  output.line(
    `${bold(figure(states))} states, ${figure(transitions)} transitions, at most ${figure(depth)} deep, in ${figure(wallSeconds, 1)} s`,
  );
  output.line(dim(`${figure(judged)} outcomes were judged; they have ${figure(histories)} different histories`));
  for (const { property, message } of violations) output.line(`\n${red(property)}  ${message}`);
  if (drawing !== undefined) {
    output.line(`\n${drawing}`);
    output.line(dim(`the run, step by step: ${path.slice(0, PATH_SHOWN).join(", ")}`));
  } else if (exhausted) output.line(green("everything within these allowances was seen; nothing was violated"));
  else output.line(yellow("not everything within these allowances was seen; nothing was violated so far"));
}
