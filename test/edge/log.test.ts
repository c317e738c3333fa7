import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Folder } from "../../src/runtime/log/folder.ts";
import { Log } from "../../src/runtime/log/log.ts";
import { run } from "./run.ts";

let path = "";

beforeEach(async () => {
  path = mkdtempSync(join(tmpdir(), "coterie-log-"));
  // One batch for each record, so that a damaged one lies before others that are intact.
  await new Promise<void>((resolve) => {
    const append = (): void => {
      log.append(new Uint8Array(100).fill(log.next));
      log.flush();
    };
    const options = { segmentBytes: 64 * 1024, waitingBytesMax: 1024 * 1024, id: [1, 2] as const };
    const log = new Log(new Folder(path), options, {
      persisted: (upTo) => (upTo < 20 ? append() : resolve()),
      statusChanged: () => {},
      room: () => {},
      damaged: () => {},
    });
    append();
  });
});

afterEach(() => rmSync(path, { recursive: true, force: true }));

function damage(): void {
  for (const name of readdirSync(path)) {
    const bytes = readFileSync(join(path, name));
    bytes.fill(0xaa, 5 * 4096 + 70, 5 * 4096 + 80);
    writeFileSync(join(path, name), bytes);
  }
}

describe("coterie log", () => {
  test("verify: a log that is intact", async () => {
    const { code, json } = await run(["log", "verify", path, "--json"]);
    expect(code).toBe(0);
    expect(json).toMatchObject({ ok: true, floor: 0, next: 20, damage: [] });
  });

  test("verify: what is damaged is named, and the exit code is 1", async () => {
    damage();
    const { code, json } = await run(["log", "verify", path, "--json"]);
    expect(code).toBe(1);
    expect(json).toMatchObject({ ok: false, damage: [{ from: 5, to: 6 }] });
    const { stdout } = await run(["log", "verify", path]);
    expect(stdout).toContain("records 5 to 5 are damaged");
  });

  test("inspect: every segment", async () => {
    const { code, stdout } = await run(["log", "inspect", path]);
    expect(code).toBe(0);
    expect(stdout).toContain("records 0 to 15 in 16 batches");
    expect(stdout).toContain("records 16 to 19 in 4 batches");
  });

  test("a folder that holds no log, or is none", async () => {
    for (const wrong of [join(path, "none"), tmpdir()]) {
      const { code, stderr } = await run(["log", "verify", wrong]);
      expect(code).toBe(2);
      expect(stderr).toContain(wrong);
    }
  });
});
