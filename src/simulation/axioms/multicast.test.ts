import { expect, test } from "vitest";
import { check } from "./index.ts";
import { sketch } from "./sketch.ts";
import type { Property } from "./violation.ts";

function found(text: string, quiescent = false): Property[] {
  return [...new Set(check(sketch(text), { quiescent }).map((violation) => violation.property))].sort();
}

/** c crashes; a and b go on without the last message of c. */
const CLEAN = `
  a,b,c install 1 a b c
  a send m1 fifo
  a send m2 fifo
  b send k1 causal
  c send m3 fifo
  c send m4 fifo
  a send r1 raw
  a deliver m1
  b deliver m1
  a deliver m2
  c deliver r1
  c deliver m1
  c deliver m3
  c deliver m4
  c crash
  a,b deliver m3
  b deliver m2
  a,b deliver k1
  a,b install 2 a b
  a send m5 fifo
  a,b deliver m5
`;

test("members that go on together with the same messages, in sending order, are right", () => {
  expect(found(CLEAN, true)).toEqual([]);
});

test("D1: a message is delivered at most once", () => {
  expect(found(CLEAN.replace("c deliver r1", "c deliver r1\n c deliver r1"))).toEqual(["D1"]);
  expect(found(CLEAN.replace("a deliver m2", "a deliver m2\n a deliver m1"))).toEqual(["D1"]);
});

test("D1: a message is delivered only if it was sent, by this sender, in this group, with this flavour", () => {
  expect(found(CLEAN.replace("c deliver r1", "c deliver m9"))).toEqual(["D1"]);
  expect(found(CLEAN.replace("c deliver r1", "c deliver r1 sender=b"))).toEqual(["D1"]);
  expect(found(CLEAN.replace("c deliver r1", "c deliver r1 group=h"))).toEqual(["D1"]);
  expect(found(CLEAN.replace("c deliver m3", "c deliver m3 flavour=causal"))).toEqual(["D1"]);
  expect(found(`a install 1 a\n a deliver m1\n a send m1 fifo`)).toEqual(["D1"]);
  expect(found(CLEAN.replace("a send r1 raw", "a send r1 raw\n a send r1 raw"))).toEqual(["D1"]);
});

test("the order of different nodes in the history means nothing: a delivery may be recorded before its send", () => {
  const text = "b install 1 a b\n b deliver m1 sender=a view=1\n a install 1 a b\n a send m1 fifo\n a deliver m1";
  expect(found(text, true)).toEqual([]);
});

test("D2: a message is delivered in the view in which it was sent", () => {
  expect(found(CLEAN.replace("a deliver m2", "a deliver m2 view=2"))).toEqual(["D2"]);
  expect(found("a,b install 1 a b\n a send m1 fifo\n a,b install 2 a b\n a,b deliver m1")).toEqual(["D2"]);
  expect(found("a,b install 1 a b\n a send m1 fifo view=2\n a,b install 2 a b\n a,b deliver m1")).toEqual(["D2"]);
  expect(found("a install 1 a b\n a send m1 fifo\n b deliver m1")).toEqual(["D2"]);
  expect(found("a install 1 a\n a send m1 fifo\n a end left\n a deliver m1")).toContain("D2");
});

test("D3: members that go on together delivered the same messages", () => {
  expect(found(CLEAN.replace("a,b deliver m3", "a deliver m3"))).toEqual(["D3"]);
  expect(found(CLEAN.replace("a,b deliver m3", "a,b deliver m3\n b deliver m4"))).toEqual(["D3"]);
  expect(found(CLEAN.replace("a,b deliver m3", ""))).toEqual([]);
});

test("D3: who leaves the group and comes back does not go on from the view it left", () => {
  const text = "a,b install 1 a b\n a send m1 fifo\n a deliver m1\n b end left\n a install 2 a\n a install 3 a b";
  expect(found(`${text}\n b loaded 3 x\n b install 3 a b`)).toEqual([]);
});

test("D4: a sender that goes on or leaves delivered its own messages", () => {
  expect(found(CLEAN.replace("a,b deliver k1", ""))).toEqual(["D4"]);
  expect(found("a install 1 a\n a send m1 fifo\n a end left")).toEqual(["D4"]);
  expect(found("a install 1 a\n a send m1 fifo\n a end lost")).toEqual([]);
  expect(found("a install 1 a\n a send m1 fifo\n a crash", true)).toEqual([]);
});

test("D4: at the end of a history that has settled, a living sender delivered its own messages", () => {
  expect(found(CLEAN.replace("a,b deliver m5", ""), true)).toEqual(["D4", "D5"]);
  expect(found(CLEAN.replace("a,b deliver m5", ""))).toEqual([]);
});

test("D5: deliveries of one sender and flavour are in order, without a gap", () => {
  const swapped = CLEAN.replace("b deliver m1", "").replace("b deliver m2", "b deliver m2\n b deliver m1");
  expect(found(swapped)).toEqual(["D5"]);
  expect(found(CLEAN.replace("c deliver m3", ""))).toEqual(["D5"]);
  expect(check(sketch(CLEAN.replace("c deliver m3", ""))).map(({ message }) => message)).toEqual([
    "c#00000001 delivered m4 (fifo 1 of c#00000001) without m3 before it",
  ]);
});

test("D5: flavours are separate sequences", () => {
  const text = "a,b install 1 a b\n a send m1 fifo\n a send m2 total\n a send m3 fifo";
  expect(found(`${text}\n b deliver m1\n b deliver m3\n b deliver m2`)).toEqual([]);
});

test("D5: at the end of a history that has settled, the living have all that the living sent", () => {
  expect(found(CLEAN.replace("a,b deliver m5", "a deliver m5"), true)).toEqual(["D5"]);
  expect(found(`${CLEAN}\n a crash`.replace("a,b deliver m5", ""), true)).toEqual([]);
});

test("more nodes than fit into one word are told apart", () => {
  const names = Array.from({ length: 70 }, (_, index) => `n${index}`);
  const all = names.join(",");
  const text = (receivers: string) => `
    ${all} install 1 ${names.join(" ")}
    n0 send m1 fifo
    ${receivers} deliver m1
    ${all} install 2 ${names.join(" ")}
  `;
  expect(found(text(all), true)).toEqual([]);
  expect(found(`${text(all)} n69 deliver m1`)).toEqual(["D1", "D2"]);
  expect(check(sketch(text(names.filter((name) => name !== "n65").join(","))))).toMatchObject([
    { property: "D3", node: "n65#00000001" },
  ]);
});
