/** Reads the extensions of `value-format.ts` from bytes that may be garbage. What is read shares no memory with them. */
import { copyOf } from "./bytes.ts";
import { BINARY_KINDS, EXTENSION, SPECIAL } from "./value-format.ts";

/** The value of an extension; `read` gives the value that lies inside. Throws when it is malformed. */
export function readExtension(type: number, data: Uint8Array, read: (bytes: Uint8Array) => unknown): unknown {
  switch (type) {
    case EXTENSION.special:
      return specialIn(data);
    case EXTENSION.date:
      return new Date(viewOf(data, 8).getFloat64(0));
    case EXTENSION.bigint:
      return bigintIn(data);
    case EXTENSION.map:
      return mapOf(read(data));
    case EXTENSION.set:
      return new Set(arrayOf(read(data)));
    case EXTENSION.binary:
      return binaryIn(data);
    case EXTENSION.object:
      return objectOf(mapOf(read(data)));
    default:
      throw new TypeError(`unknown extension ${type}`);
  }
}

function specialIn(data: Uint8Array): unknown {
  const which = viewOf(data, 1).getUint8(0);
  if (which === SPECIAL.undefined) return undefined;
  if (which === SPECIAL.negativeZero) return -0;
  throw new TypeError("an unknown special value");
}

function bigintIn(data: Uint8Array): bigint {
  const sign = data[0];
  if ((sign !== 0 && sign !== 1) || data.length < 2) throw new TypeError("not a bigint");
  const magnitude = BigInt(`0x${Buffer.from(data.buffer, data.byteOffset + 1, data.length - 1).toString("hex")}`);
  return sign === 1 ? -magnitude : magnitude;
}

function binaryIn(data: Uint8Array): unknown {
  const kind = BINARY_KINDS[data[0] ?? BINARY_KINDS.length];
  if (kind === undefined) throw new TypeError("an unknown kind of binary");
  const copy = copyOf(data, 1);
  return kind === ArrayBuffer ? copy.buffer : new kind(copy.buffer);
}

function arrayOf(entries: unknown): readonly unknown[] {
  if (!Array.isArray(entries)) throw new TypeError("not the entries of a collection");
  return entries;
}

function mapOf(value: unknown): Map<unknown, unknown> {
  const entries = arrayOf(value);
  if (entries.length % 2 !== 0) throw new TypeError("a key without a value");
  const map = new Map<unknown, unknown>();
  for (let index = 0; index < entries.length; index += 2) map.set(entries[index], entries[index + 1]);
  return map;
}

/** Defines the properties rather than assigning them, so that no key reaches the prototype. */
function objectOf(entries: ReadonlyMap<unknown, unknown>): object {
  for (const key of entries.keys()) if (typeof key !== "string") throw new TypeError("a key that is no string");
  return Object.fromEntries(entries);
}

function viewOf(data: Uint8Array, length: number): DataView {
  if (data.length !== length) throw new TypeError("an extension of the wrong length");
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}
