/**
 * Three processes under load, on sealed disks, whose cluster key is replaced while they run: by `coterie key rotate`, as an
 * operator does it. Nothing that the members see changes; afterwards the old key opens nothing.
 */
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { NodeReport } from "../../src/runtime/driver.ts";
import { clusterKeys, keysIn, newClusterKey } from "../../src/runtime/secure/cluster-key.ts";
import { openDataKey } from "../../src/runtime/secure/data-key.ts";
import { Guard } from "../../src/runtime/secure/guard.ts";
import { parseAddress } from "../../src/runtime/tcp/address.ts";
import { inquire } from "../../src/runtime/tcp/inquire.ts";
import { run } from "../edge/run.ts";
import { DEADLINE_MS, type MemberProcess, monotonicMs } from "./member-process.ts";
import { freePorts } from "./ports.ts";
import { areNames, type Tally, Trial } from "./trial.ts";

const NAMES = ["ann", "bob", "cy"] as const;

let trial: Trial;
let folder: string;

beforeEach(() => {
  trial = new Trial();
  folder = mkdtempSync(join(tmpdir(), "coterie-rekey-"));
});

afterEach(async () => {
  await trial.end();
  rmSync(folder, { recursive: true });
});

/** How the node at this address is, as whoever has the key is told. */
async function reportOf(address: string, key: string): Promise<NodeReport> {
  const guard = new Guard({ kind: "cluster-key", keys: clusterKeys(key) });
  const target = parseAddress(address);
  if (target === undefined) throw new Error(`not an address: ${address}`);
  return JSON.parse(await inquire(target, 2000, guard)) as NodeReport;
}

async function eventually(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = monotonicMs() + DEADLINE_MS;
  while (!(await isSo())) {
    if (monotonicMs() > deadline) throw new Error(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

it("a cluster key is replaced under load: no view changes, no update is lost, and the old key is worth nothing", async () => {
  const addresses = (await freePorts(NAMES.length)).map((port) => `127.0.0.1:${port}`);
  // Each machine has a copy of its own, and gets the new one when it does.
  const files = NAMES.map((name) => join(folder, `${name}.key`));
  const oldKey = newClusterKey();
  for (const file of files) writeFileSync(file, `${oldKey}\n`, { mode: 0o600 });
  const members: MemberProcess[] = [];
  for (const [slot, name] of NAMES.entries()) {
    const each = await trial.launch(name, { slot });
    members.push(each);
    const secure = { clusterKey: files[slot] as string };
    const dataDir = join(folder, "data", name);
    each
      .call("start", { name, listen: addresses[slot], founders: addresses, dataDir, secure })
      .then(() => each.call("join", "vault"))
      .catch(() => {});
  }
  await Promise.all(members.map((each) => each.view("vault", (view) => areNames(view, NAMES))));
  await Promise.all(members.map((each) => each.call("load", "vault", { perSecond: 100 })));
  const countsOf = (kind: "view" | "cluster" | "status") =>
    members.map(({ events }) => events.filter((event) => event.kind === kind).length);
  const before = [countsOf("view"), countsOf("cluster"), countsOf("status")];
  const report = (key: string) => Promise.all(addresses.map((address) => reportOf(address, key)));

  expect((await run(["key", "rotate", files[0] as string])).code).toBe(0);
  const rotated = readFileSync(files[0] as string, "utf8");
  const newKey = rotated.split("\n")[0] as string;
  expect(rotated).toBe(`${newKey}\n${oldKey}\n`);
  await members[0]?.until("the new key", () =>
    members[0]?.events.some((event) => event.kind === "log" && event.code === "rekeyed") ? true : undefined,
  );
  // The others get the file later, one after the other: meanwhile lists differ.
  await eventually("one that does not know the new key yet", async () =>
    (await report(oldKey)).some(({ network }) => network.unproven > 0),
  );
  for (const file of files.slice(1)) {
    writeFileSync(file, rotated);
    await eventually("more connections with the new key", async () => {
      const known = files.filter((each) => readFileSync(each, "utf8") === rotated).length;
      const outdated = (await report(oldKey)).reduce((sum, { network }) => sum + network.outdated, 0);
      return known === NAMES.length ? outdated === 0 : outdated > 0;
    });
  }
  expect(await run(["key", "rotate", "--finish", files[0] as string])).toMatchObject({ code: 2 });
  const longAgo = Date.now() / 1000 - 60;
  utimesSync(files[0] as string, longAgo, longAgo);
  expect((await run(["key", "rotate", "--finish", files[0] as string])).code).toBe(0);
  const finished = readFileSync(files[0] as string, "utf8");
  expect(finished).toBe(`${newKey}\n`);
  for (const file of files.slice(1)) writeFileSync(file, finished);
  await eventually("nobody who believes the old key", async () => {
    const answers = await Promise.allSettled(addresses.map((address) => reportOf(address, oldKey)));
    return answers.every(({ status }) => status === "rejected");
  });
  expect((await report(newKey)).map(({ status, network }) => [status, network.outdated])).toEqual(
    NAMES.map(() => ["primary", 0]),
  );

  const tallies = await Promise.all(members.map((each) => each.call<Tally>("stopLoad")));
  for (const tally of tallies) expect(tally).toMatchObject({ resolved: tally.sent, failures: {} });
  expect(tallies.every(({ sent }) => sent > 100)).toBe(true);
  await trial.settle(members, "vault");
  expect([countsOf("view"), countsOf("cluster"), countsOf("status")]).toEqual(before);
  // What is on the disks is opened by the new key, and not by the old one.
  for (const name of NAMES) {
    expect(openDataKey(join(folder, "data", name), keysIn(newKey))).toBeDefined();
    expect(openDataKey(join(folder, "data", name), keysIn(oldKey))).toBeUndefined();
  }
  const late = await trial.launch("dee", { slot: 3 });
  const start = (clusterKey: string): Promise<unknown> =>
    late.call("start", { name: "dee", seeds: [addresses[0]], secure: { clusterKey }, abortAfterMs: 2000 });
  await expect(start(oldKey)).rejects.toMatchObject({ code: "aborted" });
  await expect(trial.retry("aborted", () => start(newKey))).resolves.toMatch(/^dee#/);
  trial.judge({ quiescent: true });
});
