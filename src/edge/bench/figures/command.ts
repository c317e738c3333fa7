/**
 * `coterie bench figures --out DIR`: runs the experiments and draws them.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { EXIT, type Exit, exitHelp } from "../../exit.ts";
import { badOption, wholeNumber } from "../../options.ts";
import { figure, Output } from "../../output.ts";
import { copiesName, ROW_TITLES, row } from "./charts.ts";
import { type BurstTimes, burst, COPIES, type FlushTimes, flush, SENDINGS } from "./experiments.ts";
import { report } from "./report.ts";

interface Options {
  readonly out: string;
  readonly sizes?: readonly number[];
  readonly seconds: number;
  readonly json?: boolean;
}

const SIZES = [3, 5, 8, 16, 32, 64];
/** Beyond so many processes for each core their turns on it, not the protocol, make up the times. */
const MEMBERS_PER_CORE_MAX = 8;
/** At this size, or the nearest that was measured, the steadiness is looked at. */
const STEADY_SIZE = 5;
const NAME_WIDTH = 36;
const VALUE_WIDTH = 11;

export function addFigures(bench: Command): void {
  bench
    .command("figures")
    .description(
      "Draw how long bursts take, how steady they are, and what flushes cost, against the size of the group.",
    )
    .requiredOption("--out <dir>", "where index.html and figures.json go")
    .option(
      "--sizes <list>",
      `numbers of members, such as 3,5,8 (default: those of ${SIZES} that fit the machine)`,
      sizesIn,
    )
    .option("--seconds <count>", "how long each measurement takes", wholeNumber("--seconds", 1, 600), 3)
    .option("--json", "print the figures as one JSON object")
    .addHelpText("after", exitHelp("never"))
    .action(async (options: Options) => {
      process.exitCode = await figures(options);
    });
}

function sizesIn(text: string): readonly number[] {
  const parse = wholeNumber("--sizes", 2, 64);
  const sizes = [...new Set(text.split(",").map((part) => parse(part.trim())))].sort((a, b) => a - b);
  if (sizes.length === 0) throw badOption("--sizes", "names no size");
  return sizes;
}

async function figures({ out, sizes: wanted, seconds, json }: Options): Promise<Exit> {
  const output = new Output(json === true);
  const cores = cpus().length;
  const fitting = SIZES.filter((size) => size <= cores * MEMBERS_PER_CORE_MAX);
  const sizes = wanted ?? fitting;
  mkdirSync(out, { recursive: true });
  const { bold } = output.colours;
  output.line(`\n${bold("coterie bench figures")}\n`);
  heading(output, "Bursts of five updates");
  const bursts: BurstTimes[] = [];
  for (const members of sizes) {
    for (const sending of SENDINGS) {
      output.progress(`  ${sending}, ${members} members`);
      bursts.push(await burst(sending, members, seconds));
      line(output, `${sending}, ${members} members`, bursts.at(-1)?.times);
    }
  }
  heading(output, "An update and its flush");
  const flushes: FlushTimes[] = [];
  for (const members of sizes) {
    for (const copies of COPIES) {
      if (copies !== "all" && copies > members) continue;
      output.progress(`  ${copiesName(copies)}, ${members} members`);
      flushes.push(await flush(copies, members, seconds));
      line(output, `${copiesName(copies)}, ${members} members`, flushes.at(-1)?.times);
    }
  }
  const steadySize = sizes.toSorted((a, b) => Math.abs(a - STEADY_SIZE) - Math.abs(b - STEADY_SIZE))[0];
  const steady = bursts.filter(({ members }) => members === steadySize);
  const machine = `Measured on ${cores} cores (${cpus()[0]?.model.trim() ?? "unknown"}), ${figure(totalmem() / 1e9)} GB.`;
  const left = SIZES.filter((size) => !sizes.includes(size));
  const leftOut =
    left.length === 0 ? "" : `Not measured: groups of ${left.join(", ")}; the machine has no cores for them.`;
  const data = { machine, bursts: bursts.map(summary), flushes: flushes.map(summary) };
  writeFileSync(join(out, "index.html"), report({ bursts, steady, flushes, machine, leftOut }));
  writeFileSync(join(out, "figures.json"), JSON.stringify(data));
  output.line(`\n  ${join(out, "index.html")}`);
  output.record(data);
  return EXIT.ok;
}

function heading(output: Output, what: string): void {
  const titles = ROW_TITLES.map((title) => title.padStart(VALUE_WIDTH)).join("");
  output.line(`${output.colours.bold(what.padEnd(NAME_WIDTH + 2))}${output.colours.dim(titles)}`);
}

function line(output: Output, name: string, times: BurstTimes["times"] | undefined): void {
  const cells = times === undefined ? [] : row(times);
  output.line(`  ${name.padEnd(NAME_WIDTH)}${cells.map((cell) => cell.padStart(VALUE_WIDTH)).join("")}`);
}

function summary<T extends BurstTimes | FlushTimes>({ times, ...of }: T) {
  const { mean, deviation } = times.spread();
  const parts = { p5: 0.05, p25: 0.25, p50: 0.5, p75: 0.75, p95: 0.95, p99: 0.99 };
  const percentiles = Object.entries(parts).map(([name, part]) => [name, Math.round(times.percentile(part))]);
  return {
    ...of,
    count: times.total,
    microseconds: { ...Object.fromEntries(percentiles), mean: Math.round(mean), deviation: Math.round(deviation) },
  };
}
