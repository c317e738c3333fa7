/**
 * Runs seeds on worker threads, each thread one seed at a time, in ascending order. A thread that does not come back from
 * a seed is replaced, and the seed counts as a violation: an endless loop is a bug like any other.
 */
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { SeedOutcome, WorkerAnswer, WorkerSetup } from "./seed.ts";

const YOUNG_MB = 128;

export interface PoolOptions {
  readonly setup: WorkerSetup;
  readonly firstSeed: number;
  readonly seeds: number;
  readonly jobs: number;
  /** A seed that takes longer is given up. */
  readonly seedMsMax: number;
  /** False: no further seed is needed. */
  readonly onOutcome: (outcome: SeedOutcome) => boolean;
  readonly signal: AbortSignal;
}

/** Resolves when all seeds are done, `onOutcome` has had enough, or the signal fires. */
export async function runSeeds(options: PoolOptions): Promise<void> {
  const pool = new Pool(options);
  try {
    await pool.done;
  } finally {
    await pool.end();
  }
}

class Pool {
  readonly done: Promise<void>;
  readonly #options: PoolOptions;
  readonly #workers = new Map<Worker, NodeJS.Timeout | undefined>();
  #next: number;
  #running = 0;
  #over = false;
  #resolve: () => void = () => {};
  #reject: (problem: unknown) => void = () => {};

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#next = options.firstSeed;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    options.signal.addEventListener("abort", () => this.#finish(), { once: true });
    for (let count = Math.min(options.jobs, options.seeds); count > 0; count--) this.#hire();
  }

  async end(): Promise<void> {
    this.#over = true;
    const workers = [...this.#workers.keys()];
    for (const worker of workers) this.#dismiss(worker);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #hire(): void {
    const own = fileURLToPath(import.meta.url);
    const worker = new Worker(new URL(`./worker${extname(own)}`, import.meta.url), {
      workerData: this.#options.setup,
      // A run's objects live as long as the run: with little room for young ones they would all be moved twice.
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    this.#workers.set(worker, undefined);
    worker.on("error", (problem) => this.#fail(problem));
    this.#assign(worker);
  }

  #dismiss(worker: Worker): void {
    clearTimeout(this.#workers.get(worker));
    this.#workers.delete(worker);
  }

  #assign(worker: Worker): void {
    const { firstSeed, seeds, seedMsMax } = this.#options;
    if (this.#over) return;
    if (this.#next >= firstSeed + seeds) {
      if (this.#running === 0) this.#finish();
      return;
    }
    const seed = this.#next++;
    this.#running++;
    const timer = setTimeout(() => this.#gaveUp(worker, seed), seedMsMax);
    this.#workers.set(worker, timer);
    worker.once("message", (answer: WorkerAnswer) => {
      clearTimeout(timer);
      if (!this.#workers.has(worker)) return;
      if (answer.kind === "unfit") this.#fail(new Error(answer.problem));
      else this.#took(worker, answer.outcome);
    });
    worker.postMessage(seed);
  }

  #took(worker: Worker, outcome: SeedOutcome): void {
    this.#running--;
    if (this.#over) return;
    if (this.#options.onOutcome(outcome)) this.#assign(worker);
    else this.#finish();
  }

  #gaveUp(worker: Worker, seed: number): void {
    this.#dismiss(worker);
    void worker.terminate();
    this.#running--;
    const message = `the run did not end within ${this.#options.seedMsMax / 1000} s`;
    const goesOn = this.#options.onOutcome(endless(seed, message));
    if (goesOn && !this.#over) this.#hire();
    else this.#finish();
  }

  #fail(problem: unknown): void {
    this.#over = true;
    this.#reject(problem);
  }

  #finish(): void {
    this.#over = true;
    this.#resolve();
  }
}

function endless(seed: number, message: string): SeedOutcome {
  return {
    seed,
    traceHash: "",
    simulatedMs: 0,
    events: 0,
    frames: 0,
    deliveries: {},
    queries: {},
    views: 0,
    faults: {},
    lost: false,
    violations: [{ property: "assert", message }],
    diagram: undefined,
    history: undefined,
  };
}
