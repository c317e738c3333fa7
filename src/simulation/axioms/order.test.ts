import { expect, test } from "vitest";
import { check } from "./index.ts";
import { sketch } from "./sketch.ts";
import type { Property } from "./violation.ts";

function found(text: string, quiescent = false): Property[] {
  return [...new Set(check(sketch(text), { quiescent }).map((violation) => violation.property))].sort();
}

const CAUSAL = `
  a,b,c install 1 a b c
  a send m1 causal
  a,b deliver m1
  b send m2 causal
  b deliver m2
  a deliver m2
  a send m3 causal
  a deliver m3
  c deliver m1
  c deliver m2
  c deliver m3
  b deliver m3
`;

test("D6: a causal message is delivered after those that happened before it", () => {
  expect(found(CAUSAL, true)).toEqual([]);
  const swapped = CAUSAL.replace("c deliver m1\n", "").replace("c deliver m2\n", "c deliver m2\n c deliver m1\n");
  expect(check(sketch(swapped))).toEqual([
    {
      property: "D6",
      message: "c#00000001 delivered m2 before m1, which happened before it",
      event: 11,
      node: "c#00000001",
      group: "g",
    },
  ]);
});

test("D6: happened-before is transitive, and holds for the messages of one sender", () => {
  expect(found(CAUSAL.replace("c deliver m1\n  c deliver m2\n  c deliver m3", "c deliver m3"))).toEqual(["D5", "D6"]);
  expect(found(CAUSAL.replace("c deliver m2\n  c deliver m3", "c deliver m3"))).toEqual(["D6"]);
});

test("D6: concurrent messages may be delivered in any order", () => {
  const text =
    "a,b,c install 1 a b c\n a send m1 causal\n b send m2 causal\n a deliver m1\n b deliver m2\n a deliver m2";
  expect(found(`${text}\n b deliver m1\n c deliver m2\n c deliver m1`, true)).toEqual([]);
});

test("D6: what was sent with another flavour is no cause", () => {
  const text = "a,b,c install 1 a b c\n a send m1 fifo\n b deliver m1\n b send m2 causal\n c deliver m2\n c deliver m1";
  expect(found(text)).toEqual([]);
});

/** c orders, is excluded, and has delivered t3 and t2 in an order that the others never see. */
const TOTAL = `
  a,b,c install 1 a b c
  a send t1 total
  b send t2 total
  a send s1 safe
  b send t3 total
  a,b,c deliver t1
  a,b,c deliver s1
  c deliver t3
  c deliver t2
  a,b deliver t2
  a,b deliver t3
  a,b install 2 a b
  c exclude
`;

test("D7: members that go on together have one order, which an excluded one may miss in what is not safe", () => {
  expect(found(TOTAL.replace("b send t3 total", "c send t3 total"), true)).toEqual([]);
});

test("D7: two members that go on with different orders are seen", () => {
  const text = TOTAL.replace("b send t3 total", "c send t3 total");
  expect(found(text.replace("a,b deliver t2\n  a,b deliver t3", "a,b deliver t2\n a deliver t3"))).toEqual([
    "D3",
    "D7",
  ]);
  const swapped = "a deliver t2\n a deliver t3\n b deliver t3\n b deliver t2";
  expect(found(text.replace("a,b deliver t2\n  a,b deliver t3", swapped))).toEqual(["D7"]);
});

test("D7: safe messages have one order at all members, crashed ones too", () => {
  const text = "a,b,c install 1 a b c\n a send s1 safe\n b send s2 safe\n a deliver s1\n a deliver s2\n a crash\n";
  expect(found(`${text} b,c deliver s1\n b,c deliver s2\n b,c install 2 b c`)).toEqual([]);
  expect(found(`${text} b deliver s2`)).toEqual(["D7"]);
});

test("D7: up to a safe message even an excluded member has the order of the others", () => {
  const text = TOTAL.replace("b send t3 total", "c send t3 total").replace("a,b,c deliver t1\n  a,b,c deliver s1", "");
  expect(found(text.replace("c deliver t3", "a,b,c deliver t1\n a,b,c deliver s1\n c deliver t3"))).toEqual([]);
  expect(
    found(text.replace("c deliver t3", "a,b deliver t1\n a,b,c deliver s1\n c deliver t1\n c deliver t3")),
  ).toEqual(["D7"]);
});

test("D7: order entries whose data was lost are no violation", () => {
  const text = "a,b,c install 1 a b c\n c send t1 total\n a send s1 safe\n c deliver t1\n c deliver s1\n c crash\n";
  expect(found(`${text} a,b deliver s1\n a,b install 2 a b`, true)).toEqual([]);
});

test("D7: who is in the next view but crashed before it installed it has a prefix of the order", () => {
  const text = "a,b,c install 1 a b c\n a send t1 total\n b send t2 total\n a,b deliver t1\n a,b deliver t2\n";
  expect(found(`${text} c deliver t1\n c crash\n a,b install 2 a b c`)).toEqual([]);
  expect(found(`${text} c deliver t2\n c crash\n a,b install 2 a b c`)).toEqual(["D7"]);
  expect(found(`${text} c deliver t2\n c crash\n a,b install 2 a b`)).toEqual([]);
});

test("D7: in a history that has settled, members of the last view have one order", () => {
  const text = "a,b install 1 a b\n a send t1 total\n b send t2 total\n a deliver t1\n a deliver t2\n";
  expect(found(`${text} b deliver t2\n b deliver t1`, true)).toEqual(["D7"]);
  expect(found(`${text} b deliver t1\n b deliver t2`, true)).toEqual([]);
});

test("D8: what a crashed member delivered as safe is delivered by all who go on", () => {
  const text = "a,b,c install 1 a b c\n a send s1 safe\n a deliver s1\n a crash\n";
  expect(found(`${text} b,c deliver s1\n b,c install 2 b c`)).toEqual([]);
  expect(found(`${text} b,c install 2 b c`)).toEqual(["D8"]);
  expect(found(`${text.replace("a send s1 safe", "a send s1 total")} b,c install 2 b c`)).toEqual([]);
});
