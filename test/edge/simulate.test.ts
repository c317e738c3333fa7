import { describe, expect, test } from "vitest";
import { run } from "./run.ts";

const BRIEF = ["--duration", "1500"];

interface Report {
  readonly traceHash: string;
  readonly violated: readonly string[];
  readonly violations: readonly { readonly seed: number; readonly property: string; readonly diagram?: string }[];
}

describe("coterie simulate", () => {
  test("reports what was run, and how fast", async () => {
    const { code, json, stdout } = await run(["simulate", "--seeds", "4", "--from", "11", ...BRIEF, "--json"]);
    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toHaveLength(1);
    expect(json).toMatchObject({
      seeds: 4,
      firstSeed: 11,
      members: 5,
      simulatedSeconds: expect.any(Number),
      simulatedSecondsPerCpuSecond: expect.any(Number),
      events: expect.any(Number),
      faults: expect.any(Object),
      checkers: expect.arrayContaining(["M1", "M5", "D3", "D8", "F1", "Q1", "ST1"]),
      violated: [],
      violations: [],
    });
  });

  test("how much is sent, and how often something fails, may be given", async () => {
    const runs = await Promise.all(
      [
        ["--updates", "6", "--faults-every", "60000"],
        ["--updates", "6000", "--faults-every", "200"],
      ].map(async (args) => {
        const { code, json } = await run(["simulate", "--seed", "3", "--duration", "5000", ...args, "--json"]);
        expect(code).toBe(0);
        return json as { readonly updatesDelivered: number; readonly faults: Readonly<Record<string, number>> };
      }),
    );
    const [calm, busy] = runs;
    expect(busy?.updatesDelivered).toBeGreaterThan((calm?.updatesDelivered ?? 0) * 5);
    expect(Object.keys(busy?.faults ?? {}).length).toBeGreaterThan(Object.keys(calm?.faults ?? {}).length);
  });

  test("the same seed is the same run: its trace hash says so, and another seed has another", async () => {
    const hashes = await Promise.all(
      ["5", "5", "6"].map(async (seed) => {
        const { json } = await run(["simulate", "--seed", seed, ...BRIEF, "--json"]);
        return (json as Report).traceHash;
      }),
    );
    expect(hashes[0]).toMatch(/^[0-9a-f]{8}$/);
    expect(hashes[1]).toBe(hashes[0]);
    expect(hashes[2]).not.toBe(hashes[0]);
  });

  test("the hash of many seeds does not depend on the number of threads", async () => {
    const args = ["simulate", "--seeds", "4", ...BRIEF, "--json"];
    const [one, three] = await Promise.all([run([...args, "--jobs", "1"]), run([...args, "--jobs", "3"])]);
    expect((one.json as Report).traceHash).toBe((three.json as Report).traceHash);
  });

  test("shows people the hash of a seed", async () => {
    const { code, stdout } = await run(["simulate", "--seed", "5", ...BRIEF]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/trace hash\s+[0-9a-f]{8}/);
    expect(stdout).toContain("No violation");
  });

  test("--trace prints every event as a line, and the report as the last", async () => {
    const { code, stdout, json } = await run(["simulate", "--seed", "5", ...BRIEF, "--trace", "--json"]);
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    expect(lines.length).toBeGreaterThan(100);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ kind: "start", at: 0 });
    expect(json).toMatchObject({ seeds: 1 });
  });

  test("no faults means none", async () => {
    const { json } = await run(["simulate", "--seed", "5", ...BRIEF, "--faults", "none", "--json"]);
    expect(json).toMatchObject({ faults: {}, violations: [] });
  });
});

describe("planted bugs", () => {
  test("are listed, with what each violates", async () => {
    const { code, json } = await run(["simulate", "--list-mutants", "--json"]);
    expect(code).toBe(0);
    const mutants = json as readonly { readonly name: string; readonly violates: string }[];
    expect(mutants.length).toBeGreaterThanOrEqual(15);
    for (const mutant of mutants) expect(mutant).toEqual({ name: expect.any(String), violates: expect.any(String) });
  });

  test("are caught, and the violated property is named, with the events around it", async () => {
    const { code, json } = await run(["simulate", "--mutant", "leaver-stays", "--seeds", "100", "--json"]);
    expect(code).toBe(1);
    const { violated, violations } = json as Report;
    expect(violated).toContain("M1");
    expect(violations.find(({ diagram }) => diagram !== undefined)?.diagram).toContain("═");
  });

  test("people are told the property, the seed and how to see more", async () => {
    const { code, stdout } = await run(["simulate", "--mutant", "leaver-stays", "--seeds", "100"]);
    expect(code).toBe(1);
    expect(stdout).toContain("The planted bug was caught: it violates");
    expect(stdout).toMatch(/coterie simulate --mutant leaver-stays --seed \d+ --trace/);
  });
});
