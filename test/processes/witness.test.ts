/** Two members and a node that only votes: either member goes on alone, though the cluster cannot ask the other. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { launch, type Running } from "../edge/run.ts";
import type { MemberProcess } from "./member-process.ts";
import { Trial, viewOf } from "./trial.ts";

let trial: Trial;
let witness: Running | undefined;

beforeEach(() => {
  trial = new Trial();
});

afterEach(async () => {
  witness?.child.kill("SIGKILL");
  await witness?.ended;
  witness = undefined;
  await trial.end();
});

async function withWitness(): Promise<MemberProcess[]> {
  const members = await trial.members(["ann", "bob"]);
  witness = launch(["witness", "--name", "wit", "--discovery", trial.discovery]);
  await witness.shows("ann, bob, wit");
  return members;
}

describe("a cluster of two and a witness", () => {
  it.each([0, 1])("survives the SIGKILL of member %i, without losing anything that the other holds", async (index) => {
    const members = await withWitness();
    const [victim, survivor] = index === 0 ? members : [...members].reverse();
    if (victim === undefined || survivor === undefined) throw new Error("no members");
    await victim.call("send", "ledger", "safeSend", "append", victim.slot, 1);
    await victim.kill();
    await viewOf(survivor, "ledger", [survivor.name]);
    await survivor.call("send", "ledger", "safeSend", "append", survivor.slot, 2);
    const { counts } = await trial.settle([survivor]);
    expect([counts[victim.slot], counts[survivor.slot]]).toEqual([1, 1]);
    await witness?.shows(`${survivor.name}, wit`);
  });

  it("goes on after all three have failed with the younger member and the witness, whose vote is on its disk", async () => {
    const folder = mkdtempSync(join(tmpdir(), "coterie-witness-"));
    const dataOf = (name: string): string => join(folder, name);
    const vote = (): void => {
      const names = ["--name", "wit", "--discovery", trial.discovery, "--data-dir", dataOf("wit")];
      witness = launch(["witness", ...names]);
    };
    const member = (name: string): Promise<MemberProcess> =>
      trial.member(name, { slot: 0, start: { dataDir: dataOf(name) }, groups: ["durable"] });
    try {
      const members = [await member("ann"), await member("bob")];
      vote();
      await witness?.shows("ann, bob, wit");
      for (const each of members) await each.call("send", "durable", "safeSend", "append", 0, 1);
      witness?.child.kill("SIGKILL");
      await Promise.all([witness?.ended, ...members.map((each) => each.kill())]);
      // Of the last view, in which all three vote, bob alone is no quorum.
      vote();
      const bob = await member("bob");
      await bob.call("send", "durable", "safeSend", "append", 0, 2);
      const { counts } = await trial.settle([bob], "durable");
      expect(counts[0]).toBe(3);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("does without the witness; one that ends by SIGTERM leaves in good order", async () => {
    const members = await withWitness();
    witness?.child.kill("SIGTERM");
    await witness?.ended;
    for (const member of members) {
      await member.call("send", "ledger", "safeSend", "append", member.slot, 1);
    }
    const { counts } = await trial.settle(members);
    expect(members.map(({ slot }) => counts[slot])).toEqual([1, 1]);
  });
});
