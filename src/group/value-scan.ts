/**
 * Looks over bytes before the library reads them, for what it does not limit itself: it allocates every array at the
 * length that is claimed, nests without end, and reads `bin` as a view into its input. Everything else that may be
 * malformed is left to the library.
 */
import { DEPTH_MAX, EXTENSION } from "./value-format.ts";

/** Whether the bytes ask for no more than they can hold, are nested no deeper than `DEPTH_MAX`, and contain no `bin`. */
export function isBounded(bytes: Uint8Array): boolean {
  const outer: number[] = [];
  let left = 1;
  let at = 0;
  for (;;) {
    while (left === 0) {
      const before = outer.pop();
      if (before === undefined) return true;
      left = before;
    }
    const first = bytes[at++];
    if (first === undefined) return false;
    left--;
    let items = -1;
    if (first < 0x80 || first >= 0xe0) continue;
    if (first < 0x90) items = 2 * (first & 0x0f);
    else if (first < 0xa0) items = first & 0x0f;
    else if (first < 0xc0) at += first & 0x1f;
    else if (first < 0xc4) continue;
    else if (first < 0xc7) return false;
    else if (first < 0xca || (first >= 0xd4 && first < 0xd9)) {
      const width = first < 0xca ? 1 << (first - 0xc7) : 0;
      const length = width === 0 ? 1 << (first - 0xd4) : lengthAt(bytes, at, width);
      at += width + 1;
      // What lies inside takes the place of the extension.
      if (isContainer(bytes[at - 1])) left++;
      else at += length;
    } else if (first < 0xcc) at += first === 0xca ? 4 : 8;
    else if (first < 0xd4) at += 1 << (first & 3);
    else if (first < 0xdc) at += (1 << (first - 0xd9)) + lengthAt(bytes, at, 1 << (first - 0xd9));
    else {
      const width = first % 2 === 0 ? 2 : 4;
      items = lengthAt(bytes, at, width) * (first < 0xde ? 1 : 2);
      at += width;
    }
    if (items < 0) continue;
    if (items > bytes.length - at || outer.length === DEPTH_MAX) return false;
    outer.push(left);
    left = items;
  }
}

function isContainer(type: number | undefined): boolean {
  return type === EXTENSION.map || type === EXTENSION.set || type === EXTENSION.object;
}

function lengthAt(bytes: Uint8Array, at: number, width: number): number {
  let length = 0;
  for (let index = at; index < at + width; index++) length = length * 256 + (bytes[index] ?? 0);
  return length;
}
