/** How processes find each other and come to one cluster. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClusterView } from "../../src/protocol/view.ts";
import { nodeName } from "../../src/protocol/view.ts";
import type { MemberProcess } from "./member-process.ts";
import { freePorts } from "./ports.ts";
import { Trial } from "./trial.ts";

let trial: Trial;

beforeEach(() => {
  trial = new Trial();
});

afterEach(() => trial.end());

/** Waits until every process has a cluster view later than `after` of just these, the same everywhere. */
async function oneCluster(processes: readonly MemberProcess[], after = 0): Promise<ClusterView> {
  const names = processes.map(({ name }) => name).sort();
  const isWhole = ({ number, nodes }: ClusterView): boolean =>
    number > after && String(nodes.map(({ id }) => nodeName(id)).sort()) === String(names);
  const events = await Promise.all(processes.map((each) => each.event("cluster", ({ view }) => isWhole(view))));
  const [first] = events;
  if (first === undefined) throw new Error("no processes");
  for (const { view } of events) expect(view).toEqual(first.view);
  return first.view;
}

async function launchAll(names: readonly string[]): Promise<MemberProcess[]> {
  return await Promise.all(names.map((name) => trial.launch(name)));
}

describe("on one machine, without configuration", () => {
  it("processes that start at the same moment found one cluster, and groups are made once", async () => {
    const processes = await launchAll(["ann", "bob", "cy", "dee", "eve", "fay"]);
    await Promise.all(processes.map((each) => each.call("start", { name: each.name, discovery: trial.discovery })));
    await oneCluster(processes);
    await Promise.all(processes.map((each) => each.call("joinAll", ["ledger", "other"])));
    await Promise.all(processes.map((each) => each.call("load", "ledger", { perSecond: 100 })));
    for (const each of processes) await each.call("send", "other", "safeSend", "append", each.slot, 1);
    for (const each of processes) await each.call("stopLoad");
    await trial.settle(processes);
    const { counts } = await trial.settle(processes, "other");
    expect(counts.slice(0, processes.length)).toEqual(processes.map(() => 1));
    trial.judge({ quiescent: true });
  });
});

describe("by configured founders", () => {
  it("all of them found the cluster together; others join through any one seed; a founder that comes back founds nothing", async () => {
    const ports = await freePorts(3);
    const addresses = ports.map((port) => `127.0.0.1:${port}`);
    // Written in another order at each: it is one list all the same.
    const founders = (at: number): string[] => [...addresses.slice(at), ...addresses.slice(0, at)];
    const names = ["ann", "bob", "cy"];
    const processes = await launchAll(names);
    const options = (at: number): object => ({ name: names[at], listen: addresses[at], founders: founders(at) });
    const [first, second, third] = processes;
    if (first === undefined || second === undefined || third === undefined) throw new Error("no processes");
    const begun = [first.call("start", options(0)), second.call("start", options(1))];
    await Promise.all([...begun, third.call("start", options(2))]);
    const founded = await oneCluster(processes);
    expect(founded.number).toBe(1);

    const newcomer = await trial.launch("dee");
    await newcomer.call("start", { name: "dee", seeds: [addresses[1]] });
    const whole = await oneCluster([...processes, newcomer]);
    expect(whole.cluster).toBe(founded.cluster);

    // The one whose address is the lowest coordinates the founding.
    const coordinator = processes[addresses.indexOf([...addresses].sort()[0] ?? "")] ?? first;
    await coordinator.kill();
    const others = processes.filter((each) => each !== coordinator);
    const again = await trial.launch(coordinator.name);
    await again.call("start", options(names.indexOf(coordinator.name)));
    const restored = await oneCluster([...others, newcomer, again], whole.number);
    expect(restored.cluster).toBe(founded.cluster);
    for (const each of [...others, newcomer, again]) await each.call("join", "ledger");
    await trial.settle([...others, newcomer, again]);
    trial.judge({ quiescent: true });
  });
});
