/**
 * Durable groups of real processes: what was safe, or flushed, is there after all of them were killed, once, and nothing is
 * acknowledged that is not.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { MemberProcess } from "./member-process.ts";
import { freePorts } from "./ports.ts";
import { areNames, Trial } from "./trial.ts";

const NAMES = ["ann", "bob", "cy"] as const;
const GROUP = "durable";
/** A state of 20 MB. */
const VALUES = 320;
const VALUE_BYTES = 64 * 1024;
/** The counts of each process in the state, by place. */
const SLOTS = new Map<string, number>(NAMES.map((name, slot) => [name, slot]));

let trial: Trial;
let folder: string;
let addresses: ReadonlyMap<string, string>;

beforeEach(async () => {
  trial = new Trial();
  folder = mkdtempSync(join(tmpdir(), "coterie-durable-"));
  const ports = await freePorts(NAMES.length);
  addresses = new Map(NAMES.map((name, index) => [name, `127.0.0.1:${ports[index]}`]));
});

afterEach(async () => {
  await trial.end();
  rmSync(folder, { recursive: true });
});

/** A process whose node starts on its data directory; it need not be in a cluster yet. */
async function launch(name: string, group = GROUP): Promise<MemberProcess> {
  const each = await trial.launch(name, { slot: SLOTS.get(name) ?? 0 });
  const founders = [...addresses.values()];
  each
    .call("start", { name, listen: addresses.get(name), founders, dataDir: join(folder, name) })
    .then(() => each.call("join", group))
    .catch(() => {});
  return each;
}

/** Starts these processes at the same time, and resolves when they are members of one view. */
async function begin(names: readonly string[], group = GROUP): Promise<MemberProcess[]> {
  const processes = await Promise.all(names.map((name) => launch(name, group)));
  await together(processes, group);
  return processes;
}

async function together(processes: readonly MemberProcess[], group = GROUP): Promise<void> {
  const names = processes.map(({ name }) => name);
  await Promise.all(
    processes.map((each) =>
      each.until(`a view with just ${names.join(" ")}`, () => {
        const newest = each.events.findLast((event) => event.kind === "view" && event.group === group);
        // Views from before the failure are seen again, but not with this incarnation in them.
        return newest?.kind === "view" && areNames(newest.view, names) && isLive(each, newest.view.members)
          ? true
          : undefined;
      }),
    ),
  );
}

/** Whether the process itself, and no earlier one of its name, is among these. */
function isLive(each: MemberProcess, members: readonly string[]): boolean {
  const started = each.history().findLast((event) => event.kind === "start");
  return started !== undefined && members.includes(started.node);
}

/** What a process has written so far, to sockets and files, in bytes. */
function written({ pid }: MemberProcess): number {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}

/** No file that the process writes to gets longer than this, or is written to behind it. */
function limitFiles({ pid }: MemberProcess, bytes: number | "unlimited"): void {
  execFileSync("prlimit", ["--pid", String(pid), `--fsize=${bytes}:`]);
}

async function killAll(processes: readonly MemberProcess[]): Promise<void> {
  await Promise.all(processes.map((each) => each.kill()));
}

/** Each adds so many, awaits that all are safe, and returns how many were acknowledged since the beginning, by slot. */
async function count(
  processes: readonly MemberProcess[],
  times: number,
  before: readonly number[],
  group = GROUP,
): Promise<number[]> {
  const counts = [...before];
  await Promise.all(
    processes.map(async (each) => {
      const sends = Array.from({ length: times }, () => each.call("send", group, "safeSend", "count", each.slot, 1));
      await Promise.all(sends);
      counts[each.slot] = (counts[each.slot] ?? 0) + times;
    }),
  );
  return counts;
}

function countsOf({ counts }: { readonly counts: readonly number[] }): number[] {
  return counts.slice(0, NAMES.length);
}

