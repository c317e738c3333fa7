/**
 * What a worker thread is told, and what it answers, one seed at a time. Histories stay in the worker: what people need
 * of them is drawn there.
 */
import type { HistoryEvent } from "../../protocol/history.ts";
import { diagram } from "../../simulation/diagram.ts";
import type { Failure, SimulationOptions, SimulationResult } from "../../simulation/simulate.ts";

/** What a worker is made with. */
export interface WorkerSetup {
  readonly simulation: Omit<SimulationOptions, "seed">;
  /** Plants this bug before the first seed. */
  readonly mutant: string | undefined;
  /** Draws the events around violations of this property before any other. */
  readonly wanted: string | undefined;
  /** Sends the whole history, and draws all of it. */
  readonly traces: boolean;
  /** How wide diagrams may be. */
  readonly columns: number;
}

/** The outcome of one seed. */
export interface SeedOutcome extends Omit<SimulationResult, "history"> {
  /** The events around the first violation, or of the whole run. */
  readonly diagram: string | undefined;
  readonly history: readonly HistoryEvent[] | undefined;
}

export type WorkerAnswer =
  | { readonly kind: "outcome"; readonly outcome: SeedOutcome }
  /** The worker cannot work at all. */
  | { readonly kind: "unfit"; readonly problem: string };

export function outcomeOf(result: SimulationResult, setup: WorkerSetup): SeedOutcome {
  const { history, ...figures } = result;
  return {
    ...figures,
    violations: figures.violations.map((violation) => ({ ...violation })),
    diagram: setup.traces ? draw(history, {}, setup) : around(result, setup),
    history: setup.traces ? history : undefined,
  };
}

function around({ history, violations }: SimulationResult, setup: WorkerSetup): string | undefined {
  const worst = violations.find(({ property }) => property === setup.wanted) ?? violations[0];
  if (worst === undefined) return undefined;
  const marks = violations.flatMap(({ event, property }: Failure) =>
    event === undefined ? [] : [{ event, property }],
  );
  // A run that does not converge, or breaks down, has gone wrong at its end.
  return draw(history, { around: worst.event ?? history.length - 1, marks }, setup);
}

function draw(
  history: readonly HistoryEvent[],
  options: Parameters<typeof diagram>[1],
  { columns: width }: WorkerSetup,
): string {
  return diagram(history, { ...options, width });
}
