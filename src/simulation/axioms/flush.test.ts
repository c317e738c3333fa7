import { expect, test } from "vitest";
import { check } from "./index.ts";
import { sketch } from "./sketch.ts";
import type { Property } from "./violation.ts";

function found(text: string, quiescent = false): Property[] {
  return [...new Set(check(sketch(text), { quiescent }).map((violation) => violation.property))].sort();
}

/** c sends m1, a delivers it and flushes; both crash. */
const FLUSHED = `
  a,b,c,d install 1 a b c d
  c send m1 fifo
  a,c deliver m1
  a flush f1
  a held f1
  a,c crash
  b,d deliver m1
  b,d install 2 b d
`;

test("F1: what a member delivered before a flush survives its crash", () => {
  expect(found(FLUSHED, true)).toEqual([]);
  expect(check(sketch(FLUSHED.replace("b,d deliver m1", "")), { quiescent: true })).toMatchObject([
    {
      property: "F1",
      message: "a#00000001 flushed m1; b#00000001 was in view 1 of g with it and installed view 2 of g without it",
      node: "b#00000001",
    },
    { property: "F1", node: "d#00000001" },
  ]);
});

test("F1: what a member sent before a flush survives its crash", () => {
  const text = FLUSHED.replace("c send m1 fifo", "a send m1 fifo").replace("a,c deliver m1", "");
  expect(found(text)).toEqual([]);
  expect(found(text.replace("b,d deliver m1", ""))).toEqual(["F1"]);
});

test("F1: what was delivered after the flush began, or by a flush that was not held, may be lost", () => {
  expect(found(FLUSHED.replace("b,d deliver m1", "").replace("a held f1", ""))).toEqual([]);
  expect(found(FLUSHED.replace("b,d deliver m1", "").replace("a held f1", "a end lost\n a rejected f1"))).toEqual([]);
  const late = FLUSHED.replace("a,c deliver m1\n  a flush f1", "a flush f1\n a deliver m1");
  expect(found(late.replace("b,d deliver m1", ""))).toEqual([]);
});

test("F1: the copies of a flush with few copies may be lost together", () => {
  const few = FLUSHED.replace("a flush f1", "a flush f1 copies=2");
  expect(found(few)).toEqual([]);
  expect(found(few.replace("b,d deliver m1", ""))).toEqual([]);
  const more = few.replace("copies=2", "copies=3").replace("b,d deliver m1", "");
  expect(found(more)).toEqual(["F1"]);
  expect(found(more.replace("b,d install 2 b d", "b,d install 2 b c d"))).toEqual(["F1"]);
});

test("F1: the order in which a flushing member delivered survives too", () => {
  const text = `
    a,b,c install 1 a b c
    b send t1 total
    c send t2 total
    a deliver t1
    a deliver t2
    a flush f1
    a held f1
    a crash
    b,c deliver t1
    b,c deliver t2
    b,c install 2 b c
  `;
  expect(found(text)).toEqual([]);
  const swapped = text.replace("b,c deliver t1\n    b,c deliver t2", "b,c deliver t2\n b,c deliver t1");
  expect(found(swapped)).toEqual(["F1"]);
  expect(found(swapped.replace("a held f1", ""))).toEqual([]);
  const inserted = text
    .replace("c send t2 total", "c send t2 total\n c send t3 safe")
    .replace("b,c deliver t1", "b,c deliver t3\n b,c deliver t1");
  expect(found(inserted)).toEqual(["F1"]);
});

test("F1: a flush covers the earlier views of the same membership", () => {
  const text = `
    a,b install 1 a b
    b send m1 fifo
    a,b deliver m1
    a,b install 2 a b
    a flush f1
    a flush f2
    a held f1
    a held f2
    a crash
  `;
  expect(found(text)).toEqual([]);
  expect(found(text.replace("a,b deliver m1", "a deliver m1"))).toEqual(["D3", "D4", "F1"]);
});

test("F1: in a history that has settled, the living have what was flushed in a view that is still installed", () => {
  const text = "a,b install 1 a b\n b send m1 fifo\n a,b deliver m1\n a flush f1\n a held f1";
  expect(found(text, true)).toEqual([]);
  expect(found(text.replace("a,b deliver m1", "a deliver m1"), true)).toEqual(["D4", "D5", "F1"]);
});

test("F2: a flush is rejected only when the member is excluded, leaves or closes, or the group is lost", () => {
  const text = "a install 1 a\n a flush f1\n a rejected f1\n";
  expect(found(text)).toEqual(["F2"]);
  for (const end of ["a end left", "a end lost", "a exclude", "a close"]) expect(found(text + end)).toEqual([]);
});

test("F2: a flush that began ends, once", () => {
  expect(found("a install 1 a\n a flush f1", true)).toEqual(["F2"]);
  expect(found("a install 1 a\n a flush f1")).toEqual([]);
  expect(found("a install 1 a\n a flush f1\n a crash", true)).toEqual([]);
  expect(found("a install 1 a\n a flush f1\n a held f1\n a held f1")).toEqual(["F2"]);
  expect(found("a install 1 a\n a held f1")).toEqual(["F2"]);
});

test("F2: who gives a flush up is told nothing more of it", () => {
  const text = "a,b install 1 a b\n a flush f1\n a abandoned f1\n";
  expect(check(sketch(text), { quiescent: true })).toEqual([]);
  expect(check(sketch(text.replace("abandoned", "rejected")), { quiescent: true })).toMatchObject([{ property: "F2" }]);
  expect(check(sketch(`${text} a held f1`), { quiescent: true })).toMatchObject([{ property: "F2" }]);
});
