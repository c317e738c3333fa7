import { createSocket } from "node:dgram";
import { afterEach, describe, expect, it } from "vitest";
import type { NodeId, NodeRecord } from "../protocol/view.ts";
import { Liveness, livenessDatagram } from "./liveness.ts";
import { ListenError } from "./tcp/address.ts";

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Watcher {
  readonly liveness: Liveness;
  readonly record: NodeRecord;
  readonly heard: { readonly id: NodeId; readonly stalledMs: number }[];
  /** Resolves when the next `count` reports about this node have come. */
  next(id: NodeId, count?: number): Promise<void>;
}

/** It speaks all the time unless told. */
async function watcher(id: NodeId, announce = true, quietMs = 0): Promise<Watcher> {
  const liveness = await Liveness.start({ periodMs: 20, quietMs });
  closers.push(() => liveness.close());
  const heard: { id: NodeId; stalledMs: number }[] = [];
  const waiting = new Set<(id: NodeId) => void>();
  if (announce)
    liveness.announce(id, (from, stalledMs) => {
      heard.push({ id: from, stalledMs });
      for (const each of [...waiting]) each(from);
    });
  const next = (from: NodeId, count = 1) =>
    new Promise<void>((resolve) => {
      let left = count;
      const each = (heardId: NodeId) => {
        if (heardId !== from || --left > 0) return;
        waiting.delete(each);
        resolve();
      };
      waiting.add(each);
    });
  const record = { id, address: "127.0.0.1:1", livenessPort: liveness.port, features: 0, disk: "", weight: 1 };
  return { liveness, record, heard, next };
}

describe("liveness", () => {
  it("tells two processes that watch each other that both are alive, and not stalled", async () => {
    const [one, other] = [await watcher("a#1"), await watcher("b#1")];
    one.liveness.watch(other.record);
    other.liveness.watch(one.record);
    await Promise.all([one.next("b#1", 3), other.next("a#1", 3)]);
    expect(one.heard[2]).toEqual({ id: "b#1", stalledMs: 0 });
    expect(one.liveness.counters.dropped).toBe(0);
  });

  it("says nothing for a main thread that runs", async () => {
    const [one, other] = [await watcher("a#1"), await watcher("b#1", true, 60_000)];
    one.liveness.watch(other.record);
    other.liveness.watch(one.record);
    await other.next("a#1", 3);
    expect(one.heard).toEqual([]);
  });

  it("keeps what is watched before it is announced", async () => {
    const [one, other] = [await watcher("a#1", false), await watcher("b#1")];
    one.liveness.watch(other.record);
    other.liveness.watch(one.record);
    await new Promise<void>((resolve) => one.liveness.announce("a#1", () => resolve()));
  });

  it("drops what is not from a watched incarnation, or is for another one", async () => {
    const [one, other] = [await watcher("a#1"), await watcher("b#1")];
    one.liveness.watch(other.record);
    const socket = createSocket("udp4");
    closers.push(() => socket.close());
    const datagrams = [
      Buffer.from("garbage, not a datagram of ours"),
      Buffer.alloc(0),
      livenessDatagram(0, "b#2", "a#1"),
      livenessDatagram(0, "b#1", "a#2"),
      livenessDatagram(0, "b#1", "a#1").subarray(0, 12),
    ];
    for (const datagram of datagrams)
      await new Promise((resolve) => socket.send(datagram, one.liveness.port, "127.0.0.1", resolve));
    // What comes last shows that all before it has been seen.
    other.liveness.watch(one.record);
    await one.next("b#1", 2);
    expect(one.liveness.counters.dropped).toBe(datagrams.length);
    expect(one.heard.every(({ id }) => id === "b#1")).toBe(true);
  });

  it("falls silent about a node that is not watched any more", async () => {
    const [one, other] = [await watcher("a#1"), await watcher("b#1")];
    one.liveness.watch(other.record);
    other.liveness.watch(one.record);
    await one.next("b#1");
    one.liveness.unwatch("b#1");
    // A third node shows that time goes on.
    const third = await watcher("c#1");
    one.liveness.watch(third.record);
    third.liveness.watch(one.record);
    await one.next("c#1", 2);
    const count = one.heard.filter(({ id }) => id === "b#1").length;
    await one.next("c#1", 3);
    expect(one.heard.filter(({ id }) => id === "b#1").length).toBe(count);
  });

  it("says how long the watcher's peer has been stalled, and the watcher does not believe news from before its own stall", async () => {
    const [one, other] = [await watcher("a#1"), await watcher("b#1")];
    one.liveness.watch(other.record);
    other.liveness.watch(one.record);
    await one.next("b#1");
    // Blocks the main thread of both; their workers go on.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500);
    const count = one.heard.length;
    await one.next("b#1", 2);
    expect(one.liveness.counters.stale).toBeGreaterThan(0);
    // The report from just before the end of the stall, if there was one, tells of the other's.
    expect(one.heard.slice(count).every(({ stalledMs }) => stalledMs === 0 || stalledMs > 500)).toBe(true);
  });

  it("leaves out a node without a port", async () => {
    const one = await watcher("a#1");
    one.liveness.watch({ id: "b#1", address: "127.0.0.1:1", livenessPort: 0, features: 0, disk: "", weight: 1 });
    one.liveness.watch({ id: "c#1", address: "127.0.0.1:1", livenessPort: 70_000, features: 0, disk: "", weight: 1 });
    one.liveness.watch({ id: "d#1", address: "nonsense", livenessPort: 1, features: 0, disk: "", weight: 1 });
    const other = await watcher("e#1");
    one.liveness.watch(other.record);
    other.liveness.watch(one.record);
    await one.next("e#1");
  });

  it("cannot start at a port in use", async () => {
    const one = await watcher("a#1");
    const error = await Liveness.start({ port: one.liveness.port }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ListenError);
    expect(error).toMatchObject({ code: "port-in-use", port: one.liveness.port });
  });
});
