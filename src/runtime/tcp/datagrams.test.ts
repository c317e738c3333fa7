/** Raw frames by UDP: found out to get through, lost, too long, where there is no UDP, and hostile ones. */
import { createSocket, type Socket } from "node:dgram";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CuttingProxy, frameNumber, isIntact, linkUp, numberedFrame, type TestNode } from "../../../test/tcp-kit.ts";
import { nodesOfTests } from "../../../test/tcp-nodes.ts";
import { ListenError } from "./address.ts";
import { DATAGRAM_BYTES_MAX, type Envelope, envelopeFor, numberBody, openEnvelope } from "./envelope.ts";
import type { TcpOptions } from "./network.ts";

const nodes = nodesOfTests();
const { closers } = nodes;

async function node(id: string, options: TcpOptions = {}): Promise<TestNode> {
  const started = await nodes.node(id, options);
  started.sink.cluster = "x";
  return started;
}

async function socketAt(port = 0): Promise<Socket> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(port, "127.0.0.1", resolve));
  closers.push(() => socket.close());
  return socket;
}

/** A node at whose port somebody else has the datagrams; streams may be somebody else's, too, at the first port or two. */
async function nodeWithoutSocket(id: string): Promise<TestNode> {
  const taken = await socketAt();
  try {
    return await node(id, { port: taken.address().port });
  } catch (error) {
    if (!(error instanceof ListenError)) throw error;
    return nodeWithoutSocket(id);
  }
}

