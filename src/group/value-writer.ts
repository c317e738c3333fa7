/**
 * Appends user values to a buffer that grows, in the format of `value-format.ts`. A value whose type would not survive
 * the way is refused, never flattened.
 */
import { BINARY_KINDS, DEPTH_MAX, EXTENSION } from "./value-format.ts";

const KEPT_BYTES_MAX = 1024 * 1024;
const SHORT_TEXT = 31;

export const NESTED = `is nested deeper than ${DEPTH_MAX}, or contains itself`;

const texts = new TextEncoder();

/** Thrown by `ValueWriter` for a value that it cannot write; `what` completes "the value …". */
export class Refusal {
  readonly what: string;

  constructor(what: string) {
    this.what = what;
  }
}

/** Writes one value at a time into a buffer of its own, which it keeps. */
export class ValueWriter {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;
  busy = false;

  /** The value as bytes, valid until the next call. Throws a `Refusal`. */
  write(value: unknown): Uint8Array {
    this.busy = true;
    this.#at = 0;
    if (this.#bytes.length > KEPT_BYTES_MAX) this.#resize(4096);
    try {
      this.#value(value, 0);
      return this.#bytes.subarray(0, this.#at);
    } finally {
      this.busy = false;
    }
  }

  #value(value: unknown, depth: number): void {
    switch (typeof value) {
      case "string":
        this.#text(value);
        return;
      case "number":
        this.#number(value);
        return;
      case "boolean":
        this.#byte(value ? 0xc3 : 0xc2);
        return;
      case "undefined":
        this.#reserve(3);
        this.#view.setUint16(this.#at, 0xd400 | EXTENSION.undefined);
        this.#bytes[this.#at + 2] = 0;
        this.#at += 3;
        return;
      case "bigint":
        this.#bigint(value);
        return;
      case "object":
        value === null ? this.#byte(0xc0) : this.#object(value, depth);
        return;
      default:
        throw new Refusal(`is a ${typeof value}`);
    }
  }

