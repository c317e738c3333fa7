/** Who is told what a member holds, and when: everybody, or where rows are relayed the sequencer, and those who ask. */
import { describe, expect, test } from "vitest";
import { effectsOf, ids } from "../../../test/protocol/kit.ts";
import { Effects } from "../effects.ts";
import { Rows } from "./rows.ts";
import { Stability } from "./stability.ts";

const NEVER = Number.POSITIVE_INFINITY;

class Member {
  readonly stability = new Stability(4);
  readonly effects = new Effects();
  readonly rows: Rows;

  constructor(rank: number, relay?: number) {
    const options = { group: 1, epoch: 1, members: ids(4), rank, relay, windowBytes: 800, rowDelayMs: 100 };
    this.rows = new Rows(options, this.stability, this.effects);
  }

  /** What was sent in a turn at this time: `kind row → receivers`. */
  turn(now = 0): string[] {
    this.rows.endTurn(now);
    return effectsOf(this.effects.take(), "send").map(({ to, message }) => {
      const row = "row" in message ? message.row.join() : "";
      return `${message.kind} ${row} → ${to.map((id) => id[0]).join("")}`;
    });
  }

  /** A packet more of `sender` has come to the member of this rank. */
  hold(rank: number, sender: number, bytes = 10): void {
    this.rows.received(bytes);
    if (this.stability.raise(rank, sender, this.stability.count(rank, sender) + 1)) this.rows.grew();
  }
}

describe("in a small view", () => {
  test("everybody is told: when time is up, when much has come, and at once when somebody waits", () => {
    const b = new Member(1);
    b.hold(1, 2);
    expect([b.turn(1000), b.rows.deadline]).toEqual([[], 1100]);
    expect(b.turn(1099)).toEqual([]);
    expect([b.turn(1100), b.rows.deadline]).toEqual([["row 0,0,1,0 → acd"], NEVER]);
    b.hold(1, 2, 100);
    expect(b.turn(1101)).toEqual(["row 0,0,2,0 → acd"]);
    b.hold(1, 2);
    b.rows.hurry();
    expect(b.turn(1102)).toEqual(["row 0,0,3,0 → acd"]);
    expect(b.turn(9999)).toEqual([]);
  });

  test("who asks is answered with all the others, unless they have been told", () => {
    const b = new Member(1);
    b.hold(1, 2);
    b.rows.solicited(3, [0, 0, 1, 0]);
    expect(b.turn()).toEqual(["row 0,0,1,0 → acd"]);
    b.rows.solicited(3, [0, 0, 1, 0]);
    expect(b.turn()).toEqual([]);
    b.rows.solicited(3, [0, 0, 3, 0]);
    b.rows.solicited(2, [1, 0, 0, 0]);
    expect(b.turn()).toEqual([]);
    b.hold(1, 2);
    b.hold(1, 2);
    expect(b.turn()).toEqual(["row 0,0,3,0 → acd"]);
    b.hold(1, 0);
    expect(b.turn()).toEqual(["row 1,0,3,0 → acd"]);
    b.hold(1, 0);
    expect(b.turn()).toEqual([]);
  });

  test("a safe packet that is delivered is news to nobody", () => {
    const a = new Member(0);
    a.hold(0, 2);
    a.rows.safeDelivered();
    a.rows.stabilized(1000);
    expect(a.turn()).toEqual([]);
  });

  test("after its end nothing is due", () => {
    const b = new Member(1);
    b.hold(1, 2);
    b.turn(0);
    b.rows.end();
    expect(b.rows.deadline).toBe(NEVER);
  });
});

describe("where rows are relayed", () => {
  test("the sequencer alone is told", () => {
    const b = new Member(1, 0);
    b.hold(1, 2);
    b.rows.hurry();
    expect(b.turn()).toEqual(["row 0,0,1,0 → a"]);
    b.hold(1, 2);
    expect(b.turn(0)).toEqual([]);
    expect(b.turn(100)).toEqual(["row 0,0,2,0 → a"]);
  });

  test("it tells everybody what all hold: soon, when that is much, and at once when a safe packet is", () => {
    const a = new Member(0, 0);
    a.hold(0, 2, 1000);
    a.rows.hurry();
    expect(a.turn()).toEqual([]);
    for (const rank of [1, 2, 3]) a.stability.raise(rank, 2, 1);
    a.rows.stabilized(20);
    a.rows.safeDelivered();
    expect(a.turn()).toEqual(["stable 0,0,1,0 → bcd"]);
    a.rows.stabilized(20);
    expect([a.turn(50), a.rows.deadline]).toEqual([[], 150]);
    a.rows.stabilized(80);
    expect(a.turn(51)).toEqual(["stable 0,0,1,0 → bcd"]);
    a.rows.stabilized(20);
    a.rows.safeDelivered();
    expect(a.turn(52)).toEqual(["stable 0,0,1,0 → bcd"]);
  });

  test.each([0, 2])("who asks the member of rank %i is answered, even if nothing has changed, and alone", (rank) => {
    const member = new Member(rank, 0);
    member.hold(rank, 1);
    member.turn(0);
    member.turn(200);
    member.rows.solicited(3, [0, 1, 0, 0]);
    expect(member.turn(200)).toEqual(["row 0,1,0,0 → d"]);
    member.rows.solicited(3, [0, 2, 0, 0]);
    member.rows.solicited(1, [0, 1, 0, 0]);
    expect(member.turn(200)).toEqual(["row 0,1,0,0 → db"]);
    member.hold(rank, 1);
    expect(member.turn(200)).toEqual(["row 0,2,0,0 → db"]);
    member.hold(rank, 1);
    expect(member.turn(200)).toEqual([]);
  });
});
