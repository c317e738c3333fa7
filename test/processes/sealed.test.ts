/**
 * Durable groups of secured clusters, in real processes on real disks: what they write can be read by nobody who has only
 * the disks, and is all there for who has the key, also after all were killed.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { newClusterKey } from "../../src/runtime/secure/cluster-key.ts";
import type { MemberProcess } from "./member-process.ts";
import { freePorts } from "./ports.ts";
import { areNames, type Ledger, Trial } from "./trial.ts";

const NAMES = ["ann", "bob", "cy"] as const;
const CANARIES = ["canary-in-an-update", "canary-in-the-state"] as const;

let trial: Trial;
let folder: string;
let addresses: readonly string[];

beforeEach(async () => {
  trial = new Trial();
  folder = mkdtempSync(join(tmpdir(), "coterie-sealed-"));
  writeFileSync(join(folder, "key"), newClusterKey(), { mode: 0o600 });
  addresses = (await freePorts(NAMES.length)).map((port) => `127.0.0.1:${port}`);
});

afterEach(async () => {
  await trial.end();
  rmSync(folder, { recursive: true });
});

async function launch(name: string, group: string): Promise<MemberProcess> {
  const slot = NAMES.indexOf(name as (typeof NAMES)[number]);
  const each = await trial.launch(name, { slot });
  const options = { name, listen: addresses[slot], founders: addresses, dataDir: join(folder, "data", name) };
  const secure = group === "vault" ? { secure: { clusterKey: join(folder, "key") } } : {};
  each
    .call("start", { ...options, ...secure })
    .then(() => each.call("join", group))
    .catch(() => {});
  return each;
}

async function begin(group: string): Promise<MemberProcess[]> {
  const processes: MemberProcess[] = [];
  for (const name of NAMES) processes.push(await launch(name, group));
  await Promise.all(
    processes.map((each) =>
      each.until("a view with all", () => {
        const newest = each.events.findLast((event) => event.kind === "view" && event.group === group);
        const started = each.history().findLast((event) => event.kind === "start");
        const isLive = newest?.kind === "view" && started !== undefined && newest.view.members.includes(started.node);
        return isLive && areNames(newest.view, NAMES) ? true : undefined;
      }),
    ),
  );
  return processes;
}

/** Which of these lie in any file below the folder. */
function seen(words: readonly string[]): string[] {
  const files = readdirSync(join(folder, "data"), { recursive: true, withFileTypes: true }).filter((each) =>
    each.isFile(),
  );
  expect(files.length).toBeGreaterThanOrEqual(NAMES.length);
  const contents = files.map(({ parentPath, name }) => readFileSync(join(parentPath, name)));
  return words.filter((word) => contents.some((bytes) => bytes.includes(word)));
}

/** Two lives of a group; what is told to it in the first is in the state, and in checkpoints, in the second. */
async function live(group: string): Promise<Ledger> {
  const first = await begin(group);
  const [ann, bob] = first as [MemberProcess, MemberProcess, MemberProcess];
  await ann.call("send", group, "safeSend", "set", "one", CANARIES[0]);
  await Promise.all(first.map((each) => each.kill()));
  const second = await begin(group);
  // What the others got from the keeper is on their disks as a checkpoint.
  await second[1]?.call("send", group, "safeSend", "set", "two", CANARIES[1]);
  const sends = Array.from({ length: 30 }, () => second[0]?.call("send", group, "safeSend", "count", ann.slot, 1));
  await Promise.all([...sends, second[2]?.call("send", group, "safeSend", "count", bob.slot, 1)]);
  await Promise.all(second.map((each) => each.kill()));
  const third = await begin(group);
  const state = await trial.settle(third, group);
  trial.judge({ quiescent: true });
  await Promise.all(third.map((each) => each.kill()));
  return state;
}

it("nothing of a secure group, nor its name, is on any disk, and everything comes back after total failures", async () => {
  const { values, counts } = await live("vault");
  expect([...values]).toEqual([
    ["one", CANARIES[0]],
    ["two", CANARIES[1]],
  ]);
  expect(counts.slice(0, 2)).toEqual([30, 1]);
  expect(seen([...CANARIES, "vault", "ann#"])).toEqual([]);
});

it("of a group in clear the same search finds it all", async () => {
  await live("durable");
  expect(seen([...CANARIES, "durable", "ann#"])).toEqual([...CANARIES, "durable", "ann#"]);
});
