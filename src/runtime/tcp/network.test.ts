import { describe, expect, it } from "vitest";
import { CuttingProxy, frameNumber, isIntact, linkUp, numberedFrame, type TestNode } from "../../../test/tcp-kit.ts";
import { nodesOfTests } from "../../../test/tcp-nodes.ts";
import { Random } from "../../base/random.ts";
import type { Lane } from "../ports.ts";
import { ListenError } from "./address.ts";
import { TcpNetwork } from "./network.ts";

const { closers, node } = nodesOfTests();

function send(from: TestNode, to: TestNode, lane: Lane, frame: Uint8Array): void {
  from.sink.call((network) => network.send(to.sink.record.id, lane, frame));
}

function flush(from: TestNode): void {
  from.sink.call((network) => network.flush());
}

function numbersFrom(at: TestNode, from: TestNode): number[] {
  const id = from.sink.record.id;
  return at.sink.frames.filter((frame) => frame.from === id).map(({ bytes }) => frameNumber(bytes));
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

describe("links", () => {
  it("carry frames both ways in order, between three nodes", async () => {
    const nodes = await Promise.all(["a#1", "b#1", "c#1"].map((id) => node(id)));
    const pairs = nodes.flatMap((one) => nodes.filter((other) => other !== one).map((other) => [one, other] as const));
    await Promise.all(pairs.map(([one, other]) => linkUp(one, other)));
    for (let number = 0; number < 500; number++) {
      for (const [one, other] of pairs) send(one, other, "bulk", numberedFrame(number, 9 + ((number * 37) % 9000)));
      if (number % 7 === 0) for (const one of nodes) flush(one);
    }
    for (const one of nodes) flush(one);
    for (const [one, other] of pairs) {
      await other.sink.until(() => numbersFrom(other, one).length === 500);
      expect(numbersFrom(other, one)).toEqual(upTo(500));
    }
    for (const { sink } of nodes) expect(sink.frames.every(({ bytes }) => isIntact(bytes))).toBe(true);
  });

  it("come up when a node links whoever called it, and carry what was sent before", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    one.sink.call((network) => network.link(other.sink.record));
    send(one, other, "bulk", numberedFrame(7, 100));
    flush(one);
    await other.sink.first("called", ({ id }) => id === "a#1");
    await one.sink.first("up");
    await other.sink.first("up");
    await other.sink.until(() => other.sink.frames.length === 1);
    expect(numbersFrom(other, one)).toEqual([7]);
    expect(other.sink.count("called")).toBe(1);
  });

  it("come up when the called node links only later than a hello is held", async () => {
    const [one, other] = [await node("a#1"), await node("b#1", { limits: { holdMs: 20 } })];
    other.sink.linksCallers = false;
    one.sink.call((network) => network.link(other.sink.record));
    await other.sink.until(() => other.sink.count("called") >= 3);
    other.sink.call((network) => network.link(one.sink.record));
    await Promise.all([one.sink.first("up"), other.sink.first("up")]);
    expect(one.sink.count("refused")).toBe(0);
  });

  it("drop frames for a node that is not linked", async () => {
    const one = await node("a#1");
    one.sink.call((network) => network.send("nobody#1", "bulk", numberedFrame(0, 10)));
    flush(one);
    expect(one.network.counters.framesUnlinked).toBe(1);
    expect(one.network.backlogBytes("nobody#1")).toBe(0);
  });

  it("let control frames overtake bulk frames that wait", async () => {
    const limits = { windowBytes: 1024 * 1024 };
    const [one, other] = [await node("a#1", { limits }), await node("b#1", { limits })];
    await linkUp(one, other);
    const bulkCount = 1000;
    for (let number = 0; number < bulkCount; number++) send(one, other, "bulk", numberedFrame(number, 65_536));
    flush(one);
    send(one, other, "control", numberedFrame(1_000_000, 64));
    flush(one);
    await other.sink.until(() => other.sink.frames.length === bulkCount + 1);
    const place = numbersFrom(other, one).indexOf(1_000_000);
    expect(place).toBeLessThanOrEqual(limits.windowBytes / 65_536 + 4);
  });

  it("carry frames of every size up to the maximum", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    await linkUp(one, other);
    const lengths = [9, 10, 4095, 4096, 65_536, 131_071, 131_073, 1_048_575, 1_048_576, 1_048_577, 4 * 1024 * 1024];
    const all = [...lengths, ...lengths.toReversed(), ...lengths];
    for (const [number, length] of all.entries()) send(one, other, "bulk", numberedFrame(number, length));
    flush(one);
    await other.sink.until(() => other.sink.frames.length === all.length);
    expect(other.sink.frames.map(({ bytes }) => bytes.length)).toEqual(all);
    expect(other.sink.frames.every(({ bytes }) => isIntact(bytes))).toBe(true);
  });

  it("count as backlog what was not acknowledged, and nothing once it was", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    one.sink.call((network) => network.link(other.sink.record));
    send(one, other, "bulk", numberedFrame(0, 1000));
    send(one, other, "control", numberedFrame(1, 500));
    expect(one.network.backlogBytes("b#1")).toBe(1500);
    flush(one);
    await linkUp(one, other);
    // The only event that an acknowledgement makes is that it frees memory, so this one is polled for.
    await expect.poll(() => one.network.backlogBytes("b#1"), { timeout: 10_000 }).toBe(0);
  });

  it("stop in the middle of a read when the frame's handler unlinks", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    await linkUp(one, other);
    let count = 0;
    other.sink.onFrame = (from) => {
      count++;
      other.sink.call((network) => network.unlink(from));
    };
    for (let number = 0; number < 100; number++) send(one, other, "bulk", numberedFrame(number, 100));
    flush(one);
    await one.sink.first("down");
    expect(count).toBe(1);
  });
});

