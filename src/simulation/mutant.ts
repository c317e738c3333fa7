import type { Property } from "./axioms/index.ts";
import type { SimulationOptions } from "./simulate.ts";

/**
 * A planted bug: a change of one place in the compiled code, so that production code knows nothing of it.
 */
export interface Mutant<P extends string = Property | "M5" | "assert"> {
  readonly name: string;
  /** What the bug breaks, perhaps among others: a promise, convergence (M5), or an assertion of the code itself. */
  readonly violates: P;
  /** The compiled file, from the package's `dist`. */
  readonly file: string;
  /** What to change; it is there exactly once. */
  readonly find: string;
  readonly replace: string;
  /** In what runs it shows, if not in all. */
  readonly simulation?: Pick<SimulationOptions, "durable" | "acceptors" | "members" | "faults" | "faultsEveryMs">;
  /** What the code does wrong, and what comes of it. */
  readonly why: string;
  /** The transcript that shows it, if so much must come together that random runs hardly ever do. */
  readonly transcript?: string;
}
