/**
 * The short way for most calls: an array of at most 15 short plain strings, numbers, booleans and nulls, which is what the
 * arguments of an operation usually are. Its bytes are those that the library would write, and what is not so simple is
 * left to it: both functions then give undefined.
 */
const ITEMS_MAX = 15;
const TEXT_BYTES_MAX = 127;
const ITEM_BYTES_MAX = 2 + TEXT_BYTES_MAX;
const ASCII_MAX = 0x7f;

const scratch = new Uint8Array(1 + ITEMS_MAX * ITEM_BYTES_MAX);
const view = new DataView(scratch.buffer);

/** The array as bytes, which are valid until the next call. */
export function encodeFlat(items: readonly unknown[]): Uint8Array | undefined {
  if (items.length > ITEMS_MAX || Object.getPrototypeOf(items) !== Array.prototype) return undefined;
  scratch[0] = 0x90 | items.length;
  let at = 1;
  for (let index = 0; index < items.length; index++) {
    const item = items[index];
    if (typeof item === "string") at = writeText(item, at);
    else if (typeof item === "number") at = writeNumber(item, at);
    else if (typeof item === "boolean") scratch[at++] = item ? 0xc3 : 0xc2;
    else if (item === null) scratch[at++] = 0xc0;
    else return undefined;
    if (at < 0) return undefined;
  }
  return scratch.subarray(0, at);
}

/** Where it ends, or -1. */
function writeText(text: string, from: number): number {
  const { length } = text;
  if (length > TEXT_BYTES_MAX) return -1;
  let at = from;
  if (length >= 32) scratch[at++] = 0xd9;
  scratch[at++] = length < 32 ? 0xa0 | length : length;
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code > ASCII_MAX) return -1;
    scratch[at++] = code;
  }
  return at;
}

/** Where it ends, or -1. */
function writeNumber(value: number, at: number): number {
  if (!Number.isInteger(value)) {
    scratch[at] = 0xcb;
    view.setFloat64(at + 1, value);
    return at + 9;
  }
  if (value < 0) return writeNegative(value, at);
  if (value === 0 && Object.is(value, -0)) return -1;
  if (value < 0x80) {
    scratch[at] = value;
    return at + 1;
  }
  if (value < 0x100) {
    scratch[at] = 0xcc;
    scratch[at + 1] = value;
    return at + 2;
  }
  if (value < 0x1_0000) {
    scratch[at] = 0xcd;
    view.setUint16(at + 1, value);
    return at + 3;
  }
  if (value >= 0x1_0000_0000) return -1;
  scratch[at] = 0xce;
  view.setUint32(at + 1, value);
  return at + 5;
}

function writeNegative(value: number, at: number): number {
  if (value >= -0x20) {
    scratch[at] = 0x100 + value;
    return at + 1;
  }
  if (value >= -0x80) {
    scratch[at] = 0xd0;
    view.setInt8(at + 1, value);
    return at + 2;
  }
  if (value >= -0x8000) {
    scratch[at] = 0xd1;
    view.setInt16(at + 1, value);
    return at + 3;
  }
  if (value < -0x8000_0000) return -1;
  scratch[at] = 0xd2;
  view.setInt32(at + 1, value);
  return at + 5;
}

/** The memory that was read last, as text is read from it. */
let memory = Buffer.alloc(0);
let memoryView: DataView = new DataView(memory.buffer);

/** The array that the bytes from `from` to `to` are the encoding of. */
export function decodeFlat(bytes: Uint8Array, from: number, to: number): unknown[] | undefined {
  const first = bytes[from] as number;
  if (from >= to || first < 0x90 || first > 0x9f) return undefined;
  if (memory.buffer !== bytes.buffer) {
    memory = Buffer.from(bytes.buffer as ArrayBuffer);
    memoryView = new DataView(bytes.buffer);
  }
  const start = bytes.byteOffset;
  const end = start + to;
  let at = start + from + 1;
  const items: unknown[] = [];
  for (let left = first & 0x0f; left > 0; left--) {
    const type = memory[at++] as number;
    const room = end - at;
    if (room < 0) return undefined;
    if (type < 0x80) items.push(type);
    else if (type >= 0xe0) items.push(type - 0x100);
    else if (type === 0xcb && room >= 8) {
      items.push(memoryView.getFloat64(at));
      at += 8;
    } else if (type === 0xce && room >= 4) {
      items.push(memoryView.getUint32(at));
      at += 4;
    } else if (type === 0xcd && room >= 2) {
      items.push(memoryView.getUint16(at));
      at += 2;
    } else if (type === 0xcc && room >= 1) items.push(memory[at++]);
    else if (type === 0xc3) items.push(true);
    else if (type === 0xc2) items.push(false);
    else if (type === 0xc0) items.push(null);
    else {
      let length = type & 0x1f;
      if (type === 0xd9 && room >= 1) length = memory[at++] as number;
      else if (type < 0xa0 || type >= 0xc0) return undefined;
      if (length > end - at || !isAscii(at, at + length)) return undefined;
      items.push(memory.toString("latin1", at, at + length));
      at += length;
    }
  }
  return at === end ? items : undefined;
}

function isAscii(from: number, to: number): boolean {
  for (let at = from; at < to; at++) if ((memory[at] as number) > ASCII_MAX) return false;
  return true;
}
