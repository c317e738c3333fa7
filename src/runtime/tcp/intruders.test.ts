import { connect, createServer, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { linkUp, numberedFrame, type TestNode } from "../../../test/tcp-kit.ts";
import { nodesOfTests } from "../../../test/tcp-nodes.ts";
import { Random } from "../../base/random.ts";
import { type Handshake, handshakeFrame, readHandshake } from "./handshake.ts";
import type { TcpOptions } from "./network.ts";

const { closers, node } = nodesOfTests();

interface Stranger {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  /** The first whole frame that it gets. */
  readonly answer: Promise<Uint8Array>;
}

/** A bare connection to a node. */
async function stranger(to: TestNode): Promise<Stranger> {
  const socket = connect({ port: to.network.port, host: "127.0.0.1", noDelay: true });
  closers.push(() => socket.destroy());
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const answer = new Promise<Uint8Array>((resolve) => {
    let received: Uint8Array = new Uint8Array(0);
    socket.on("data", (bytes) => {
      received = Buffer.concat([received, bytes]);
      if (received.length < 4) return;
      const length = new DataView(received.buffer, received.byteOffset).getUint32(0, true) + 4;
      if (received.length >= length) resolve(received.subarray(0, length));
    });
  });
  await new Promise((resolve) => socket.once("connect", resolve));
  return { socket, closed, answer };
}

type Hello = Extract<Handshake, { kind: "hello" }>;

function helloFrom(id: string, changes: Partial<Hello> = {}): Uint8Array {
  return handshakeFrame({
    kind: "hello",
    versionOldest: 1,
    versionNewest: 1,
    cluster: "",
    record: { id, address: "127.0.0.1:9", livenessPort: 0, features: 0, disk: "", weight: 1 },
    expects: "",
    probe: false,
    session: 1,
    peerSession: 0,
    attempt: 1,
    offset: 0,
    ...changes,
  });
}

/** What one node is told when it seeks another that differs like this. */
async function sought(options: TcpOptions, change: (other: TestNode, one: TestNode) => void) {
  const [one, other] = [await node("a#1"), await node("b#1", options)];
  change(other, one);
  one.sink.call((network) => network.seek(other.network.address));
  const refused = await one.sink.first("refused");
  const noted = await other.sink.first("garbage");
  expect(other.network.counters.refusalsSent).toBe(1);
  expect(one.network.counters.refusalsReceived).toBe(1);
  expect(noted.what).toContain(refused.refusal);
  return refused;
}

describe("seeking an address", () => {
  it("meets its owner", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    other.sink.cluster = "birds";
    one.sink.call((network) => network.seek(other.network.address));
    expect(await one.sink.first("met")).toEqual({
      kind: "met",
      id: "b#1",
      cluster: "birds",
      address: other.network.address,
    });
    expect(other.sink.told).toEqual([]);
  });

  it("finds it unreachable when nobody listens, when it is no address, and when its name does not resolve", async () => {
    const [one, gone] = [await node("a#1"), await node("b#1")];
    await gone.network.close();
    for (const address of [gone.network.address, "nonsense", "127.0.0.1:70000", "no.such.host.invalid:80"]) {
      one.sink.call((network) => network.seek(address));
      expect(await one.sink.first("unreachable", (told) => told.address === address)).toBeDefined();
    }
    expect(one.sink.told.find((told) => told.kind === "unreachable")).toMatchObject({ why: "ECONNREFUSED" });
  });

  it("finds it unreachable when who listens there says something else, or nothing", async () => {
    const one = await node("a#1", { limits: { handshakeMs: 30 } });
    for (const [says, why] of [
      ["HTTP/1.1 400 Bad Request\r\n\r\n", "a length that no frame has"],
      ["\x05\0\0\0hello", "an answer that is not of this protocol"],
      ["", "no answer to the hello within 30 ms"],
    ] as const) {
      const server = createServer((socket) => {
        closers.push(() => socket.destroy());
        socket.on("error", () => {});
        socket.write(Buffer.from(says, "latin1"));
      });
      closers.push(() => server.close());
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
      const bound = server.address();
      const address = `127.0.0.1:${typeof bound === "object" ? bound?.port : 0}`;
      one.sink.call((network) => network.seek(address));
      expect(await one.sink.first("unreachable", (told) => told.address === address)).toMatchObject({ why });
    }
    expect(one.network.counters.garbage).toBe(2);
    expect(one.network.counters.handshakeTimeouts).toBe(1);
  });

  it("is refused by a foreign cluster", async () => {
    const refused = await sought({}, (other, one) => {
      other.sink.cluster = "birds";
      one.sink.cluster = "fish";
    });
    expect(refused).toMatchObject({ refusal: "foreign-cluster", detail: "birds" });
  });

  it("is refused when no version is common", async () => {
    const refused = await sought({ limits: { versionOldest: 7, versionNewest: 9 } }, () => {});
    expect(refused).toMatchObject({ refusal: "version", detail: "this node speaks versions 7 to 9" });
  });

  it("is refused when the sink there does not admit the seeker", async () => {
    const refused = await sought({}, (other) => {
      other.sink.refuses = "excluded";
    });
    expect(refused).toMatchObject({ refusal: "excluded" });
  });

  it("is refused by a node of the same id, so also by itself", async () => {
    const refused = await sought({}, (other) => {
      other.sink.record = { ...other.sink.record, id: "a#1" };
    });
    expect(refused).toMatchObject({ refusal: "same-id" });
  });
});

