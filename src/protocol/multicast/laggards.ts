/**
 * Who holds the senders of an epoch back, as one member sees it. Every member keeps what not all are known to hold, and
 * has everybody's rows; so each of them can see for itself that a window is full, and whose row is behind. A member whose
 * own event loop did not come round in time has old rows: it forgets what it thought of others and begins anew.
 */
import type { Epoch } from "../epoch.ts";

export interface Laggard {
  readonly rank: number;
  /** For how long it has been behind; 0 when it has caught up. */
  readonly forMs: number;
}

/** Who was not behind at so many looks in a row has caught up. */
const LOOKS_TO_RECOVER = 4;
const NOBODY: readonly Laggard[] = [];

export class Laggards {
  readonly #periodMs: number;
  readonly #since = new Map<number, { readonly since: number; seenAt: number }>();
  #lookedAt = 0;
  #deadline = Number.POSITIVE_INFINITY;

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** Time of the next look; none is due while no window is half full and nobody was behind. */
  get deadline(): number {
    return this.#deadline;
  }

  /** Looks, when it is time: who is behind, and who has caught up since. */
  look(now: number, epoch: Epoch): readonly Laggard[] {
    const isWatching = this.#deadline !== Number.POSITIVE_INFINITY;
    if (isWatching ? now < this.#deadline : !epoch.isCrowded) return NOBODY;
    if (isWatching && now - this.#lookedAt > this.#periodMs * 2) this.#since.clear();
    this.#lookedAt = now;
    for (const rank of epoch.laggards()) {
      const known = this.#since.get(rank);
      if (known === undefined) this.#since.set(rank, { since: now, seenAt: now });
      else known.seenAt = now;
    }
    const found: Laggard[] = [];
    for (const [rank, { since, seenAt }] of this.#since) {
      const hasRecovered = now - seenAt >= this.#periodMs * LOOKS_TO_RECOVER;
      if (hasRecovered) this.#since.delete(rank);
      found.push({ rank, forMs: hasRecovered ? 0 : now - since });
    }
    const goesOn = this.#since.size > 0 || epoch.isCrowded;
    this.#deadline = goesOn ? now + this.#periodMs : Number.POSITIVE_INFINITY;
    return found;
  }
}
