/**
 * A canonical text of a graph of objects: equal graphs have equal texts, whatever their objects' places in memory. It sees
 * every field, also of classes that are yet to be written; so states of the core can be told apart without any code in
 * the core that lists its fields. Private fields (`#name`) are out of sight of any other class, and for this reason the
 * exploration runs in a copy of the compiled code in which they are opened (`mutation.ts`).
 *
 * Functions are skipped: what they capture is made with their owner and does not change. Maps and sets keep their order,
 * because code may depend on it. Both can only tell apart what could be taken as equal, never the reverse.
 */
import { Deque } from "../../base/deque.ts";

export function canonicalText(root: unknown): string {
  const parts: string[] = [];
  const known = new Map<object, number>();
  const write = (value: unknown): void => {
    if (typeof value === "object" && value !== null) writeObject(value);
    else if (typeof value === "string") parts.push("'", value, "'");
    else if (typeof value !== "function") parts.push(String(value), ";");
  };
  const writeObject = (value: object): void => {
    const before = known.get(value);
    if (before !== undefined) {
      parts.push("^", String(before), ";");
      return;
    }
    known.set(value, known.size);
    if (value instanceof Deque) {
      parts.push("<");
      for (let at = 0; at < value.length; at++) write(value.at(at));
      parts.push(">");
    } else if (value instanceof DataView) {
      // The bytes are written where they are owned.
      parts.push("v");
    } else if (ArrayBuffer.isView(value) || Array.isArray(value)) {
      parts.push("[");
      for (const each of value as unknown as Iterable<unknown>) write(each);
      parts.push("]");
    } else if (value instanceof Map || value instanceof Set) {
      parts.push("(");
      for (const each of value) write(each);
      parts.push(")");
    } else {
      parts.push("{");
      for (const [name, each] of Object.entries(value)) {
        parts.push(name, ":");
        write(each);
      }
      parts.push("}");
    }
  };
  write(root);
  return parts.join("");
}
