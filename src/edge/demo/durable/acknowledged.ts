/**
 * How many of a member's updates were acknowledged, in a file, so that it is known when the member is killed. The number is in
 * the file before anything else happens after an acknowledgement. Acknowledgements come in the order of the updates.
 */
import { existsSync, openSync, readFileSync, writeSync } from "node:fs";

const BYTES = 4;

export class Acknowledged {
  readonly #file: number;
  readonly #word = Buffer.alloc(BYTES);
  count = 0;

  constructor(path: string) {
    this.#file = openSync(path, "wx", 0o600);
  }

  /** The next one. */
  readonly note = (): void => {
    this.count++;
    this.#word.writeUInt32LE(this.count);
    writeSync(this.#file, this.#word, 0, BYTES, 0);
  };
}

export function acknowledgedIn(path: string): number {
  const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
  return bytes.length < BYTES ? 0 : bytes.readUInt32LE();
}
