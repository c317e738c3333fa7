import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
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

describe("coterie key rotate", () => {
  test("puts a new key in front, and later takes the old one out", async () => {
    const file = join(directory, "key");
    await run(["key", "new", file]);
    const old = readFileSync(file, "utf8").trim();
    const begun = await run(["key", "rotate", file, "--json"]);
    expect(begun).toMatchObject({ code: 0, json: { file, keys: 2 } });
    const [fresh, behind, end] = readFileSync(file, "utf8").split("\n");
    expect(fresh).toMatch(/^coterie_[A-Za-z0-9_-]{43}$/);
    expect([fresh === old, behind, end]).toEqual([false, old, ""]);
    expect(begun.stdout + begun.stderr).not.toContain(fresh);
    expect(await run(["key", "rotate", file])).toMatchObject({ code: 2 });
    // Too early: nodes may not have read it yet.
    expect(await run(["key", "rotate", "--finish", file])).toMatchObject({ code: 2 });
    const longAgo = Date.now() / 1000 - 60;
    utimesSync(file, longAgo, longAgo);
    expect(await run(["key", "rotate", "--finish", file])).toMatchObject({ code: 0 });
    expect(readFileSync(file, "utf8")).toBe(`${fresh}\n`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await run(["key", "rotate", "--finish", file])).toMatchObject({ code: 2 });
    expect(readdirSync(directory)).toEqual(["key"]);
  });

  test("leaves alone what is no file of keys", async () => {
    const file = join(directory, "diary");
    writeFileSync(file, "dear diary\n");
    for (const name of [file, join(directory, "none")]) {
      const { code, stderr } = await run(["key", "rotate", name]);
      expect(code).toBe(2);
      expect(stderr).toContain(name);
      expect(stderr).not.toContain("dear");
    }
    expect(readFileSync(file, "utf8")).toBe("dear diary\n");
  });
});
