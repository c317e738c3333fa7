/**
 * Replays every transcript in this folder and compares it, line for line. `UPDATE_SCENARIOS=1` writes them anew: read
 * the difference, and explain it where you commit it.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { listMutants } from "../../src/simulation/mutants.ts";
import { flawOf, plantInReplay } from "../../src/simulation/mutation.ts";
import { replay } from "../../src/simulation/transcript.ts";

const folder = import.meta.dirname;
const scenarios = readdirSync(folder).filter((name) => name.endsWith(".txt"));

describe("scenarios", () => {
  test.each(scenarios)("%s", (name) => {
    const path = join(folder, name);
    const before = readFileSync(path, "utf8");
    const { text, violations, failures } = replay(before);
    if (process.env["UPDATE_SCENARIOS"] === "1") writeFileSync(path, text);
    expect(failures).toEqual([]);
    expect(violations).toEqual([]);
    expect(text).toBe(process.env["UPDATE_SCENARIOS"] === "1" ? text : before);
  });
});

describe("docs/SCENARIOS.md", () => {
  const page = readFileSync(join(folder, "../../docs/SCENARIOS.md"), "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("| ["));
  const isBuilt = existsSync(join(folder, "../../dist/simulation/transcript.js"));

  test("has a row for every transcript and for nothing else", () => {
    const listed = rows.map((row) => /test\/scenarios\/([^)]+)\)/.exec(row)?.[1]);
    expect(listed).toEqual(scenarios);
  });

  test("names only bugs that can be planted", () => {
    const known = listMutants().map(({ name }) => name);
    const named = rows.flatMap((row) => (row.split(" | ").at(-1) ?? "").match(/`([a-z-]+)`/g) ?? []);
    expect(named.map((name) => name.slice(1, -1)).filter((name) => !known.includes(name))).toEqual([]);
  });

  test.skipIf(!isBuilt)("is right about the bug no-hold-barrier", async () => {
    const mutant = listMutants().find(({ name }) => name === "no-hold-barrier");
    if (mutant === undefined || flawOf(mutant) !== undefined) throw new Error("the bug cannot be planted");
    const replayed = await plantInReplay(mutant);
    for (const row of rows.filter((each) => each.includes("`no-hold-barrier`")).slice(0, 3)) {
      const name = /test\/scenarios\/([^)]+)\)/.exec(row)?.[1] ?? "";
      const { violations, failures } = replayed(readFileSync(join(folder, name), "utf8"));
      expect(violations.length + failures.length).toBeGreaterThan(0);
    }
  });
});