/** Sends frames until one has left as a datagram; returns how many were sent. */
async function open(from: TestNode, to: TestNode, first = 0): Promise<number> {
  for (let number = first; ; number++) {
    from.sink.call((network) => network.datagram(to.sink.record.id, numberedFrame(number, 100)));
    from.sink.call((network) => network.flush());
    if (from.network.counters.datagramsOut > 0) return number + 1;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("datagrams", () => {
  it("carry frames once they are known to get through; before that, and when they are long, frames go by the link", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    await linkUp(one, other);
    let sent = await open(one, other);
    const { id } = other.sink.record;
    for (const length of [9, 1000, 1300, 1400, 100_000]) {
      expect(one.sink.call((network) => network.datagram(id, numberedFrame(sent++, length)))).toBe(true);
    }
    one.sink.call((network) => network.flush());
    await other.sink.until(() => other.sink.frames.length === sent);
    expect(other.sink.frames.every(({ from, bytes }) => from === "a#1" && isIntact(bytes))).toBe(true);
    expect(new Set(other.sink.frames.map(({ bytes }) => frameNumber(bytes))).size).toBe(sent);
    const { counters } = one.network;
    expect(counters.datagramsOut).toBe(1 + 3);
    expect(counters.framesOut).toBeGreaterThanOrEqual(sent - 4);
    expect([counters.datagramsUnsent, other.network.counters.datagramsDropped]).toEqual([0, 0]);
  });

  it("are not used where a side has none: its port is taken", async () => {
    const other = await nodeWithoutSocket("b#1");
    const one = await node("a#1");
    expect([one.network.features, other.network.features]).toEqual([1, 0]);
    await linkUp(one, other);
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      for (let number = 0; number < 5; number++)
        from.sink.call((network) => network.datagram(to.sink.record.id, numberedFrame(number, 50)));
      from.sink.call((network) => network.flush());
      await to.sink.until(() => to.sink.frames.length === 5);
      expect(from.network.counters.datagramsOut).toBe(0);
    }
  });

  it("that are lost are lost; when none gets through any more, frames go by the link again", async () => {
    const other = await node("b#1");
    const one = await node("a#1", { limits: { datagramPathMs: 150, datagramProbeMs: 20 } });
    const proxy = await CuttingProxy.start(other.network.port);
    closers.push(() => proxy.close());
    // Before b: connections, and of its datagrams every second frame.
    const before = await socketAt(Number(proxy.address.split(":")[1]));
    let passes: (kind: Envelope["kind"], count: number) => boolean = (kind, count) =>
      kind === "probe" || count % 2 === 0;
    let frames = 0;
    before.on("message", (datagram) => {
      const kind = openEnvelope(datagram)?.kind ?? "frame";
      if (passes(kind, kind === "frame" ? frames++ : 0)) before.send(datagram, other.network.port, "127.0.0.1");
    });
    other.sink.record = { ...other.sink.record, address: proxy.address };
    await linkUp(one, other);
    let sent = await open(one, other);
    const byLink = sent - 1;
    for (; sent < byLink + 20; sent++) {
      one.sink.call((network) => network.datagram("b#1", numberedFrame(sent, 100)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await other.sink.until(() => other.sink.frames.length === byLink + 10);
    passes = () => false;
    const through = other.sink.frames.length;
    while (other.sink.frames.length === through) {
      one.sink.call((network) => network.datagram("b#1", numberedFrame(sent++, 100)));
      one.sink.call((network) => network.flush());
      await new Promise((resolve) => setImmediate(resolve));
    }
    one.sink.call((network) => network.datagram("b#1", numberedFrame(sent, 100)));
    one.sink.call((network) => network.flush());
    await other.sink.until(() => other.sink.frames.some(({ bytes }) => frameNumber(bytes) === sent));
    expect(new Set(other.sink.frames.map(({ bytes }) => frameNumber(bytes))).size).toBe(other.sink.frames.length);
  });

  it("drop what would have to wait long behind a link", async () => {
    const one = await node("a#1");
    one.sink.call((network) =>
      network.link({ id: "b#1", address: "127.0.0.1:9", livenessPort: 0, features: 0, disk: "", weight: 1 }),
    );
    let taken = 0;
    while (taken < 100 && one.sink.call((network) => network.datagram("b#1", numberedFrame(taken, 50_000)))) taken++;
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(10);
    expect(one.network.counters.datagramsUnsent).toBe(1);
    expect(one.sink.call((network) => network.datagram("c#1", numberedFrame(0, 50)))).toBe(false);
  });
});

describe("hostile datagrams", () => {
  it("are counted and dropped, whatever they say", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    await linkUp(one, other);
    const attacker = await socketAt();
    const { counters } = other.network;
    const send = async (datagram: Uint8Array): Promise<void> => {
      const seen = counters.datagramsDropped + counters.datagramsIn;
      attacker.send(datagram, other.network.port, "127.0.0.1");
      while (counters.datagramsDropped + counters.datagramsIn === seen) await new Promise((r) => setTimeout(r, 1));
    };
    const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));
    const frame = numberedFrame(1, 50);
    const right = join(envelopeFor("frame", "x", "a#1", "b#1"), frame);
    const wrong = [
      new Uint8Array(0),
      right.subarray(0, 10),
      join(envelopeFor("frame", "y", "a#1", "b#1"), frame),
      join(envelopeFor("frame", "x", "c#1", "b#1"), frame),
      join(envelopeFor("frame", "x", "b#1", "b#1"), frame),
      join(envelopeFor("frame", "x", "a#1", "b#2"), frame),
      join(envelopeFor("frame", "x", "a#1", "b#1"), frame.subarray(0, 49)),
      envelopeFor("frame", "x", "a#1", "b#1"),
      right.map((byte, at) => (at === 0 ? byte ^ 1 : byte)),
      right.map((byte, at) => (at === 4 ? 2 : byte)),
      right.map((byte, at) => (at === 5 ? 3 : byte)),
      join(envelopeFor("frame", "x", "a#1", "b#1"), numberedFrame(1, DATAGRAM_BYTES_MAX)),
      join(envelopeFor("answer", "x", "a#1", "b#1"), numberBody(0)),
      join(envelopeFor("answer", "x", "a#1", "b#1"), numberBody(7)),
      join(envelopeFor("probe", "x", "a#1", "b#1"), new Uint8Array(3)),
    ];
    for (const datagram of wrong) await send(datagram);
    expect([counters.datagramsDropped, counters.datagramsIn]).toEqual([wrong.length, 0]);
    expect(other.sink.frames).toEqual([]);
    // Nobody can tell this one from an honest one.
    await send(right);
    expect(other.sink.frames.map(({ from }) => from)).toEqual(["a#1"]);
    // A forged probe is answered to the one in whose name it came.
    await send(join(envelopeFor("probe", "x", "a#1", "b#1"), numberBody(9)));
    while (one.network.counters.datagramsDropped === 0) await new Promise((r) => setTimeout(r, 1));
    expect(one.sink.frames).toEqual([]);
  });

  it("never make reading throw", () => {
    const start = fc.constantFrom(new Uint8Array(0), envelopeFor("frame", "x", "a#1", "b#1").subarray(0, 9));
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 1500 }), (first, rest) => {
        const datagram = new Uint8Array([...first, ...rest]);
        const opened = openEnvelope(datagram);
        expect(opened === undefined || opened.body.length <= datagram.length).toBe(true);
      }),
    );
  });

  it("have envelopes that are read as they were written", () => {
    const envelope = envelopeFor("answer", "cluster", "ann#00000001", "bob#00000002");
    expect(openEnvelope(new Uint8Array([...envelope, 1, 2]))).toEqual({
      kind: "answer",
      cluster: "cluster",
      sender: "ann#00000001",
      receiver: "bob#00000002",
      body: Uint8Array.from([1, 2]),
    });
  });
});
