/**
 * A layout says once how a value lies in bytes; writing, reading and the value's type all follow from it. Layouts serve
 * control messages; the header of a data packet is laid by hand (`packet.ts`), because it is on the hot path.
 *
 * Reading never throws: see `Reader`. Every list and every run of bytes has a maximum.
 */
import { Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

export interface Layout<T> {
  write(writer: Writer, value: T): void;
  read(reader: Reader): T;
}

/** The type of the values that a layout describes. */
export type Laid<L> = L extends Layout<infer T> ? T : never;

export const u8: Layout<number> = { write: (w, v) => w.u8(v), read: (r) => r.u8() };
export const u16: Layout<number> = { write: (w, v) => w.u16(v), read: (r) => r.u16() };
export const u32: Layout<number> = { write: (w, v) => w.u32(v), read: (r) => r.u32() };
export const f64: Layout<number> = { write: (w, v) => w.f64(v), read: (r) => r.f64() };
export const varint: Layout<number> = { write: (w, v) => w.varint(v), read: (r) => r.varint() };

export const flag: Layout<boolean> = {
  write: (w, v) => w.u8(v ? 1 : 0),
  read: (r) => {
    const byte = r.u8();
    if (byte > 1) r.fail();
    return byte === 1;
  },
};

export function text(bytesMax: number): Layout<string> {
  return { write: (w, v) => w.text(v), read: (r) => r.text(bytesMax) };
}

/** Bytes that are copied out of the frame, which is borrowed. */
export function bytes(lengthMax: number): Layout<Uint8Array> {
  return { write: (w, v) => w.bytes(v), read: (r) => r.bytes(lengthMax).slice() };
}

export function list<T>(of: Layout<T>, countMax: number): Layout<readonly T[]> {
  return {
    write(w, values) {
      w.varint(values.length);
      for (const value of values) of.write(w, value);
    },
    read(r) {
      const count = r.varint();
      if (count > countMax) r.fail();
      const values: T[] = [];
      for (let index = 0; index < count && !r.failed; index++) values.push(of.read(r));
      return values;
    },
  };
}

export function optional<T>(of: Layout<T>): Layout<T | undefined> {
  return {
    write(w, value) {
      w.u8(value === undefined ? 0 : 1);
      if (value !== undefined) of.write(w, value);
    },
    read(r) {
      const byte = r.u8();
      if (byte > 1) r.fail();
      return byte === 1 ? of.read(r) : undefined;
    },
  };
}

/** One of a few words, as a byte. */
export function word<const W extends readonly string[]>(...words: W): Layout<W[number]> {
  return {
    write: (w, v) => w.u8(words.indexOf(v)),
    read: (r) => {
      const found = words[r.u8()];
      if (found === undefined) r.fail();
      return found ?? (words[0] as W[number]);
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: a field may be of any type; `Laid` recovers it.
type AnyFields = Readonly<Record<string, Layout<any>>>;

/** Fields in the order in which they are written here. */
export function record<F extends AnyFields>(fields: F): Layout<{ readonly [K in keyof F]: Laid<F[K]> }> {
  const entries = Object.entries(fields);
  return {
    write(w, value) {
      for (const [name, layout] of entries) layout.write(w, value[name as keyof F]);
    },
    read(r) {
      const value: Record<string, unknown> = {};
      for (const [name, layout] of entries) value[name] = layout.read(r);
      return value as { readonly [K in keyof F]: Laid<F[K]> };
    },
  };
}

/** A union by `kind`; the tag on the wire is the position of the kind in this object, so new kinds go to the end. */
export function union<C extends Readonly<Record<string, AnyFields>>>(
  cases: C,
): Layout<
  { [K in keyof C & string]: { readonly kind: K } & { readonly [F in keyof C[K]]: Laid<C[K][F]> } }[keyof C & string]
> {
  type Value = {
    [K in keyof C & string]: { readonly kind: K } & { readonly [F in keyof C[K]]: Laid<C[K][F]> };
  }[keyof C & string];
  const kinds = Object.keys(cases);
  const layouts = kinds.map((kind) => Object.entries(cases[kind] as AnyFields));
  const tags = new Map(kinds.map((kind, tag) => [kind, tag]));
  return {
    write(w, value) {
      const tag = tags.get(value.kind) as number;
      w.u8(tag);
      for (const [name, layout] of layouts[tag] ?? []) layout.write(w, (value as Record<string, unknown>)[name]);
    },
    read(r) {
      const tag = r.u8();
      const fields = layouts[tag];
      if (fields === undefined) r.fail();
      const value: Record<string, unknown> = { kind: kinds[tag] ?? kinds[0] };
      for (const [name, layout] of fields ?? []) value[name] = layout.read(r);
      return value as Value;
    },
  };
}

const scratch = new Writer(4096);

/** The value as bytes. */
export function encode<T>(layout: Layout<T>, value: T): Uint8Array {
  scratch.clear();
  layout.write(scratch, value);
  return scratch.finish();
}

/** The value that these bytes, all of them, are laid out as; undefined when they are not. */
export function decode<T>(layout: Layout<T>, from: Uint8Array): T | undefined {
  const reader = new Reader(from);
  const value = layout.read(reader);
  return reader.finished ? value : undefined;
}
