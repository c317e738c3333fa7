/** What happens when nodes cannot reach each other, though all of them live. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nodeName } from "../../src/protocol/view.ts";
import { type MemberProcess, monotonicMs } from "./member-process.ts";
import { Partitions } from "./partitions.ts";
import { areNames, entersAgain, figure, statusesOf, type Tally, Trial } from "./trial.ts";

const NAMES = ["ann", "bob", "cy", "dee", "eve"];

const MINORITY = ["ann", "dee"];
const MAJORITY = ["bob", "cy", "eve"];

let trial: Trial;
let network: Partitions;

beforeEach(() => {
  trial = new Trial();
  network = new Partitions();
});

afterEach(async () => {
  await trial.end();
  network.close();
});

/** Five members under load, by age, founded together, every byte between them on a network that can be cut. */
async function loadedMembers(): Promise<MemberProcess[]> {
  const addresses = await network.attach(NAMES);
  const founders = addresses.map(({ advertise }) => advertise);
  const members = await Promise.all(NAMES.map((name) => trial.launch(name)));
  await Promise.all(
    members.map((member, index) => member.call("start", { name: member.name, ...addresses[index], founders })),
  );
  for (const member of members) await member.call("join", "ledger");
  await Promise.all(members.map((member) => member.call("load", "ledger", { perSecond: 60 })));
  for (const member of members) await member.call("send", "ledger", "safeSend", "append", member.slot, 0);
  return members;
}

/** Stops the load, which must have lost nothing, and compares all states; `awaited` is how many sends each has awaited. */
async function lostNothing(
  loaded: readonly MemberProcess[],
  all: readonly MemberProcess[],
  awaited = 1,
): Promise<void> {
  const tallies = await Promise.all(loaded.map((member) => member.call<Tally>("stopLoad")));
  const { counts } = await trial.settle(all);
  for (const [index, member] of loaded.entries()) {
    expect(tallies[index]?.failures).toEqual({});
    expect(counts[member.slot]).toBe((tallies[index]?.sent ?? 0) + awaited);
  }
}

describe("two of five that are cut off", () => {
  it("block and say so, while the three go on; when the cut is healed the two come back with the state of the three", async () => {
    const members = await loadedMembers();
    // The oldest, which leads, is one of them.
    const two = members.filter(({ name }) => MINORITY.includes(name));
    const three = members.filter((member) => !two.includes(member));
    const from = new Map(members.map((member) => [member, member.events.length]));
    const cutAt = monotonicMs();
    network.cut(MINORITY, MAJORITY);

    const blocked = await Promise.all(
      two.map((each) => each.event("status", ({ status }) => status === "blocked", from.get(each))),
    );
    figure("cut to the status `blocked` of the two, ms", Math.max(...blocked.map(({ at }) => at)) - cutAt);
    const waiting = two.map((each) => each.refusal("send", "ledger", "orderedSend", "append", each.slot, -1));
    for (const each of two) {
      expect(await each.call("group", "ledger")).toMatchObject({ status: "blocked" });
      expect(await each.call("cluster")).toMatchObject({ status: "blocked" });
      expect(await each.refusal("read", "ledger")).toMatchObject({ class: "CoterieError", code: "blocked" });
    }
    const views = await Promise.all(
      three.map((each) => each.view("ledger", (view) => areNames(view, MAJORITY), from.get(each))),
    );
    figure("cut to the view of the three, ms", Math.max(...views.map(({ at }) => at)) - cutAt);
    for (const each of three) await each.call("send", "ledger", "safeSend", "append", each.slot, 1);
    // The two still wait, and have heard nothing of it.
    for (const each of two) expect(await each.refusal("read", "ledger")).toMatchObject({ code: "blocked" });

    const healedAt = monotonicMs();
    network.heal();
    for (const each of two) {
      const ended = await each.event("ended", () => true, from.get(each));
      expect(ended.error).toMatchObject({ class: "ExcludedError", code: "excluded" });
      await entersAgain(each, from.get(each) ?? 0);
      // At no time did it serve what was stale.
      expect(statusesOf(each, from.get(each))).toEqual(["blocked", "excluded", "joining", "primary"]);
      await each.call("join", "ledger");
    }
    figure("healing to the return of the two with the state, ms", monotonicMs() - healedAt);
    for (const refusal of await Promise.all(waiting)) expect(["excluded", "outcome-unknown"]).toContain(refusal.code);
    for (const each of two) {
      const { failures } = await each.call<Tally>("stopLoad");
      const codes = Object.keys(failures).filter((code) => code !== "excluded" && code !== "outcome-unknown");
      expect(codes).toEqual([]);
    }
    await lostNothing(three, members, 2);
    trial.judge({ quiescent: true });
  });
});

describe("faults that are over before the failure time", () => {
  it("lost connections and a short cut change no view, lose nothing and repeat nothing", async () => {
    const members = await loadedMembers();
    const from = members.map(({ events }) => events.length);
    for (let time = 0; time < 5; time++) {
      expect(network.dropConnections()).toBeGreaterThanOrEqual(NAMES.length);
      // Everybody is heard by everybody again, or this would wait.
      for (const member of members) await member.call("send", "ledger", "safeSend", "append", member.slot, time);
    }
    network.cut(NAMES.slice(0, 2), NAMES.slice(2));
    await new Promise((resolve) => setTimeout(resolve, 1000));
    network.dropConnections();
    network.heal();
    for (const member of members) await member.call("send", "ledger", "safeSend", "append", member.slot, 5);
    for (const [index, member] of members.entries()) {
      expect(member.events.slice(from[index]).filter(({ kind }) => kind !== "log")).toEqual([]);
    }
    await lostNothing(members, members, 7);
    trial.judge({ quiescent: true });
  });
});

describe("two that cannot reach each other, though the others reach both", () => {
  it("are parted: the younger is excluded, and comes back when it can", async () => {
    const members = await loadedMembers();
    const younger = members.find(({ name }) => name === "dee");
    if (younger === undefined) throw new Error("no member");
    const others = members.filter((member) => member !== younger);
    const since = younger.events.length;
    const from = new Map(members.map((member) => [member, member.events.length]));
    network.cut(["bob"], ["dee"]);
    const rest = NAMES.filter((name) => name !== "dee");
    await Promise.all(others.map((each) => each.view("ledger", (view) => areNames(view, rest), from.get(each))));
    const ended = await younger.event("ended", () => true, since);
    expect(ended.error.code).toBe("excluded");
    for (const each of others) await each.call("send", "ledger", "safeSend", "append", each.slot, 1);
    network.heal();
    await entersAgain(younger, since);
    await younger.call("join", "ledger");
    await younger.call("stopLoad");
    await lostNothing(others, members, 2);
    const history = trial.judge({ quiescent: true });
    const excluded = history.flatMap((event) => (event.kind === "exclude" ? [event.node] : []));
    expect(new Set(excluded.map(nodeName))).toEqual(new Set(["dee"]));
  });
});
