/** `coterie recover`: when a quorum of the data directories is gone, one of the others goes on alone, if an operator says so. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type ClusterView, nodeName } from "../../src/protocol/view.ts";
import { newClusterKey } from "../../src/runtime/secure/cluster-key.ts";
import { run } from "../edge/run.ts";
import type { MemberProcess } from "./member-process.ts";
import { freePorts } from "./ports.ts";
import { type Ledger, Trial } from "./trial.ts";

let trial: Trial;
let folder: string;

beforeEach(async () => {
  trial = new Trial();
  folder = mkdtempSync(join(tmpdir(), "coterie-data-"));
});

afterEach(async () => {
  await trial.end();
  rmSync(folder, { recursive: true });
});

async function viewOf(processes: readonly MemberProcess[]): Promise<ClusterView> {
  const names = processes.map(({ name }) => name).sort();
  const isWhole = ({ nodes }: ClusterView): boolean =>
    String(nodes.map(({ id }) => nodeName(id)).sort()) === String(names);
  const events = await Promise.all(processes.map((each) => each.event("cluster", ({ view }) => isWhole(view))));
  return events[0]?.view as ClusterView;
}

it("one directory of three goes on alone, as another cluster, and others join it", async () => {
  const [a, b, c, d] = (await freePorts(4)).map((port) => `127.0.0.1:${port}`) as [string, string, string, string];
  const founders = [a, b, c];
  const start = async (name: string, listen: string, how: object): Promise<MemberProcess> => {
    const each = await trial.launch(name);
    each.call("start", { name, listen, dataDir: join(folder, name), ...how }).catch(() => {});
    return each;
  };
  const all = [await start("ann", a, { founders }), await start("bob", b, { founders })];
  all.push(await start("cy", c, { founders }));
  const founded = await viewOf(all);
  const bob = join(folder, "bob");
  const running = await run(["recover", bob, "--force"]);
  expect(running).toMatchObject({ code: 2 });
  expect(running.stderr).toContain("another process uses");
  await Promise.all(all.map((each) => each.kill()));

  const asked = await run(["recover", bob]);
  expect(asked.code).toBe(1);
  expect(asked.stdout).toContain("Nothing was changed");
  const before = await run(["log", "inspect", bob, "--json"]);
  expect(before.json).toMatchObject({ view: { cluster: founded.cluster, nodes: { length: 3 } } });

  const { code, json } = await run(["recover", bob, "--force", "--json"]);
  expect(code).toBe(0);
  const { cluster, backup } = json as { cluster: string; backup: string };
  expect((await run(["log", "inspect", backup, "--json"])).json).toMatchObject({ view: { cluster: founded.cluster } });

  const alone = await start("bob", b, { seeds: [a, c] });
  expect(await viewOf([alone])).toMatchObject({ cluster, number: founded.number + 1 });
  // What is left of the old cluster is not mixed with it; who has nothing of it comes in.
  await start("cy", c, { seeds: [b] });
  const dan = await start("dan", d, { seeds: [b] });
  expect((await viewOf([alone, dan])).cluster).toBe(cluster);
});

it("a sealed directory is looked into, and goes on alone, with its key only", async () => {
  const [a, b, c] = (await freePorts(3)).map((port) => `127.0.0.1:${port}`) as [string, string, string];
  const file = (name: string): string => {
    const path = join(folder, `${name}.key`);
    writeFileSync(path, newClusterKey());
    return path;
  };
  const [clusterKey, dataKey, wrongKey] = [file("cluster"), file("data"), file("wrong")];
  const start = async (name: string, listen: string, how: object): Promise<MemberProcess> => {
    const each = await trial.launch(name);
    const options = { name, listen, dataDir: join(folder, name), secure: { clusterKey }, dataKey, ...how };
    each
      .call("start", options)
      .then(() => each.call("join", "vault"))
      .catch(() => {});
    return each;
  };
  const founders = [a, b, c];
  const all = [await start("ann", a, { founders }), await start("bob", b, { founders })];
  all.push(await start("cy", c, { founders }));
  await Promise.all(all.map((each) => each.view("vault", ({ members }) => members.length === 3)));
  await all[0]?.call("send", "vault", "safeSend", "set", "one", "kept");
  await all[0]?.call("flush", "vault");
  await Promise.all(all.map((each) => each.kill()));
  const bob = join(folder, "bob");

  const blind = await run(["log", "inspect", bob, "--json"]);
  expect(blind).toMatchObject({ code: 0, json: { sealed: true, opened: false, groups: [] } });
  expect(Object.keys((blind.json as { kinds: object }).kinds)).toEqual(["sealed"]);
  expect((await run(["log", "verify", bob])).stdout).toContain("It is sealed");
  expect(await run(["log", "verify", bob, "--data-key", wrongKey])).toMatchObject({ code: 2 });
  const seen = await run(["log", "inspect", bob, "--data-key", dataKey, "--json"]);
  expect(seen).toMatchObject({
    code: 0,
    json: { ok: true, opened: true, unopened: [], view: { nodes: { length: 3 } } },
  });
  expect((seen.json as { groups: readonly { name: string }[] }).groups.map(({ name }) => name)).toContain("vault");
  const verified = await run(["log", "verify", bob, "--data-key", dataKey, "--json"]);
  expect(verified).toMatchObject({ code: 0, json: { ok: true, sealed: true, opened: true } });

  expect(await run(["recover", bob, "--force"])).toMatchObject({ code: 2 });
  expect(await run(["recover", bob, "--force", "--data-key", wrongKey])).toMatchObject({ code: 2 });
  const { code, json } = await run(["recover", bob, "--force", "--data-key", dataKey, "--json"]);
  expect(code).toBe(0);
  const { cluster, backup } = json as { cluster: string; backup: string };
  expect(await run(["log", "verify", backup, "--data-key", dataKey, "--json"])).toMatchObject({ code: 0 });
  const alone = await start("bob", b, { seeds: [a, c] });
  expect((await viewOf([alone])).cluster).toBe(cluster);
  // Views from before the failure are seen again, but not with this incarnation in them.
  const self = await alone.call<string>("self");
  await alone.view("vault", ({ members }) => members.length === 1 && members.includes(self));
  expect((await alone.call<Ledger>("read", "vault")).values).toEqual(new Map([["one", "kept"]]));
});

it("a directory that is none is not touched", async () => {
  const { code, stderr } = await run(["recover", join(folder, "none"), "--force"]);
  expect(code).toBe(2);
  expect(stderr).toContain("is no data directory");
});
