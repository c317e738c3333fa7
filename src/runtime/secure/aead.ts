/**
 * AES-256-GCM, as everything that this library seals is sealed, and the keys for it. What is sealed is read as it was, or not
 * at all; the tag also covers bytes that stay in clear beside it. A key and a nonce serve once: that is for the caller to keep.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import { spend } from "./spent.ts";

export const NONCE_BYTES = 12;
/** By so much what is sealed is longer. */
export const TAG_BYTES = 16;
const KEY_BYTES = 32;
const CIPHER = "aes-256-gcm";

/** The key for this purpose that follows, by HKDF-SHA-256, from a secret. */
export function keyFor(purpose: string, secret: Uint8Array, salt: Uint8Array | ""): KeyObject {
  const bytes = Buffer.from(hkdfSync("sha256", secret, salt, purpose, KEY_BYTES));
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return key;
}

/** Seals `clear` into `frame`, from `at` on, with its tag behind it. `associated`: what the tag covers, too. */
export function sealInto(
  frame: Uint8Array,
  at: number,
  key: KeyObject,
  nonce: Uint8Array,
  associated: Uint8Array,
  clear: Uint8Array,
): void {
  const cipher = createCipheriv(CIPHER, key, nonce);
  cipher.setAAD(associated);
  const sealed = cipher.update(clear);
  frame.set(sealed, at);
  spend(sealed);
  cipher.final();
  frame.set(cipher.getAuthTag(), at + clear.length);
}

/** What was sealed, in memory of its own; undefined when it was not, or not with this key, nonce and `associated`. */
export function opened(
  key: KeyObject,
  nonce: Uint8Array,
  associated: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  const bodyEnd = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(associated);
  decipher.setAuthTag(sealed.subarray(bodyEnd));
  const clear = decipher.update(sealed.subarray(0, bodyEnd));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  // A plain array, because views of a `Buffer` cost more to take.
  return new Uint8Array(clear.buffer, clear.byteOffset, clear.length);
}
