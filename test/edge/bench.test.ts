import { describe, expect, test } from "vitest";
import { run } from "./run.ts";

const BRIEF = ["--seconds", "1", "--rounds", "1"];

describe("coterie bench", () => {
  test("throughput: of a group and of plain frames, and their ratio", async () => {
    const { code, json } = await run(["bench", "throughput", "--members", "2", ...BRIEF, "--json"]);
    expect(code).toBe(0);
    const { ratio, deliveredPerSecond, baselinePerSecond } = json as Record<string, number>;
    expect(deliveredPerSecond).toBeGreaterThan(0);
    expect(ratio).toBeCloseTo((deliveredPerSecond ?? 0) / (baselinePerSecond ?? 1), 2);
    expect(json).toMatchObject({
      flavour: "orderedSend",
      bytes: 100,
      members: 2,
      cpuNsPerDelivery: expect.any(Number),
    });
  });

  test("latency: one in flight, and at a rate", async () => {
    for (const more of [[], ["--per-second", "200", "--flavour", "send", "--api", "typed"]]) {
      const { code, json } = await run(["bench", "latency", "--members", "2", ...more, ...BRIEF, "--json"]);
      expect(code).toBe(0);
      const { microseconds, baselineMicroseconds } = json as Record<string, Record<string, number>>;
      expect(baselineMicroseconds?.["p50"]).toBeGreaterThan(0);
      expect(microseconds?.["p50"]).toBeGreaterThan(0);
      expect(microseconds?.["p99"]).toBeGreaterThanOrEqual(microseconds?.["p50"] ?? 0);
    }
  });

  test("throughput of batches, next to another flavour", async () => {
    const more = ["--api", "batch", "--flavour", "safeSend", "--against", "orderedSend", "--members", "2"];
    const { code, json } = await run(["bench", "throughput", ...more, ...BRIEF, "--json"]);
    expect(code).toBe(0);
    expect(json).toMatchObject({ api: "batch", against: "orderedSend", rssGrowthBytesMax: expect.any(Number) });
  });

  test("throughput of a secure group, next to the same in clear", async () => {
    const more = ["--secure", "--against", "clear", "--members", "2"];
    const { code, json } = await run(["bench", "throughput", ...more, ...BRIEF, "--json"]);
    expect(code).toBe(0);
    expect(json).toMatchObject({ secure: true, against: "clear", deliveredPerSecond: expect.any(Number) });
  });

  test("latency of a query of all", async () => {
    const { code, json } = await run(["bench", "latency", "--flavour", "query", "--members", "2", ...BRIEF, "--json"]);
    expect(code).toBe(0);
    expect((json as Record<string, number>)["ratio"]).toBeGreaterThan(0);
  });

  test("people see both", async () => {
    const { code, stdout } = await run(["bench", "throughput", "--members", "2", "--api", "typed", ...BRIEF]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/group: [\d,]+ a second at each member/);
    expect(stdout).toMatch(/other: [\d,]+ a second at each member/);
    expect(stdout).toMatch(/ratio \d+\.\d\d/);
  });

  test("a flavour that does not exist is refused", async () => {
    const { code, stderr } = await run(["bench", "latency", "--flavour", "telepathy"]);
    expect(code).toBe(2);
    expect(stderr).toContain("--flavour");
  });
});
