import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defineGroup, type Node, start } from "../../src/index.ts";
import { newClusterKey } from "../../src/runtime/secure/cluster-key.ts";
import { run } from "./run.ts";

interface Report {
  readonly ok: boolean;
  readonly clusters: readonly {
    readonly cluster: string;
    readonly view: number;
    readonly nodes: readonly { readonly id: string; readonly address: string; readonly status: string }[];
    readonly groups: readonly { readonly name: string; readonly members: readonly string[] }[];
  }[];
}

const prices = defineGroup({ name: "prices", state: () => new Map<string, number>() });
let directory = "";
let nodes: Node[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "coterie-edge-"));
});

afterEach(async () => {
  for (const node of nodes) await node.close();
  nodes = [];
  rmSync(directory, { recursive: true, force: true });
});

async function open(name: string): Promise<Node> {
  const node = await start({ name, discovery: directory });
  nodes.push(node);
  return node;
}

describe("coterie status", () => {
  test("names those whose disks a durable group awaits, and says how disks are", { timeout: 60_000 }, async () => {
    const book = defineGroup({ name: "book", durable: true, state: () => 0 });
    const ann = await start({ name: "ann", discovery: directory, dataDir: join(directory, "data-ann") });
    const bob = await start({ name: "bob", discovery: directory, dataDir: join(directory, "data-bob") });
    nodes.push(ann, bob);
    const group = await bob.join(book);
    await group.leave();
    const { code, json } = await run(["status", "--discovery", directory, "--json"]);
    expect(code).toBe(1);
    const { clusters } = json as Report;
    expect(clusters[0]?.groups).toMatchObject([{ name: "book", status: "lost", awaited: [bob.self] }]);
    expect(clusters[0]?.nodes).toMatchObject([
      { disk: { condition: "ok", damagedRecords: 0 } },
      { disk: { condition: "ok", damagedRecords: 0 } },
    ]);
    const { stdout } = await run(["status", "--discovery", directory]);
    expect(stdout).toContain("lost: it is on the disk of bob, and awaits one");
    expect(stdout).toMatch(/log \d+ MB/);
  });

  test("says what a node has turned away: who sends no hello, and who does not prove anything", async () => {
    const key = newClusterKey();
    const plain = await start({ name: "ann", discovery: directory });
    const guarded = await start({ name: "bob", discovery: join(directory, "guarded"), secure: { clusterKey: key } });
    nodes.push(plain, guarded);
    for (const node of [plain, guarded]) {
      const address = node.cluster.view?.nodes[0]?.address ?? "";
      const socket = connect(Number(address.split(":")[1]), "127.0.0.1", () => socket.write("GET / HTTP/1.1\r\n\r\n"));
      socket.on("error", () => {});
      socket.resume();
      await new Promise((resolve) => socket.once("close", resolve));
    }
    const seen = await run(["status", "--discovery", directory, "--json"]);
    expect((seen.json as Report).clusters[0]?.nodes).toMatchObject([
      { network: { garbage: 1, unproven: 0, outdated: 0 } },
    ]);
    const asked = ["status", "--discovery", join(directory, "guarded"), "--cluster-key", key];
    const { clusters } = (await run([...asked, "--json"])).json as Report;
    expect(clusters[0]?.nodes).toMatchObject([{ network: { garbage: 0, unproven: 1, outdated: 0 } }]);
    expect((await run(asked)).stdout).toContain("turned away: 1 unproven");
  });

  test("where nobody is: says so, exit code 1, and makes nothing", async () => {
    const nowhere = join(directory, "nowhere");
    const { code, stdout } = await run(["status", "--discovery", nowhere]);
    expect(code).toBe(1);
    expect(stdout).toContain("No node runs here.");
    expect(readdirSync(directory)).toEqual([]);
  });

  test("shows the nodes, their view, and their groups with the members", async () => {
    const ann = await open("ann");
    const bob = await open("bob");
    await ann.join(prices);
    await bob.join(prices);
    const { code, json } = await run(["status", "--discovery", directory, "--json"]);
    expect(json).toMatchObject({ ok: true });
    expect(code).toBe(0);
    const { clusters } = json as Report;
    expect(clusters).toHaveLength(1);
    expect(clusters[0]?.nodes).toMatchObject([
      { id: ann.self, pid: process.pid, status: "primary", inView: true },
      { id: bob.self, pid: process.pid, status: "primary", inView: true },
    ]);
    expect(clusters[0]?.groups).toMatchObject([{ name: "prices", status: "live", members: [ann.self, bob.self] }]);
  });

  test("tells people the same", async () => {
    const ann = await open("ann");
    await ann.join(prices);
    const { code, stdout } = await run(["status", "--discovery", directory]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/cluster [0-9a-f]+ {2}view 1 of 1 node/);
    expect(stdout).toMatch(/ann#[0-9a-f]{8} +127\.0\.0\.1:\d+ +\d+ +primary/);
    expect(stdout).toMatch(/prices +view 1 +ann/);
  });

  test("one address is enough: the others are in the node's view", async () => {
    const ann = await open("ann");
    const bob = await open("bob");
    const address = ann.cluster.view?.nodes.find(({ id }) => id === bob.self)?.address ?? "";
    const { code, json } = await run(["status", "--seeds", address, "--json"]);
    expect(code).toBe(0);
    expect((json as Report).clusters[0]?.nodes.map(({ id }) => id)).toEqual([ann.self, bob.self]);
  });

  test("an address where nobody listens is shown as such, exit code 1", async () => {
    const ann = await open("ann");
    const address = ann.cluster.view?.nodes[0]?.address ?? "";
    await ann.close();
    const { code, json } = await run(["status", "--seeds", address, "--json"]);
    expect(code).toBe(1);
    expect((json as Report).clusters[0]?.nodes).toMatchObject([
      { address, status: "unknown", detail: "nobody listens there" },
    ]);
  });

  test("asking does not change the view", async () => {
    const ann = await open("ann");
    const before = ann.cluster.view;
    await run(["status", "--discovery", directory]);
    expect(ann.cluster.view).toBe(before);
  });
});
