/** Two members and a node that only votes: either member goes on alone, though the cluster cannot ask the other. */
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
