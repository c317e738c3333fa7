/**
 * How a user's value lies in bytes: MessagePack, written and read by `@msgpack/msgpack`, with extensions for what
 * MessagePack has no type for. Extensions: 0 undefined and -0; 1 Date (f64 milliseconds, so that invalid dates survive);
 * 2 bigint (a sign byte, then the magnitude, big-endian); 3 Map and 4 Set (an array of their entries, one after the
 * other); 5 binary (a byte for the kind, then little-endian elements); 6 an object with a key `__proto__`, which the
 * library refuses to read (as a Map). MessagePack's own `bin` is not used: the library would read it as a view into its
 * input.
 */

/** Values nested deeper than this are neither written nor read. */
export const DEPTH_MAX = 100;

export const EXTENSION = { special: 0, date: 1, bigint: 2, map: 3, set: 4, binary: 5, object: 6 } as const;

/** What the byte of a `special` stands for. */
export const SPECIAL = { undefined: 0, negativeZero: 1 } as const;

/** Kinds of binary, by their position; new kinds go to the end. */
export const BINARY_KINDS = [
  Uint8Array,
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
