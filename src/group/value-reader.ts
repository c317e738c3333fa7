/**
 * Takes user values from bytes that may be garbage, in the format of `value-format.ts`. What is malformed reads as
 * undefined and marks the reader `failed` for good; nothing throws, values share no memory with the bytes, no key
 * reaches a prototype, and no length is believed before the bytes for it are known to be present.
 */
import { BINARY_KINDS, DEPTH_MAX, EXTENSION } from "./value-format.ts";

const SHORT_TEXT = 24;

export class ValueReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #text: Buffer | undefined;
  #at = 0;
  #end = 0;
  #failed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Whether this reader is for these very bytes. */
  reads(bytes: Uint8Array): boolean {
    return this.#bytes === bytes;
  }

  /** Begins anew, with the bytes from `from` to `to`. */
  begin(from: number, to: number): void {
    this.#at = from;
    this.#end = to;
    this.#failed = false;
  }

  /** Whether everything was read, to the last byte, and nothing was malformed. */
  get finished(): boolean {
    return !this.#failed && this.#at === this.#end;
  }

  value(depth: number): unknown {
    const first = this.#u8();
    if (first < 0x80) return first;
    if (first >= 0xe0) return first - 0x100;
    if (first >= 0xa0 && first < 0xc0) return this.#string(first & 0x1f);
    if (first < 0x90) return this.#object(first & 0x0f, depth);
    if (first < 0xa0) return this.#array(first & 0x0f, depth);
    return this.#wide(first, depth);
  }

  #wide(first: number, depth: number): unknown {
    switch (first) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#bin(this.#u8());
      case 0xc5:
        return this.#bin(this.#u16());
      case 0xc6:
        return this.#bin(this.#u32());
      case 0xc7:
        return this.#extension(this.#u8(), depth);
      case 0xc8:
        return this.#extension(this.#u16(), depth);
      case 0xc9:
        return this.#extension(this.#u32(), depth);
      case 0xca:
        return this.#take(4) ? this.#view.getFloat32(this.#at - 4) : undefined;
      case 0xcb:
        return this.#take(8) ? this.#view.getFloat64(this.#at - 8) : undefined;
      case 0xcc:
        return this.#u8();
      case 0xcd:
        return this.#u16();
      case 0xce:
        return this.#u32();
      case 0xcf:
        return this.#take(8) ? this.#view.getBigUint64(this.#at - 8) : undefined;
      case 0xd0:
        return this.#take(1) ? this.#view.getInt8(this.#at - 1) : undefined;
      case 0xd1:
        return this.#take(2) ? this.#view.getInt16(this.#at - 2) : undefined;
      case 0xd2:
        return this.#take(4) ? this.#view.getInt32(this.#at - 4) : undefined;
      case 0xd3:
        return this.#take(8) ? this.#view.getBigInt64(this.#at - 8) : undefined;
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(1 << (first - 0xd4), depth);
      case 0xd9:
        return this.#string(this.#u8());
      case 0xda:
        return this.#string(this.#u16());
      case 0xdb:
        return this.#string(this.#u32());
      case 0xdc:
        return this.#array(this.#u16(), depth);
      case 0xdd:
        return this.#array(this.#u32(), depth);
      case 0xde:
        return this.#object(this.#u16(), depth);
      case 0xdf:
        return this.#object(this.#u32(), depth);
      default:
        return this.#fail();
    }
  }

  #array(length: number, depth: number): unknown {
    if (depth === DEPTH_MAX || length > this.#end - this.#at) return this.#fail();
    const array: unknown[] = [];
    for (let index = 0; index < length && !this.#failed; index++) array.push(this.value(depth + 1));
    return array;
  }

  #object(length: number, depth: number): unknown {
    if (depth === DEPTH_MAX || length * 2 > this.#end - this.#at) return this.#fail();
    const object: Record<string, unknown> = {};
    for (let index = 0; index < length && !this.#failed; index++) {
      const key = this.value(DEPTH_MAX);
      if (typeof key !== "string") return this.#fail();
      const value = this.value(depth + 1);
      if (key === "__proto__") {
        Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
      } else {
        object[key] = value;
      }
    }
    return object;
  }

  #extension(length: number, depth: number): unknown {
    const type = this.#u8();
    if (this.#failed || length > this.#end - this.#at) return this.#fail();
    switch (type) {
      case EXTENSION.undefined:
        this.#at += length;
        return undefined;
      case EXTENSION.date:
        return length === 8 && this.#take(8) ? new Date(this.#view.getFloat64(this.#at - 8)) : this.#fail();
      case EXTENSION.bigint:
        return this.#bigint(length);
      case EXTENSION.map:
      case EXTENSION.set:
        return this.#entries(type, length, depth);
      case EXTENSION.binary:
        return this.#binary(length);
      default:
        return this.#fail();
    }
  }

  #entries(type: number, length: number, depth: number): unknown {
    if (depth === DEPTH_MAX) return this.#fail();
    const end = this.#end;
    this.#end = this.#at + length;
    const map = new Map<unknown, unknown>();
    const set = new Set<unknown>();
    while (this.#at < this.#end && !this.#failed) {
      const entry = this.value(depth + 1);
      if (type === EXTENSION.map) map.set(entry, this.value(depth + 1));
      else set.add(entry);
    }
    this.#end = end;
    if (this.#failed) return this.#fail();
    return type === EXTENSION.map ? map : set;
  }

  #binary(length: number): unknown {
    const type = BINARY_KINDS[this.#u8()];
    if (type === undefined || length < 1) return this.#fail();
    const size = length - 1;
    const elementBytes = "BYTES_PER_ELEMENT" in type ? type.BYTES_PER_ELEMENT : 1;
    if (size % elementBytes !== 0 || !this.#take(size)) return this.#fail();
    const copy = new Uint8Array(size);
    copy.set(this.#bytes.subarray(this.#at - size, this.#at));
    return type === ArrayBuffer ? copy.buffer : new type(copy.buffer);
  }

  #bigint(length: number): unknown {
    const sign = this.#u8();
    const size = length - 1;
    if (sign > 1 || size < 1 || !this.#take(size)) return this.#fail();
    let digits = "0x";
    for (let at = this.#at - size; at < this.#at; at++) digits += (this.#bytes[at] ?? 0).toString(16).padStart(2, "0");
    const magnitude = BigInt(digits);
    return sign === 1 ? -magnitude : magnitude;
  }

  #bin(length: number): unknown {
    if (!this.#take(length)) return undefined;
    const copy = new Uint8Array(length);
    copy.set(this.#bytes.subarray(this.#at - length, this.#at));
    return copy;
  }

  #string(length: number): unknown {
    if (!this.#take(length)) return undefined;
    const from = this.#at - length;
    if (length <= SHORT_TEXT) {
      let text = "";
      let at = from;
      for (; at < this.#at; at++) {
        const unit = this.#bytes[at] ?? 0;
        if (unit >= 0x80) break;
        text += String.fromCharCode(unit);
      }
      if (at === this.#at) return text;
    }
    this.#text ??= Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    return this.#text.toString("utf8", from, this.#at);
  }

  #u8(): number {
    return this.#take(1) ? this.#view.getUint8(this.#at - 1) : 0;
  }

  #u16(): number {
    return this.#take(2) ? this.#view.getUint16(this.#at - 2) : 0;
  }

  #u32(): number {
    return this.#take(4) ? this.#view.getUint32(this.#at - 4) : 0;
  }

  #take(length: number): boolean {
    if (this.#failed || length > this.#end - this.#at) {
      this.#fail();
      return false;
    }
    this.#at += length;
    return true;
  }

  #fail(): undefined {
    this.#failed = true;
    this.#at = this.#end;
    return undefined;
  }
}
