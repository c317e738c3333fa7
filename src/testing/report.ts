/**
 * What a failed run tells: the sentence that does not hold, the seed, how to run it again, and the events around it.
 */
import { CoterieError } from "../group/errors.ts";
import type { HistoryEvent } from "../protocol/history.ts";
import { diagram } from "../simulation/diagram.ts";
import type { ClusterRun } from "./run.ts";
import type { RunFailure } from "./stage.ts";

const EVENTS = 40;
const FAILURES_MAX = 5;

/** A simulated run has found something wrong. Code `simulation-failed`. */
export class SimulationError extends CoterieError {
  override readonly name: string = "SimulationError";
  readonly run: ClusterRun;

  constructor(run: ClusterRun) {
    const { seed, failures } = run;
    const sentences = failures.slice(0, FAILURES_MAX).map(sentenceOf);
    if (failures.length > FAILURES_MAX) sentences.push(`and ${failures.length - FAILURES_MAX} more`);
    const remedy = `${replayOf(run)}\n\n${drawn(run)}`;
    super("simulation-failed", `seed ${seed}: ${sentences.join("; ")}`, { remedy, cause: failures[0]?.cause });
    this.run = run;
  }
}

function sentenceOf({ property, message, at }: RunFailure): string {
  return `${property}${message === "" ? "" : `: ${message}`} (at ${at.toFixed(1)} ms)`;
}

function replayOf({ seed, faults }: ClusterRun): string {
  const begin = `Run it again: simulateCluster({ seed: ${seed}`;
  if (faults.length === 0) return `${begin}, … }, scenario)`;
  const lines = faults.map(({ at, kind, nodes, forMs }) => {
    const names = nodes.map((name) => `"${name}"`).join(", ");
    return `  { at: ${at}, kind: "${kind}", nodes: [${names}], forMs: ${forMs} },`;
  });
  return [`${begin}, faults }, scenario) with`, "const faults = [", ...lines, "] as const;"].join("\n");
}

/** The events around the first failure, with the scenario's notes. */
function drawn({ history, failures, notes, labels }: ClusterRun): string {
  const [first] = failures;
  if (first === undefined) return "";
  const marks = [...notes, { event: first.event, property: first.property }];
  const told = history.map((event) => labelled(event, labels));
  return diagram(told, { around: first.event, events: EVENTS, marks });
}

function labelled(event: HistoryEvent, labels: ReadonlyMap<string, string>): HistoryEvent {
  if ("message" in event) return { ...event, message: labels.get(event.message) ?? event.message };
  if ("query" in event) return { ...event, query: labels.get(event.query) ?? event.query };
  return event;
}
