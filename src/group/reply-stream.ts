/**
 * The replies of one query, as they come. At most one comes of each member that was asked, so what waits here for its
 * reader is bounded. The stream ends with the query, or throws what the query rejects with, after the replies before it;
 * leaving the loop ends the query.
 */
import type { Pending } from "./pending.ts";
import type { Reply } from "./reply.ts";

type Result<R> = IteratorResult<Reply<R>, undefined>;

interface Reader<R> {
  readonly resolve: (result: Result<R>) => void;
  readonly reject: (error: unknown) => void;
}

export class ReplyStream<R> implements AsyncIterableIterator<Reply<R>, undefined> {
  readonly #outcome: Pending<Reply<R>[]>;
  readonly #stop: () => void;
  readonly #replies: Reply<R>[] = [];
  readonly #readers: Reader<R>[] = [];
  #heard = false;
  #over = false;
  #failure: { readonly error: unknown } | undefined;

  /** `outcome` settles when the query ends; `stop` ends it. */
  constructor(outcome: Pending<Reply<R>[]>, stop: () => void) {
    this.#outcome = outcome;
    this.#stop = stop;
  }

  push(reply: Reply<R>): void {
    const reader = this.#readers.shift();
    if (reader === undefined) this.#replies.push(reply);
    else reader.resolve({ done: false, value: reply });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result<R>> {
    this.#hear();
    const reply = this.#replies.shift();
    if (reply !== undefined) return Promise.resolve({ done: false, value: reply });
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) return Promise.reject(failure.error);
    if (this.#over) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  return(): Promise<Result<R>> {
    this.#replies.length = 0;
    this.#failure = undefined;
    this.#finish();
    this.#stop();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** The outcome is asked for when somebody reads: the failure of a query that nobody reads goes to the log. */
  #hear(): void {
    if (this.#heard) return;
    this.#heard = true;
    this.#outcome.then(
      () => this.#finish(),
      (error: unknown) => {
        if (this.#over) return;
        const reader = this.#readers.shift();
        if (reader === undefined) this.#failure = { error };
        else reader.reject(error);
        this.#finish();
      },
    );
  }

  #finish(): void {
    this.#over = true;
    for (const reader of this.#readers.splice(0)) reader.resolve({ done: true, value: undefined });
  }
}
