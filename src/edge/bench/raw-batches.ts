/**
 * Batches of framed messages for the baselines, in memory that is used again: each message is a header and a copy of its
 * payload, or its encoding. A message larger than a batch is one by itself, and is not copied.
 */
import { Encoder } from "@msgpack/msgpack";
import type { Task } from "./task.ts";

const BATCH_BYTES = 65_536;
export const RAW_HEADER_BYTES = 12;

interface Batch {
  readonly bytes: Uint8Array;
  /** To be called by everyone who was given the bytes, and by the maker. */
  readonly release: () => void;
}

export class RawBatches {
  /** Of one message with its header. */
  readonly messageBytes: number;
  readonly #count: number;
  readonly #holders: number;
  readonly #payload: Uint8Array;
  readonly #typed: readonly [string, number] | undefined;
  readonly #encoder = new Encoder();
  readonly #free: Uint8Array[] = [];

  constructor({ api, bytes, members, oneInFlight }: Task) {
    this.#typed = api === "typed" ? ["n".repeat(bytes), 0] : undefined;
    this.#payload = this.#typed === undefined ? new Uint8Array(bytes).fill(7) : this.#encoder.encode(this.#typed);
    this.messageBytes = RAW_HEADER_BYTES + this.#payload.length;
    this.#count = oneInFlight ? 1 : Math.max(1, Math.floor(BATCH_BYTES / this.messageBytes));
    this.#holders = oneInFlight ? 1 : members;
  }

  next(): Batch {
    const bytes = this.#free.pop() ?? new Uint8Array(Buffer.allocUnsafeSlow(this.#count * this.messageBytes).buffer);
    if (this.messageBytes <= BATCH_BYTES || this.#typed !== undefined) this.#lay(bytes);
    else new DataView(bytes.buffer).setUint32(0, this.#payload.length, true);
    let left = this.#holders;
    const release = (): void => {
      left--;
      if (left === 0) this.#free.push(bytes);
    };
    return { bytes, release };
  }

  #lay(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer);
    const typed = this.#typed;
    for (let at = 0; at < bytes.length; at += this.messageBytes) {
      const payload = typed === undefined ? this.#payload : this.#encoder.encodeSharedRef(typed);
      view.setUint32(at, payload.length, true);
      view.setUint32(at + 4, 1, true);
      view.setUint32(at + 8, at, true);
      bytes.set(payload, at + RAW_HEADER_BYTES);
    }
  }
}
