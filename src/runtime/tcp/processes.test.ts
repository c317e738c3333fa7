import { type ChildProcess, spawn } from "node:child_process";
import { afterEach, describe, expect, it } from "vitest";
import { startNode, type TestNode } from "../../../test/tcp-kit.ts";
import type { NodeRecord } from "../../protocol/view.ts";
import { Liveness } from "../liveness.ts";

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const KIT = new URL("../../../test/tcp-kit.ts", import.meta.url).href;
const LIVENESS = new URL("../liveness.ts", import.meta.url).href;

/** A node in a process of its own, which links whoever calls it and then does as `script` says with its `node`. */
async function startChild(id: string, script: string): Promise<{ child: ChildProcess; record: NodeRecord }> {
  const source = `
    import { startNode } from ${JSON.stringify(KIT)};
    import { Liveness } from ${JSON.stringify(LIVENESS)};
    const liveness = await Liveness.start();
    const node = await startNode(${JSON.stringify(id)}, { liveness });
    process.send(node.sink.record);
    ${script}
  `;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", source], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  closers.push(() => child.kill("SIGKILL"));
  const record = await new Promise<NodeRecord>((resolve, reject) => {
    child.once("message", (message) => resolve(message as NodeRecord));
    child.once("exit", (code) => reject(new Error(`the child exited with ${code}`)));
  });
  return { child, record };
}

async function node(id: string): Promise<TestNode> {
  const liveness = await Liveness.start();
  const started = await startNode(id, { liveness });
  closers.push(async () => {
    await started.network.close();
    expect(started.sink.reentrant).toEqual([]);
  });
  return started;
}

describe("a process", () => {
  it("that is killed is reported as refused at once", async () => {
    const one = await node("a#1");
    const { child, record } = await startChild("b#1", "");
    one.sink.call((network) => network.link(record));
    await one.sink.first("up");
    child.kill("SIGKILL");
    await one.sink.first("down");
    const firstAt = performance.now();
    await one.sink.first("down", ({ evidence }) => evidence === "refused");
    // Tens of milliseconds; the bound leaves room for a machine that is busy with other tests.
    expect(performance.now() - firstAt).toBeLessThan(500);
  });

  it("whose event loop is blocked still shows that it is alive, and for how long it has been blocked", async () => {
    const one = await node("a#1");
    const script = `
      await node.sink.first("up");
      const until = performance.now() + 2000;
      while (performance.now() < until);
    `;
    const { record } = await startChild("b#1", script);
    one.sink.call((network) => network.link(record));
    await one.sink.first("up");
    await one.sink.first("alive", ({ id, stalledMs }) => id === "b#1" && stalledMs >= 1500);
    const blocked = one.sink.told.flatMap((each) => (each.kind === "alive" ? [each.stalledMs] : []));
    expect(blocked.length).toBeGreaterThanOrEqual(3);
    expect(blocked).toEqual(blocked.toSorted((left, right) => left - right));
    expect(one.sink.count("down")).toBe(0);
  });
});
