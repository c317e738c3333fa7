/** Bytes that somebody has tampered with, as a seed decides. */
import type { Random } from "../../src/base/random.ts";

const CHANGES_MAX = 4;
/** Values that lengths, counts and versions are likely to trip over. */
const LIKELY = [0, 1, 0x7f, 0x80, 0xff] as const;
const LIKELY_WORDS = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x00ff_ffff] as const;

/** One to four changes of the bytes; `other` is what a piece may come from. The result differs from `bytes`. */
export function mutated(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  let changed: Uint8Array = bytes.slice();
  for (let left = 1 + random.below(CHANGES_MAX); left > 0; left--) changed = change(changed, other, random);
  return Buffer.compare(changed, bytes) === 0 ? Uint8Array.from([...bytes, random.below(256)]) : changed;
}

function change(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const { length } = bytes;
  const at = random.below(length + 1);
  const size = 1 + random.below(Math.max(1, Math.min(64, length)));
  const copy = bytes.slice();
  switch (random.below(7)) {
    case 0:
      if (at < length) copy[at] = (copy[at] as number) ^ (1 << random.below(8));
      return copy;
    case 1:
      if (at < length) copy[at] = random.chance(0.5) ? random.pick(LIKELY) : random.below(256);
      return copy;
    case 2:
      if (at + 4 <= length) new DataView(copy.buffer).setUint32(at, random.pick(LIKELY_WORDS), true);
      return copy;
    case 3:
      return copy.slice(0, at);
    case 4:
      return joined(copy.subarray(0, at), copy.subarray(at + size));
    case 5:
      return joined(copy.subarray(0, at), copy.subarray(Math.max(0, at - size)));
    default:
      return joined(
        copy.subarray(0, at),
        other.subarray(random.below(other.length + 1)).subarray(0, size),
        copy.subarray(at),
      );
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
