/**
 * Events in order to any number of readers, each at its own pace: `for await` over a subscription gets everything that
 * was published since it was made, and ends when the feed ends. A reader that falls too far behind loses the oldest
 * events, so an abandoned one costs bounded memory; leaving the loop ends the subscription.
 */
const BEHIND_MAX = 1024;

export class Feed<T> {
  readonly #subscriptions = new Set<Subscription<T>>();
  #ended = false;

  publish(event: T): void {
    for (const subscription of this.#subscriptions) subscription.push(event);
  }

  end(): void {
    this.#ended = true;
    for (const subscription of this.#subscriptions) subscription.end();
    this.#subscriptions.clear();
  }

  /** From now on; `first` come before everything else. */
  subscribe(...first: readonly T[]): AsyncIterableIterator<T> {
    const subscription = new Subscription<T>(() => this.#subscriptions.delete(subscription));
    for (const event of first) subscription.push(event);
    if (this.#ended) subscription.end();
    else this.#subscriptions.add(subscription);
    return subscription;
  }
}

class Subscription<T> implements AsyncIterableIterator<T> {
  readonly #events: T[] = [];
  readonly #readers: ((result: IteratorResult<T, undefined>) => void)[] = [];
  readonly #cancel: () => void;
  #ended = false;

  constructor(cancel: () => void) {
    this.#cancel = cancel;
  }

  push(event: T): void {
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader({ done: false, value: event });
      return;
    }
    this.#events.push(event);
    if (this.#events.length > BEHIND_MAX) this.#events.shift();
  }

  end(): void {
    this.#ended = true;
    for (const reader of this.#readers.splice(0)) reader({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const event = this.#events.shift();
    if (event !== undefined) return Promise.resolve({ done: false, value: event });
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#cancel();
    this.#events.length = 0;
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }
}
