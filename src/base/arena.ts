/**
 * Memory for the many small byte arrays that live about as long as each other: frames, and what is laid out in them. An
 * array buffer of its own costs over ten times as much as a piece of a chunk. A chunk lives as long as any piece of it.
 */
const CHUNK_BYTES = 16_384;
const ALIGNMENT = 8;

let chunk = new ArrayBuffer(CHUNK_BYTES);
let used = 0;

/** That many zero bytes. */
export function allocate(length: number): Uint8Array {
  if (length * 4 > CHUNK_BYTES) return new Uint8Array(length);
  if (used + length > CHUNK_BYTES) {
    chunk = new ArrayBuffer(CHUNK_BYTES);
    used = 0;
  }
  const bytes = new Uint8Array(chunk, used, length);
  used += aligned(length);
  return bytes;
}

/** The first `length` of these bytes; the others, which nobody has written to, serve again if nothing was allocated since. */
export function keep(bytes: Uint8Array, length: number): Uint8Array {
  const isLast = bytes.buffer === chunk && bytes.byteOffset + aligned(bytes.length) === used;
  if (isLast) used = bytes.byteOffset + aligned(length);
  return bytes.subarray(0, length);
}

/** A copy of the first `length` bytes. */
export function copyOf(bytes: Uint8Array, length = bytes.length): Uint8Array {
  const copy = allocate(length);
  copy.set(length === bytes.length ? bytes : bytes.subarray(0, length));
  return copy;
}

/** The little-endian word at `at`; bytes beyond the end read as zero. */
export function wordAt(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
  return (low | ((bytes[at + 3] ?? 0) << 24)) >>> 0;
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}
