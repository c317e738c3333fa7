/**
 * Says what a simulation came to: figures, the violations with the events around them, and how to run a seed again.
 */
import type { Mutant } from "../../simulation/mutants.ts";
import { count, figure, type Output, wrap } from "../output.ts";
import { type FoundViolation, JUDGED, type Summary } from "./summary.ts";

/** A finished, or interrupted, simulation. */
export interface Ran {
  readonly summary: Summary;
  readonly firstSeed: number;
  readonly seedsWanted: number;
  readonly members: number;
  readonly durationMs: number;
  readonly mutant: Mutant | undefined;
  readonly jobs: number;
  /** Of the whole process. */
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  readonly isInterrupted: boolean;
  /** What to type before a seed to run it again. */
  readonly command: string;
}

const VIOLATIONS_MAX = 200;
const SEEDS_TOLD_MAX = 12;

export function report(ran: Ran, output: Output): void {
  output.record(machineReport(ran));
  if (output.json) return;
  figures(ran, output);
  violations(ran, output);
  conclusion(ran, output);
}

function machineReport(ran: Ran): object {
  const { summary, mutant } = ran;
  const simulatedSeconds = summary.simulatedMs / 1000;
  return {
    seeds: summary.seeds,
    firstSeed: ran.firstSeed,
    members: ran.members,
    durationMs: ran.durationMs,
    ...(mutant === undefined ? {} : { mutant: mutant.name, violates: mutant.violates, caught: isCaught(ran) }),
    simulatedSeconds: rounded(simulatedSeconds),
    cpuSeconds: rounded(ran.cpuSeconds),
    simulatedSecondsPerCpuSecond: rounded(simulatedSeconds / ran.cpuSeconds),
    wallSeconds: rounded(ran.wallSeconds),
    events: summary.events,
    frames: summary.frames,
    updatesDelivered: summary.updatesDelivered,
    deliveries: Object.fromEntries([...summary.deliveries].sort()),
    queries: Object.fromEntries([...summary.queries].sort()),
    views: summary.views,
    faults: Object.fromEntries([...summary.faults].sort()),
    lostClusters: summary.lostClusters,
    checkers: JUDGED.map(({ property }) => property),
    traceHash: summary.traceHash,
    isInterrupted: ran.isInterrupted,
    violated: summary.violated,
    failedSeeds: summary.failedSeeds.slice(0, VIOLATIONS_MAX),
    violations: summary.violations
      .slice(0, VIOLATIONS_MAX)
      .map((violation) => ({ ...violation, ...diagramOf(summary, violation) })),
  };
}

/** A diagram is told once, with the first violation of its seed. */
function diagramOf(summary: Summary, violation: FoundViolation): { readonly diagram?: string } {
  const diagram = summary.diagrams.get(violation.seed);
  const isFirst = summary.violations.find(({ seed }) => seed === violation.seed) === violation;
  return diagram === undefined || !isFirst ? {} : { diagram };
}

function isCaught({ summary, mutant }: Ran): boolean {
  return mutant !== undefined && summary.violated.includes(mutant.violates);
}

