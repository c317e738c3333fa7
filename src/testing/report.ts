/**
 * What a failed run tells: the sentence that does not hold, the seed, how to run it again, and the events around it.
 */
import { CoterieError } from "../group/errors.ts";
import { diagram } from "../simulation/diagram.ts";
import type { ClusterRun } from "./run.ts";

const EVENTS = 40;
const FAILURES_MAX = 5;

/** A simulated run has found something wrong. Code `simulation-failed`. */
export class SimulationError extends CoterieError {
  override readonly name: string = "SimulationError";
  readonly run: ClusterRun;

  constructor(run: ClusterRun) {
    const [first] = run.failures;
    super("simulation-failed", report(run), { cause: first?.cause });
    this.run = run;
  }
}

/** What went wrong in a run, how to run it again, and a space-time diagram around the first failure. */
export function report(run: ClusterRun): string {
  const { seed, failures, faults } = run;
  const [first] = failures;
  if (first === undefined) return `seed ${seed}: nothing is wrong`;
  const lines = failures.slice(0, FAILURES_MAX).map(({ property, message, at }) => {
    return `${property}: ${message} (at ${at.toFixed(1)} ms)`;
  });
  if (failures.length > FAILURES_MAX) lines.push(`and ${failures.length - FAILURES_MAX} more`);
  const schedule = faults.map((fault) => `    ${JSON.stringify(fault)},`);
  const replay = faults.length === 0 ? [] : ["  with these faults:", "  faults: [", ...schedule, "  ]"];
  return [
    `seed ${seed}: ${lines.join("\n")}`,
    `  run it again: simulateCluster({ seed: ${seed}, … }, scenario)`,
    ...replay,
    "",
    drawn(run),
  ].join("\n");
}

/** The events around the first failure, with the scenario's notes. */
function drawn({ history, failures, notes }: ClusterRun): string {
  const [first] = failures;
  if (first === undefined) return "";
  const marks = [...notes, { event: first.event, property: first.property }];
  return diagram(history, { around: first.event, events: EVENTS, marks });
}
