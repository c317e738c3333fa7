import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newClusterKey } from "../runtime/secure/cluster-key.ts";
import { DATA_KEY_FILE } from "../runtime/secure/data-key.ts";
import { defineGroup } from "./define.ts";
import type { Node } from "./node.ts";
import type { StartOptions } from "./options.ts";
import { start } from "./start.ts";

const vault = defineGroup({
  name: "vault",
  durable: true,
  secure: true,
  state: () => ({ sum: 0 }),
  updates: {
    add: ({ state }, amount: number) => {
      state.sum += amount;
      return state.sum;
    },
  },
});

let folder: string;
const nodes: Node[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "coterie-data-key-"));
});

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.close()));
  rmSync(folder, { recursive: true });
});

async function started(options: StartOptions): Promise<Node> {
  const where = { discovery: join(folder, "rendezvous"), dataDir: join(folder, "data") };
  const node = await start({ ...where, name: "ann", log: () => {}, ...options });
  nodes.push(node);
  return node;
}

/** What a node adds to what its disk remembers, and finds afterwards. */
async function added(options: StartOptions, groupKey?: string): Promise<number> {
  const node = await started(options);
  const group = await node.join(vault, groupKey === undefined ? {} : { key: groupKey });
  const sum = await group.safeSend.add(1);
  await node.close();
  return sum as number;
}

const withKey = (...clusterKey: string[]): StartOptions => ({ secure: { clusterKey } });

describe("a sealed data directory", () => {
  it("gives a secure group back to who has the key, with a key of its own or without", async () => {
    const key = newClusterKey();
    expect(await added(withKey(key))).toBe(1);
    expect(await added(withKey(key))).toBe(2);
  });

  it("gives a group with a key of its own back", async () => {
    const [key, own] = [newClusterKey(), newClusterKey()];
    expect(await added(withKey(key), own)).toBe(1);
    expect(await added(withKey(key), own)).toBe(2);
  });

  it("is opened with no other key, and without any not at all; the error names the setting", async () => {
    const key = newClusterKey();
    await added(withKey(key));
    await expect(started(withKey(newClusterKey()))).rejects.toMatchObject({
      code: "invalid-option",
      message: expect.stringMatching(/`secure.clusterKey`: .*data is sealed with another key/),
    });
    await expect(started({ dataKey: newClusterKey(), ...withKey(key) })).rejects.toMatchObject({
      code: "invalid-option",
      message: expect.stringMatching(/`dataKey`: .*another key/),
    });
    await expect(started({})).rejects.toMatchObject({
      code: "invalid-option",
      message: expect.stringMatching(/no key was given/),
    });
    expect(await added(withKey(key))).toBe(2);
  });

  it("follows its key: once it was opened with the old key behind the new, the new one alone opens it", async () => {
    const [older, newer] = [newClusterKey(), newClusterKey()];
    await added(withKey(older));
    expect(await added(withKey(newer, older))).toBe(2);
    await expect(started(withKey(older))).rejects.toMatchObject({ code: "invalid-option" });
    expect(await added(withKey(newer))).toBe(3);
  });

  it("whose key was lost or changed is not taken for one in clear, nor for a new one", async () => {
    const key = newClusterKey();
    await added(withKey(key));
    const path = join(folder, "data", DATA_KEY_FILE);
    const file = readFileSync(path);
    for (const at of [0, 25, 40, file.length - 1]) {
      const changed = Buffer.from(file);
      changed[at] = (changed[at] as number) ^ 1;
      writeFileSync(path, changed);
      await expect(started(withKey(key))).rejects.toMatchObject({
        code: "invalid-option",
        message: expect.stringMatching(/another key/),
      });
    }
    writeFileSync(path, file);
    expect(await added(withKey(key))).toBe(2);
    rmSync(path);
    await expect(started(withKey(key))).rejects.toMatchObject({
      code: "invalid-option",
      message: expect.stringMatching(/data-key is missing/),
    });
  });

  it("may have a key of its own, which the cluster's other nodes need not have", async () => {
    const [key, dataKey] = [newClusterKey(), newClusterKey()];
    expect(await added({ ...withKey(key), dataKey })).toBe(1);
    expect(await added({ ...withKey(newClusterKey()), dataKey })).toBe(2);
  });
});

describe("a data directory that was begun in clear", () => {
  it("stays so, and takes no group that is secure", async () => {
    const clear = await started({});
    await clear.join(defineGroup({ name: "open", durable: true, state: () => ({}) }));
    await clear.close();
    const node = await started(withKey(newClusterKey()));
    await expect(node.join(vault)).rejects.toMatchObject({ code: "insecure", group: "vault" });
    expect(readdirSync(join(folder, "data"))).not.toContain(DATA_KEY_FILE);
  });
});