describe("a link to a node that refuses it", () => {
  it("reports the refusal once, tries on, and comes up when it is admitted", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    other.sink.refuses = "excluded";
    one.sink.call((network) => network.link(other.sink.record));
    expect(await one.sink.first("refused")).toMatchObject({ address: other.network.address, refusal: "excluded" });
    await other.sink.until(() => other.sink.count("garbage") >= 3);
    other.sink.refuses = undefined;
    await one.sink.first("up");
    expect(one.sink.count("refused")).toBe(1);
  });
});

describe("a stranger at the port", () => {
  it("is dropped for garbage, counted, and harms nobody", async () => {
    const random = new Random(7);
    const [one, other] = [await node("a#1"), await node("b#1")];
    await linkUp(one, other);
    const rounds = 60;
    for (let round = 0; round < rounds; round++) {
      const { socket, closed } = await stranger(one);
      const bytes = Uint8Array.from({ length: random.between(8, 5000) }, () => random.below(256));
      if (round % 3 === 0) socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      else if (round % 3 === 1) socket.write(bytes);
      else {
        const hello = helloFrom("x#1");
        hello.set(bytes.subarray(0, 8), random.between(8, hello.length - 8));
        hello[8] = 0xff;
        socket.write(hello);
      }
      await closed;
    }
    expect(one.network.counters.garbage).toBe(rounds);
    // A log is not to be flooded.
    expect(one.sink.count("garbage")).toBeGreaterThan(0);
    expect(one.sink.count("garbage")).toBeLessThan(rounds);
    other.sink.call((network) => network.send("a#1", "bulk", numberedFrame(0, 100)));
    other.sink.call((network) => network.flush());
    await one.sink.until(() => one.sink.frames.length === 1);
    expect(one.sink.count("down")).toBe(0);
  });

  it("may send its hello in pieces", async () => {
    const one = await node("a#1");
    const { socket, answer } = await stranger(one);
    const hello = helloFrom("x#1", { probe: true });
    for (const byte of hello) {
      await new Promise<void>((resolve) => socket.write(Uint8Array.of(byte), () => resolve()));
    }
    expect(readHandshake(await answer)).toMatchObject({ kind: "welcome", record: { id: "a#1" } });
  });

  it("is dropped when it says nothing in time", async () => {
    const one = await node("a#1", { limits: { handshakeMs: 30 } });
    const { closed } = await stranger(one);
    await closed;
    expect(one.network.counters.handshakeTimeouts).toBe(1);
  });

  it("keeps nobody out by taking all places, in all or from one address: the oldest loses his", async () => {
    for (const limits of [{ halfOpenMax: 5 }, { halfOpenPerRemoteMax: 5 }]) {
      const one = await node("a#1", { limits });
      const silent: Stranger[] = [];
      for (let count = 0; count < 5; count++) silent.push(await stranger(one));
      const polite = await stranger(one);
      polite.socket.write(helloFrom("x#1", { probe: true }));
      expect(readHandshake(await polite.answer)).toMatchObject({ kind: "welcome" });
      await silent[0]?.closed;
      expect(one.network.counters.crowdedOut).toBe(1);
      await one.network.close();
    }
  });

  it("that acknowledges what was not sent is dropped", async () => {
    const one = await node("a#1");
    const { socket, answer, closed } = await stranger(one);
    socket.write(helloFrom("x#1"));
    expect(readHandshake(await answer)).toMatchObject({ kind: "welcome", offset: 0 });
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, 1e9, true);
    socket.write(bytes);
    await closed;
    expect(await one.sink.first("garbage")).toMatchObject({ from: "x#1" });
  });

  it("that resumes where nothing can be resumed is told that the link is broken", async () => {
    const one = await node("a#1");
    const { socket, answer } = await stranger(one);
    socket.write(helloFrom("x#1", { offset: 12_345 }));
    expect(readHandshake(await answer)).toMatchObject({ kind: "refusal", code: "broken" });
    expect(await one.sink.first("down", ({ evidence }) => evidence === "broken")).toMatchObject({ id: "x#1" });
  });

  it("in the name of a linked node, with a session of its own, neither gets its stream nor ends the link", async () => {
    const [one, other] = [await node("a#1"), await node("b#1")];
    await linkUp(one, other);
    other.sink.call((network) => network.send("a#1", "bulk", numberedFrame(0, 100)));
    other.sink.call((network) => network.flush());
    await one.sink.until(() => one.sink.frames.length === 1);
    one.sink.call((network) => network.send("b#1", "bulk", numberedFrame(0, 100)));
    one.sink.call((network) => network.flush());
    await other.sink.until(() => other.sink.frames.length === 1);
    for (const session of [1, 0xffff_fffe, 0xffff_ffff]) {
      const { socket, answer, closed } = await stranger(one);
      socket.write(helloFrom("b#1", { session, attempt: 1000 }));
      const said = await Promise.race([answer.then(readHandshake), closed]);
      if (said !== undefined) expect(said).toMatchObject({ kind: "refusal", code: "not-linked" });
    }
    one.sink.call((network) => network.send("b#1", "bulk", numberedFrame(1, 100)));
    one.sink.call((network) => network.flush());
    await other.sink.until(() => other.sink.frames.length === 2);
    expect(one.sink.count("down")).toBe(0);
    expect(one.network.counters.broken).toBe(0);
  });

  it("whose hello was overtaken by a later one of the same session does not disturb that one", async () => {
    const one = await node("a#1");
    const later = await stranger(one);
    later.socket.write(helloFrom("x#1", { attempt: 2 }));
    expect(readHandshake(await later.answer)).toMatchObject({ kind: "welcome" });
    const earlier = await stranger(one);
    earlier.socket.write(helloFrom("x#1", { attempt: 1 }));
    await earlier.closed;
    const latest = await stranger(one);
    latest.socket.write(helloFrom("x#1", { attempt: 3 }));
    expect(readHandshake(await latest.answer)).toMatchObject({ kind: "welcome" });
    await later.closed;
    expect(one.network.counters.broken).toBe(0);
  });
});

describe("a node that does not read", () => {
  it("costs no more memory than the bound, then its link is broken", async () => {
    const backlogBytesMax = 32 * 1024 * 1024;
    const one = await node("a#1", { limits: { backlogBytesMax } });
    const { socket, answer } = await stranger(one);
    socket.write(helloFrom("x#1"));
    await answer;
    socket.pause();
    let isBroken = false;
    void one.sink
      .first("down", ({ evidence }) => evidence === "broken")
      .then(() => {
        isBroken = true;
      });
    let mostBytes = 0;
    for (let number = 0; !isBroken && number < 10_000; number++) {
      one.sink.call((network) => network.send("x#1", "bulk", numberedFrame(number, 65_536)));
      one.sink.call((network) => network.flush());
      mostBytes = Math.max(mostBytes, one.network.backlogBytes("x#1"));
      if (number % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(isBroken).toBe(true);
    expect(mostBytes).toBeLessThanOrEqual(backlogBytesMax);
    expect(mostBytes).toBeGreaterThan(backlogBytesMax - 65_536 * 2);
    expect(one.network.backlogBytes("x#1")).toBe(0);
  });
});
