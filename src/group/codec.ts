/**
 * The default codec. What goes in comes out with the same type at every member, or the sender gets an error that names
 * the place: functions, symbols and instances of classes other than Date, Map, Set, ArrayBuffer and typed arrays are
 * refused rather than flattened. Each encoding stands alone (no shared records or dictionaries); decoded values never
 * share memory with the bytes they came from; nothing throws for bytes from the wire.
 *
 * Changed silently: lone surrogates become U+FFFD, a Buffer becomes a Uint8Array, holes in arrays become
 * undefined, an object without a prototype gets the usual one.
 */
import { DEPTH_MAX } from "./value-format.ts";
import { ValueReader } from "./value-reader.ts";
import { isObjectPrototype, NESTED, Refusal, ValueWriter } from "./value-writer.ts";

/** A value that cannot be encoded: `problem` begins with the path to it, such as `.prices[3] is a function`. */
export class Unencodable {
  readonly problem: string;

  constructor(problem: string) {
    this.problem = problem;
  }
}

/** What `decodeValue` gives for bytes that are not one encoded value. */
export const MALFORMED: unique symbol = Symbol("malformed");

const shared = new ValueWriter();

/** Kept from call to call, because the messages of a packet are read one after the other. */
let reader = new ValueReader(new Uint8Array(0));

/** The value as bytes, which are valid until the next call. A value that cannot be encoded gives an `Unencodable`. */
export function encodeValue(value: unknown): Uint8Array | Unencodable {
  // Only a getter that encodes something itself can find the shared writer busy.
  const writer = shared.busy ? new ValueWriter() : shared;
  try {
    return writer.write(value);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    return new Unencodable(locate(value, refusal.what, 0));
  }
}

/** The value that these bytes, all of them, are the encoding of, or `MALFORMED`. */
export function decodeValue(bytes: Uint8Array, from = 0, to = bytes.length): unknown {
  if (!reader.reads(bytes)) reader = new ValueReader(bytes);
  reader.begin(from, to);
  const value = reader.value(0);
  return reader.finished ? value : MALFORMED;
}

/** Finds where in `value` an encoding was refused, by encoding its parts. Slow, and only for the message. */
function locate(value: unknown, what: string, depth: number): string {
  for (const [path, part] of parts(value)) {
    const inner = depth < DEPTH_MAX ? refusalOf(part) : undefined;
    if (inner !== undefined)
      return inner.startsWith(NESTED) ? `${path} ${inner}` : path + locate(part, inner, depth + 1);
  }
  return ` ${what}`;
}

function refusalOf(part: unknown): string | undefined {
  try {
    new ValueWriter().write(part);
    return undefined;
  } catch (refusal) {
    if (refusal instanceof Refusal) return refusal.what;
    throw refusal;
  }
}

function* parts(value: unknown): Iterable<readonly [path: string, part: unknown]> {
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) yield [`[${index}]`, value[index]];
  } else if (value instanceof Map) {
    let index = 0;
    for (const [key, entry] of value) {
      yield [`.key(${index})`, key];
      yield [`.value(${index})`, entry];
      index++;
    }
  } else if (value instanceof Set) {
    let index = 0;
    for (const entry of value) yield [`.value(${index++})`, entry];
  } else if (isObjectPrototype(Object.getPrototypeOf(value))) {
    for (const [key, entry] of Object.entries(value)) yield [`.${key}`, entry];
  }
}