describe("lost connections", () => {
  it("neither lose, repeat nor reorder any of 100,000 frames on either lane", async () => {
    const random = new Random(20_240_607);
    const nodes = [await node("a#1"), await node("b#1")] as const;
    const proxies = await Promise.all(nodes.map(({ network }) => CuttingProxy.start(network.port)));
    for (const [index, proxy] of proxies.entries()) {
      closers.push(() => proxy.close());
      const sink = (nodes[index] as TestNode).sink;
      sink.record = { ...sink.record, address: proxy.address };
    }
    const total = 50_000;
    const next = nodes.map(() => ({ control: 0, bulk: 0 }));
    const wrong: string[] = [];
    let untilCut = 500;
    for (const [index, { sink }] of nodes.entries()) {
      sink.onFrame = (_, frame) => {
        const number = frameNumber(frame);
        const lane = (number & 1) === 0 ? "control" : "bulk";
        const expected = next[index] as { control: number; bulk: number };
        if (number >>> 1 !== expected[lane]++ || !isIntact(frame)) wrong.push(`${index} ${lane} ${number >>> 1}`);
        if (--untilCut > 0) return;
        untilCut = random.between(200, 4000);
        random.pick(proxies).cut(() => random.chance(0.6));
      };
    }
    await linkUp(...nodes);
    const sent = nodes.map(() => ({ control: 0, bulk: 0 }));
    const sendSome = (index: number) => {
      const counts = sent[index] as { control: number; bulk: number };
      const [from, to] = [nodes[index] as TestNode, nodes[1 - index] as TestNode];
      for (let burst = random.between(1, 300); burst > 0 && counts.control + counts.bulk < total; burst--) {
        const lane = random.chance(0.3) ? "control" : "bulk";
        const length = random.chance(0.001)
          ? random.between(9, 1_500_000)
          : random.between(9, random.pick([40, 3000, 9000]));
        send(from, to, lane, numberedFrame(counts[lane]++ * 2 + (lane === "bulk" ? 1 : 0), length));
      }
      flush(from);
    };
    while (sent.some(({ control, bulk }) => control + bulk < total)) {
      sendSome(0);
      sendSome(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const [index, { sink }] of nodes.entries()) {
      const expected = sent[1 - index] as { control: number; bulk: number };
      const got = next[index] as { control: number; bulk: number };
      await sink.until(() => wrong.length > 0 || got.control + got.bulk >= total);
      expect(wrong).toEqual([]);
      expect(got).toEqual(expected);
    }
    expect(proxies[0]?.cuts).toBeGreaterThan(5);
    expect(nodes[0].network.counters.reconnects).toBeGreaterThan(5);
    expect(nodes[0].network.counters.broken + nodes[1].network.counters.broken).toBe(0);
  });

  it("are reported as lost, and the link comes up again", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    const proxy = await CuttingProxy.start(other.network.port);
    closers.push(() => proxy.close());
    other.sink.record = { ...other.sink.record, address: proxy.address };
    await linkUp(one, other);
    proxy.cut();
    expect(await one.sink.first("down")).toMatchObject({ id: "b#1", evidence: "lost" });
    await one.sink.until(() => one.sink.count("up") === 2);
    await other.sink.until(() => other.sink.count("up") === 2);
  });

  it("are noticed when they merely fall silent, and never when there is just nothing to say", async () => {
    const limits = { pulseMs: 20, silentPulsesMax: 10 };
    const [one, other] = [await node("a#1", { limits }), await node("b#1", { limits })];
    const proxy = await CuttingProxy.start(other.network.port);
    closers.push(() => proxy.close());
    other.sink.record = { ...other.sink.record, address: proxy.address };
    await linkUp(one, other);
    send(one, other, "bulk", numberedFrame(0, 100));
    flush(one);
    await other.sink.until(() => other.sink.frames.length === 1);
    // Only pulses flow now, some ten of them.
    const bytesIn = one.network.counters.bytesIn;
    await expect.poll(() => one.network.counters.bytesIn).toBeGreaterThan(bytesIn + 40);
    expect(one.sink.count("down") + other.sink.count("down")).toBe(0);
    proxy.silence();
    expect(await one.sink.first("down")).toMatchObject({ evidence: "lost" });
    await one.sink.until(() => one.sink.count("up") === 2);
    expect(one.network.counters.framesIn + other.network.counters.framesIn).toBe(1);
  });

  it("are reported as refused when nobody listens any more, after lost", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    await linkUp(one, other);
    await other.network.close();
    await one.sink.first("down", ({ evidence }) => evidence === "refused");
    const evidence = one.sink.told.flatMap((told) => (told.kind === "down" ? [told.evidence] : []));
    expect(evidence).toEqual(["lost", "refused"]);
  });

  it("are reported as replaced when another incarnation answers at the address", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    await linkUp(one, other);
    await other.network.close();
    const again = await node("b#2", { port: other.network.port });
    await one.sink.first("down", ({ evidence }) => evidence === "replaced");
    expect(again.sink.count("called")).toBe(0);
    expect(again.network.counters.refusalsSent).toBeGreaterThan(0);
  });
});

