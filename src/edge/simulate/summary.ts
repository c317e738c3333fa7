/**
 * What many seeds came to. Sums do not depend on the order in which the seeds were done, nor does the trace hash.
 */
import { hashString } from "../../base/random.ts";
import { CHECKERS } from "../../simulation/axioms/index.ts";
import type { SeedOutcome } from "./seed.ts";

/** Of so many failed seeds the events are drawn, and all violations told. */
const DRAWN_MAX = 3;

/** What every run is judged by: the checkers of the model, and that it converges once the faults have ended. */
export const JUDGED: readonly { readonly property: string; readonly title: string }[] = [
  ...CHECKERS.map(({ property, title }) => ({ property, title })),
  { property: "M5", title: "Liveness: when the faults have ended, all are in one view with equal states." },
];

export interface FoundViolation {
  readonly seed: number;
  readonly property: string;
  readonly message: string;
}

export class Summary {
  readonly violations: FoundViolation[] = [];
  readonly faults = new Map<string, number>();
  /** Space-time diagrams of failed seeds. */
  readonly diagrams = new Map<number, string>();
  readonly #hashes = new Map<number, string>();
  seeds = 0;
  simulatedMs = 0;
  events = 0;
  frames = 0;
  /** By flavour, as are the queries that were asked. */
  readonly deliveries = new Map<string, number>();
  readonly queries = new Map<string, number>();
  views = 0;
  /** Runs in which a quorum was gone for good. */
  lostClusters = 0;

  add(outcome: SeedOutcome): void {
    const { seed } = outcome;
    this.seeds++;
    this.simulatedMs += outcome.simulatedMs;
    this.events += outcome.events;
    this.frames += outcome.frames;
    add(this.deliveries, outcome.deliveries);
    add(this.queries, outcome.queries);
    this.views += outcome.views;
    if (outcome.lost) this.lostClusters++;
    add(this.faults, outcome.faults);
    this.#hashes.set(seed, outcome.traceHash);
    for (const { property, message } of outcome.violations) this.violations.push({ seed, property, message });
    if (outcome.violations.length > 0 && outcome.diagram !== undefined && this.diagrams.size < DRAWN_MAX) {
      this.diagrams.set(seed, outcome.diagram);
    }
  }

  get updatesDelivered(): number {
    return [...this.deliveries.values()].reduce((sum, count) => sum + count, 0);
  }

  /** The properties that were violated. */
  get violated(): readonly string[] {
    return [...new Set(this.violations.map(({ property }) => property))].sort();
  }

  get failedSeeds(): readonly number[] {
    return [...new Set(this.violations.map(({ seed }) => seed))].sort((a, b) => a - b);
  }

  /** Of a single run, or of all hashes in the order of their seeds. */
  get traceHash(): string {
    const hashes = [...this.#hashes].sort(([a], [b]) => a - b).map(([, hash]) => hash);
    const [only] = hashes;
    if (only !== undefined && hashes.length === 1) return only;
    return hashes
      .reduce((sum, hash) => hashString(hash, sum), 0x811c9dc5)
      .toString(16)
      .padStart(8, "0");
  }
}

function add(sums: Map<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [kind, count] of Object.entries(counts)) sums.set(kind, (sums.get(kind) ?? 0) + count);
}
