import { expect, test } from "vitest";
import { check } from "./index.ts";
import { sketch } from "./sketch.ts";
import type { Property } from "./violation.ts";

function found(text: string, quiescent = false): Property[] {
  return [...new Set(check(sketch(text), { quiescent }).map((violation) => violation.property))].sort();
}

test("D9: a raw message is delivered only by members of the view in which it was sent", () => {
  const text = "a,b install 1 a b\n a send r1 raw\n c loaded 2 x\n a,b,c install 2 a b c\n b deliver r1";
  expect(found(text, true)).toEqual([]);
  expect(found(`${text}\n c deliver r1`)).toEqual(["D9"]);
  expect(found("a install 1 a b\n a send r1 raw\n b deliver r1 view=1 sender=a\n b install 1 a b")).toEqual([]);
});

test("D9: raw messages may be lost, overtake each other, and be delivered in another view than that of their sending", () => {
  const text = "a,b install 1 a b\n a send r1 raw\n a send r2 raw\n a,b install 2 a b\n b deliver r2\n b deliver r1";
  expect(found(text, true)).toEqual([]);
});
