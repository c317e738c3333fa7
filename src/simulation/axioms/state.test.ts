import { expect, test } from "vitest";
import { check } from "./index.ts";
import { sketch } from "./sketch.ts";
import type { Property } from "./violation.ts";

function found(text: string, quiescent = false): Property[] {
  return [...new Set(check(sketch(text), { quiescent }).map((violation) => violation.property))].sort();
}

const JOINED = `
  a state 1 x
  a install 1 a
  a send m1 fifo
  a deliver m1
  a state 2 y
  a install 2 a b
  a send m2 fifo
  a deliver m2
  b loaded 2 y
  b install 2 a b
  b deliver m2
  a,b state 3 z
  a,b install 3 a b
`;

test("ST1: a joiner that loads the state of its first view and goes on from there is right", () => {
  expect(found(JOINED, true)).toEqual([]);
});

test("ST1: all members begin a view in the same state", () => {
  expect(found(JOINED.replace("b loaded 2 y", "b loaded 2 w"))).toEqual(["ST1"]);
  expect(found(JOINED.replace("a,b state 3 z", "a state 3 z\n b state 3 w"))).toEqual(["ST1"]);
});

test("ST1: a joiner delivers nothing before its state is loaded", () => {
  expect(found(JOINED.replace("b loaded 2 y", ""))).toEqual(["ST1"]);
  const early = JOINED.replace("b loaded 2 y\n", "").replace("b deliver m2", "b deliver m2\n b loaded 2 y");
  expect(found(early)).toEqual(["ST1"]);
  expect(found(JOINED.replace("b loaded 2 y", "b deliver m1\n b loaded 2 y"))).toEqual(["D2", "ST1"]);
});

test("ST1: a joiner may load the state of a later view than it asked for, and begins with that", () => {
  const later = JOINED.replace("a,b state 3 z", "a state 3 z").replace("a,b install 3 a b", "a install 3 a b");
  const joined = later.replace("b loaded 2 y\n", "").replace("b install 2 a b\n", "").replace("b deliver m2\n", "");
  expect(found(`${joined}\n b loaded 3 z\n b install 3 a b`, true)).toEqual([]);
});

test("ST1: a joiner repeats nothing and misses nothing", () => {
  expect(found(JOINED.replace("b loaded 2 y", "b loaded 3 z"))).toEqual(["ST1"]);
  expect(found(JOINED.replace("b loaded 2 y", "b loaded 1 x"))).toEqual(["ST1"]);
  expect(
    found(JOINED.replace("b loaded 2 y", "b loaded 1 x").replace("a deliver m1", "").replace("a send m1 fifo", "")),
  ).toEqual([]);
  expect(
    found(JOINED.replace("b loaded 2 y", "b loaded 2 y").replace("a,b state 3 z", "a,b state 3 z\n b loaded 2 y")),
  ).toEqual(["ST1"]);
});

test("ST1: who comes back to a group loads its state again", () => {
  const back = `${JOINED}\n b end left\n a install 4 a\n a install 5 a b\n a send m3 fifo\n a deliver m3\n`;
  expect(found(`${back} b loaded 5 v\n b install 5 a b\n b deliver m3`, true)).toEqual([]);
  expect(found(`${back} b install 5 a b\n b deliver m3`, true)).toEqual(["ST1"]);
});

const ALONE = `
  a state 1 x
  a install 1 a
  a state 2 x
  a,b install 2 a b
`;

test("ST2: a group is not lost because the last that holds its state leaves", () => {
  expect(found(`${ALONE} a end left\n b end lost`)).toEqual(["ST2"]);
  expect(found(`${ALONE} b end lost\n a end left`)).toEqual(["ST2"]);
});

test("ST2: a group is lost when the last that holds its state crashes, is excluded, or cannot be found", () => {
  expect(found(`${ALONE} a crash\n b end lost`)).toEqual([]);
  expect(found(`${ALONE} a exclude\n a end excluded\n b end lost`)).toEqual([]);
  expect(found(`${ALONE} b end lost`)).toEqual([]);
});

test("ST2: who leaves when others hold the state, and they crash, is not to blame", () => {
  const both = `${ALONE} b loaded 2 x\n a end left\n b state 3 x\n b,c install 3 b c\n`;
  expect(found(`${both} b crash\n c end lost`)).toEqual([]);
  expect(found(`${both} b end left\n c end lost`)).toEqual(["ST2"]);
});
