/** E2, A8: processes that have all died at once go on as the same cluster, from their data directories. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { ClusterView } from "../../src/protocol/view.ts";
import { nodeName } from "../../src/protocol/view.ts";
import type { MemberProcess } from "./member-process.ts";
import { freePorts } from "./ports.ts";
import { Trial } from "./trial.ts";

const NAMES = ["ann", "bob", "cy"] as const;

let trial: Trial;
let folder: string;
let addresses: readonly string[];

beforeEach(async () => {
  trial = new Trial();
  folder = mkdtempSync(join(tmpdir(), "coterie-data-"));
  addresses = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
});

afterEach(async () => {
  await trial.end();
  rmSync(folder, { recursive: true });
});

/** Starts these nodes on their data directories; the starts resolve when the nodes are in a cluster. */
async function begin(names: readonly string[], how: object = { founders: addresses }): Promise<MemberProcess[]> {
  const processes: MemberProcess[] = [];
  for (const name of names) {
    const each = await trial.launch(name);
    const listen = addresses[NAMES.indexOf(name as (typeof NAMES)[number])];
    each.call("start", { name, listen, dataDir: join(folder, name), ...how }).catch(() => {});
    processes.push(each);
  }
  return processes;
}

async function viewOf(processes: readonly MemberProcess[], after = 0): Promise<ClusterView> {
  const names = processes.map(({ name }) => name).sort();
  const isWhole = ({ number, nodes }: ClusterView): boolean =>
    number > after && String(nodes.map(({ id }) => nodeName(id)).sort()) === String(names);
  const events = await Promise.all(processes.map((each) => each.event("cluster", ({ view }) => isWhole(view))));
  return events[0]?.view as ClusterView;
}

it("a quorum that is back goes on as the same cluster, in any order of return, and the others come in again", async () => {
  const first = await begin(NAMES);
  const founded = await viewOf(first);
  // What the directory has executed is on the disks of a quorum, and so is the view.
  await first[0]?.call("join", "ledger");
  await Promise.all(first.map((each) => each.kill()));

  const second = await begin(["cy", "bob"]);
  const continued = await viewOf(second, founded.number);
  expect(continued).toMatchObject({ cluster: founded.cluster, number: founded.number + 1 });
  const [late] = await begin(["ann"]);
  const whole = await viewOf([...second, late as MemberProcess], continued.number);
  expect(whole.cluster).toBe(founded.cluster);

  await Promise.all([...second, late as MemberProcess].map((each) => each.kill()));
  const third = await begin(NAMES);
  expect((await viewOf(third, whole.number)).cluster).toBe(founded.cluster);
});

it("a data directory that has been in a cluster founds no other, also where it may found alone", async () => {
  const discovery = join(folder, "rendezvous");
  const [only] = await begin(["ann"], { discovery });
  const founded = await viewOf([only as MemberProcess]);
  const [other] = await begin(["bob"], { discovery });
  const pair = await viewOf([only as MemberProcess, other as MemberProcess], founded.number);
  await Promise.all([only, other].map((each) => each?.kill()));

  // Of two, the younger is no quorum: it waits, and a newcomer waits with it instead of founding.
  const [back] = await begin(["bob"], { discovery });
  const [newcomer] = await begin(["cy"], { discovery });
  const [oldest] = await begin(["ann"], { discovery });
  const all = [back, newcomer, oldest] as MemberProcess[];
  expect((await viewOf(all, pair.number)).cluster).toBe(founded.cluster);
});

it("two processes never use one data directory", async () => {
  const [ann] = await begin(["ann"], { founders: [addresses[0]] });
  await viewOf([ann as MemberProcess]);
  const twin = await trial.launch("twin");
  const refused = twin.call("start", { name: "twin", founders: [addresses[1]], dataDir: join(folder, "ann") });
  await expect(refused).rejects.toMatchObject({ code: "data-dir-in-use" });
  await ann?.kill();
  const again = await trial.launch("ann");
  await again.call("start", {
    name: "ann",
    listen: addresses[0],
    founders: [addresses[0]],
    dataDir: join(folder, "ann"),
  });
});
