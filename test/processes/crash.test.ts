/** What the death of processes does to those that live. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { GroupView } from "../../src/protocol/view.ts";
import { type MemberProcess, monotonicMs } from "./member-process.ts";
import { allowanceMs, areNames, figure, type Tally, Trial, viewOf } from "./trial.ts";

/** From SIGKILL to the new view at all survivors. */
const VIEW_CHANGE_MS_MAX = 500;

let trial: Trial;

beforeEach(() => {
  trial = new Trial();
});

afterEach(() => trial.end());

/** Kills these processes at once; the time from then until all survivors have the view without them is within bounds. */
async function killAndTime(
  what: string,
  victims: readonly MemberProcess[],
  survivors: readonly MemberProcess[],
): Promise<void> {
  const names = survivors.map(({ name }) => name);
  const boundMs = VIEW_CHANGE_MS_MAX + (await allowanceMs(survivors));
  const isNew = (view: GroupView): boolean => areNames(view, names);
  const from = survivors.map(({ events }) => events.length);
  const [at = 0] = await Promise.all(victims.map((victim) => victim.kill()));
  const views = await Promise.all(survivors.map((survivor, index) => survivor.view("ledger", isNew, from[index])));
  const viewChangeMs = Math.max(...views.map((view) => view.at)) - at;
  figure(`SIGKILL of ${what} to the new view, ms`, viewChangeMs);
  expect(viewChangeMs).toBeLessThanOrEqual(boundMs);
}

async function loaded(members: readonly MemberProcess[], perSecond = 200): Promise<void> {
  await Promise.all(members.map((member) => member.call("load", "ledger", { perSecond })));
  // The load has reached everybody: each has delivered something of each.
  for (const member of members) {
    await member.call("send", "ledger", "safeSend", "append", member.slot, 0);
  }
}

/** Stops the load of these members, none of which was ever cut off, and shows that nothing that they sent was lost. */
async function stopped(members: readonly MemberProcess[], others: readonly MemberProcess[] = []): Promise<void> {
  const tallies = await Promise.all(members.map((member) => member.call<Tally>("stopLoad")));
  const { counts } = await trial.settle([...members, ...others]);
  for (const [index, member] of members.entries()) {
    const { sent, resolved, failures } = tallies[index] as Tally;
    expect(failures).toEqual({});
    expect(resolved).toBe(sent);
    expect(sent).toBeGreaterThan(0);
    // One more than the load: the message by which it was known to flow.
    expect(counts[member.slot]).toBe(sent + 1);
  }
}

describe("SIGKILL", () => {
  it("of a member amid traffic gives the survivors a new view at once and loses nothing of theirs; the process comes back with the state", async () => {
    const [oldest, victim, youngest] = await trial.members(["ann", "bob", "cy"]);
    if (oldest === undefined || victim === undefined || youngest === undefined) throw new Error("no members");
    const survivors = [oldest, youngest];
    await loaded([oldest, victim, youngest]);
    await killAndTime("a member of three", [victim], survivors);

    const from = monotonicMs();
    const restarted = await trial.restart(victim);
    figure("restart of the process to its return with the state, ms", monotonicMs() - from);
    await viewOf(oldest, "ledger", ["ann", "bob", "cy"]);
    await stopped(survivors, [restarted]);
    trial.judge({ quiescent: true });
  });

  it("of the oldest, which leads the directory and the group, is as quick and takes nobody with it", async () => {
    const [oldest, ...survivors] = await trial.members(["ann", "bob", "cy", "dee", "eve"]);
    if (oldest === undefined) throw new Error("no members");
    await loaded([oldest, ...survivors], 100);
    await killAndTime("the oldest of five", [oldest], survivors);
    // The directory has a leader again: it lets a node in.
    const newcomer = await trial.member("fay");
    await stopped(survivors, [newcomer]);
    const history = trial.judge({ quiescent: true });
    expect(history.filter(({ kind }) => kind === "exclude")).toEqual([]);
  });

  it("of two of five at once leaves three that go on", async () => {
    const members = await trial.members(["ann", "bob", "cy", "dee", "eve"]);
    await loaded(members, 100);
    const victims = members.filter(({ name }) => name === "ann" || name === "dee");
    const survivors = members.filter((member) => !victims.includes(member));
    await killAndTime("two of five", victims, survivors);
    const restarted = await Promise.all(victims.map((victim) => trial.restart(victim)));
    await stopped(survivors, restarted);
    trial.judge({ quiescent: true });
  });

  it("of the donor in the midst of a state transfer makes another member the donor", async () => {
    const members = await trial.members(["ann", "bob", "cy"]);
    for (const member of members) await member.call("join", "streamed");
    await Promise.all(members.map((member) => member.call("load", "streamed", { perSecond: 50 })));
    for (const member of members) await member.call("send", "streamed", "orderedSend", "set", member.name, "is here");
    const from = members.map(({ events }) => events.length);
    const joiner = await trial.member("dee", { groups: [] });
    const joined = joiner.call("join", "streamed");
    const donor = await Promise.any(
      members.map(async (member, index) => {
        await member.event("saving", ({ bytes }) => bytes > 0, from[index]);
        return member;
      }),
    );
    await donor.kill();
    await joined;
    const survivors = members.filter((member) => member !== donor);
    await Promise.all(survivors.map((member) => member.call<Tally>("stopLoad")));
    const { values } = await trial.settle([...survivors, joiner], "streamed");
    expect(values.size).toBe(3);
    trial.judge({ quiescent: true });
  });

  it("of the only member of a group loses the group, which says so before it can be made anew", async () => {
    const start = { failureTimeoutMs: 500 };
    const [ann, bob, cy] = await trial.members(["ann", "bob", "cy"], { start });
    if (ann === undefined || bob === undefined || cy === undefined) throw new Error("no members");
    await cy.call("join", "other");
    await cy.call("send", "other", "safeSend", "append", cy.slot, 1);
    await killAndTime("the youngest of three", [cy], [ann, bob]);
    expect(await ann.refusal("join", "other")).toMatchObject({ code: "group-lost", group: "other" });
    await trial.retry("group-lost", () => bob.call("join", "other"));
    expect((await trial.settle([bob], "other")).counts[cy.slot]).toBe(0);
    await trial.settle([ann, bob]);
    trial.judge({ quiescent: true });
  });
});
