/** State transfer (ST1) as this layer sees it: what is captured is what is loaded, or the join fails and says why. */
import { expect, test } from "vitest";
import { FakeCluster } from "../../test/group/fake-cluster.ts";
import { failureOf } from "../../test/group/members.ts";
import type { StateReader } from "../runtime/application.ts";
import { compiledOf, defineGroup } from "./define.ts";
import type { CoterieError } from "./errors.ts";
import { createNode } from "./node.ts";
import { type CapturedState, captureState, Loader } from "./state.ts";

const VIEW = { number: 7, members: ["a#00000001"], synced: [], acceptors: [], lacking: [] };

async function chunksOf(reader: StateReader): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = await new Promise<Uint8Array | undefined>((resolve) => reader.read(resolve));
    if (chunk === undefined) return chunks;
    chunks.push(chunk);
  }
}

test("a large state travels in chunks of at most 64 KiB", async () => {
  const definition = compiledOf(defineGroup({ name: "g", state: () => new Map<number, string>() }));
  const state = new Map(Array.from({ length: 20_000 }, (_each, index) => [index, `value ${index}`]));
  const chunks = await chunksOf(captureState(definition, state, VIEW, () => {}));
  expect(chunks.length).toBeGreaterThan(5);
  for (const chunk of chunks) expect(chunk.length).toBeLessThanOrEqual(64 * 1024);
  let captured: CapturedState | undefined;
  const loader = new Loader(definition, (each) => {
    captured = each;
  });
  for (const chunk of chunks) {
    const borrowed = Buffer.from(chunk);
    loader.chunk(borrowed);
    borrowed.fill(0);
  }
  expect(await new Promise((resolve) => loader.end(resolve))).toBeUndefined();
  expect(captured).toEqual({ state, view: { number: 7, members: ["a#00000001"] } });
});

test("a part of a state is never taken for the whole", async () => {
  const definition = compiledOf(defineGroup({ name: "g", state: () => [] as string[] }));
  const chunks = await chunksOf(captureState(definition, ["x"], VIEW, () => {}));
  expect(chunks).toHaveLength(3);
  for (let missing = 0; missing < chunks.length; missing++) {
    let isLoaded = false;
    const loader = new Loader(definition, () => {
      isLoaded = true;
    });
    for (const chunk of chunks.filter((_chunk, index) => index !== missing)) loader.chunk(chunk);
    expect(await new Promise((resolve) => loader.end(resolve))).toMatchObject({ code: "state-transfer-failed" });
    expect(isLoaded).toBe(false);
  }
});

test("a reader that is closed has nothing more", async () => {
  const definition = compiledOf(defineGroup({ name: "g", state: () => [] as string[] }));
  const reader = captureState(definition, ["x"], VIEW, () => {});
  reader.close();
  expect(await chunksOf(reader)).toEqual([]);
});

class Counter {
  readonly counts = new Map<string, number>();
}

let finished = 0;

const streamed = {
  name: "streamed",
  state: () => new Counter(),
  updates: {
    add: ({ state }: { state: Counter }, name: string) => {
      state.counts.set(name, (state.counts.get(name) ?? 0) + 1);
    },
  },
  checkpoint: {
    async *save(state: Counter) {
      const snapshot = [...state.counts];
      try {
        for (const entry of snapshot) {
          await Promise.resolve();
          yield new TextEncoder().encode(`${entry.join(" ")}\n`);
        }
        yield new Uint8Array(150_000).fill(10);
      } finally {
        finished++;
      }
    },
    async load(chunks: AsyncIterable<Uint8Array>) {
      const counter = new Counter();
      let text = "";
      for await (const chunk of chunks) text += new TextDecoder().decode(chunk);
      for (const line of text.split("\n").filter((each) => each !== "")) {
        const [name = "", count] = line.split(" ");
        counter.counts.set(name, Number(count));
      }
      return counter;
    },
  },
};

test("a loader that was abandoned loads nothing", async () => {
  const definition = compiledOf(defineGroup(streamed));
  const chunks = await chunksOf(captureState(definition, new Counter(), VIEW, () => {}));
  let isLoaded = false;
  const loader = new Loader(definition, () => {
    isLoaded = true;
  });
  for (const chunk of chunks) loader.chunk(chunk);
  const ended = new Promise((resolve) => loader.end(resolve));
  loader.abandon();
  expect(await ended).toMatchObject({ code: "state-transfer-failed" });
  expect(isLoaded).toBe(false);
});

