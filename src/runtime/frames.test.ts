import { describe, expect, test } from "vitest";
import type { Message } from "../protocol/messages.ts";
import { controlFrame, laneOf, parseControl } from "./frames.ts";

const row: Message = { kind: "row", group: 1, epoch: 2, row: [3, 4] };
const chunk: Message = { kind: "stateChunk", group: 1, view: 2, index: 0, chunk: new Uint8Array(3), last: false };
const answer: Message = { kind: "answer", group: 1, query: 1, status: "null", value: new Uint8Array(0), more: false };

describe("control frames", () => {
  test("begin with the length of what follows and their type, and are read as they were written", () => {
    const frame = controlFrame(row);
    expect(new DataView(frame.buffer).getUint32(0, true)).toBe(frame.length - 4);
    expect(frame[4]).toBe(1);
    expect(parseControl(frame)).toEqual(row);
  });

  test("are bytes of their own: the next frame does not change them", () => {
    const first = controlFrame(row);
    controlFrame(chunk);
    expect(parseControl(first)).toEqual(row);
  });

  test("what is no control message is garbage", () => {
    const frame = controlFrame(row);
    expect(parseControl(frame.subarray(0, 5))).toBeUndefined();
    expect(parseControl(frame.subarray(0, frame.length - 1))).toBeUndefined();
    expect(parseControl(Uint8Array.from([...frame, 0]))).toBeUndefined();
    expect(parseControl(Uint8Array.from([0, 0, 0, 0, 2, 0]))).toBeUndefined();
  });

  test("what carries users' bytes travels in the bulk lane", () => {
    expect([row, chunk, answer].map(laneOf)).toEqual(["control", "bulk", "bulk"]);
  });
});
