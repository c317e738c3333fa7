/**
 * What one process counts while it is measured.
 */
import { Histogram } from "./histogram.ts";
import type { Outcome } from "./task.ts";

export class Meter {
  delivered = 0;
  #arrival = new Histogram();
  #result = new Histogram();
  #begun = 0;
  #deliveredBefore = 0;
  #cpu = process.cpuUsage();
  #rssBefore = 0;
  /** Of the bytes that were handed over, so that nobody can save looking at them. */
  checksum = 0;

  begin(): void {
    this.#arrival = new Histogram();
    this.#result = new Histogram();
    this.#begun = performance.now();
    this.#deliveredBefore = this.delivered;
    this.#cpu = process.cpuUsage();
    this.#rssBefore = process.memoryUsage.rss();
  }

  arrived(microseconds: number): void {
    this.#arrival.add(microseconds);
  }

  resulted(microseconds: number): void {
    this.#result.add(microseconds);
  }

  outcome(): Outcome {
    const { user, system } = process.cpuUsage(this.#cpu);
    const rssBytes = process.memoryUsage.rss();
    return {
      delivered: this.delivered - this.#deliveredBefore,
      seconds: (performance.now() - this.#begun) / 1000,
      cpuSeconds: (user + system) / 1e6,
      rssBytes,
      rssGrowthBytes: rssBytes - this.#rssBefore,
      arrival: this.#arrival.counts,
      result: this.#result.counts,
    };
  }
}

/** Lets the event loop come round. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export const pause = (forMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, forMs));

/** Runs for so long, one step after the other, and lets the event loop come round in between. */
export async function during(forMs: number, step: () => PromiseLike<unknown> | undefined): Promise<void> {
  const end = performance.now() + forMs;
  while (performance.now() < end) {
    await step();
    await nextTurn();
  }
}
