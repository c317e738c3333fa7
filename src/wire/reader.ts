/**
 * Takes values from bytes that may be garbage. A value that is not there, is too long or is malformed reads as zero or
 * empty and marks the reader `failed` for good; nothing throws, and no length from the wire is allocated before the
 * bytes for it are known to be present.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  #at: number;
  readonly #end: number;
  #failed = false;

  constructor(bytes: Uint8Array, from = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = from;
    this.#end = end;
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** Whether everything was read, to the last byte, and nothing was malformed. */
  get finished(): boolean {
    return !this.#failed && this.#at === this.#end;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  fail(): void {
    this.#failed = true;
    this.#at = this.#end;
  }

  u8(): number {
    return this.#take(1) ? (this.#bytes[this.#at - 1] as number) : 0;
  }

  u16(): number {
    if (!this.#take(2)) return 0;
    const at = this.#at;
    return (this.#bytes[at - 2] as number) + (this.#bytes[at - 1] as number) * 0x100;
  }

  u32(): number {
    if (!this.#take(4)) return 0;
    const at = this.#at;
    const high = (this.#bytes[at - 2] as number) + (this.#bytes[at - 1] as number) * 0x100;
    return (this.#bytes[at - 4] as number) + (this.#bytes[at - 3] as number) * 0x100 + high * 0x1_0000;
  }

  f64(): number {
    if (!this.#take(8)) return 0;
    const { buffer, byteOffset } = this.#bytes;
    return new DataView(buffer, byteOffset + this.#at - 8, 8).getFloat64(0, true);
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if ((byte & 0x80) === 0) {
        if (value > Number.MAX_SAFE_INTEGER) this.fail();
        return this.#failed ? 0 : value;
      }
      scale *= 0x80;
    }
    this.fail();
    return 0;
  }

  /** A view of bytes preceded by their length; it shares the underlying buffer. */
  bytes(lengthMax: number): Uint8Array {
    const length = this.varint();
    if (length > lengthMax) this.fail();
    return this.raw(length);
  }

  /** A view of the next `length` bytes. */
  raw(length: number): Uint8Array {
    if (!this.#take(length)) return EMPTY;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  text(bytesMax: number): string {
    const bytes = this.bytes(bytesMax);
    const text = familiar(bytes) ?? decodeUtf8(bytes);
    if (text === undefined) {
      this.fail();
      return "";
    }
    return text;
  }

  #take(length: number): boolean {
    if (this.#failed || length > this.#end - this.#at) {
      this.fail();
      return false;
    }
    this.#at += length;
    return true;
  }
}

const EMPTY = new Uint8Array(0);

const FAMILIAR_BYTES_MAX = 32;
const FAMILIAR_SLOTS = 1024;
const familiarTexts: string[] = new Array(FAMILIAR_SLOTS).fill("");

/**
 * A short plain text as the same string every time: the names in control messages are few and come again and again, and
 * as keys of maps a string that is known already costs no hashing. Undefined when the text is long or not plain ASCII.
 */
function familiar(bytes: Uint8Array): string | undefined {
  const { length } = bytes;
  if (length > FAMILIAR_BYTES_MAX) return undefined;
  let hash = length;
  for (let index = 0; index < length; index++) {
    const byte = bytes[index] as number;
    if (byte >= 0x80) return undefined;
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  const slot = (hash ^ (hash >>> 16)) & (FAMILIAR_SLOTS - 1);
  const known = familiarTexts[slot] as string;
  if (known.length === length) {
    let index = 0;
    while (index < length && known.charCodeAt(index) === bytes[index]) index++;
    if (index === length) return known;
  }
  const text = String.fromCharCode(...bytes);
  familiarTexts[slot] = text;
  return text;
}

/** The string that these bytes are the UTF-8 of, or undefined when they are not well-formed UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  let text = "";
  let at = 0;
  while (at < bytes.length) {
    const lead = bytes[at++] as number;
    if (lead < 0x80) {
      text += String.fromCharCode(lead);
      continue;
    }
    const more = lead >= 0xf0 && lead < 0xf5 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc2 ? 1 : 0;
    if (more === 0 || lead >= 0xf5 || at + more > bytes.length) return undefined;
    let code = lead & (0x3f >> more);
    for (let count = 0; count < more; count++) {
      const byte = bytes[at++] as number;
      if ((byte & 0xc0) !== 0x80) return undefined;
      code = (code << 6) | (byte & 0x3f);
    }
    const least = more === 1 ? 0x80 : more === 2 ? 0x800 : 0x10000;
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined;
    text += String.fromCodePoint(code);
  }
  return text;
}
