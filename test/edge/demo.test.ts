import { type ChildProcess, execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { launch, run } from "./run.ts";

const DEMO_MS = 60_000;
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "coterie-edge-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The processes that a process has started. */
function childrenOf({ pid }: ChildProcess): readonly number[] {
  const table = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
  const rows = table
    .trim()
    .split("\n")
    .map((row) => row.trim().split(/\s+/).map(Number));
  return rows.flatMap(([child, parent]) => (parent === pid && child !== undefined ? [child] : []));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function isJournal(path: unknown): boolean {
  return typeof path === "string" && path.endsWith(".jsonl");
}

describe("coterie demo", () => {
  test("loses nothing, repeats nothing, and says so in one JSON object", { timeout: DEMO_MS }, async () => {
    const { code, json, stdout, stderr } = await run(["demo", "--json", "--seconds", "6"], { TMPDIR: folder });
    expect(stderr).toBe("");
    expect(json).toMatchObject({ problems: [], violations: [] });
    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toHaveLength(1);
    expect(json).toMatchObject({ members: 3, lost: 0, duplicated: 0, ordersAgree: true, statesAgree: true, ok: true });
    const figures = json as Readonly<Record<string, number>>;
    expect(figures["updatesSent"]).toBeGreaterThan(1000);
    expect(figures["updatesDelivered"]).toBeGreaterThan(2 * (figures["updatesSent"] ?? 0));
    expect(figures["viewChangeMs"]).toBeGreaterThan(0);
    expect(figures["viewChangeMs"]).toBeLessThanOrEqual(500);
    expect(figures["stateTransferMs"]).toBeGreaterThan(0);
    expect(figures["deliveriesPerSecondBefore"]).toBeGreaterThan(100);
    expect(figures["deliveriesPerSecondAfter"]).toBeGreaterThan(100);
    const { views } = json as { readonly views: readonly { readonly members: readonly string[] }[] };
    const sizes = views.map(({ members }) => members.length);
    expect(sizes.slice(-3)).toEqual([3, 2, 3]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test.each([
    ["certificates", ["--secure"]],
    ["key", ["--secure", "key"]],
  ])("does the same over secured connections: %s", { timeout: DEMO_MS }, async (security, options) => {
    const { code, json, stderr } = await run(["demo", "--json", "--seconds", "3", ...options], { TMPDIR: folder });
    expect(stderr).toBe("");
    expect(json).toMatchObject({ security, problems: [], violations: [] });
    expect(code).toBe(0);
    expect(json).toMatchObject({ members: 3, lost: 0, duplicated: 0, ordersAgree: true, statesAgree: true, ok: true });
    // How fast it was is for the plain one to say.
    const figures = json as Readonly<Record<string, number>>;
    for (const name of ["viewChangeMs", "stateTransferMs", "deliveriesPerSecondBefore", "deliveriesPerSecondAfter"])
      expect(figures[name], name).toBeGreaterThan(0);
    expect(figures["updatesSent"]).toBeGreaterThan(500);
    expect(figures["updatesDelivered"]).toBeGreaterThan(2 * (figures["updatesSent"] ?? 0));
    const { views } = json as { readonly views: readonly { readonly members: readonly string[] }[] };
    expect(views.map(({ members }) => members.length).slice(-3)).toEqual([3, 2, 3]);
  });

  test("tells people what happens, within 80 columns", { timeout: DEMO_MS }, async () => {
    const { code, stdout } = await run(["demo", "--seconds", "3"], { TMPDIR: folder });
    expect(code, stdout).toBe(0);
    expect(stdout).toMatch(/view 3/);
    expect(stdout).toMatch(/is out, \d+ ms after the kill/);
    expect(stdout).toMatch(/is back, its state in \d+ ms/);
    expect(stdout).toMatch(/lost +0/);
    expect(Math.max(...stdout.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(80);
  });

  test("with --durable all are killed at once, and what was acknowledged is there", { timeout: DEMO_MS }, async () => {
    const { code, json, stderr } = await run(["demo", "--durable", "--json", "--seconds", "4"], { TMPDIR: folder });
    expect(stderr).toBe("");
    expect(json).toMatchObject({ problems: [], violations: [] });
    expect(code).toBe(0);
    expect(json).toMatchObject({ members: 3, lost: 0, duplicated: 0, ordersAgree: true, statesAgree: true, ok: true });
    const figures = json as Readonly<Record<string, number>>;
    expect(figures["updatesAcknowledged"]).toBeGreaterThan(100);
    expect(figures["updatesRecovered"]).toBeGreaterThanOrEqual(figures["updatesAcknowledged"] ?? 0);
    expect(figures["updatesAcknowledgedAfter"]).toBeGreaterThan(100);
    expect(figures["recoveryMs"]).toBeGreaterThan(0);
    expect(figures["logBytes"]).toBeGreaterThan(100_000);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("with --durable people see the book come back, within 80 columns", { timeout: DEMO_MS }, async () => {
    const { code, stdout } = await run(["demo", "--durable", "--megabytes", "2", "--seconds", "3"], { TMPDIR: folder });
    expect(code, stdout).toBe(0);
    expect(stdout).toMatch(/SIGKILL for all three/);
    // Three names need a second line, which the columns go through.
    expect(stdout).toMatch(/brings?[\s│]+the[\s│]+book[\s│]+back,/);
    expect(stdout).toMatch(/demo --durable --megabytes 100 {2}the same/);
    expect(stdout).toMatch(/lost +0/);
    expect(Math.max(...stdout.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(80);
    const refused = await run(["demo", "--megabytes", "2"]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("--megabytes needs --durable") });
  });

  test("Ctrl-C ends all processes and leaves no file", { timeout: DEMO_MS }, async () => {
    const demo = launch(["demo", "--seconds", "45"], { TMPDIR: folder });
    await demo.shows("each sends");
    const members = childrenOf(demo.child);
    expect(members).toHaveLength(3);
    // To all of them, as a terminal does.
    for (const pid of [demo.child.pid ?? 0, ...members]) process.kill(pid, "SIGINT");
    const { code, stderr } = await demo.ended;
    expect(code).toBe(130);
    expect(stderr).toMatch(/^aborted: /);
    expect(members.filter(isAlive)).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("when the demo itself is killed, its members end and tidy up", { timeout: DEMO_MS }, async () => {
    const demo = launch(["demo", "--seconds", "45"], { TMPDIR: folder });
    await demo.shows("each sends");
    const members = childrenOf(demo.child);
    demo.child.kill("SIGKILL");
    await demo.ended;
    await vi.waitUntil(() => !members.some(isAlive), { timeout: 10_000 });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("when nobody reads what it says any more, it ends and leaves nothing", { timeout: DEMO_MS }, async () => {
    const demo = launch(["demo", "--seconds", "45"], { TMPDIR: folder });
    await demo.shows("Three processes");
    const members = await vi.waitUntil(() => {
      const found = childrenOf(demo.child);
      return found.length === 3 && found;
    });
    demo.child.stdout?.destroy();
    await vi.waitUntil(() => !members.some(isAlive) && readdirSync(folder).length === 0, { timeout: 20_000 });
  });

  test("a member that dies by itself is a failure, which is named", { timeout: DEMO_MS }, async () => {
    const demo = launch(["demo", "--seconds", "45", "--json"], { TMPDIR: folder });
    await vi.waitUntil(() => readdirSync(folder, { recursive: true }).filter(isJournal).length === 3, {
      timeout: 20_000,
    });
    const members = childrenOf(demo.child);
    process.kill(members[1] ?? 0, "SIGKILL");
    const { code, json } = await demo.ended;
    expect(code).toBe(1);
    expect(json).toMatchObject({ ok: false, problems: [expect.stringContaining("ended too early (signal SIGKILL)")] });
    expect(members.filter(isAlive)).toEqual([]);
    expect(readdirSync((json as { readonly journals: string }).journals)).toContain("ann-1.jsonl");
  });
});
