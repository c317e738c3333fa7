/**
 * A log whose records are sealed with AES-256-GCM between the core and the disk: what is written is read as it was, or not
 * at all, and shows nothing but its length.
 *
 *     0  u32 length      4  u8  6      5  u8  version      6  u16 0      8  16 bytes of salt      24  the sealed record      -16 the tag
 *
 * The salt is random, and new each time that a process opens the log. From the data key and the salt follows the key of what
 * this process writes; the nonce is the record's position, which a process never gives twice. So a nonce serves once, also
 * when a crash has taken records with it and their positions are given again. A record that was changed, or comes from another
 * position or another log, does not open, and is for those who read like one that is damaged.
 */
import type { KeyObject } from "node:crypto";
import { assert } from "../../base/assert.ts";
import type { Log, RecordLog } from "../log/log.ts";
import { keyFor, NONCE_BYTES, opened, sealInto, TAG_BYTES } from "./aead.ts";

const SEALED_RECORD = 6;
const VERSION = 1;
const SALT_AT = 8;
export const SALT_BYTES = 16;
const HEADER_BYTES = SALT_AT + SALT_BYTES;

/** Keys of processes that have written, kept while reading. */
const KEYS_MAX = 256;

/** Whether these are the bytes of a sealed record: none that is in clear begins so. */
export function isSealedRecord(record: Uint8Array): boolean {
  return record[4] === SEALED_RECORD;
}

/** Opens the records of one log, and seals new ones. */
export class RecordSeal {
  readonly #dataKey: Uint8Array;
  readonly #salt: Uint8Array;
  readonly #keys = new Map<string, KeyObject>();
  readonly #nonce = Buffer.alloc(NONCE_BYTES);
  #scratch = new Uint8Array(64 * 1024);
  /** The position after that of the last record. */
  #next = 0;

  /** `salt`: random bytes that never served before. */
  constructor(dataKey: Uint8Array, salt: Uint8Array) {
    assert(salt.length === SALT_BYTES, "a salt has its length");
    this.#dataKey = dataKey;
    this.#salt = salt;
  }

  /** The sealed record, which is good until the next one is sealed. Each comes behind the one before. */
  seal(record: Uint8Array, position: number): Uint8Array {
    assert(position >= this.#next, "a nonce serves once");
    this.#next = position + 1;
    const length = HEADER_BYTES + record.length + TAG_BYTES;
    if (this.#scratch.length < length) this.#scratch = new Uint8Array(length * 2);
    const sealed = this.#scratch.subarray(0, length);
    new DataView(sealed.buffer).setUint32(0, length - 4, true);
    sealed.set([SEALED_RECORD, VERSION, 0, 0], 4);
    sealed.set(this.#salt, SALT_AT);
    const header = sealed.subarray(0, HEADER_BYTES);
    sealInto(sealed, HEADER_BYTES, this.#keyOf(this.#salt), this.#nonceOf(position), header, record);
    return sealed;
  }

  /** The record that was sealed at this position, in memory of its own; undefined when this is not it. */
  open(sealed: Uint8Array, position: number): Uint8Array | undefined {
    if (sealed.length < HEADER_BYTES + TAG_BYTES || !isSealedRecord(sealed) || sealed[5] !== VERSION) return undefined;
    const key = this.#keyOf(sealed.subarray(SALT_AT, HEADER_BYTES));
    return opened(key, this.#nonceOf(position), sealed.subarray(0, HEADER_BYTES), sealed.subarray(HEADER_BYTES));
  }

  #keyOf(salt: Uint8Array): KeyObject {
    const name = Buffer.from(salt).toString("latin1");
    const known = this.#keys.get(name);
    if (known !== undefined) return known;
    const key = keyFor("coterie 1 data records", this.#dataKey, salt);
    if (this.#keys.size >= KEYS_MAX) this.#keys.clear();
    this.#keys.set(name, key);
    return key;
  }

  #nonceOf(position: number): Buffer {
    this.#nonce.writeDoubleLE(position, 0);
    return this.#nonce;
  }
}

export class SealedLog implements RecordLog {
  readonly #log: Log;
  readonly #seal: RecordSeal;

  constructor(log: Log, seal: RecordSeal) {
    this.#log = log;
    this.#seal = seal;
  }

  get id(): Log["id"] {
    return this.#log.id;
  }

  get next(): number {
    return this.#log.next;
  }

  get durable(): number {
    return this.#log.durable;
  }

  get floor(): number {
    return this.#log.floor;
  }

  get status(): Log["status"] {
    return this.#log.status;
  }

  get damage(): Log["damage"] {
    return this.#log.damage;
  }

  append(record: Uint8Array): number {
    return this.#log.append(this.#seal.seal(record, this.#log.next));
  }

  flush(): void {
    this.#log.flush();
  }

  truncate(floor: number): void {
    this.#log.truncate(floor);
  }

  /** Ends before a record that does not open, too. */
  *read(from: number, to?: number): IterableIterator<Uint8Array> {
    let position = from;
    for (const sealed of this.#log.read(from, to)) {
      const record = this.#seal.open(sealed, position++);
      if (record === undefined) return;
      yield record;
    }
  }
}