test("a checkpoint carries a state that is not plain data, as it was at the join", async () => {
  const before = finished;
  const cluster = new FakeCluster();
  const definition = defineGroup(streamed);
  const first = await createNode(cluster.node("a")).join(definition);
  await first.send.add("x");
  await first.send.add("x");
  await first.send.add("y");
  cluster.hold();
  const joining = createNode(cluster.node("b")).join(definition);
  first.send.add("z");
  cluster.release();
  const second = await joining;
  await cluster.settle();
  const expected = [
    ["x", 2],
    ["y", 1],
    ["z", 1],
  ];
  expect(second.read(({ state }) => [...state.counts])).toEqual(expected);
  expect(first.read(({ state }) => [...state.counts])).toEqual(expected);
  expect(finished).toBe(before + 1);
});

test("save is run to its first await at the point that is captured, and is ended when the transfer is", async () => {
  const definition = compiledOf(defineGroup(streamed));
  const state = new Counter();
  state.counts.set("x", 1);
  const reader = captureState(definition, state, VIEW, () => {});
  state.counts.set("x", 99);
  const text = (await chunksOf(reader)).map((chunk) => new TextDecoder().decode(chunk.subarray(1))).join("");
  expect(text).toContain("x 1\n");
  const before = finished;
  const closed = captureState(definition, state, VIEW, () => {});
  await new Promise((resolve) => closed.read(resolve));
  await new Promise((resolve) => closed.read(resolve));
  closed.close();
  await new Promise((done) => setImmediate(done));
  expect(finished).toBe(before + 1);
  expect(await chunksOf(closed)).toEqual([]);
});

test.each([
  [
    "save throws",
    {
      save: () => {
        throw new Error("no disk");
      },
      load: () => 1,
    },
    "no disk",
  ],
  [
    "save fails on the way",
    {
      async *save() {
        yield new Uint8Array(1);
        throw new Error("half way");
      },
      load: () => 1,
    },
    "half way",
  ],
  [
    "save yields something else",
    { save: () => ["text"] as unknown as Uint8Array[], load: () => 1 },
    "not a Uint8Array",
  ],
  [
    "load throws",
    {
      save: () => [],
      load: () => {
        throw new Error("cannot load");
      },
    },
    "cannot load",
  ],
])("when %s the join fails and says why, and the donor goes on", async (_what, checkpoint, why) => {
  const cluster = new FakeCluster();
  const log: string[] = [];
  const definition = defineGroup({ name: "g", state: () => 0 as number, updates: { nothing: () => 1 }, checkpoint });
  const first = await createNode(cluster.node("a"), { log: ({ code }) => log.push(code) }).join(definition);
  const error = await failureOf(createNode(cluster.node("b")).join(definition));
  expect(error).toMatchObject({ code: "state-transfer-failed" });
  expect((error as CoterieError).message).toContain(why);
  expect(await first.safeSend.nothing()).toBe(1);
  expect(log).toEqual(why === "cannot load" ? [] : ["state-transfer-failed"]);
});

test("a state that the codec cannot carry is refused at the join, before a second member needs it", async () => {
  const cluster = new FakeCluster();
  const error = await failureOf(
    createNode(cluster.node("a")).join(defineGroup({ name: "g", state: () => new Counter() })),
  );
  expect(error).toMatchObject({ code: "not-encodable", group: "g" });
  expect((error as Error).message).toContain("checkpoint");
});

test("a state that becomes impossible to carry fails the join, not the group", async () => {
  const cluster = new FakeCluster();
  const definition = defineGroup({
    name: "g",
    state: () => ({ list: [] as unknown[] }),
    updates: {
      spoil: ({ state }) => {
        state.list.push(() => 1);
      },
    },
  });
  const first = await createNode(cluster.node("a"), { log: () => {} }).join(definition);
  await first.send.spoil();
  const error = await failureOf(createNode(cluster.node("b")).join(definition));
  expect((error as CoterieError).message).toContain(".list[0] is a function");
  expect(first.counters.callbackFailures).toBe(1);
});
