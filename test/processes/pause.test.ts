/** What happens to a process that falls silent without dying, and to one that is only slow. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nodeName } from "../../src/protocol/view.ts";
import type { MemberProcess } from "./member-process.ts";
import { allowanceMs, areNames, entersAgain, figure, type Tally, Trial, viewOf } from "./trial.ts";

/** From SIGSTOP to the new view at all others, with the default failure time. */
const EXCLUSION_MS_MAX = 4000;

let trial: Trial;

beforeEach(() => {
  trial = new Trial();
});

afterEach(() => trial.end());

async function loaded(members: readonly MemberProcess[]): Promise<void> {
  await Promise.all(members.map((member) => member.call("load", "ledger", { perSecond: 150 })));
  for (const member of members) await member.call("send", "ledger", "safeSend", "append", member.slot, 0);
}

/** A node that joins the cluster and leaves it, again and again until then: every time there is another view. */
async function comesAndGoes(visitor: MemberProcess, until: Promise<unknown>): Promise<void> {
  let isOver = false;
  const over = (): void => {
    isOver = true;
  };
  until.then(over, over);
  while (!isOver) {
    await visitor.call("start", { name: visitor.name, discovery: trial.discovery });
    await visitor.call("close");
  }
}

describe("a process that is stopped", () => {
  it.each(["youngest", "oldest"])(
    "is excluded within 4 s (the %s of three), whoever comes and goes meanwhile; it learns it when it goes on, and comes back as a new incarnation",
    async (which) => {
      const members = await trial.members(["ann", "bob", "cy"]);
      const paused = which === "oldest" ? members[0] : members[2];
      if (paused === undefined) throw new Error("no members");
      const others = members.filter((member) => member !== paused);
      const names = others.map(({ name }) => name);
      const before = await paused.call<string>("self");
      const visitor = await trial.launch("visitor");
      await loaded(members);

      const from = others.map(({ events }) => events.length);
      const since = paused.events.length;
      const boundMs = EXCLUSION_MS_MAX + (await allowanceMs(others));
      const pausedAt = paused.pause();
      const excluding = Promise.all(
        others.map((other, index) => other.view("ledger", (view) => areNames(view, names), from[index])),
      );
      await comesAndGoes(visitor, excluding);
      const views = await excluding;
      const exclusionMs = Math.max(...views.map(({ at }) => at)) - pausedAt;
      figure(`SIGSTOP of the ${which} of three to the view without it, ms`, exclusionMs);
      expect(exclusionMs).toBeLessThanOrEqual(boundMs);

      paused.resume();
      const ended = await paused.event("ended", () => true, since);
      expect(ended.error).toMatchObject({ class: "ExcludedError", code: "excluded", group: "ledger" });
      const excluded = await paused.event("excluded", () => true, since);
      expect(excluded.error.code).toBe("excluded");
      const tally = await paused.call<Tally>("stopLoad");
      // What it had sent may have reached the others; what still waited has not.
      const codes = new Set(Object.keys(tally.failures));
      expect(codes.size).toBeGreaterThan(0);
      expect(new Set([...codes, "excluded", "outcome-unknown"])).toEqual(new Set(["excluded", "outcome-unknown"]));
      expect(await paused.refusal("send", "ledger", "send", "count", 0, 1)).toMatchObject({ class: "ExcludedError" });
      expect(await paused.refusal("read", "ledger")).toMatchObject({ code: "excluded" });

      await entersAgain(paused, since);
      const after = await paused.call<string>("self");
      expect(nodeName(after)).toBe(nodeName(before));
      expect(after).not.toBe(before);
      await paused.call("join", "ledger");
      await viewOf(others[0] as MemberProcess, "ledger", ["ann", "bob", "cy"]);
      const tallies = await Promise.all(others.map((other) => other.call<Tally>("stopLoad")));
      const { counts } = await trial.settle(members);
      for (const [index, other] of others.entries()) {
        expect(tallies[index]?.failures).toEqual({});
        expect(counts[other.slot]).toBe((tallies[index]?.sent ?? 0) + 1);
      }
      trial.judge({ quiescent: true });
    },
  );
});

describe("a process whose event loop is blocked for 2 s every 5 s", () => {
  it("is not excluded, nor blocked, though it is the oldest", async () => {
    const members = await trial.members(["ann", "bob", "cy"]);
    await loaded(members);
    const from = members.map(({ events }) => events.length);
    await members[0]?.call("blockRepeatedly", { forMs: 2000, everyMs: 5000, times: 4 });
    const tallies = await Promise.all(members.map((member) => member.call<Tally>("stopLoad")));
    for (const [index, member] of members.entries()) {
      const changes = member.events.slice(from[index]).filter(({ kind }) => kind !== "log");
      expect(changes).toEqual([]);
      expect(tallies[index]?.failures).toEqual({});
    }
    const { counts } = await trial.settle(members);
    expect(members.map(({ slot }) => counts[slot])).toEqual(tallies.map(({ sent }) => sent + 1));
    trial.judge({ quiescent: true });
  });
});
