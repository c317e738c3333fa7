/**
 * Memory that is the network's own.
 */
import type { Slab } from "../../base/slabs.ts";

/** Stands for memory that one frame has for itself; the collector frees it. */
export const OWN_MEMORY: Slab = { retain() {}, release() {} };

/** Bytes that are not cleared. A plain `Uint8Array`, because taking views of a `Buffer` costs half as much again. */
export function allocate(length: number): Uint8Array {
  const buffer = Buffer.allocUnsafeSlow(length);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, length);
}
