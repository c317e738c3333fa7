import { expect, test } from "vitest";
import { check } from "./index.ts";
import { sketch } from "./sketch.ts";
import type { Property } from "./violation.ts";

function found(text: string, quiescent = false): Property[] {
  return [...new Set(check(sketch(text), { quiescent }).map((violation) => violation.property))].sort();
}

/** b answers, c crashes. */
const ASKED = `
  a,b,c install 1 a b c
  a query q1 3 fifo
  a,b deliver q1
  a reply q1 a value
  a reply q1 b null
  c crash
  a,b install 2 a b
  a reply q1 c left
  a done q1 complete
`;

test("Q1: a query with an answer or a reason for every member of its view is right", () => {
  expect(found(ASKED, true)).toEqual([]);
});

test("Q1: every member of the view answers, once", () => {
  expect(found(ASKED.replace("a reply q1 b null", ""))).toEqual(["Q1"]);
  expect(found(ASKED.replace("a reply q1 b null", "a reply q1 b null\n a reply q1 b value"))).toEqual(["Q1"]);
  expect(found(ASKED.replace("a reply q1 b null", "a reply q1 b null\n a reply q1 d value"))).toEqual(["Q1"]);
  const early = ASKED.replace("a done q1 complete", "").replace(
    "a,b install 2 a b",
    "a done q1 complete\n a,b install 2 a b",
  );
  expect(found(early)).toEqual(["Q1"]);
});

test("Q1: who answers with a value has delivered the query", () => {
  const text = "a,b install 1 a b\n a query q1 2 fifo\n a deliver q1\n a reply q1 b value";
  expect(found(text)).toEqual(["Q1"]);
  expect(found(text.replace("value", "null"))).toEqual([]);
});

test("Q1: only members that are gone from a later view are reported as having left", () => {
  expect(found(ASKED.replace("a,b install 2 a b", "a,b install 2 a b c"))).toEqual(["Q1"]);
  expect(found(ASKED.replace("a,b install 2 a b", ""))).toEqual(["Q1"]);
  expect(found(ASKED.replace("a,b install 2 a b", "a,b install 2 a b c\n a,b install 3 a b"))).toEqual([]);
});

test("Q1: a query ends, once", () => {
  expect(found(ASKED.replace("a done q1 complete", ""), true)).toEqual(["Q1"]);
  expect(found(ASKED.replace("a done q1 complete", ""))).toEqual([]);
  expect(found(ASKED.replace("a done q1 complete", "a crash"), true)).toEqual([]);
  expect(found(`${ASKED}\n a done q1 aborted`)).toEqual(["Q1"]);
  expect(found("a install 1 a\n a done q1 complete")).toEqual(["Q1"]);
});

test("Q1: a query may end early, with as many answers as it wanted", () => {
  const text = "a,b install 1 a b\n a query q1 1 fifo\n a,b deliver q1\n a reply q1 b value\n a done q1 enough\n";
  expect(found(`${text} a reply q1 a value`, true)).toEqual([]);
  expect(found(text.replace("q1 1", "q1 2"), true)).toEqual(["Q1"]);
  expect(found(text.replace("b value", "b null"), true)).toEqual(["Q1"]);
  expect(found(text.replace("a reply q1 b value\n", "").replace("enough", "aborted"), true)).toEqual([]);
});

test("Q1: of a query to some members these answer, and those who are no members have left", () => {
  const text = `
    a,b,c install 1 a b c
    a query q1 3 fifo audience=b+d+a
    a,b,c deliver q1
    a reply q1 d left
    a reply q1 b value
    a reply q1 a value
    a done q1 complete
  `;
  expect(found(text, true)).toEqual([]);
  expect(found(text.replace("q1 d left", "q1 c value"), true)).toEqual(["Q1"]);
  expect(found(text.replace("a reply q1 d left", ""), true)).toEqual(["Q1"]);
  expect(found(text.replace("q1 b value", "q1 b left"), true)).toEqual(["Q1"]);
});

test("Q2: an ordered query runs at the same point of the order", () => {
  const text = "a,b install 1 a b\n b send t1 total\n a query q1 2 total\n a deliver t1\n a deliver q1\n";
  const end = "a,b install 2 a b";
  expect(found(`${text} b deliver t1\n b deliver q1\n ${end}`)).toEqual([]);
  expect(found(`${text} b deliver q1\n b deliver t1\n ${end}`)).toEqual(["D7", "Q2"]);
  expect(found(`${text} b deliver q1\n ${end}`)).toEqual(["D3", "D4", "D7", "Q2"]);
});
