/** Members whose definitions differ by an operation share a group, die, and are upgraded one by one (C14). */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { MemberProcess } from "./member-process.ts";
import { type Tally, Trial, viewOf } from "./trial.ts";

const NAMES = ["ann", "bob", "cy"];

let trial: Trial;

beforeEach(() => {
  trial = new Trial();
});

afterEach(() => trial.end());

/** Whether the operation that only newer members have can be called, as each of these says. */
const usable = (members: readonly MemberProcess[]): Promise<boolean[]> =>
  Promise.all(members.map((member) => member.call<boolean>("supports", "ledger", "raise")));

const raise = (member: MemberProcess): Promise<number> =>
  member.call<number>("send", "ledger", "orderedSend", "raise", "bread", 5);

/** A newer process in the place of one that was killed. */
const upgraded = ({ name, slot }: MemberProcess): Promise<MemberProcess> =>
  trial.member(name, { slot, groups: ["ledger-newer"] });

describe("a rolling upgrade", () => {
  it("amid traffic and SIGKILL: what an older member lacks nobody calls; with its successor it can be called", async () => {
    const older = await trial.member("ann");
    const bob = await trial.member("bob", { groups: ["ledger-newer"] });
    const victim = await trial.member("cy", { groups: ["ledger-newer"] });
    const mixed = [older, bob, victim];
    await Promise.all(mixed.map((member) => viewOf(member, "ledger", NAMES)));
    await Promise.all(mixed.map((member) => member.call("load", "ledger", { perSecond: 100 })));

    expect(await usable([bob, victim])).toEqual([false, false]);
    await expect(raise(bob)).rejects.toMatchObject({ code: "not-supported" });
    await expect(raise(older)).rejects.toMatchObject({ code: "unknown-operation" });

    // The death of a newer one changes nothing, nor does its return.
    await victim.kill();
    await viewOf(bob, "ledger", ["ann", "bob"]);
    expect(await usable([bob])).toEqual([false]);
    const cy = await upgraded(victim);
    await viewOf(bob, "ledger", NAMES);
    expect(await usable([bob, cy])).toEqual([false, false]);
    await expect(raise(cy)).rejects.toMatchObject({ code: "not-supported" });

    await older.kill();
    const ann = await upgraded(older);
    const newer = [ann, bob, cy];
    const views = await Promise.all(newer.map((member) => viewOf(member, "ledger", ["bob", "cy", "ann"])));
    expect(views.map(({ lacking }) => lacking)).toEqual([[], [], []]);
    expect(await usable(newer)).toEqual([true, true, true]);
    // All run it in one order: each result is another one.
    const results = await Promise.all(newer.map(raise));
    expect(results.toSorted((a, b) => a - b)).toEqual([5, 10, 15]);

    const tally = await bob.call<Tally>("stopLoad");
    expect(tally).toMatchObject({ failures: {}, resolved: tally.sent });
    const { values } = await trial.settle(newer);
    expect(values.get("bread")).toBe(15);
    trial.judge({ quiescent: true });
  });
});
