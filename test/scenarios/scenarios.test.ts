/**
 * Replays every transcript in this folder and compares it, line for line. `UPDATE_SCENARIOS=1` writes them anew: read
 * the difference, and explain it where you commit it.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
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
