/**
 * Gives memory back at once. What a cipher returns is a new array buffer each time, and the collector, which sees how much
 * memory such buffers hold, would mark the whole heap several times a second only to free them. A buffer that is transferred
 * away takes its memory with it: here, to where nobody is.
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Slab } from "../../base/slabs.ts";

/** Less than this is not worth the call. */
const SPENT_BYTES_MIN = 4096;

let nowhere: MessagePort | undefined;
const list: ArrayBuffer[] = [];

/** Nobody needs these bytes, or any in the same buffer, any more: it has no length afterwards. */
export function spend(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer.byteLength < SPENT_BYTES_MIN || !(buffer instanceof ArrayBuffer)) return;
  list[0] = buffer;
  nowhere ??= closedPort();
  nowhere.postMessage(undefined, list);
  list.length = 0;
}

/** The memory of one buffer, spent when nobody needs it any more. */
export class SpentLater implements Slab {
  readonly #bytes: Uint8Array;
  #retained = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  retain(): void {
    this.#retained++;
  }

  release(): void {
    this.#retained--;
    if (this.#retained === 0) spend(this.#bytes);
  }
}

/** What is posted there is gone. */
function closedPort(): MessagePort {
  const { port1, port2 } = new MessageChannel();
  port1.close();
  port2.close();
  return port1;
}