function figures(ran: Ran, output: Output): void {
  const { summary, firstSeed, seedsWanted, members, durationMs } = ran;
  const { bold, dim } = output.colours;
  const simulatedSeconds = summary.simulatedMs / 1000;
  const which = seedsWanted === 1 ? `seed ${firstSeed}` : `seeds ${firstSeed} to ${firstSeed + seedsWanted - 1}`;
  const about = `${which}, ${count(members, "member")}, ${figure(durationMs / 1000, 1)} s of traffic and faults each`;
  output.line(`\n${bold("coterie simulate")}  ${dim(about)}\n`);
  if (ran.mutant !== undefined) {
    const { name, violates, why } = ran.mutant;
    row(output, "planted bug", `${name}: ${why} It breaks ${violates}.`);
  }
  row(output, "runs", ran.isInterrupted ? `${figure(summary.seeds)}, then interrupted` : figure(summary.seeds));
  const speed = `${figure(simulatedSeconds / ran.cpuSeconds)} a CPU second`;
  row(output, "simulated seconds", `${figure(simulatedSeconds)}  (${speed}, ${count(ran.jobs, "thread")})`);
  row(output, "events", `${figure(summary.events)}, ${figure(summary.frames)} frames among them`);
  row(output, "deliveries", `${figure(summary.updatesDelivered)}: ${listed(summary.deliveries)}`);
  row(output, "queries", listed(summary.queries));
  row(output, "views installed", figure(summary.views));
  row(output, "faults", listed(summary.faults));
  if (summary.lostClusters > 0) {
    row(output, "quorum lost for good", `in ${count(summary.lostClusters, "run")}: the survivors wait, and say so`);
  }
  row(output, "judged by", JUDGED.map(({ property }) => property).join(" "));
  row(output, "trace hash", summary.traceHash);
}

function listed(counts: ReadonlyMap<string, number>): string {
  const each = [...counts].sort().map(([kind, times]) => `${kind} ${figure(times)}`);
  return each.length === 0 ? "none" : each.join(", ");
}

function row(output: Output, name: string, text: string): void {
  const indent = 24;
  const [first = "", ...more] = wrap(text, output.columns - indent);
  output.line(`  ${output.colours.dim(name.padEnd(indent - 2))}${first}`);
  for (const line of more) output.line(`${" ".repeat(indent)}${line}`);
}

function violations(ran: Ran, output: Output): void {
  const { summary } = ran;
  const { bold, red, dim } = output.colours;
  for (const [seed, diagram] of summary.diagrams) {
    const found = summary.violations.filter((violation) => violation.seed === seed);
    output.line(`\n${red("✖")} ${bold(`seed ${seed}`)}`);
    const told = new Set<string>();
    for (const { property, message } of found) {
      if (told.has(property)) continue;
      told.add(property);
      const title = JUDGED.find((each) => each.property === property)?.title ?? "The run broke down.";
      output.line();
      for (const line of wrap(`${property}  ${title}`, output.columns - 2)) output.line(`  ${red(line)}`);
      for (const line of message.split("\n")) output.paragraph(line);
      const others = found.filter((violation) => violation.property === property).length - 1;
      if (others > 0) output.line(dim(`  and ${others} more of ${property}`));
    }
    output.line(`\n${diagram}`);
    output.line(dim(`  ${ran.command} ${seed} --trace   shows all of it`));
  }
  const untold = summary.failedSeeds.filter((seed) => !summary.diagrams.has(seed));
  if (untold.length === 0) return;
  const more = untold.length > SEEDS_TOLD_MAX ? ` and ${untold.length - SEEDS_TOLD_MAX} more` : "";
  output.line(`\n${red("✖")} also failed: seeds ${untold.slice(0, SEEDS_TOLD_MAX).join(", ")}${more}`);
}

function conclusion(ran: Ran, output: Output): void {
  const { summary, mutant } = ran;
  const { green, red, yellow } = output.colours;
  const { violated } = summary;
  output.line();
  if (mutant !== undefined && isCaught(ran)) {
    const seed = summary.violations.find(({ property }) => property === mutant.violates)?.seed;
    output.line(`${red("✖")} The planted bug was caught: it violates ${violated.join(", ")} (seed ${seed}).`);
  } else if (violated.length > 0) {
    const missing = mutant === undefined ? "" : ` The planted bug should have violated ${mutant.violates}.`;
    output.line(
      `${red("✖")} Violated: ${violated.join(", ")}, in ${count(summary.failedSeeds.length, "run")}.${missing}`,
    );
  } else if (mutant !== undefined) {
    output.line(`${yellow("!")} The planted bug was not caught in ${count(summary.seeds, "run")}.`);
  } else {
    output.line(`${green("✔")} No violation in ${count(summary.seeds, "run")}.`);
  }
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
