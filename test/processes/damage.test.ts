/** What becomes of a node whose log was damaged while it did not run (A1): it never answers for that disk again. */
import { closeSync, mkdtempSync, openSync, readdirSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as pathOf } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { run } from "../edge/run.ts";
import { MemberError, type MemberProcess } from "./member-process.ts";
import { freePorts } from "./ports.ts";
import { Trial, viewOf } from "./trial.ts";

let trial: Trial;
let folder: string;

beforeEach(() => {
  trial = new Trial();
  folder = mkdtempSync(pathOf(tmpdir(), "coterie-damage-"));
});

afterEach(async () => {
  await trial.end();
  rmSync(folder, { recursive: true });
});

/** Flips a bit in the fourth batch of the log, which others follow. */
function flip(name: string): void {
  const directory = pathOf(folder, name);
  const [segment = ""] = readdirSync(directory).filter((each) => each.startsWith("segment-"));
  const file = openSync(pathOf(directory, segment), "r+");
  const head = Buffer.alloc(16);
  let at = 0;
  for (let batch = 0; batch < 3; batch++) {
    readSync(file, head, 0, head.length, at);
    at += Math.ceil((64 + head.readUInt32LE(8)) / 4096) * 4096;
  }
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at + 70);
  byte[0] = (byte[0] as number) ^ 4;
  writeSync(file, byte, 0, 1, at + 70);
  closeSync(file);
}

async function begin(name: string, start: object): Promise<MemberProcess> {
  const each = await trial.launch(name);
  each
    .call("start", { name, dataDir: pathOf(folder, name), ...start })
    .then(() => join(each))
    .catch(() => {});
  return each;
}

/** Who was to bring the group back from its damaged disk, or has waited for that, joins again. */
async function join(each: MemberProcess): Promise<void> {
  try {
    await each.call("join", "durable");
  } catch (error) {
    if (!(error instanceof MemberError) || !["not-recoverable", "group-lost"].includes(error.code ?? "")) throw error;
    await join(each);
  }
}

it("of three, the damaged one comes in like any other, gets everything from the others, and its log is whole again", async () => {
  const addresses = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
  const names = ["ann", "bob", "cy"];
  const beginAll = (): Promise<MemberProcess[]> =>
    Promise.all(names.map((name, index) => begin(name, { listen: addresses[index], founders: addresses })));
  const first = await beginAll();
  await Promise.all(first.map((each) => viewOf(each, "durable", names)));
  for (const each of first) await each.call("send", "durable", "safeSend", "count", 0, 1);
  await Promise.all(first.map((each) => each.kill()));
  flip("cy");
  expect((await run(["log", "verify", pathOf(folder, "cy")])).code).toBe(1);

  const second = await beginAll();
  await Promise.all(second.map((each) => each.until("the join", () => (joined(each) ? true : undefined))));
  const { counts } = await trial.settle(second, "durable");
  expect(counts[0]).toBe(3);
  await Promise.all(second.map((each) => each.kill()));
  expect((await run(["log", "verify", pathOf(folder, "cy")])).code).toBe(0);

  // It is a keeper again: what it holds now brings the group back with any other.
  const third = [await begin("cy", { listen: addresses[2], founders: addresses })];
  third.push(await begin("ann", { listen: addresses[0], founders: addresses }));
  await Promise.all(third.map((each) => each.until("the join", () => (joined(each) ? true : undefined))));
  expect((await trial.settle(third, "durable")).counts[0]).toBe(3);
});

it("without the others nothing is changed, and the error names `coterie recover`, which goes on with what is intact", async () => {
  const [listen] = (await freePorts(1)).map((port) => `127.0.0.1:${port}`);
  const start = { listen, founders: [listen] };
  const ann = await begin("ann", start);
  await viewOf(ann, "durable", ["ann"]);
  for (let times = 0; times < 8; times++) await ann.call("send", "durable", "safeSend", "count", 0, 1);
  await ann.kill();
  flip("ann");
  const before = readdirSync(pathOf(folder, "ann"));
  const again = await trial.launch("ann");
  const refused = await again.refusal("start", { name: "ann", dataDir: pathOf(folder, "ann"), ...start });
  expect(refused).toMatchObject({ code: "data-damaged" });
  expect(refused.message).toContain("without this disk there is no quorum");
  expect(readdirSync(pathOf(folder, "ann")).filter((name) => !name.startsWith("lock-"))).toEqual(
    before.filter((name) => !name.startsWith("lock-")),
  );
  expect((await run(["recover", pathOf(folder, "ann"), "--force"])).code).toBe(0);
  expect((await run(["log", "verify", pathOf(folder, "ann")])).code).toBe(0);
  await again.call("start", { name: "ann", dataDir: pathOf(folder, "ann"), ...start });
});

function joined(each: MemberProcess): boolean {
  const started = each.history().findLast((event) => event.kind === "start");
  const newest = each.events.findLast((event) => event.kind === "view" && event.group === "durable");
  return newest?.kind === "view" && newest.view.members.length > 1 && newest.view.members.includes(started?.node ?? "");
}
