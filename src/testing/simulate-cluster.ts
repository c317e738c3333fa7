/**
 * A scenario on one seed, or on many.
 */
import { CoterieError } from "../group/errors.ts";
import { invalid, planOf, type SimulationPlan, type SimulationSettings, whole } from "./plan.ts";
import { SimulationError } from "./report.ts";
import { type ClusterRun, perform, type Scenario } from "./run.ts";

export interface SimulateClusterOptions extends SimulationSettings {
  /** Decides everything that is left to chance; 1 by default. */
  readonly seed?: number;
  /** Runs the scenario twice, and rejects with `not-deterministic` when the runs differ. */
  readonly twice?: boolean;
}

export interface ExploreOptions extends SimulationSettings {
  /** How many seeds; 100 by default. */
  readonly seeds?: number;
  /** The first seed; 1 by default. */
  readonly from?: number;
}

export interface Exploration {
  readonly seeds: number;
  /** Simulated seconds, all runs together. */
  readonly simulatedSeconds: number;
  /** Runs that lost a majority of the deciding nodes for good. */
  readonly lost: number;
  /** How many faults have struck, by kind. */
  readonly faults: Readonly<Record<string, number>>;
}

const SIMULATE_FIELDS = ["seed", "twice", "faults", "timeLimitMs", "failureTimeoutMs", "directorySize"];
const EXPLORE_FIELDS = ["seeds", "from", "faults", "timeLimitMs", "failureTimeoutMs", "directorySize"];
/** How often a failing run is repeated to make its list of faults shorter. */
const SHRINK_RUNS_MAX = 40;

/**
 * Runs a scenario on a simulated cluster, on the production code, and judges what happened. Rejects with a
 * SimulationError that tells what is wrong; with `not-deterministic` if `twice` is given and two runs differ; with
 * `invalid-option`.
 */
export async function simulateCluster(options: SimulateClusterOptions, scenario: Scenario): Promise<ClusterRun> {
  checkFields(options, SIMULATE_FIELDS);
  const { seed = 1, twice = false } = options;
  const plan = planOf(seed, options);
  const run = await perform(plan, scenario);
  if (twice) compare(run, await perform(plan, scenario));
  if (run.failures.length > 0) throw new SimulationError(run);
  return run;
}

/**
 * Runs a scenario on one seed after another. Rejects with the SimulationError of the first that fails, with as few
 * faults as it needs.
 */
export async function explore(options: ExploreOptions, scenario: Scenario): Promise<Exploration> {
  checkFields(options, EXPLORE_FIELDS);
  const { seeds = 100, from = 1 } = options;
  whole("seeds", seeds, 1);
  let simulatedMs = 0;
  let lost = 0;
  const faults: Record<string, number> = {};
  for (let seed = from; seed < from + seeds; seed++) {
    const plan = planOf(seed, options);
    const run = await perform(plan, scenario);
    if (run.failures.length > 0) throw new SimulationError(await shrink(plan, run, scenario));
    simulatedMs += run.simulatedMs;
    if (run.lost) lost++;
    for (const { kind } of run.faults) faults[kind] = (faults[kind] ?? 0) + 1;
  }
  return { seeds, simulatedSeconds: simulatedMs / 1000, lost, faults };
}

/** The same failure with as few faults as it takes: each is left out, and stays out if the run still fails so. */
async function shrink(plan: SimulationPlan, failed: ClusterRun, scenario: Scenario): Promise<ClusterRun> {
  const property = failed.failures[0]?.property;
  let smallest = failed;
  let runs = 0;
  for (let at = failed.faults.length - 1; at >= 0 && runs < SHRINK_RUNS_MAX; at--, runs++) {
    if (at >= smallest.faults.length) continue;
    const faults = smallest.faults.filter((_, index) => index !== at);
    const run = await perform({ ...plan, kinds: [], faults }, scenario);
    if (run.failures[0]?.property === property) smallest = run;
  }
  return smallest;
}

function compare(one: ClusterRun, other: ClusterRun): void {
  if (one.traceHash === other.traceHash) return;
  const { history } = other;
  const at = one.history.findIndex((event, index) => JSON.stringify(event) !== JSON.stringify(history[index]));
  const [first, second] = [one, other].map((run) => JSON.stringify(run.history[at]) ?? "nothing");
  const where = at < 0 ? "in their final states" : `at event ${at}: ${first} and then ${second}`;
  throw new CoterieError("not-deterministic", `seed ${one.seed}: two runs differ ${where}`);
}

function checkFields(options: object, fields: readonly string[]): void {
  const unknown = Object.keys(options).find((field) => !fields.includes(field));
  if (unknown !== undefined) throw invalid(unknown, `is not an option; the options are ${fields.join(", ")}`);
}
