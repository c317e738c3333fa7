/**
 * The default codec: MessagePack by `@msgpack/msgpack`. What goes in comes out with the same type at every member, or
 * the sender gets an error that names the place: functions, symbols and instances of classes other than Date, Map, Set,
 * ArrayBuffer and typed arrays are refused rather than flattened. Each encoding stands alone (no shared records or
 * dictionaries); decoded values never share memory with the bytes they came from; nothing throws for bytes from the wire.
 *
 * Changed silently: lone surrogates become U+FFFD in strings of more than 50 units, a Buffer becomes a Uint8Array, holes
 * in arrays become undefined, an object without a prototype gets the usual one.
 */
import { DecodeError, Decoder, type DecoderOptions, Encoder, ExtData } from "@msgpack/msgpack";
import { decodeFlat, encodeFlat } from "./flat-values.ts";
import { readExtension } from "./value-extensions.ts";
import { DEPTH_MAX } from "./value-format.ts";
import { isBounded } from "./value-scan.ts";
import { Refusal, ValueWalk } from "./value-walk.ts";

const KEPT_BYTES_MAX = 1024 * 1024;

/** A value that cannot be encoded: `problem` begins with the path to it, such as `.prices[3] is a function`. */
export class Unencodable {
  readonly problem: string;

  constructor(problem: string) {
    this.problem = problem;
  }
}

/** What `decodeValue` gives for bytes that are not one encoded value. */
export const MALFORMED: unique symbol = Symbol("malformed");

/** Not the class that the library has for this: that one writes dates its own way and lets unknown extensions pass. */
const extensionCodec = {
  tryToEncode: (value: unknown) => (value instanceof ExtData ? value : null),
  // Reading inside an extension needs a decoder of its own: one that is busy makes a copy of itself that lacks options.
  decode: (data: Uint8Array, type: number) =>
    readExtension(type, data, (inner) => new Decoder(decoderOptions).decode(inner)),
};

const decoderOptions: DecoderOptions = {
  extensionCodec,
  // The library's cache of keys is shared and random, and confuses malformed keys.
  keyDecoder: null,
  mapKeyConverter: (key) => {
    if (typeof key === "string") return key;
    throw new DecodeError("a key that is no string");
  },
};

/** Counts the leaves as a level, which the walk does not. */
const encoderOptions = { extensionCodec, maxDepth: DEPTH_MAX + 1 };

const decoder = new Decoder(decoderOptions);
let encoder = new Encoder(encoderOptions);

/** The value as bytes, which are valid until the next call. A value that cannot be encoded gives an `Unencodable`. */
export function encodeValue(value: unknown): Uint8Array | Unencodable {
  const flat = Array.isArray(value) ? encodeFlat(value) : undefined;
  return flat ?? encodeAny(value);
}

/** The same for any value, however simple. */
export function encodeAny(value: unknown): Uint8Array | Unencodable {
  try {
    const walked = new ValueWalk((entries) => encoder.encode(entries)).walk(value);
    const bytes = encoder.encodeSharedRef(walked);
    // The encoder never gives back memory.
    if (bytes.length > KEPT_BYTES_MAX) encoder = new Encoder(encoderOptions);
    return bytes;
  } catch (refusal) {
    if (refusal instanceof Refusal) return new Unencodable(refusal.problem);
    throw refusal;
  }
}

/** The value that these bytes, all of them, are the encoding of, or `MALFORMED`. */
export function decodeValue(bytes: Uint8Array, from = 0, to = bytes.length): unknown {
  return decodeFlat(bytes, from, to) ?? decodeAny(bytes, from, to);
}

/** The same for any value, however simple. */
export function decodeAny(bytes: Uint8Array, from = 0, to = bytes.length): unknown {
  const part = bytes.subarray(from, to);
  if (!isBounded(part)) return MALFORMED;
  try {
    return decoder.decode(part);
  } catch {
    return MALFORMED;
  }
}
