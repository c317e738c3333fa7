import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { start } from "../../src/index.ts";
import { run } from "./run.ts";

let directory = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "coterie-key-"));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("coterie key new", () => {
  test("prints a key, a new one each time", async () => {
    const [one, other] = [await run(["key", "new"]), await run(["key", "new"])];
    expect(one).toMatchObject({ code: 0, stderr: "" });
    expect(one.stdout).toMatch(/^coterie_[A-Za-z0-9_-]{43}\n$/);
    expect(one.stdout).not.toBe(other.stdout);
  });

  test("writes a file for its owner's eyes only, which opens the cluster to its nodes and to coterie status", async () => {
    const file = join(directory, "key");
    expect(await run(["key", "new", file])).toMatchObject({ code: 0, stdout: "" });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const before = readFileSync(file, "utf8");
    expect(await run(["key", "new", file])).toMatchObject({ code: 2 });
    expect(readFileSync(file, "utf8")).toBe(before);
    const discovery = join(directory, "nodes");
    await using node = await start({ name: "ann", discovery, secure: { clusterKey: file } });
    const seen = await run(["status", "--discovery", discovery, "--cluster-key", file, "--json"]);
    expect(seen.code).toBe(0);
    expect(seen.stdout).toContain(node.self);
    expect(await run(["status", "--discovery", discovery])).toMatchObject({ code: 1 });
  });
});