describe("a link that cannot resume", () => {
  it("is broken at the node that remembers, when the other has forgotten it", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    await linkUp(one, other);
    send(one, other, "bulk", numberedFrame(0, 100));
    flush(one);
    await other.sink.until(() => other.sink.frames.length === 1);
    other.sink.call((network) => network.unlink("a#1"));
    other.sink.call((network) => network.link(one.sink.record));
    await one.sink.first("down", ({ evidence }) => evidence === "broken");
    expect(one.network.counters.broken).toBe(1);
    // A link made anew begins anew.
    one.sink.call((network) => network.unlink("b#1"));
    one.sink.call((network) => network.link(other.sink.record));
    send(one, other, "bulk", numberedFrame(1, 100));
    flush(one);
    await other.sink.until(() => other.sink.frames.length === 2);
    expect(numbersFrom(other, one)).toEqual([0, 1]);
    expect(other.network.counters.broken).toBe(0);
  });

  it("is no loss when nothing was ever sent on it", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    await linkUp(one, other);
    other.sink.call((network) => network.unlink("a#1"));
    other.sink.call((network) => network.link(one.sink.record));
    await other.sink.until(() => other.sink.count("up") === 2);
    send(one, other, "bulk", numberedFrame(5, 100));
    flush(one);
    await other.sink.until(() => other.sink.frames.length === 1);
    expect(one.network.counters.broken + other.network.counters.broken).toBe(0);
  });

  it("is one whose node leaves too much waiting", async () => {
    const one = await node("a#1", { limits: { backlogBytesMax: 1_000_000 } });
    one.sink.call((network) =>
      network.link({ id: "b#1", address: "127.0.0.1:9", livenessPort: 0, features: 0, disk: "", weight: 1 }),
    );
    for (let number = 0; number < 11; number++)
      one.sink.call((n) => n.send("b#1", "bulk", numberedFrame(number, 99_999)));
    expect(await one.sink.first("down", ({ evidence }) => evidence === "broken")).toMatchObject({ id: "b#1" });
    expect(one.network.backlogBytes("b#1")).toBe(0);
  });
});

describe("listening", () => {
  it("at a port in use is an error that names the port", async () => {
    const one = await node("a#1");
    const error = await TcpNetwork.listen({ port: one.network.port }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ListenError);
    expect(error).toMatchObject({ code: "port-in-use", port: one.network.port });
    expect(String(error)).toContain(`port ${one.network.port} is already in use`);
  });

  it("answers connections that came before the sink", async () => {
    const early = await TcpNetwork.listen({});
    closers.push(() => early.close());
    const one = await node("a#1");
    one.sink.call((network) => network.seek(early.address));
    await new Promise((resolve) => setImmediate(resolve));
    const other = await node("b#1");
    early.start(other.sink);
    expect(await one.sink.first("met")).toMatchObject({ id: "b#1", address: early.address });
  });

  it("ends with close, after which nothing is told", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    await linkUp(one, other);
    one.sink.call((network) => network.seek(other.network.address));
    const told = one.sink.told.length;
    await one.network.close();
    await other.sink.first("down", ({ evidence }) => evidence === "refused");
    expect(one.sink.told.length).toBe(told);
  });

  it("writes what was flushed before close", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    await linkUp(one, other);
    send(one, other, "bulk", numberedFrame(3, 1000));
    flush(one);
    await one.network.close();
    await other.sink.until(() => other.sink.frames.length === 1);
  });
});
