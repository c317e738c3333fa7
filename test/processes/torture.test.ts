/** A short torture: faults of all kinds at random, and a verdict. `npm run torture` is the long one. */
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { expect, it } from "vitest";
import { torture } from "../torture/torture.ts";

const SECONDS = 20;
const SEED = 1;

it("five processes break no promise under torture, come together afterwards, and leave nothing behind", async () => {
  const before = await leftovers();
  const { signal } = new AbortController();
  const verdict = await torture({ seconds: SECONDS, members: 5, seed: SEED, signal, progress: () => {} });
  expect(verdict.problems).toEqual([]);
  expect(verdict.violations).toEqual([]);
  expect(verdict).toMatchObject({ ok: true, kept: undefined });
  expect(verdict.faults.kill).toBeGreaterThan(0);
  expect(verdict.updatesDelivered).toBeGreaterThan(verdict.updatesSent);
  expect(await leftovers()).toEqual(before);
}, 240_000);

it("can be interrupted, and then leaves nothing behind either", async () => {
  const before = await leftovers();
  const reason = new Error("enough");
  const interruption = new AbortController();
  const tortured = torture({
    seconds: SECONDS,
    members: 3,
    seed: SEED,
    signal: interruption.signal,
    progress: () => interruption.abort(reason),
  });
  await expect(tortured).rejects.toBe(reason);
  expect(await leftovers()).toEqual(before);
}, 120_000);

/** Directories of tortures. */
async function leftovers(): Promise<readonly string[]> {
  const names = await readdir(tmpdir());
  return names.filter((name) => name.startsWith("coterie-torture-")).sort();
}
