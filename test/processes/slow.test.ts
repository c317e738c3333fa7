/** A member whose handlers cannot keep up holds everybody back, is reported, and is excluded when the definition says so. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { GroupCounters } from "../../src/group/diagnostics.ts";
import { type MemberProcess, monotonicMs } from "./member-process.ts";
import { figure, Trial, viewOf } from "./trial.ts";

let trial: Trial;

beforeEach(() => {
  trial = new Trial();
});

afterEach(() => trial.end());

const BYTES = 16 * 1024;
const MEASURED_MS = 2000;

const countersOf = async (member: MemberProcess): Promise<GroupCounters> =>
  (await member.call<{ readonly counters: GroupCounters }>("group", "brisk")).counters;

/** Messages per second that the member delivers for a while. */
async function throughput(member: MemberProcess): Promise<number> {
  const from = monotonicMs();
  const before = (await countersOf(member)).delivered;
  await new Promise((resolve) => setTimeout(resolve, MEASURED_MS));
  const after = (await countersOf(member)).delivered;
  return ((after - before) / (monotonicMs() - from)) * 1000;
}

describe("a member whose handlers burn the processor", () => {
  it("is reported, then excluded; the others go on as fast as before, within bounded memory", async () => {
    const names = ["ann", "bob", "cy"];
    // The history of hundreds of megabytes would cost more than they do.
    const start = { records: false };
    const [ann, bob, cy] = (await trial.members(names, { start })) as [MemberProcess, MemberProcess, MemberProcess];
    for (const member of [ann, bob, cy]) await member.call("join", "brisk");
    await viewOf(ann, "brisk", names);
    // A rate that three processes on two processors can bear.
    for (const member of [ann, bob])
      await member.call("load", "brisk", { perSecond: 600, flavours: ["orderedSend"], bytes: BYTES });
    await throughput(ann);
    const formerly = await throughput(ann);

    const from = monotonicMs();
    await cy.call("slowDown", 20);
    await ann.event("log", ({ code }) => code === "slow-member");
    figure("a slow member to its report, ms", monotonicMs() - from);
    expect((await countersOf(ann)).slowMembers).toBeGreaterThan(0);
    const excluded = cy.event("excluded");
    await Promise.all([ann, bob].map((member) => viewOf(member, "brisk", ["ann", "bob"])));
    figure("a slow member to the view without it, ms", monotonicMs() - from);
    const { error } = await excluded;
    expect(error.code).toBe("excluded");

    await throughput(ann);
    const afterwards = await throughput(ann);
    figure(
      "messages per second of the others before and after",
      `${Math.round(formerly)} and ${Math.round(afterwards)}`,
    );
    expect(afterwards).toBeGreaterThan(formerly * 0.5);
    const { rss } = await ann.call<{ readonly rss: number }>("memory");
    expect(rss).toBeLessThan(400 * 1024 * 1024);
    // It is a node of the cluster as before, and may come back.
    const { status } = await cy.call<{ readonly status: string }>("cluster");
    expect(status).toBe("primary");
    await Promise.all([ann, bob].map((member) => member.call("stopLoad")));
    await cy.call("slowDown", 0);
    await cy.call("join", "brisk");
    await trial.settle([ann, bob, cy], "brisk");
    expect(trial.processes.map(({ fault }) => fault)).toEqual([undefined, undefined, undefined]);
  });
});
