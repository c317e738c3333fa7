/**
 * The clock of a real process: monotonic time, one turn per pass of the event loop (`setImmediate`, the end of its poll
 * phase, so that everything that was ready is in one batch), and one timer.
 */
import { performance } from "node:perf_hooks";
import type { Clock, Timers } from "./ports.ts";

export const realTimers: Timers = {
  now: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

export class RealClock implements Clock {
  readonly #turn: () => void;
  readonly #wake: () => void;
  #turnRequested = false;
  #timer: NodeJS.Timeout | undefined;
  #armedFor = Number.POSITIVE_INFINITY;
  #stopped = false;

  constructor(turn: () => void, wake: () => void) {
    this.#turn = turn;
    this.#wake = wake;
  }

  now(): number {
    return performance.now();
  }

  wallTime(): number {
    return Date.now();
  }

  requestTurn(): void {
    if (this.#turnRequested || this.#stopped) return;
    this.#turnRequested = true;
    setImmediate(this.#runTurn);
  }

  /** A timer that is armed for earlier is left alone: waking early costs less than arming anew. */
  wakeAt(time: number): void {
    if (this.#stopped || time >= this.#armedFor) return;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#armedFor = time;
    this.#timer = setTimeout(this.#runWake, Math.max(0, time - performance.now()));
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #runTurn = (): void => {
    this.#turnRequested = false;
    if (!this.#stopped) this.#turn();
  };

  #runWake = (): void => {
    this.#timer = undefined;
    this.#armedFor = Number.POSITIVE_INFINITY;
    if (!this.#stopped) this.#wake();
  };
}
