import { createCipheriv, randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { SpentLater, spend } from "./spent.ts";

const clear = new Uint8Array(1_000_000);
const encrypted = (length: number): Uint8Array =>
  createCipheriv("aes-256-gcm", randomBytes(32), randomBytes(12)).update(clear.subarray(0, length));

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it("takes the memory of what a cipher has returned, at once and ever again", async () => {
  for (let round = 0; round < 5; round++) {
    const bytes = encrypted(65_536);
    spend(bytes);
    expect(bytes.buffer.byteLength).toBe(0);
    await turn();
  }
});

it("leaves small buffers, and the pool that they may lie in, alone", () => {
  const bytes = Buffer.from("many of these lie in one buffer");
  const small = encrypted(100);
  spend(small);
  expect(small.length).toBe(100);
  expect(bytes.toString()).toBe("many of these lie in one buffer");
});

it("waits for the last who needs it", () => {
  const bytes = encrypted(65_536);
  const memory = new SpentLater(bytes);
  memory.retain();
  memory.retain();
  memory.release();
  expect(bytes.length).toBe(65_536);
  memory.release();
  expect(bytes.length).toBe(0);
});

it("frees more than the process may hold", async () => {
  const before = process.memoryUsage().arrayBuffers;
  for (let round = 0; round < 200; round++) spend(encrypted(clear.length));
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000);
});
