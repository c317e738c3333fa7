/**
 * One simulated run of a user's scenario: the cluster under the scenario's program and faults, then calm, in which all
 * has to converge, and at the end the judgement of the model's checkers and of the scenario's own claims.
 */
import { hashString, mix } from "../base/random.ts";
import type { HistoryEvent } from "../protocol/history.ts";
import { check } from "../simulation/axioms/index.ts";
import { isLost } from "../simulation/simulate.ts";
import { LiveCluster, type SimulatedCluster } from "./cluster.ts";
import type { ClusterFault } from "./faults.ts";
import { digestOf } from "./invariants.ts";
import type { SimulationPlan } from "./plan.ts";
import { replicasOf, unsettled } from "./settle.ts";
import { describe, type Note, type RunFailure, Stage, type StageLogEntry } from "./stage.ts";
import { whileSimulating, within } from "./surroundings.ts";

/** What a user's scenario is: it starts nodes, lets them work, and checks what it sees. */
export type Scenario = (cluster: SimulatedCluster) => unknown;

/** What a simulated run has come to. */
export interface ClusterRun {
  readonly seed: number;
  /** Equal for equal runs. */
  readonly traceHash: string;
  readonly simulatedMs: number;
  /** Events of the simulated world. */
  readonly events: number;
  /** The faults that have struck; as the option `faults` they strike again. */
  readonly faults: readonly ClusterFault[];
  /** A majority of the deciding nodes is gone for good: the survivors can only wait. */
  readonly lost: boolean;
  readonly failures: readonly RunFailure[];
  readonly history: readonly HistoryEvent[];
  readonly notes: readonly Note[];
  /** What the messages of the history say, by their ids. */
  readonly labels: ReadonlyMap<string, string>;
  /** What the nodes have logged. */
  readonly log: readonly StageLogEntry[];
}

const CALM_MS = 1000;
const CONVERGENCE_MS = 60_000;
const CONVERGENCE_STEP_MS = 50;
/** In which what is still on its way in a quiet cluster arrives. */
const ARRIVAL_MS = 500;

export function perform(plan: SimulationPlan, scenario: Scenario): Promise<ClusterRun> {
  const { seed, directorySize, failureTimeoutMs } = plan;
  const stage = new Stage({ seed, directorySize, failureTimeoutMs });
  stage.world.fabric.latencyMs = plan.latencyMs;
  stage.world.fabric.jitterMs = plan.jitterMs;
  return whileSimulating(() => within(stage.surroundings, () => new Run(plan, stage).perform(scenario)));
}

class Run {
  readonly #plan: SimulationPlan;
  readonly #stage: Stage;
  readonly #cluster: LiveCluster;

  constructor(plan: SimulationPlan, stage: Stage) {
    this.#plan = plan;
    this.#stage = stage;
    this.#cluster = new LiveCluster(stage, plan);
  }

  async perform(scenario: Scenario): Promise<ClusterRun> {
    const stage = this.#stage;
    const { world } = stage;
    const { timeLimitMs, seed } = this.#plan;
    const acting = (async () => scenario(this.#cluster))();
    acting.catch((problem: unknown) => {
      if (stage.failures.length === 0) stage.fail("the scenario does not fail", describe(problem), problem);
    });
    if (!(await stage.perform(acting, timeLimitMs))) stage.fail("the scenario ends", unendedBecause(timeLimitMs));
    let lost = false;
    if (stage.failures.length === 0) lost = await this.#comeToRest();
    const digests = [...replicasOf(this.#cluster.nodes).values()].flat().map(({ state }) => digestOf(state));
    return {
      seed,
      traceHash: mix(hashString(world.traceHash), hashString(digests.join())).toString(16).padStart(8, "0"),
      simulatedMs: world.now,
      events: world.eventCount,
      faults: this.#cluster.struck,
      lost,
      failures: stage.failures,
      history: world.history,
      notes: stage.notes,
      labels: stage.labels,
      log: stage.log,
    };
  }

  /** Whether the cluster is lost. */
  async #comeToRest(): Promise<boolean> {
    const stage = this.#stage;
    const { world } = stage;
    const cluster = this.#cluster;
    const machines = cluster.nodes;
    cluster.calm();
    await this.#wait(CALM_MS);
    const end = world.now + CONVERGENCE_MS;
    while (unsettled(world, machines) !== undefined && world.now < end && stage.failures.length === 0) {
      await this.#wait(CONVERGENCE_STEP_MS);
    }
    await this.#wait(ARRIVAL_MS);
    const lost = world.running.length > 0 && isLost(world);
    const problem = unsettled(world, machines);
    if (stage.failures.length > 0) return lost;
    if (problem === undefined) {
      for (const [group, replicas] of replicasOf(machines)) cluster.invariants.rested(group, replicas);
    } else if (!lost) stage.fail("M5", `no convergence: ${problem}`);
    for (const clients of cluster.recorded) clients.judge();
    const violations = check(world.history, { quiescent: problem === undefined });
    for (const { property, message, event } of violations) {
      stage.failures.push({ property, message, event, at: world.history[event]?.at ?? world.now });
    }
    return lost;
  }

  async #wait(forMs: number): Promise<void> {
    const { world } = this.#stage;
    await this.#stage.perform(this.#cluster.sleep(forMs), world.now + forMs + 1);
  }
}

function unendedBecause(limitMs: number): string {
  return (
    `it has not ended after ${limitMs} simulated ms. Perhaps it waits for a call of a process that has crashed (do it ` +
    "with `node.run`, which then rejects), or for a real timer or other input"
  );
}
