/**
 * A digest by which the states of replicas are compared. The order in which keys came into an object, a Map or a Set does
 * not count: updates that commute may bring them in different orders, and the states are equal all the same.
 */
import { createHash } from "node:crypto";
import { encodeValue, Unencodable } from "./codec.ts";

/** Undefined for a state that the default codec cannot encode. */
export function stateDigest(state: unknown): string | undefined {
  // Whatever can be encoded has no cycles and nothing but what `inOrder` knows.
  if (encodeValue(state) instanceof Unencodable) return undefined;
  return createHash("sha256")
    .update(bytesOf(inOrder(state)))
    .digest("hex")
    .slice(0, 16);
}

function inOrder(value: unknown): unknown {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || value instanceof Date) return value;
  if (Array.isArray(value)) return value.map(inOrder);
  if (value instanceof Set) return new Set(sorted([...value].map((each) => [each, undefined])).map(([each]) => each));
  if (value instanceof Map) return new Map(sorted([...value]));
  return Object.fromEntries(sorted(Object.entries(value)));
}

function sorted<K>(entries: readonly (readonly [K, unknown])[]): (readonly [K, unknown])[] {
  const keyed = entries.map(([key, value]) => ({ key: inOrder(key) as K, value: inOrder(value) }));
  const bytes = keyed.map(({ key }) => Buffer.from(bytesOf(key)));
  const order = [...keyed.keys()].sort((a, b) => Buffer.compare(bytes[a] as Buffer, bytes[b] as Buffer));
  return order.map((index) => [keyed[index]?.key as K, keyed[index]?.value]);
}

function bytesOf(value: unknown): Uint8Array {
  return encodeValue(value) as Uint8Array;
}
