/**
 * Copies of bytes that share no memory with where they came from. (`slice` would, when the bytes are a Buffer.)
 */

/** The bytes from `from` to `to`, at the beginning of memory of their own. */
export function copyOf(bytes: Uint8Array, from = 0, to = bytes.length): Uint8Array<ArrayBuffer> {
  // Memory that is not cleared first: it is written over at once.
  const copy = new Uint8Array(Buffer.allocUnsafeSlow(to - from).buffer as ArrayBuffer);
  copy.set(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to));
  return copy;
}

/** All parts, one after the other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