  #object(value: object, depth: number): void {
    if (depth === DEPTH_MAX) throw new Refusal(NESTED);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (Array.isArray(value) && isArrayPrototype(prototype)) {
      this.#header(value.length, 0x90, 0x0f, 0xdc);
      for (let index = 0; index < value.length; index++) this.#value(value[index], depth + 1);
    } else if (isObjectPrototype(prototype)) {
      this.#plain(value as Readonly<Record<string, unknown>>, depth);
    } else if (value instanceof Uint8Array) {
      this.#binHeader(value.length);
      this.#raw(value);
    } else if (prototype === Date.prototype) {
      this.#reserve(10);
      this.#view.setUint16(this.#at, 0xd700 | EXTENSION.date);
      this.#view.setFloat64(this.#at + 2, (value as Date).getTime());
      this.#at += 10;
    } else if (prototype === Map.prototype) {
      const at = this.#open(EXTENSION.map);
      for (const [key, entry] of value as Map<unknown, unknown>) {
        this.#value(key, depth + 1);
        this.#value(entry, depth + 1);
      }
      this.#close(at);
    } else if (prototype === Set.prototype) {
      const at = this.#open(EXTENSION.set);
      for (const entry of value as Set<unknown>) this.#value(entry, depth + 1);
      this.#close(at);
    } else {
      this.#binary(value, prototype);
    }
  }

  #plain(value: Readonly<Record<string, unknown>>, depth: number): void {
    const keys = Object.keys(value);
    this.#header(keys.length, 0x80, 0x0f, 0xde);
    for (const key of keys) {
      this.#text(key);
      this.#value(value[key], depth + 1);
    }
  }

  #binary(value: object, prototype: unknown): void {
    const kind = BINARY_KINDS.findIndex((type) => prototype === type.prototype);
    if (kind < 0) throw new Refusal(`is an instance of ${nameOfClass(value)}`);
    const bytes = ArrayBuffer.isView(value)
      ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
      : new Uint8Array(value as ArrayBuffer);
    const at = this.#open(EXTENSION.binary);
    this.#byte(kind);
    this.#raw(bytes);
    this.#close(at);
  }

  #number(value: number): void {
    if (value >= 0 && value < 0x80 && (value | 0) === value && !Object.is(value, -0)) {
      this.#byte(value);
      return;
    }
    this.#reserve(9);
    const at = this.#at;
    if ((value | 0) === value && value !== 0) {
      this.#bytes[at] = 0xd2;
      this.#view.setInt32(at + 1, value);
      this.#at = at + 5;
    } else if (value >>> 0 === value && value !== 0) {
      this.#bytes[at] = 0xce;
      this.#view.setUint32(at + 1, value);
      this.#at = at + 5;
    } else {
      this.#bytes[at] = 0xcb;
      this.#view.setFloat64(at + 1, value);
      this.#at = at + 9;
    }
  }

  #bigint(value: bigint): void {
    const digits = (value < 0n ? -value : value).toString(16);
    const padded = digits.length % 2 === 0 ? digits : `0${digits}`;
    const at = this.#open(EXTENSION.bigint);
    this.#byte(value < 0n ? 1 : 0);
    for (let index = 0; index < padded.length; index += 2)
      this.#byte(Number.parseInt(padded.slice(index, index + 2), 16));
    this.#close(at);
  }

  /** Short ASCII by hand; the rest by the platform, with the header that surely suffices. */
  #text(value: string): void {
    const length = value.length;
    this.#reserve(5 + length * 3);
    const at = this.#at;
    const bytes = this.#bytes;
    if (length <= SHORT_TEXT) {
      let index = 0;
      for (; index < length; index++) {
        const unit = value.charCodeAt(index);
        if (unit >= 0x80) break;
        bytes[at + 1 + index] = unit;
      }
      if (index === length) {
        bytes[at] = 0xa0 | length;
        this.#at = at + 1 + length;
        return;
      }
    }
    const header = length * 3 < 0x100 ? 2 : length * 3 < 0x1_0000 ? 3 : 5;
    const written = texts.encodeInto(value, bytes.subarray(at + header)).written;
    if (header === 2) {
      bytes[at] = 0xd9;
      bytes[at + 1] = written;
    } else if (header === 3) {
      bytes[at] = 0xda;
      this.#view.setUint16(at + 1, written);
    } else {
      bytes[at] = 0xdb;
      this.#view.setUint32(at + 1, written);
    }
    this.#at = at + header + written;
  }

  /** The header of an array or a map: within the first byte if it fits, else 16 or 32 bits follow `wide`. */
  #header(length: number, small: number, smallMax: number, wide: number): void {
    this.#reserve(5);
    if (length <= smallMax) {
      this.#bytes[this.#at++] = small | length;
    } else if (length < 0x1_0000) {
      this.#bytes[this.#at] = wide;
      this.#view.setUint16(this.#at + 1, length);
      this.#at += 3;
    } else {
      this.#bytes[this.#at] = wide + 1;
      this.#view.setUint32(this.#at + 1, length);
      this.#at += 5;
    }
  }

  #binHeader(length: number): void {
    this.#reserve(5);
    if (length < 0x100) {
      this.#bytes[this.#at] = 0xc4;
      this.#bytes[this.#at + 1] = length;
      this.#at += 2;
    } else {
      this.#bytes[this.#at] = 0xc6;
      this.#view.setUint32(this.#at + 1, length);
      this.#at += 5;
    }
  }

  /** Begins an extension whose length is known only at the end; returns where it is to be written. */
  #open(type: number): number {
    this.#reserve(6);
    const at = this.#at;
    this.#bytes[at] = 0xc9;
    this.#bytes[at + 5] = type;
    this.#at = at + 6;
    return at + 1;
  }

  #close(at: number): void {
    this.#view.setUint32(at, this.#at - at - 5);
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = value;
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #reserve(more: number): void {
    const needed = this.#at + more;
    if (needed > this.#bytes.length) this.#resize(Math.max(needed, this.#bytes.length * 2));
  }

  #resize(length: number): void {
    const resized = new Uint8Array(length);
    resized.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = resized;
    this.#view = new DataView(resized.buffer);
  }
}

/** Whether this is the prototype of plain objects, of any realm. */
export function isObjectPrototype(prototype: unknown): boolean {
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Whether this is the prototype of arrays, of any realm, and not of a subclass. */
function isArrayPrototype(prototype: unknown): boolean {
  return prototype === Array.prototype || isObjectPrototype(Object.getPrototypeOf(prototype));
}

function nameOfClass(value: object): string {
  const type: unknown = (value as { readonly constructor?: unknown }).constructor;
  return typeof type === "function" && type.name !== "" ? type.name : "an unnamed class";
}