it("all that was acknowledged is there after all have failed, in any order of return, and counts are exact", async () => {
  let expected = [0, 0, 0];
  const orders = [
    ["ann", "bob", "cy"],
    ["cy", "ann", "bob"],
    ["bob", "cy", "ann"],
  ];
  for (const order of orders) {
    // One after the other, each before the one before is back: the first waits for a second.
    const processes: MemberProcess[] = [];
    for (const name of order) processes.push(await launch(name));
    await together(processes);
    const found = await trial.settle(processes, GROUP);
    expect(countsOf(found)).toEqual(expected);
    expected = await count(processes, 40, expected);
    await killAll(processes);
  }
  const last = await begin(NAMES);
  expect(countsOf(await trial.settle(last, GROUP))).toEqual(expected);
  trial.judge({ quiescent: true });
});

it("what was acknowledged when all are killed in the midst of traffic is there, and nothing twice", async () => {
  const first = await begin(NAMES);
  for (const each of first) await each.call("load", GROUP, { perSecond: 300, flavours: ["safeSend"] });
  for (const each of first) await delivered(each, 400);
  await killAll(first);
  const second = await begin(NAMES.toReversed());
  const found = countsOf(await trial.settle(second, GROUP));
  for (const each of first) {
    const own = each.history().filter((event) => "message" in event && event.message.includes(`/${each.name}#`));
    const acknowledged = own.filter((event) => event.kind === "deliver" && event.node === event.sender);
    const sent = own.filter((event) => event.kind === "send");
    expect(found[each.slot]).toBeGreaterThanOrEqual(acknowledged.length);
    expect(found[each.slot]).toBeLessThanOrEqual(sent.length);
  }
  const further = await count(second, 20, found);
  expect(countsOf(await trial.settle(second, GROUP))).toEqual(further);
  trial.judge({ quiescent: true });
});

it("a member that comes back alone gets what it has missed, and its disk then brings the group back", async () => {
  const [ann, bob, cy] = (await begin(NAMES)) as [MemberProcess, MemberProcess, MemberProcess];
  let expected = await count([ann, bob, cy], 20, [0, 0, 0]);
  await bob.kill();
  await together([ann, cy]);
  expected = await count([ann, cy], 30, expected);
  const again = await launch("bob");
  const all = [ann, cy, again];
  await together(all);
  expected = await count([again], 10, expected);
  expect(countsOf(await trial.settle(all, GROUP))).toEqual(expected);
  await killAll(all);

  // The cluster has a quorum with any two of them; the group comes from whichever joins first.
  const two = await begin(["bob", "cy"]);
  expect(countsOf(await trial.settle(two, GROUP))).toEqual(expected);
  trial.judge({ quiescent: true });
});

it("a member that comes back with a large state on its disk gets only what it lacks", async () => {
  const [ann, bob, cy] = (await begin(NAMES)) as [MemberProcess, MemberProcess, MemberProcess];
  const large = "x".repeat(VALUE_BYTES);
  const fill = (each: MemberProcess, from: number, to: number): Promise<unknown> =>
    Promise.all(
      Array.from({ length: to - from }, (_, index) =>
        each.call("send", GROUP, "safeSend", "set", `key ${from + index}`, large),
      ),
    );
  await fill(ann, 0, VALUES);
  await bob.kill();
  await together([ann, cy]);
  await fill(cy, VALUES, VALUES + 2);
  const before = written(ann) + written(cy);
  const again = await launch("bob");
  await together([ann, again, cy]);
  await again.call("flush", GROUP);
  expect(written(ann) + written(cy) - before).toBeLessThan((VALUES * VALUE_BYTES) / 10);
  await trial.settle([ann, again, cy], GROUP);
  const { values } = await again.call<{ values: Map<string, string> }>("read", GROUP);
  expect(values.size).toBe(VALUES + 2);
  await killAll([ann, again, cy]);

  // Whichever of them brings the group back, nothing is lacking.
  const two = await begin(["bob", "cy"]);
  await trial.settle(two, GROUP);
  for (const each of two) {
    const { values } = await each.call<{ values: Map<string, string> }>("read", GROUP);
    expect(values.size).toBe(VALUES + 2);
  }
  trial.judge({ quiescent: true });
});

