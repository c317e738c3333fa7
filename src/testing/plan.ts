/**
 * The options of a simulated run, checked, and what its seed decides about the world.
 */
import { Random } from "../base/random.ts";
import { CoterieError } from "../group/errors.ts";
import { CLUSTER_FAULT_KINDS, type ClusterFault, type ClusterFaultKind } from "./faults.ts";

export interface SimulationSettings {
  /**
   * What `cluster.trouble` may let happen: kinds, to be drawn from the seed, or the very faults of an earlier run, which
   * then strike at their times. Default: none.
   */
  readonly faults?: readonly (ClusterFaultKind | ClusterFault)[];
  /** How long the scenario may take, in simulated milliseconds; 120,000 by default. */
  readonly timeLimitMs?: number;
  /** After so many milliseconds of silence a node is taken for failed; 3000 by default. */
  readonly failureTimeoutMs?: number;
  /** How many nodes, the oldest, agree on views; 5 by default. */
  readonly directorySize?: number;
}

export interface SimulationPlan {
  readonly seed: number;
  readonly kinds: readonly ClusterFaultKind[];
  readonly faults: readonly ClusterFault[];
  readonly timeLimitMs: number;
  readonly failureTimeoutMs: number;
  readonly directorySize: number;
  readonly latencyMs: number;
  readonly jitterMs: number;
}

/** Throws `invalid-option`. */
export function planOf(seed: number, settings: SimulationSettings): SimulationPlan {
  const { faults = [], timeLimitMs = 120_000, failureTimeoutMs = 3000, directorySize = 5 } = settings;
  whole("seed", seed, 0);
  whole("timeLimitMs", timeLimitMs, 1);
  whole("failureTimeoutMs", failureTimeoutMs, 100);
  whole("directorySize", directorySize, 1);
  for (const fault of faults) {
    const kind: unknown = typeof fault === "string" ? fault : fault?.kind;
    if (!CLUSTER_FAULT_KINDS.some((known) => known === kind)) {
      throw invalid("faults", `has ${JSON.stringify(fault)}; the kinds are ${CLUSTER_FAULT_KINDS.join(", ")}`);
    }
  }
  const random = new Random(seed, 11);
  return {
    seed,
    kinds: faults.filter((fault) => typeof fault === "string"),
    faults: faults.filter((fault) => typeof fault !== "string"),
    timeLimitMs,
    failureTimeoutMs,
    directorySize,
    latencyMs: random.pick([0.2, 0.2, 2, 15]),
    jitterMs: random.pick([0.3, 0.3, 3, 20]),
  };
}

export function whole(name: string, value: unknown, low: number): void {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= low) return;
  throw invalid(name, `is not a whole number from ${low}`);
}

export function invalid(name: string, problem: string): CoterieError {
  return new CoterieError("invalid-option", `a simulated cluster: \`${name}\` ${problem}`);
}
