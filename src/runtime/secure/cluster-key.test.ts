import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { ClusterKeyError, clusterKeys, newClusterKey } from "./cluster-key.ts";

const folder = mkdtempSync(join(tmpdir(), "coterie-key-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("a cluster key", () => {
  const [one, other] = [newClusterKey(), newClusterKey()];

  it("is new each time, and comes from text, bytes or a file alike", () => {
    expect(one).toMatch(/^coterie_[A-Za-z0-9_-]{43}$/);
    expect(one).not.toBe(other);
    const [expected] = clusterKeys(one);
    expect(clusterKeys(Buffer.from(one.slice("coterie_".length), "base64url"))).toEqual([expected]);
    expect(clusterKeys(file("one", `${one}\n`))).toEqual([expected]);
    expect(clusterKeys(file("two", `${other}\n\n${one}\n`))[1]).toEqual(expected);
    expect(clusterKeys([one, other]).map(({ identity }) => identity)).toEqual(
      clusterKeys(`${one},${other}`).map(({ identity }) => identity),
    );
  });

  it("shows neither itself nor what proves it", () => {
    const [key] = clusterKeys(one);
    const secret = Buffer.from(one.slice("coterie_".length), "base64url");
    expect(key?.identity).toMatch(/^[0-9a-f]{16}$/);
    expect(Buffer.from(key?.presharedKey ?? []).equals(secret)).toBe(false);
    expect(secret.toString("hex")).not.toContain(key?.identity);
  });

  it.each([
    ["a file that is not there", () => "/no/such/file"],
    ["an empty file", () => file("empty", "\n")],
    ["a file of something else", () => file("else", "password")],
    ["a key that is cut short", () => one.slice(0, -1)],
    ["bytes that are too few", () => new Uint8Array(16)],
    ["no key at all", () => []],
    ["too many keys", () => Array.from({ length: 17 }, newClusterKey)],
  ])("is refused: %s; and the refusal does not tell it", (_what, setting) => {
    let error: unknown;
    try {
      clusterKeys(setting());
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(ClusterKeyError);
    expect(String(error)).not.toContain(one.slice("coterie_".length, -1));
  });
});
