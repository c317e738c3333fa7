/**
 * How a user's value lies in bytes: MessagePack with extensions. Extensions: 0 undefined; 1 Date (f64 milliseconds);
 * 2 bigint (a sign byte, then the magnitude, big-endian); 3 Map and 4 Set (their entries, as values one after the
 * other); 5 binary (a byte for the kind, then little-endian elements). Numbers are integers of up to 32 bits where they
 * fit and doubles otherwise, so a bigint stays a bigint.
 */

/** Values nested deeper than this are neither written nor read. */
export const DEPTH_MAX = 100;

export const EXTENSION = { undefined: 0, date: 1, bigint: 2, map: 3, set: 4, binary: 5 } as const;

/** Kinds of binary, by their position; new kinds go to the end. A Uint8Array is MessagePack's own `bin`. */
export const BINARY_KINDS = [
  ArrayBuffer,
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
] as const;
