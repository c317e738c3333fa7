import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { follow, type Ran } from "./run.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const INSTALL_MS = 180_000;
let folder = "";

/** The package as npm packs it, installed by somebody else. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "coterie-edge-"));
  const npm = (args: readonly string[], cwd: string): string =>
    execFileSync("npm", [...args, "--ignore-scripts", "--no-audit", "--no-fund"], {
      cwd,
      encoding: "utf8",
      stdio: "pipe",
    });
  // dist/ is there: building it anew would pull it from under the tests that run beside this one.
  npm(["pack", "--pack-destination", folder], ROOT);
  const tarball = readdirSync(folder).find((file) => file.endsWith(".tgz")) ?? "";
  writeFileSync(join(folder, "package.json"), '{ "name": "somebody", "private": true, "type": "module" }\n');
  npm(["install", "--prefer-offline", join(folder, tarball)], folder);
}, INSTALL_MS);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function npx(...args: readonly string[]): Promise<Ran> {
  return follow(spawn("npx", ["--no-install", ...args], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] })).ended;
}

describe("the package, packed and installed elsewhere", () => {
  test("simulates", async () => {
    const { code, json, stderr } = await npx("coterie", "simulate", "--seeds", "5", "--duration", "2000", "--json");
    expect(code, stderr).toBe(0);
    expect(json).toMatchObject({ seeds: 5, violations: [] });
  });

  test("catches planted bugs", async () => {
    const { code, json } = await npx("coterie", "simulate", "--mutant", "leaver-stays", "--seeds", "100", "--json");
    expect(code).toBe(1);
    expect(json).toMatchObject({ violated: expect.arrayContaining(["M1"]) });
  });

  test("runs the demo's processes", async () => {
    const { code, json } = await npx("coterie", "demo", "--seconds", "3", "--json");
    expect(json).toMatchObject({ problems: [], violations: [] });
    expect(code).toBe(0);
  });

  test("simulates an application", () => {
    const program = [
      'import { defineGroup } from "coterie";',
      'import { simulateCluster } from "coterie/testing";',
      "const updates = { add: ({ state }) => ++state.count };",
      'const tally = defineGroup({ name: "tally", state: () => ({ count: 0 }), updates });',
      "await simulateCluster({ twice: true }, async (cluster) => {",
      '  const [a, b] = await cluster.start("a", "b");',
      "  const [group] = [await a.join(tally), await b.join(tally)];",
      "  console.log(await group.safeSend.add());",
      "});",
    ].join("\n");
    writeFileSync(join(folder, "application.js"), program);
    const output = execFileSync(process.execPath, ["application.js"], { cwd: folder, encoding: "utf8" });
    expect(output).toBe("1\n1\n");
  });

  test("is a library", () => {
    const program = 'import { start, ALL } from "coterie"; console.log(typeof start, typeof ALL);';
    writeFileSync(join(folder, "program.js"), program);
    expect(execFileSync(process.execPath, ["program.js"], { cwd: folder, encoding: "utf8" })).toBe("function symbol\n");
  });
});
