/**
 * Makes of a user's value what the library can write: a copy in which everything beyond plain MessagePack is an
 * extension. A value whose type would not survive the way is refused, never flattened. Getters run once, here.
 */
import { ExtData } from "@msgpack/msgpack";
import { BINARY_KINDS, DEPTH_MAX, EXTENSION, SPECIAL } from "./value-format.ts";

const UNDEFINED = new ExtData(EXTENSION.special, Uint8Array.of(SPECIAL.undefined));
const NEGATIVE_ZERO = new ExtData(EXTENSION.special, Uint8Array.of(SPECIAL.negativeZero));

/** Thrown for a value that cannot be encoded; `problem` begins with the path to it. */
export class Refusal {
  readonly problem: string;

  constructor(path: readonly (string | number)[], what: string) {
    this.problem = `${path.map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`)).join("")} ${what}`;
  }
}

/** Walks one value. `write` gives the bytes of what lies inside an extension. */
export class ValueWalk {
  readonly #write: (entries: readonly unknown[]) => Uint8Array;
  /** From the value to the part that is being walked. */
  readonly #path: (string | number)[] = [];

  constructor(write: (entries: readonly unknown[]) => Uint8Array) {
    this.#write = write;
  }

  /** The value as the library is to write it. Throws a `Refusal`. */
  walk(value: unknown): unknown {
    switch (typeof value) {
      case "string":
      case "boolean":
        return value;
      case "number":
        return Object.is(value, -0) ? NEGATIVE_ZERO : value;
      case "undefined":
        return UNDEFINED;
      case "bigint":
        return bigintExtension(value);
      case "object":
        return value === null ? null : this.#object(value);
      default:
        throw new Refusal(this.#path, `is a ${typeof value}`);
    }
  }

  #object(value: object): unknown {
    if (this.#path.length === DEPTH_MAX)
      throw new Refusal(this.#path.slice(0, 1), `is nested deeper than ${DEPTH_MAX}, or contains itself`);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (Array.isArray(value) && isArrayPrototype(prototype)) return this.#array(value);
    if (isObjectPrototype(prototype)) return this.#plain(value as Readonly<Record<string, unknown>>);
    if (prototype === Date.prototype) return dateExtension(value as Date);
    if (prototype === Map.prototype) return this.#map(value as Map<unknown, unknown>);
    if (prototype === Set.prototype) return this.#set(value as Set<unknown>);
    const kind = BINARY_KINDS.findIndex((type) => prototype === type.prototype);
    if (kind >= 0) return binaryExtension(kind, value as ArrayBuffer | ArrayBufferView);
    if (value instanceof Uint8Array) return binaryExtension(BINARY_KINDS.indexOf(Uint8Array), value);
    throw new Refusal(this.#path, `is an instance of ${nameOfClass(value)}`);
  }

  #part(step: string | number, part: unknown): unknown {
    this.#path.push(step);
    const walked = this.walk(part);
    this.#path.pop();
    return walked;
  }

  #array(array: readonly unknown[]): unknown[] {
    const walked: unknown[] = [];
    for (let index = 0; index < array.length; index++) walked.push(this.#part(index, array[index]));
    return walked;
  }

  #plain(object: Readonly<Record<string, unknown>>): unknown {
    const keys = Object.keys(object);
    if (keys.includes("__proto__")) {
      const entries = keys.flatMap((key) => [key, this.#part(key, object[key])]);
      return new ExtData(EXTENSION.object, this.#write(entries));
    }
    const walked: Record<string, unknown> = {};
    for (const key of keys) walked[key] = this.#part(key, object[key]);
    return walked;
  }

  #map(map: ReadonlyMap<unknown, unknown>): ExtData {
    const entries: unknown[] = [];
    let index = 0;
    for (const [key, entry] of map) {
      entries.push(this.#part(`key(${index})`, key), this.#part(`value(${index})`, entry));
      index++;
    }
    return new ExtData(EXTENSION.map, this.#write(entries));
  }

  #set(set: ReadonlySet<unknown>): ExtData {
    const entries: unknown[] = [];
    for (const entry of set) entries.push(this.#part(`value(${entries.length})`, entry));
    return new ExtData(EXTENSION.set, this.#write(entries));
  }
}

function bigintExtension(value: bigint): ExtData {
  const digits = (value < 0n ? -value : value).toString(16);
  const magnitude = digits.length % 2 === 0 ? digits : `0${digits}`;
  return new ExtData(EXTENSION.bigint, Buffer.from(`${value < 0n ? "01" : "00"}${magnitude}`, "hex"));
}

function dateExtension(value: Date): ExtData {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value.getTime());
  return new ExtData(EXTENSION.date, bytes);
}

function binaryExtension(kind: number, value: ArrayBuffer | ArrayBufferView): ExtData {
  const elements = ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value);
  const bytes = new Uint8Array(1 + elements.length);
  bytes[0] = kind;
  bytes.set(elements, 1);
  return new ExtData(EXTENSION.binary, bytes);
}

/** Whether this is the prototype of plain objects, of any realm. */
function isObjectPrototype(prototype: unknown): boolean {
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
