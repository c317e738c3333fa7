/**
 * Cluster keys: 32 random bytes, written as `coterie_` and 43 characters of base64url, so that one is never mistaken for a
 * path, and is found by those who look for secrets where none should be. What is used on the wire is derived from a key;
 * the key itself is never sent, logged or shown.
 */
import { hkdfSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";

const PREFIX = "coterie_";
const KEY_BYTES = 32;
const KEY_PATTERN = /^coterie_[A-Za-z0-9_-]{43}$/;
const KEYS_MAX = 16;

/** A key, and what proves its possession. */
export interface ClusterKey {
  /** Tells which key is meant; says nothing about it. */
  readonly identity: string;
  /** What TLS mixes into every key of a connection. */
  readonly presharedKey: Uint8Array;
}

/** What is wrong with a key or its file; never says what the key is. */
export class ClusterKeyError extends Error {
  override readonly name = "ClusterKeyError";
}

/** A new random key, as text. */
export function newClusterKey(): string {
  return PREFIX + randomBytes(KEY_BYTES).toString("base64url");
}

/**
 * The keys that a setting names: keys as text or bytes, or files that hold them, one a line. The first is the one to use,
 * the others are accepted too. Throws a `ClusterKeyError`.
 */
export function clusterKeys(setting: string | Uint8Array | readonly (string | Uint8Array)[]): readonly ClusterKey[] {
  const entries = typeof setting === "string" || setting instanceof Uint8Array ? [setting] : setting;
  const keys = entries.flatMap(keysIn);
  if (keys.length === 0) throw new ClusterKeyError("holds no key");
  if (keys.length > KEYS_MAX) throw new ClusterKeyError(`holds more than ${KEYS_MAX} keys`);
  return keys.map((key) => ({
    identity: Buffer.from(derive(key, "identity", 8)).toString("hex"),
    presharedKey: derive(key, "link", 32),
  }));
}

/** The bytes of the keys that a setting names: keys as text or bytes, or a file that holds some. Throws a `ClusterKeyError`. */
export function keysIn(setting: string | Uint8Array): readonly Uint8Array[] {
  return typeof setting === "string" ? fromText(setting) : [checked(setting)];
}

/** The files that a setting names. */
export function keyFiles(setting: string | Uint8Array | readonly (string | Uint8Array)[]): readonly string[] {
  const entries = typeof setting === "string" || setting instanceof Uint8Array ? [setting] : setting;
  return entries.filter((entry) => typeof entry === "string" && !isKeys(entry)) as string[];
}

function wordsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== "");
}

/** Whether a text holds keys, and is not the name of a file. */
function isKeys(text: string): boolean {
  return wordsOf(text).some((word) => word.startsWith(PREFIX));
}

function fromText(text: string): Uint8Array[] {
  if (isKeys(text)) return wordsOf(text).map(fromWord);
  let file: string;
  try {
    file = readFileSync(text, "utf8");
  } catch (cause) {
    throw new ClusterKeyError("is neither a key nor a file that can be read", { cause });
  }
  const lines = wordsOf(file);
  if (lines.length === 0) throw new ClusterKeyError("names a file that holds no key");
  return lines.map(fromWord);
}

function fromWord(word: string): Uint8Array {
  if (!KEY_PATTERN.test(word)) throw new ClusterKeyError("is not a key; `coterie key new` makes one");
  return checked(Buffer.from(word.slice(PREFIX.length), "base64url"));
}

function checked(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== KEY_BYTES) throw new ClusterKeyError(`is a key of ${bytes.length} bytes, not of ${KEY_BYTES}`);
  return bytes;
}

function derive(key: Uint8Array, purpose: string, length: number): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", key, "", `coterie 1 cluster key: ${purpose}`, length));
}
