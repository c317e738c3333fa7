/**
 * The key of a data directory: 32 random bytes, made with the directory and never changed, from which the keys of its records
 * follow. It lies in the directory, in the file `data-key`, wrapped by a key that the node is given, so that the latter can be
 * changed without writing the log anew:
 *
 *     0  the format, a line of text      20  16 bytes of salt      36  the wrapped key, 32 bytes      68  the tag
 *
 * The wrapping key follows from the given key and the salt, which is fresh each time; so its nonce, zero, serves once.
 */
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { keyFor, NONCE_BYTES, opened, sealInto, TAG_BYTES } from "./aead.ts";

export const DATA_KEY_FILE = "data-key";
const FORMAT = Buffer.from("coterie data key 1.\n");
const SALT_BYTES = 16;
const KEY_BYTES = 32;
const KEY_AT = FORMAT.length + SALT_BYTES;
const FILE_BYTES = KEY_AT + KEY_BYTES + TAG_BYTES;
const PURPOSE = "coterie 1 data key";
const NONCE = new Uint8Array(NONCE_BYTES);

/** Whether there is a key in the directory. */
export function hasDataKey(directory: string): boolean {
  return existsSync(join(directory, DATA_KEY_FILE));
}

/** Makes the directory's key, which it does not have yet, wrapped by this one. */
export function makeDataKey(directory: string, key: Uint8Array): Uint8Array {
  const dataKey = new Uint8Array(randomBytes(KEY_BYTES));
  store(directory, wrapped(dataKey, key));
  return dataKey;
}

/**
 * The directory's key, if one of these opens it; from then on the first of them does. Undefined when none does, or the file is
 * not what it was. Throws when it cannot be read or written.
 */
export function openDataKey(directory: string, keys: readonly Uint8Array[]): Uint8Array | undefined {
  const [first] = keys;
  const dataKey = readDataKey(directory, keys.slice(0, 1));
  if (dataKey !== undefined || first === undefined) return dataKey;
  const found = readDataKey(directory, keys.slice(1));
  if (found !== undefined) store(directory, wrapped(found, first));
  return found;
}

/** The directory's key, if one of these opens it. Undefined when none does. Throws when it cannot be read. */
export function readDataKey(directory: string, keys: readonly Uint8Array[]): Uint8Array | undefined {
  const file = readFileSync(join(directory, DATA_KEY_FILE));
  for (const key of keys) {
    const dataKey = unwrapped(file, key);
    if (dataKey !== undefined) return dataKey;
  }
  return undefined;
}

function wrapped(dataKey: Uint8Array, key: Uint8Array): Uint8Array {
  const file = new Uint8Array(FILE_BYTES);
  const salt = randomBytes(SALT_BYTES);
  file.set(FORMAT);
  file.set(salt, FORMAT.length);
  sealInto(file, KEY_AT, keyFor(PURPOSE, key, salt), NONCE, FORMAT, dataKey);
  return file;
}

function unwrapped(file: Uint8Array, key: Uint8Array): Uint8Array | undefined {
  if (file.length !== FILE_BYTES || !FORMAT.equals(file.subarray(0, FORMAT.length))) return undefined;
  const salt = file.subarray(FORMAT.length, KEY_AT);
  return opened(keyFor(PURPOSE, key, salt), NONCE, FORMAT, file.subarray(KEY_AT));
}

/** The file is there whole, or as it was before, whenever the process or the machine stops. */
function store(directory: string, bytes: Uint8Array): void {
  const path = join(directory, DATA_KEY_FILE);
  const draft = openSync(`${path}.new`, "w", 0o600);
  writeSync(draft, bytes);
  fsyncSync(draft);
  closeSync(draft);
  renameSync(`${path}.new`, path);
  if (process.platform === "win32") return;
  const folder = openSync(directory, "r");
  fsyncSync(folder);
  closeSync(folder);
}
