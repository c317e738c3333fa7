/**
 * What has come before this node knows what it is about: it waits until the node has caught up. Nodes of the view are
 * believed to send no more than they may; all others together are granted a few bytes, as nobody knows yet who they are.
 */
import type { NodeId } from "./view.ts";

const ARRIVALS_MAX = 65_536;
const STRANGERS_BYTES_MAX = 4 * 1024 * 1024;
/** What keeping something costs beside its bytes. */
const OVERHEAD_BYTES = 256;

export interface Arrival {
  readonly from: NodeId;
  /** Of the frame. */
  readonly bytes: number;
}

interface Kept<T> {
  readonly arrival: T;
  readonly isStranger: boolean;
}

export class Early<T extends Arrival> {
  #arrivals: Kept<T>[] = [];
  #strangersBytes = 0;

  /** False when there is no room. `isStranger`: the sender is no node of the view. */
  keep(arrival: T, isStranger: boolean): boolean {
    const bytes = arrival.bytes + OVERHEAD_BYTES;
    if (this.#arrivals.length >= ARRIVALS_MAX) return false;
    if (isStranger && this.#strangersBytes + bytes > STRANGERS_BYTES_MAX) return false;
    if (isStranger) this.#strangersBytes += bytes;
    this.#arrivals.push({ arrival, isStranger });
    return true;
  }

  /** Takes out those that are not to wait any longer, in the order in which they came. */
  take(isDue: (arrival: T) => boolean): readonly T[] {
    if (this.#arrivals.length === 0) return [];
    const due: T[] = [];
    const rest: Kept<T>[] = [];
    for (const kept of this.#arrivals) {
      if (!isDue(kept.arrival)) rest.push(kept);
      else {
        due.push(kept.arrival);
        if (kept.isStranger) this.#strangersBytes -= kept.arrival.bytes + OVERHEAD_BYTES;
      }
    }
    this.#arrivals = rest;
    return due;
  }
}
