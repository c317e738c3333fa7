/**
 * A durable group of real processes gets another key of its own under load. Nothing that its members see is lost; who has
 * the old key is told only that it is refused, while the group lives and after all of it were killed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { newClusterKey } from "../../src/runtime/secure/cluster-key.ts";
import type { MemberProcess } from "./member-process.ts";
import { freePorts } from "./ports.ts";
import { areNames, type Ledger, type Tally, Trial } from "./trial.ts";

const NAMES = ["ann", "bob", "cy", "dee"] as const;
const [clusterKey, oldKey, newKey] = [newClusterKey(), newClusterKey(), newClusterKey()];

let trial: Trial;
let folder: string;
let addresses: readonly string[];

beforeAll(async () => {
  trial = new Trial();
  folder = mkdtempSync(join(tmpdir(), "coterie-group-key-"));
  addresses = (await freePorts(NAMES.length)).map((port) => `127.0.0.1:${port}`);
});

afterAll(async () => {
  await trial.end();
  rmSync(folder, { recursive: true });
});

/** All nodes of the cluster, none of them in a group. */
async function begin(): Promise<readonly MemberProcess[]> {
  const processes: MemberProcess[] = [];
  const started: Promise<unknown>[] = [];
  for (const [slot, name] of NAMES.entries()) {
    const each = await trial.launch(name, { slot });
    processes.push(each);
    const listen = addresses[slot];
    const dataDir = join(folder, name);
    started.push(each.call("start", { name, listen, founders: addresses, dataDir, secure: { clusterKey } }));
  }
  await Promise.all(started);
  return processes;
}

const inView = (members: readonly MemberProcess[], names: readonly string[]): Promise<unknown> =>
  Promise.all(members.map((member) => member.view("vault", (view) => areNames(view, names))));

it("a group's key is replaced under load, and the old one is worth nothing from then on", async () => {
  const first = await begin();
  const [ann, bob, cy, dee] = first as [MemberProcess, MemberProcess, MemberProcess, MemberProcess];
  const members = [ann, bob, cy];
  for (const member of members) await member.call("joinWithKey", "vault", oldKey);
  await inView(members, ["ann", "bob", "cy"]);
  await Promise.all(members.map((member) => member.call("load", "vault", { perSecond: 100 })));

  await bob.call("rekeyGroup", "vault", newKey);
  const refusal = await dee.refusal("joinWithKey", "vault", oldKey);
  expect(refusal).toMatchObject({ code: "refused", class: "CoterieError" });
  expect(await dee.refusal("join", "vault")).toMatchObject({ code: "refused" });
  await dee.call("joinWithKey", "vault", newKey);
  await inView(first, NAMES);

  const tallies = await Promise.all(members.map((member) => member.call<Tally>("stopLoad")));
  for (const { sent, resolved, failures } of tallies) expect([resolved, failures]).toEqual([sent, {}]);
  const before = await trial.settle(first, "vault");
  await Promise.all(first.map((member) => member.kill()));

  const second = await begin();
  expect(await second[0]?.refusal("joinWithKey", "vault", oldKey)).toMatchObject({ code: "refused" });
  for (const member of second) await member.call("joinWithKey", "vault", newKey);
  await inView(second, NAMES);
  const after: Ledger = await trial.settle(second, "vault");
  expect(after).toEqual(before);
  trial.judge({ quiescent: true });
});

it("a group that has no key of its own gets none", async () => {
  const [ann] = trial.processes.slice(-NAMES.length) as [MemberProcess];
  await ann.call("join", "ledger");
  expect(await ann.refusal("rekeyGroup", "ledger", newKey)).toMatchObject({ code: "invalid-argument" });
  expect(await ann.refusal("rekeyGroup", "ledger", "nonsense")).toMatchObject({ code: "invalid-option" });
});
