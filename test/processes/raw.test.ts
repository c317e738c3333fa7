/** Raw messages between nodes on real sockets. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ALL, defineGroup, start } from "../../src/index.ts";

test("raw messages and raw queries reach others, and are counted", { timeout: 60_000 }, async () => {
  const discovery = mkdtempSync(join(tmpdir(), "coterie-raw-"));
  const heard: string[] = [];
  const beats = defineGroup({
    name: "beats",
    state: () => ({}),
    updates: { beat: ({ self, sender }, bytes: Uint8Array) => heard.push(`${sender} ${self} ${bytes.length}`) },
    queries: { rank: ({ rank }) => rank },
  });
  const nodes = await Promise.all(["ann", "bob"].map((name) => start({ name, discovery })));
  const [ann, bob] = await Promise.all(nodes.map((node) => node.join(beats)));
  try {
    if (ann === undefined || bob === undefined) throw new Error("there are two");
    for await (const view of ann.views()) if (view.members.length === 2) break;
    const lengths = [1, 100, 1300, 20_000];
    const pairs = () => lengths.every((length) => heard.includes(`${ann.self} ${bob.self} ${length}`));
    // At first by the link, then by datagrams; either may lose some.
    for (let round = 0; round < 3 || !pairs(); round++) {
      for (const length of lengths) await ann.rawSend.beat(new Uint8Array(length));
    }
    const answers = async () =>
      (await bob.query(ALL, { order: "raw", timeoutMs: 1000 }).rank()).map(({ value }) => value);
    let found = await answers();
    while (found.includes(undefined)) found = await answers();
    expect([...found].sort()).toEqual([0, 1]);
    expect(ann.counters.rawSent).toBeGreaterThanOrEqual(12);
    expect(bob.counters.rawReceived).toBeGreaterThanOrEqual(4);
    expect(heard.every((line) => line.startsWith(ann.self))).toBe(true);
  } finally {
    await Promise.all(nodes.map((node) => node.close()));
    rmSync(discovery, { recursive: true, force: true });
  }
});
