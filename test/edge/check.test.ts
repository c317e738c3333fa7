/** `coterie check`: what it says of right and wrong histories, and how it ends. */
import { execFile } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HistoryFiles } from "../../src/runtime/history-files.ts";
import { sketch } from "../../src/simulation/axioms/sketch.ts";
import { run } from "./run.ts";

const RIGHT = `
  a,b start
  a,b cluster 1 a b : p1
  a,b install 1 a b
  a send m1 safe
  a,b deliver m1
`;

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "coterie-check-"));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function write(text: string): void {
  const files = new HistoryFiles(directory, () => {});
  const { sink } = files;
  for (const event of sketch(text)) sink(event);
  files.close();
}

describe("histories of nodes", () => {
  test("that are right end with code 0", async () => {
    write(RIGHT);
    const { code, stdout } = await run(["check", directory, "--settled"]);
    expect(code).toBe(0);
    expect(stdout).toContain("Nothing breaks a promise");
  });

  test("that break a promise end with code 1; the promise is named, and the event drawn", async () => {
    write(`${RIGHT}\n b deliver m1`);
    const { code, stdout } = await run(["check", directory]);
    expect(code).toBe(1);
    expect(stdout).toContain("D1 Integrity and no duplication");
    expect(stdout).toContain("b#00000001.jsonl:6");
    expect(stdout).toMatch(/▽m1 +◀ D1/);
    const { json } = await run(["check", directory, "--json"]);
    expect(json).toMatchObject({
      ok: false,
      nodes: 2,
      violations: [{ property: "D1", node: "b#00000001", group: "g", line: 6, happened: { kind: "deliver" } }],
    });
  });

  test("that cannot be read end with code 3, and the line is named", async () => {
    write(RIGHT);
    appendFileSync(join(directory, "a#00000001.jsonl"), "oops\n");
    const { code, stdout } = await run(["check", directory]);
    expect(code).toBe(3);
    expect(stdout).toContain("a#00000001.jsonl:7: is not JSON");
    expect((await run(["check", tmpdir(), "--linearizable", "register", "--settled"])).code).toBe(2);
    expect((await run(["check", join(directory, "none")])).code).toBe(2);
  });

  test("of an empty directory cannot be judged", async () => {
    const { code, stdout } = await run(["check", directory]);
    expect(code).toBe(3);
    expect(stdout).toContain("COTERIE_HISTORY");
  });

  test("are written by a program that knows nothing of it", async () => {
    const program = `
      import { defineGroup, start } from ${JSON.stringify(fileURLToPath(new URL("../../dist/index.js", import.meta.url)))};
      const node = await start({ name: "ann", discovery: ${JSON.stringify(join(directory, "meet"))} });
      const counter = defineGroup({ name: "counter", state: () => ({ sum: 0 }), updates: { add: ({ state }, by) => { state.sum += by; } } });
      const group = await node.join(counter);
      await group.safeSend.add(1);
      process.kill(process.pid, "SIGKILL");
    `;
    const file = join(directory, "program.mjs");
    const histories = join(directory, "histories");
    writeFileSync(file, program);
    await new Promise<void>((resolve) => {
      execFile(process.execPath, [file], { env: { ...process.env, COTERIE_HISTORY: histories } }, () => resolve());
    });
    const { code, json } = await run(["check", histories, "--json"]);
    expect(code).toBe(0);
    expect(json).toMatchObject({ ok: true, files: 1, crashed: [expect.stringMatching(/^ann#/)] });
  });
});

describe("histories of clients", () => {
  const file = (): string => join(directory, "calls.jsonl");

  function record(...events: readonly object[]): void {
    writeFileSync(file(), events.map((event) => `${JSON.stringify(event)}\n`).join(""));
  }

  const written = [
    { kind: "invoke", client: "ann", operation: "write", key: "x", value: 1 },
    { kind: "return", client: "ann", outcome: "ok" },
  ];

  test("that are linearizable end with code 0", async () => {
    record(...written, { kind: "invoke", client: "bob", operation: "read", key: "x" });
    const { code, json } = await run(["check", "--linearizable", "register", file(), "--json"]);
    expect(code).toBe(0);
    expect(json).toMatchObject({ ok: true, verdict: "linearizable", operations: 2, clients: 2 });
  });

  test("that are not end with code 1, and the call is shown", async () => {
    record(
      ...written,
      { kind: "invoke", client: "bob", operation: "read", key: "x" },
      { kind: "return", client: "bob", outcome: "ok", value: null },
    );
    const { code, stdout } = await run(["check", "--linearizable", "register", file()]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/bob +read x → null {2}◀/);
    expect(stdout).toContain("the state was 1");
  });

  test("that are no calls of this object end with code 3", async () => {
    record({ kind: "invoke", client: "ann", operation: "push" });
    const { code, stdout } = await run(["check", "--linearizable", "register", file()]);
    expect(code).toBe(3);
    expect(stdout).toContain('calls.jsonl:1: there is no operation "push"');
  });
});
