/**
 * The outcome of a call, as a promise that is only made when somebody asks: a send that is not awaited costs one small
 * object and no promise. A failure that nobody asked for is reported by `Diagnostics`, never as an unhandled rejection.
 */
import type { Diagnostics } from "./diagnostics.ts";

const OPEN = 0;
const FULFILLED = 1;
const REJECTED = 2;

// biome-ignore lint/suspicious/noExplicitAny: as Promise has it, so that a Pending can be used wherever a Promise can.
type Reason = any;

/** Behaves as the promise of the call's outcome. */
export class Pending<T> implements Promise<T> {
  /** Which of its flavour's messages it belongs to; for the outbox. */
  place = 0;
  #state = OPEN;
  #outcome: unknown = undefined;
  #promise: Promise<T> | undefined = undefined;
  #resolve: ((value: T) => void) | undefined = undefined;
  #reject: ((error: unknown) => void) | undefined = undefined;
  #release: (() => void) | undefined = undefined;

  get [Symbol.toStringTag](): string {
    return "Pending";
  }

  get settled(): boolean {
    return this.#state !== OPEN;
  }

  /** Whether anybody has asked for the outcome. */
  get heard(): boolean {
    return this.#promise !== undefined;
  }

  /** Runs `release` once the call is settled. */
  whenSettled(release: () => void): void {
    if (this.#state === OPEN) this.#release = release;
    else release();
  }

  /** Settles the call with its result; later settlements are ignored. */
  fulfil(value: T): void {
    if (this.#state !== OPEN) return;
    this.#state = FULFILLED;
    this.#outcome = value;
    this.#resolve?.(value);
    this.#release?.();
  }

  /** Settles the call with its failure; later settlements are ignored. */
  fail(error: unknown, diagnostics: Diagnostics): void {
    if (this.#state !== OPEN) return;
    this.#state = REJECTED;
    this.#outcome = error;
    if (this.#promise === undefined) diagnostics.failed(this, error);
    this.#reject?.(error);
    this.#release?.();
  }

  // biome-ignore lint/suspicious/noThenProperty: it is a promise.
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: Reason) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#asked().then(onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((reason: Reason) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.#asked().catch(onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<T> {
    return this.#asked().finally(onFinally);
  }

  #asked(): Promise<T> {
    this.#promise ??= new Promise<T>((resolve, reject) => {
      if (this.#state === FULFILLED) resolve(this.#outcome as T);
      else if (this.#state === REJECTED) reject(this.#outcome);
      else {
        this.#resolve = resolve;
        this.#reject = reject;
      }
    });
    return this.#promise;
  }
}
