/** `coterie recover`: when a quorum of the data directories is gone, one of the others goes on alone, if an operator says so. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type ClusterView, nodeName } from "../../src/protocol/view.ts";
import { run } from "../edge/run.ts";
import type { MemberProcess } from "./member-process.ts";
import { freePorts } from "./ports.ts";
import { Trial } from "./trial.ts";

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

it("a directory that is none is not touched", async () => {
  const { code, stderr } = await run(["recover", join(folder, "none"), "--force"]);
  expect(code).toBe(2);
  expect(stderr).toContain("is no data directory");
});
