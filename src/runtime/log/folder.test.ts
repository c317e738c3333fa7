import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Folder } from "./folder.ts";
import { Log } from "./log.ts";

const OPTIONS = { segmentBytes: 64 * 1024, waitingBytesMax: 1024 * 1024, id: [1, 2] as const };

let path = "";

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "coterie-log-"));
});

afterEach(() => rmSync(path, { recursive: true, force: true }));

/** Appends so many records of a kilobyte, and waits until they are on disk. */
function written(count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const log: Log = new Log(new Folder(path), OPTIONS, {
      persisted: (upTo) => {
        if (upTo < count) return;
        log.close();
        resolve();
      },
      statusChanged: (_, detail) => reject(new Error(detail)),
      room: () => {},
      damaged: () => {},
    });
    for (let position = 0; position < count; position++) log.append(new Uint8Array(1000).fill(position));
    log.flush();
  });
}

function reopened(): Log {
  const ignored = (): void => {};
  const listener = { persisted: ignored, statusChanged: ignored, room: ignored, damaged: ignored };
  return new Log(new Folder(path, "read"), OPTIONS, listener);
}

describe("a log in a folder", () => {
  test("is there after the process that wrote it", async () => {
    await written(200);
    const records = [...reopened().read(0)];
    expect(records.map((record) => record[0])).toEqual(Array.from({ length: 200 }, (_, position) => position));
  });

  test("leaves files of others alone", async () => {
    writeFileSync(join(path, "notes.txt"), "mine");
    await written(3);
    expect(readdirSync(path)).toContain("notes.txt");
    expect([...reopened().read(0)]).toHaveLength(3);
  });

  test("a file cut short by others is damage, or a torn end, and nothing is made up", async () => {
    await written(200);
    for (const name of readdirSync(path)) truncateSync(join(path, name), 5000);
    const log = reopened();
    expect(log.damage.length + Number(log.next < 200)).toBeGreaterThan(0);
    for (const [position, record] of [...log.read(0)].entries()) expect(record[0]).toBe(position & 0xff);
  });

  test("a folder that is not there is an error, not an empty log", () => {
    rmSync(path, { recursive: true });
    expect(reopened).toThrow("ENOENT");
  });
});