it("a disk without room behind a log that is there holds senders back, says so, and goes on when there is some", async () => {
  const [ann, bob, cy] = (await begin(NAMES)) as [MemberProcess, MemberProcess, MemberProcess];
  const large = "x".repeat(VALUE_BYTES);
  const fill = (from: number, to: number): Promise<unknown> =>
    Promise.all(
      Array.from({ length: to - from }, (_, index) =>
        ann.call("send", GROUP, "safeSend", "set", `key ${from + index}`, large),
      ),
    );
  await fill(0, 80);
  // As with a quota: writes behind so many bytes of a file fail, and nothing else does.
  limitFiles(cy, 3_000_000);
  const stuck = fill(80, 100);
  const told = (code: string): Promise<true> =>
    cy.until(code, () => (cy.events.some((event) => event.kind === "log" && event.code === code) ? true : undefined));
  await told("disk-full");
  const { values } = await bob.call<{ values: Map<string, string> }>("read", GROUP);
  expect(values.size).toBe(80);
  limitFiles(cy, "unlimited");
  await stuck;
  await told("disk-well-again");
  await trial.settle([ann, bob, cy], GROUP);
  await killAll([ann, bob, cy]);
  const two = await begin(["bob", "cy"]);
  await trial.settle(two, GROUP);
  for (const each of two) {
    const found = await each.call<{ values: Map<string, string> }>("read", GROUP);
    expect(found.values.size).toBe(100);
  }
  trial.judge({ quiescent: true });
});

it("a minority waits for a quorum, and does not go on alone", async () => {
  const first = await begin(NAMES);
  const expected = await count(first, 10, [0, 0, 0]);
  await killAll(first);
  const alone = await launch("cy");
  await alone.until("its start", () => (alone.history().some(({ kind }) => kind === "start") ? true : undefined));
  const other = await launch("ann");
  await together([alone, other]);
  expect(countsOf(await trial.settle([alone, other], GROUP))).toEqual(expected);
  const entered = alone.history().find(({ kind }) => kind === "install");
  const second = other.history().find(({ kind }) => kind === "start");
  expect(entered?.at).toBeGreaterThan(second?.at ?? Number.POSITIVE_INFINITY);
  trial.judge({ quiescent: true });
});

it("a group with two acceptors is brought back by either of them, and by no other member", async () => {
  const group = "acceptors";
  let expected = [0, 0, 0];
  for (const round of [0, 1]) {
    const all = await begin(NAMES, group);
    expect(countsOf(await trial.settle(all, group))).toEqual(expected);
    expected = await count(all, 30, expected, group);
    // In the order of their age: the first two are the acceptors.
    const names = await memberNames(all, group);
    await killAll(all);
    const two = await begin([names[2] ?? "", names[round] ?? ""], group);
    expect(countsOf(await trial.settle(two, group))).toEqual(expected);
    expect(await memberNames(two, group)).toEqual([names[round], names[2]]);
    await killAll(two);
  }
  trial.judge({ quiescent: true });
});

it("a disk that is gone is replaced by an empty one: the others go on, and it holds everything again", async () => {
  const first = await begin(NAMES);
  let expected = await count(first, 20, [0, 0, 0]);
  await killAll(first);
  rmSync(join(folder, "cy"), { recursive: true });
  const second = await begin(NAMES);
  expected = await count(second, 20, expected);
  expect(countsOf(await trial.settle(second, GROUP))).toEqual(expected);
  await killAll(second);
  const third = await begin(["cy", "ann"]);
  expect(countsOf(await trial.settle(third, GROUP))).toEqual(expected);
  trial.judge({ quiescent: true });
});

/** The names of the group's members, oldest first. */
async function memberNames([any]: readonly MemberProcess[], group: string): Promise<string[]> {
  const { view } = (await any?.call<{ readonly view: { readonly members: readonly string[] } }>("group", group)) ?? {};
  return (view?.members ?? []).map((id) => id.slice(0, id.lastIndexOf("#")));
}

/** Resolves when the member has delivered so many updates. */
async function delivered(each: MemberProcess, amount: number): Promise<void> {
  for (;;) {
    const { counters } = await each.call<{ readonly counters: { readonly delivered: number } }>("group", GROUP);
    if (counters.delivered >= amount) return;
  }
}
