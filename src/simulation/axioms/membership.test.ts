import { expect, test } from "vitest";
import { check } from "./index.ts";
import { sketch } from "./sketch.ts";
import type { Property } from "./violation.ts";

const found = (text: string): Property[] =>
  [...new Set(check(sketch(text)).map((violation) => violation.property))].sort();

const CHAIN = `
  a,b,c start
  a,b,c cluster 1 a b c : p1
  a,b accept 2 p2
  a,b cluster 2 a b : p2
  a,b accept 3 p3
  b cluster 3 b : p3
  a,b,c directory 1 x
  b directory 2 y
`;

test("a chain of views in which a quorum of each accepted the next is right, also when the oldest leaves", () => {
  expect(check(sketch(CHAIN))).toEqual([]);
});

test("M1: a member installs only views that contain it", () => {
  expect(found("a install 1 b")).toEqual(["M1"]);
  expect(found("a cluster 1 b : p1")).toEqual(["M1"]);
  expect(found("a cluster 1 b : p1 nodes=b+a")).toEqual([]);
});

test("M2: view numbers grow at every member", () => {
  expect(found("a install 2 a\n a install 2 a")).toEqual(["M2"]);
  expect(found("a install 2 a\n a install 1 a")).toEqual(["M2"]);
  expect(found("a install 2 a\n a end left\n a loaded 1 x\n a install 1 a")).toEqual(["M2"]);
});

test("M2: a number names one view only", () => {
  expect(found("a install 1 a b\n b install 1 b a")).toEqual(["M2"]);
  expect(found(CHAIN.replace("a,b cluster 2 a b : p2", "a cluster 2 a b : p2\n b cluster 2 b a : p2"))).toEqual(["M2"]);
});

test("M3: a view is installed only when a quorum of the earlier one accepted exactly it", () => {
  expect(found(CHAIN.replace("a,b accept 2 p2", "b accept 2 p2"))).toEqual(["M3"]);
  expect(found(CHAIN.replace("a,b accept 2 p2", "a,b accept 2 other"))).toEqual(["M3"]);
  expect(found(CHAIN.replace("a,b accept 2 p2", "a,b accept 3 p2"))).toEqual(["M3"]);
  expect(found(CHAIN.replace("a,b accept 3 p3", "b accept 3 p3"))).toEqual(["M3"]);
  expect(found(CHAIN.replace("a,b accept 3 p3", "a accept 3 p3"))).toEqual([]);
  expect(found(CHAIN.replace("a,b cluster 2 a b : p2", ""))).toEqual(["M3"]);
  expect(found(CHAIN.replaceAll(": p2", ""))).toEqual(["M3"]);
});

test("M3: an acceptor with a disk is the disk, whoever runs on it", () => {
  const text = CHAIN.replace("a,b,c start", "a start disk=d\n a#2 start disk=d\n b,c start").replace(
    "a,b accept 2",
    "a#2,b accept 2",
  );
  expect(found(text)).toEqual([]);
  expect(found(text.replace("a#2 start disk=d", "a#2 start disk=e"))).toEqual(["M3"]);
  expect(found(text.replace("a#2 start disk=d", "a#2 start"))).toEqual(["M3"]);
});

test("M3: a view that nobody has lived to install counts when acceptors have gone on in it on their disks", () => {
  const text = CHAIN.replace("a,b cluster 2 a b : p2", "c adopt 2 a b : p2").replace("b directory 2 y", "");
  expect(found(text)).toEqual([]);
  expect(found(text.replace("a,b accept 2 p2", "a,b accept 2 other"))).toEqual(["M3"]);
});

test("M3: two primaries, and two clusters founded, are seen", () => {
  expect(found(`${CHAIN}\n c accept 2 p2c\n c cluster 2 c : p2c`)).toEqual(["M2", "M3"]);
  expect(found("a,b,c cluster 1 a b c : p1\n d,e cluster 1 d e : q1")).toEqual(["M2", "M3"]);
  expect(found("a,b,c cluster 1 a b c : p1\n d adopt 1 d e : q1")).toEqual(["M3"]);
});

test("M3: a blocked node delivers nothing", () => {
  const text = "a install 1 a\n a blocked\n a send m1 fifo\n a unblocked\n a deliver m1";
  expect(found(text)).toEqual([]);
  expect(found(text.replace("a unblocked", ""))).toEqual(["M3"]);
  expect(found(text.replace("fifo", "raw").replace("a unblocked", ""))).toEqual(["M3"]);
});

const EXCLUSION = `
  a,b,c install 1 a b c
  c send m1 fifo
  c send r1 raw
  a,b deliver m1
  a,b install 2 a b
  c exclude
`;

test("M4: nothing is delivered from a node outside the view", () => {
  expect(found(EXCLUSION)).toEqual([]);
  expect(found(`${EXCLUSION}\n c install 2 c view=2\n c send m2 fifo view=2\n a deliver m2`)).toContain("M4");
  expect(found(EXCLUSION.replace("a,b install 2 a b", "a,b install 2 a b\n a deliver r1"))).toEqual(["M4"]);
  expect(found(EXCLUSION.replace("a,b install 2 a b", "a deliver r1\n a,b install 2 a b"))).toEqual([]);
});

test("M4: a raw message from a node that is not yet in the receiver's view is none of the view's", () => {
  const text = "a install 1 a\n b loaded 2 x\n b install 2 a b\n b send r1 raw\n a deliver r1";
  expect(found(text)).toEqual(["M4"]);
  expect(found(text.replace("a deliver r1", "a install 2 a b\n a deliver r1"))).toEqual([]);
});

test("M4: a node that knows that it was excluded delivers and installs nothing", () => {
  expect(found(`${EXCLUSION}\n c deliver r1`)).toEqual(["M4"]);
  expect(found(`${EXCLUSION}\n c deliver m1`)).toEqual(["D2", "M4"]);
  expect(found(`${EXCLUSION}\n c loaded 3 x\n c install 3 c`)).toEqual(["M4"]);
});

test("B1: all nodes have the same directory after the same number of steps, and steps go forward", () => {
  expect(found(CHAIN.replace("a,b,c directory 1 x", "a,b directory 1 x\n c directory 1 z"))).toEqual(["B1"]);
  expect(found(CHAIN.replace("b directory 2 y", "b directory 1 x"))).toEqual(["B1"]);
  expect(found(CHAIN.replace("b directory 2 y", "b directory 5 y"))).toEqual([]);
});

test("many violations of one property are cut to the first few", () => {
  const text = Array.from({ length: 30 }, (_, index) => `a install ${index + 1} b`).join("\n");
  expect(check(sketch(text))).toHaveLength(10);
  expect(check(sketch(text), { violationsMax: 3 })).toHaveLength(3);
});
