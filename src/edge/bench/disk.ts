/**
 * The baseline of durable groups: what this machine's disk takes when as many processes write at the same time. Records are
 * copied behind their lengths into one buffer while another is written, synchronously, to a file that is there already: no
 * checksums, no positions, nothing that could be recovered. Or, one in flight, a block after the other.
 */
import { closeSync, constants, fsyncSync, openSync, write, writeSync } from "node:fs";
import { join } from "node:path";
import { during, type Meter } from "./meter.ts";
import { machineMicroseconds, type Task } from "./task.ts";

const BUFFER_BYTES = 1024 * 1024;
const FILE_BYTES = 48 * BUFFER_BYTES;
const BLOCK_BYTES = 4096;
const LENGTH_BYTES = 4;

export class DiskMember {
  readonly #task: Task;
  readonly #meter: Meter;
  readonly #record: Uint8Array;
  readonly #fd: number;
  #filled = Buffer.alloc(BUFFER_BYTES);
  #other = Buffer.alloc(BUFFER_BYTES);
  #at = 0;

  constructor(task: Task, meter: Meter) {
    this.#task = task;
    this.#meter = meter;
    this.#record = new Uint8Array(task.bytes).fill(7);
    const path = join(task.disk ?? ".", `raw-${task.rank}`);
    const made = openSync(path, "w");
    for (let at = 0; at < FILE_BYTES; at += BUFFER_BYTES) writeSync(made, this.#filled, 0, BUFFER_BYTES, at);
    fsyncSync(made);
    closeSync(made);
    this.#fd = openSync(path, constants.O_WRONLY | constants.O_DSYNC);
  }

  async run(forMs: number): Promise<void> {
    await during(forMs, this.#task.oneInFlight ? () => this.#writeBlock() : () => this.#commit());
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** What was filled is written; meanwhile the next is filled. */
  async #commit(): Promise<void> {
    const { length } = this.#record;
    const written = this.#write(this.#filled);
    const next = this.#other;
    let at = 0;
    for (; at + LENGTH_BYTES + length <= BUFFER_BYTES; at += LENGTH_BYTES + length) {
      next.writeUInt32LE(length, at);
      next.set(this.#record, at + LENGTH_BYTES);
    }
    await written;
    [this.#filled, this.#other] = [next, this.#filled];
    this.#meter.delivered += at / (LENGTH_BYTES + length);
  }

  async #writeBlock(): Promise<void> {
    const begun = machineMicroseconds();
    await this.#write(this.#filled.subarray(0, BLOCK_BYTES));
    this.#meter.resulted(machineMicroseconds() - begun);
    this.#meter.delivered++;
  }

  #write(bytes: Uint8Array): Promise<void> {
    if (this.#at + bytes.length > FILE_BYTES) this.#at = 0;
    const at = this.#at;
    this.#at += bytes.length;
    return new Promise((resolve, reject) => {
      write(this.#fd, bytes, 0, bytes.length, at, (error) => (error === null ? resolve() : reject(error)));
    });
  }
}
