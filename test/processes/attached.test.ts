/** Nodes beyond `directorySize` use the directory without keeping it, and take the place of those that are lost. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ClusterView, nodeName } from "../../src/protocol/view.ts";
import type { MemberProcess } from "./member-process.ts";
import { figure, type Tally, Trial } from "./trial.ts";

const DIRECTORY_SIZE = 3;
const NAMES = ["ann", "bob", "cy", "dee", "eve", "fay", "gus", "hal"];

let trial: Trial;

beforeEach(() => {
  trial = new Trial();
});

afterEach(() => trial.end());

const acceptorsOf = (view: ClusterView): string[] => view.acceptors.map(nodeName);

/** Kills the process; resolves with the acceptors of the first view without it that has a whole directory. */
async function loses(victim: MemberProcess, others: readonly MemberProcess[]): Promise<string[]> {
  const isWhole = ({ nodes, acceptors }: ClusterView): boolean =>
    nodes.length === others.length && acceptors.length === DIRECTORY_SIZE;
  const from = others.map(({ events }) => events.length);
  const at = await victim.kill();
  const installed = await Promise.all(
    others.map((other, index) => other.event("cluster", ({ view }) => isWhole(view), from[index])),
  );
  figure(
    `SIGKILL of ${victim.name} of eight to a directory of three at all, ms`,
    Math.max(...installed.map((each) => each.at)) - at,
  );
  const [first] = installed;
  if (first === undefined) throw new Error("nobody is left");
  for (const { view } of installed) expect(view).toEqual(first.view);
  return acceptorsOf(first.view);
}

describe("eight processes, of which three keep the directory", () => {
  it("attached nodes join, send and query like the others, and are promoted when members of the directory are lost", async () => {
    const members = await trial.members(NAMES, { start: { directorySize: DIRECTORY_SIZE } });
    const newest = await Promise.all(members.map((member) => member.call<{ readonly view: ClusterView }>("cluster")));
    for (const { view } of newest) expect(acceptorsOf(view)).toEqual(["ann", "bob", "cy"]);

    await Promise.all(members.map((member) => member.call("load", "ledger", { perSecond: 40 })));
    for (const member of members) await member.call("send", "ledger", "safeSend", "append", member.slot, 0);
    const attached = members.slice(DIRECTORY_SIZE);
    for (const each of attached) {
      expect(await each.call("query", "ledger", "ALL", { order: "ordered" }, "chain")).toHaveLength(NAMES.length);
    }

    // A member of the directory, its leader, and an attached node.
    let living = members;
    const lose = async (name: string): Promise<string[]> => {
      const victim = living.find((member) => member.name === name);
      if (victim === undefined) throw new Error(`no ${name}`);
      living = living.filter((member) => member !== victim);
      return await loses(victim, living);
    };
    expect(await lose("bob")).toEqual(["ann", "cy", "dee"]);
    expect(await lose("ann")).toEqual(["cy", "dee", "eve"]);
    expect(await lose("hal")).toEqual(["cy", "dee", "eve"]);

    // The directory serves: groups are made and joined, by attached nodes too.
    for (const each of living) await each.call("join", "other");
    const tallies = await Promise.all(living.map((member) => member.call<Tally>("stopLoad")));
    const { counts } = await trial.settle(living);
    await trial.settle(living, "other");
    for (const [index, member] of living.entries()) {
      expect(tallies[index]?.failures).toEqual({});
      expect(counts[member.slot]).toBe((tallies[index]?.sent ?? 0) + 1);
    }
    const history = trial.judge({ quiescent: true });
    expect(history.filter(({ kind }) => kind === "exclude")).toEqual([]);
  });
});
