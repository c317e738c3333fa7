import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DataDirectory } from "./data-directory.ts";
import { DATA_KEY_FILE } from "./secure/data-key.ts";

let path = "";

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "coterie-data-"));
});

afterEach(() => rmSync(path, { recursive: true, force: true }));

/** Resolves once a record that is written now is on disk; rejects when the disk does not take it. */
function recorded(directory: DataDirectory): Promise<void> {
  return new Promise((resolve, reject) => {
    directory.serve({
      persisted: () => resolve(),
      diskChanged: (condition, detail) => reject(new Error(`${condition}: ${detail}`)),
      damaged: () => {},
    });
    directory.log.append(new Uint8Array(10));
    directory.log.flush();
  });
}

test("who opens a directory that was closed at once finds it at rest", async () => {
  for (let opened = 0; opened < 3; opened++) await (await DataDirectory.open(path)).close();
  const directory = await DataDirectory.open(path);
  await recorded(directory);
  expect(directory.report()).toMatchObject({ condition: "ok", next: 1 });
  await directory.close();
});

test("a directory that is refused when its log has been read is at rest when that is said", async () => {
  const keys = [Buffer.alloc(32, 1)];
  const sealed = await DataDirectory.open(path, keys);
  await recorded(sealed);
  await sealed.close();
  const key = join(path, DATA_KEY_FILE);
  renameSync(key, `${key}.away`);
  await expect(DataDirectory.open(path, keys)).rejects.toMatchObject({ code: "sealed" });
  renameSync(`${key}.away`, key);
  const again = await DataDirectory.open(path, keys);
  await recorded(again);
  expect(again.report().next).toBe(2);
  await again.close();
});
