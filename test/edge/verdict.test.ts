import { describe, expect, test } from "vitest";
import { Ledger, type Testimony } from "../../src/edge/demo/ledger.ts";
import { compareOrders, countLost, longestPauseMs } from "../../src/edge/demo/verdict.ts";
import type { HistoryEvent, HistoryFlavour } from "../../src/protocol/history.ts";

const GROUP = "prices/1";
const MEMBERS = ["a#1", "b#2", "c#3"];

/** What one process did: "install 4", "send m1 total", "deliver m1 total", "query q1". */
function testimony(node: string, script: readonly string[], killedAt?: number): Testimony {
  const events = script.map((line, at): HistoryEvent => {
    const [kind, subject = "", flavour = "fifo"] = line.split(" ");
    const here = { at, node, group: GROUP };
    const message = { message: subject, flavour: flavour as HistoryFlavour, view: 1 };
    switch (kind) {
      case "install": {
        const members = Number(subject) === 1 ? MEMBERS : MEMBERS.slice(1);
        return { kind, ...here, number: Number(subject), members };
      }
      case "send":
        return { kind, ...here, ...message };
      case "query":
        return { kind, ...here, query: subject, wanted: 3 };
      default:
        return { kind: "deliver", ...here, ...message, sender: "" };
    }
  });
  return { node, events, killedAt };
}

const lost = (...testimonies: readonly Testimony[]) => countLost(new Ledger(testimonies), "a#1");

describe("lost", () => {
  test("nothing, when all who stayed have all", () => {
    const b = testimony("b#2", ["install 1", "send m1", "deliver m1", "install 2"]);
    const c = testimony("c#3", ["install 1", "deliver m1", "install 2"]);
    expect(lost(testimony("a#1", ["install 1"], 9), b, c)).toEqual({ lost: 0, unheard: 0 });
  });

  test("what a survivor sent and another survivor lacks", () => {
    const b = testimony("b#2", ["install 1", "send m1", "deliver m1", "install 2"]);
    const c = testimony("c#3", ["install 1", "install 2"]);
    expect(lost(b, c).lost).toBe(1);
  });

  test("what a survivor sent and nobody has", () => {
    expect(lost(testimony("b#2", ["install 1", "send m1", "install 2"])).lost).toBe(1);
  });

  test("what the killed process sent and one survivor has, but not the other", () => {
    const a = testimony("a#1", ["install 1", "send m1"], 9);
    const b = testimony("b#2", ["install 1", "deliver m1", "install 2"]);
    expect(lost(a, b, testimony("c#3", ["install 1", "install 2"])).lost).toBe(1);
  });

  test("what had come back to the killed process as safe, and no survivor has", () => {
    const a = testimony("a#1", ["install 1", "send m1 safe", "deliver m1 safe"], 9);
    expect(lost(a, testimony("b#2", ["install 1", "install 2"]))).toEqual({ lost: 1, unheard: 1 });
  });

  test("not what the killed process sent at last, and nobody else has heard of", () => {
    const a = testimony("a#1", ["install 1", "send m1", "deliver m1"], 9);
    expect(lost(a, testimony("b#2", ["install 1", "install 2"]))).toEqual({ lost: 0, unheard: 1 });
  });

  test("queries do not count", () => {
    const b = testimony("b#2", ["install 1", "query q1", "send q1", "deliver q1", "install 2"]);
    const ledger = new Ledger([b]);
    expect([ledger.sent.length, ledger.delivered]).toEqual([0, 0]);
  });
});

test("duplicated is what a process delivered again", () => {
  const b = testimony("b#2", ["install 1", "send m1", "deliver m1", "deliver m1", "install 2"]);
  expect(new Ledger([b]).duplicated).toBe(1);
});

describe("orders", () => {
  const compare = (...testimonies: readonly Testimony[]) => compareOrders(new Ledger(testimonies));
  const b = testimony("b#2", ["install 1", "deliver m1 total", "deliver m2 safe", "install 2"]);

  test("agree when they are one, whatever came in between without an order", () => {
    const c = testimony("c#3", ["install 1", "deliver m1 total", "deliver m3", "deliver m2 safe", "install 2"]);
    expect(compare(b, c)).toEqual({ agree: true, compared: 2 });
  });

  test("differ when two messages are swapped", () => {
    const c = testimony("c#3", ["install 1", "deliver m2 safe", "deliver m1 total", "install 2"]);
    expect(compare(b, c).agree).toBe(false);
  });

  test("differ when one is missing", () => {
    expect(compare(b, testimony("c#3", ["install 1", "deliver m1 total", "install 2"])).agree).toBe(false);
  });

  test("of the killed process count up to its last safe message", () => {
    const late = testimony("a#1", ["install 1", "deliver m1 total", "deliver m9 total"], 9);
    const wrong = testimony("a#1", ["install 1", "deliver m2 safe", "deliver m1 total", "deliver m4 safe"], 9);
    expect(compare(late, b).agree).toBe(true);
    expect(compare(wrong, b).agree).toBe(false);
  });
});

test("the longest pause is between two deliveries, or the ends", () => {
  const b = testimony("b#2", ["install 1", "deliver m1", "deliver m2", "install 2", "send m3", "deliver m3"]);
  expect(longestPauseMs(new Ledger([b]), ["b#2"], 1, 6)).toBe(3);
});
