import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CuttingProxy, linkUp, numberedFrame, type TestNode } from "../../../test/tcp-kit.ts";
import { nodesOfTests } from "../../../test/tcp-nodes.ts";
import { Liveness, livenessDatagram } from "../liveness.ts";
import { inquire } from "../tcp/inquire.ts";
import type { TcpOptions } from "../tcp/network.ts";
import { clusterKeys, newClusterKey } from "./cluster-key.ts";
import { type Certificates, Guard, isCertified } from "./guard.ts";

const nodes = nodesOfTests();
const { closers } = nodes;

const key = newClusterKey();
const pem = (name: string): string =>
  readFileSync(new URL(`../../../test/certificates/${name}`, import.meta.url), "utf8");

function keyGuard(...keys: string[]): Guard {
  return new Guard({ kind: "cluster-key", keys: clusterKeys(keys) });
}

function certificates(name: string, more: Partial<Certificates> = {}): Certificates {
  return { cert: pem(`${name}.pem`), key: pem(`${name}.key`), ca: pem("authority.pem"), ...more };
}

function certificateGuard(name: string, more: Partial<Certificates> = {}): Guard {
  return new Guard({ kind: "certificates", certificates: certificates(name, more) });
}

function node(id: string, guard: Guard | undefined, options: TcpOptions = {}): Promise<TestNode> {
  return nodes.node(id, { guard, ...options });
}

/** Listens for bare connections; its address. */
async function listener(server: Server): Promise<string> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const bound = server.address();
  return `127.0.0.1:${typeof bound === "object" ? bound?.port : 0}`;
}

async function closed(socket: Socket): Promise<void> {
  closers.push(() => socket.destroy());
  socket.on("error", () => {});
  socket.resume();
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
}

/** What the first is told when it seeks the second. */
async function sought(one: TestNode, other: TestNode) {
  one.sink.call((network) => network.seek(other.network.address));
  await one.sink.until(() => one.sink.told.some(({ kind }) => kind === "met" || kind === "refused"));
  return one.sink.told.find(({ kind }) => kind === "met" || kind === "refused");
}

/** Links two nodes, what `one` receives by way of a proxy. */
async function linkedBy(one: TestNode, other: TestNode): Promise<CuttingProxy> {
  const proxy = await CuttingProxy.start(other.network.port);
  closers.push(() => proxy.close());
  other.sink.record = { ...other.sink.record, address: proxy.address };
  await linkUp(one, other);
  return proxy;
}

it("behind a guard no datagrams are used, because nothing seals them", async () => {
  const [one, other] = [await node("a#1", keyGuard(key)), await node("b#1", undefined)];
  expect([one.network.features, other.network.features]).toEqual([0, 1]);
});

describe("nodes with one cluster key", () => {
  it("meet, link, and pass frames of all sizes in order, both ways", async () => {
    const [one, other] = [await node("a#1", keyGuard(key)), await node("b#1", keyGuard(key))];
    expect(await sought(one, other)).toMatchObject({ kind: "met", id: "b#1" });
    await linkUp(one, other);
    const sizes = [9, 100, 4096, 70_000, 1_000_000, 3_500_000, 10, 65_536];
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      from.sink.call((network) => {
        for (const [number, size] of sizes.entries())
          network.send(to.sink.record.id, "bulk", numberedFrame(number, size));
        network.flush();
      });
      await to.sink.until(() => to.sink.frames.length === sizes.length);
      expect(
        to.sink.frames.every(({ bytes }, at) => Buffer.from(bytes).equals(numberedFrame(at, sizes[at] ?? 0))),
      ).toBe(true);
    }
  });

  it("say nothing in clear: no name, no frame, no word of the protocol", async () => {
    const [one, other] = [await node("a-secret-name#1", keyGuard(key)), await node("b#1", keyGuard(key))];
    const proxy = await linkedBy(one, other);
    const passed: Buffer[] = [];
    proxy.onBytes = (bytes) => passed.push(bytes);
    const canary = Buffer.alloc(5000, "canary-in-a-coal-mine ");
    canary.writeUInt32LE(canary.length - 4, 0);
    other.sink.call((network) => {
      network.send("a-secret-name#1", "bulk", canary);
      network.flush();
    });
    await one.sink.until(() => one.sink.frames.length === 1);
    const seen = Buffer.concat(passed).toString("latin1");
    expect(seen.length).toBeGreaterThan(5000);
    for (const word of ["canary", "coal", "secret-name", "COTR", "b#1"]) expect(seen).not.toContain(word);
  });

  it("prove themselves again when a lost connection is replaced, and lose nothing", async () => {
    const [one, other] = [await node("a#1", keyGuard(key)), await node("b#1", keyGuard(key))];
    const proxy = await linkedBy(one, other);
    let sent = 0;
    for (let cut = 0; cut < 3; cut++) {
      other.sink.call((network) => {
        for (let more = 0; more < 200; more++) network.send("a#1", "bulk", numberedFrame(sent++, 5000));
        network.flush();
      });
      await one.sink.until(() => one.sink.frames.length > cut * 200 + 20);
      proxy.cut();
    }
    await one.sink.until(() => one.sink.frames.length === sent);
    expect(one.sink.frames.map(({ bytes }) => new DataView(bytes.buffer).getUint32(5, true))).toEqual(
      Array.from({ length: sent }, (_, number) => number),
    );
    expect(one.network.counters.reconnects).toBeGreaterThan(0);
  });

  it("go over to a new key while they run: no link is ever down, no frame is lost, and the old key is worth nothing", async () => {
    const limits = { pulseMs: 20 };
    const [oldKey, newKey] = [newClusterKey(), newClusterKey()];
    const guards = [keyGuard(oldKey), keyGuard(oldKey)] as const;
    const [one, other] = [await node("a#1", guards[0], { limits }), await node("b#1", guards[1], { limits })];
    await linkUp(one, other);
    let sent = 0;
    const traffic = setInterval(() => {
      for (const [from, to] of [
        [one, "b#1"],
        [other, "a#1"],
      ] as const) {
        from.sink.call((network) => {
          for (let more = 0; more < 20; more++) network.send(to, "bulk", numberedFrame(sent + more, 5000));
          network.flush();
        });
      }
      sent += 20;
    }, 5);
    closers.push(() => clearInterval(traffic));
    const reconnects = (): number => one.network.counters.reconnects + other.network.counters.reconnects;
    guards[0].rekey(clusterKeys([newKey, oldKey]));
    // The other does not know the new key yet: it is refused, and all stays as it was.
    await one.sink.until(() => other.network.counters.unproven === 1);
    expect(reconnects()).toBe(0);
    guards[1].rekey(clusterKeys([newKey, oldKey]));
    await one.sink.until(() => reconnects() === 4);
    for (const guard of guards) guard.rekey(clusterKeys([newKey]));
    const [before, dials] = [sent, one.network.counters.dials + other.network.counters.dials];
    await one.sink.until(() => sent > before + 400);
    clearInterval(traffic);
    await one.sink.until(() => one.sink.frames.length === sent && other.sink.frames.length === sent);
    for (const { sink, network } of [one, other]) {
      expect(sink.frames.every(({ bytes }, at) => new DataView(bytes.buffer).getUint32(5, true) === at)).toBe(true);
      expect(sink.told.filter(({ kind }) => kind === "down")).toEqual([]);
      expect(network.counters.broken).toBe(0);
    }
    // What stood on the new key already was left alone.
    expect(one.network.counters.dials + other.network.counters.dials).toBe(dials);
    const late = await node("c#1", keyGuard(oldKey));
    expect(await sought(late, one)).toMatchObject({ kind: "refused", refusal: "unproven" });
    const new_ = await node("d#1", keyGuard(oldKey, newKey));
    expect(await sought(new_, one)).toMatchObject({ kind: "met", id: "a#1" });
  });

  it("a connection ends when its key is dropped; whoever has another that is accepted comes back with that", async () => {
    const limits = { pulseMs: 20 };
    const [oldKey, newKey] = [newClusterKey(), newClusterKey()];
    const guards = [keyGuard(oldKey), keyGuard(oldKey, newKey)] as const;
    const [one, other] = [await node("a#1", guards[0], { limits }), await node("b#1", guards[1], { limits })];
    await linkUp(one, other);
    const ups = other.sink.told.filter(({ kind }) => kind === "up").length;
    guards[0].rekey(clusterKeys([newKey]));
    await other.sink.until(() => other.sink.told.filter(({ kind }) => kind === "up").length > ups);
    other.sink.call((network) => {
      network.send("a#1", "bulk", numberedFrame(0, 100));
      network.flush();
    });
    await one.sink.until(() => one.sink.frames.length === 1);
    guards[1].rekey(clusterKeys([oldKey]));
    await one.sink.until(() => one.sink.told.some(({ kind }) => kind === "down"));
    await one.sink.until(() => one.network.counters.unproven > 2);
  });

  it("go over to a new key one by one: first all accept it, then all use it", async () => {
    const next = newClusterKey();
    for (const [mine, theirs] of [
      [[key], [key, next]],
      [
        [key, next],
        [next, key],
      ],
      [[next], [next, key]],
    ] as const) {
      const [one, other] = [await node("a#1", keyGuard(...mine)), await node("b#1", keyGuard(...theirs))];
      await linkUp(one, other);
    }
  });

  it("answer inquiries of those who have the key only", async () => {
    const one = await node("a#1", keyGuard(key));
    const target = { host: "127.0.0.1", port: one.network.port };
    await expect(inquire(target, 2000, keyGuard(key))).resolves.toContain("recorded");
    await expect(inquire(target, 2000, keyGuard(newClusterKey()))).rejects.toThrow();
    await expect(inquire(target, 500)).rejects.toThrow();
  });
});

describe("a node without the cluster key", () => {
  it.each([
    ["another key", () => keyGuard(newClusterKey())],
    ["certificates instead", () => certificateGuard("eve", { ca: pem("stranger-authority.pem") })],
  ])("is told nothing and tells nothing: %s", async (_what, guard) => {
    const [one, other] = [await node("a#1", guard()), await node("b#1", keyGuard(key))];
    expect(await sought(one, other)).toMatchObject({ kind: "refused", refusal: "unproven" });
    expect(await sought(other, one)).toMatchObject({ kind: "refused", refusal: "unproven" });
    expect(one.network.counters.unproven + other.network.counters.unproven).toBeGreaterThanOrEqual(2);
    expect(one.network.counters.refusalsReceived + other.network.counters.refusalsReceived).toBe(0);
  });

  it("cannot do without TLS, on either side", async () => {
    const [plain, other] = [await node("a#1", undefined), await node("b#1", keyGuard(key))];
    plain.sink.call((network) => network.seek(other.network.address));
    await plain.sink.first("unreachable");
    expect(await sought(other, plain)).toMatchObject({ kind: "refused", refusal: "unproven" });
    expect(other.network.counters.garbage).toBe(0);
  });

  it("cannot pose as a node with a certificate of its own making, or of anybody's", async () => {
    const one = await node("a#1", keyGuard(key));
    const server = createTlsServer({ cert: pem("eve.pem"), key: pem("eve.key") });
    const address = await listener(server);
    one.sink.call((network) => network.seek(address));
    expect(await one.sink.first("refused")).toMatchObject({ refusal: "unproven" });
  });

  it("cannot talk an older TLS, or one without ephemeral keys, into a node", async () => {
    const one = await node("a#1", keyGuard(key));
    const [known] = clusterKeys(key);
    const psk = { identity: known?.identity ?? "", psk: known?.presharedKey ?? new Uint8Array(0) };
    const old = connectTls({
      host: "127.0.0.1",
      port: one.network.port,
      maxVersion: "TLSv1.2",
      ciphers: "ECDHE-PSK-AES128-CBC-SHA256:PSK-AES128-GCM-SHA256:@SECLEVEL=0",
      checkServerIdentity: () => undefined,
      pskCallback: () => psk,
    });
    let secured = false;
    old.on("secureConnect", () => {
      secured = true;
    });
    await closed(old);
    expect(secured).toBe(false);
  });
});

describe("nodes with certificates", () => {
  it("link when one authority has signed both", async () => {
    await linkUp(await node("ann#1", certificateGuard("ann")), await node("bob#1", certificateGuard("bob")));
  });

  it.each([
    ["of a foreign authority", "eve#1", () => certificateGuard("eve")],
    ["that is revoked", "bob#1", () => certificateGuard("bob")],
    ["that has another name", "ann#2", () => certificateGuard("cat")],
  ])("refuse a certificate %s", async (_what, id, guard) => {
    const one = await node("ann#1", certificateGuard("ann", { crl: pem("revoked.pem") }));
    const other = await node(id, guard());
    expect(await sought(one, other)).toMatchObject({ kind: "refused", refusal: "unproven" });
    other.sink.call((network) => network.link(one.sink.record));
    await one.sink.first("garbage");
    expect(one.sink.told.filter(({ kind }) => kind === "called" || kind === "up")).toEqual([]);
  });

  it("refuse who shows none", async () => {
    const one = await node("ann#1", certificateGuard("ann"));
    const bare = connectTls({
      host: "127.0.0.1",
      port: one.network.port,
      ca: pem("authority.pem"),
      checkServerIdentity: () => undefined,
    });
    await closed(bare);
    await one.sink.first("garbage");
    expect(one.network.counters.unproven).toBe(1);
  });

  it("go by the names in a certificate", () => {
    expect(isCertified(pem("ann.pem"), "ann")).toBe(true);
    expect(isCertified(pem("ann.pem"), "bob")).toBe(false);
    expect(() => isCertified("nonsense", "ann")).toThrow();
  });
});

describe("liveness datagrams behind a guard", () => {
  /** Passes on to a port what it gets, as it is told. */
  async function relay(port: number): Promise<{ readonly port: number; pass: (datagram: Buffer) => Buffer[] }> {
    const socket = createSocket("udp4");
    closers.push(() => socket.close());
    await new Promise<void>((resolve) => socket.bind({ address: "127.0.0.1" }, resolve));
    const relay = { port: socket.address().port, pass: (datagram: Buffer): Buffer[] => [datagram] };
    socket.on("message", (datagram) => {
      for (const each of relay.pass(datagram)) socket.send(each, port, "127.0.0.1");
    });
    return relay;
  }

  it.each([
    ["a cluster key", () => keyGuard(key), () => keyGuard(key)],
    ["certificates", () => certificateGuard("ann"), () => certificateGuard("bob")],
  ])("are believed once, and from nobody else: %s", async (_name, annGuard, bobGuard) => {
    const options = { sealed: true, periodMs: 20, quietMs: 0 };
    const [heardBy, said] = [await Liveness.start(options), await Liveness.start(options)];
    const ann = await node("ann#1", annGuard(), { liveness: heardBy });
    const bob = await node("bob#1", bobGuard(), { liveness: said });
    const between = await relay(heardBy.port);
    const passed: Buffer[] = [];
    between.pass = (datagram) => {
      passed.push(datagram);
      return [datagram];
    };
    ann.sink.record = { ...ann.sink.record, livenessPort: between.port };
    await linkUp(ann, bob);
    const alive = (): number => ann.sink.count("alive");
    await ann.sink.until(() => alive() > 2);

    // From now on the one that lives is silent, and others speak in its name.
    const recorded = passed.slice();
    const [last] = passed.slice(-1);
    if (last === undefined) throw new Error("nothing has passed");
    const later = Buffer.from(last);
    later.writeDoubleLE(1e9, 4);
    const bare = Buffer.from(livenessDatagram(0, "bob#1", "ann#1"));
    const forged = [...recorded, later, bare, Buffer.concat([bare, Buffer.alloc(16)]), last.subarray(0, -1)];
    let rounds = 0;
    between.pass = () => {
      rounds++;
      return forged;
    };
    const moreRounds = async (count: number): Promise<void> => {
      const enough = rounds + count;
      await expect.poll(() => rounds, { timeout: 10_000 }).toBeGreaterThan(enough);
    };
    // What was under way may still come.
    await moreRounds(15);
    const before = alive();
    await moreRounds(20);
    expect(alive()).toBe(before);
    between.pass = (datagram) => [datagram, datagram];
    await ann.sink.until(() => alive() > before);
    expect(heardBy.counters.dropped).toBeGreaterThan(forged.length);
  });
});

describe("strangers at a guarded node", () => {
  const limits = { halfOpenMax: 8, halfOpenPerRemoteMax: 4, handshakeMs: 300 };

  it("are counted and cut off when they say nothing, or stop halfway", async () => {
    const one = await node("a#1", new Guard({ kind: "cluster-key", keys: clusterKeys(key) }, 200));
    const [silent, halfway] = [0, 1].map(() => connect(one.network.port, "127.0.0.1"));
    if (silent === undefined || halfway === undefined) throw new Error("two sockets");
    halfway.write(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1]));
    await Promise.all([closed(silent), closed(halfway)]);
    expect(one.network.counters.unproven).toBe(2);
  });

  it("are turned away when there are too many, and those who come after them are answered", async () => {
    const guard = (): Guard => new Guard({ kind: "cluster-key", keys: clusterKeys(key) }, 300);
    const [one, other] = [await node("a#1", guard(), { limits }), await node("b#1", guard())];
    const flood = Array.from({ length: 20 }, () => connect(one.network.port, "127.0.0.1"));
    await Promise.all(flood.map(closed));
    expect(one.network.counters.crowdedOut).toBe(16);
    expect(one.network.counters.unproven).toBe(4);
    await linkUp(one, other);
  });

  it("say what they like: it is dropped before this protocol sees it, and the next is served", async () => {
    const [one, other] = [await node("a#1", keyGuard(key)), await node("b#1", keyGuard(key))];
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 6, maxLength: 3000 }), fc.boolean(), async (bytes, looksLikeTls) => {
        const socket = connect(one.network.port, "127.0.0.1");
        if (looksLikeTls) bytes.set([22, 3, 1, 0, Math.min(bytes.length - 5, 255)]);
        socket.end(bytes);
        await closed(socket);
      }),
      { numRuns: 60 },
    );
    expect(one.network.counters).toMatchObject({ garbage: 0, framesIn: 0, unproven: 60 });
    await linkUp(one, other);
  });

  it("gain nothing from a recorded connection: it is not answered again", async () => {
    const [one, other] = [await node("a#1", keyGuard(key)), await node("b#1", keyGuard(key))];
    const recorded: Buffer[] = [];
    const proxy = createServer((socket) => {
      const onward = connect(one.network.port, "127.0.0.1");
      closers.push(() => onward.destroy());
      onward.on("error", () => {});
      socket.on("data", (bytes) => {
        recorded.push(bytes);
        onward.write(bytes);
      });
      onward.pipe(socket);
    });
    const address = await listener(proxy);
    other.sink.call((network) => network.seek(address));
    await other.sink.first("met");
    const unproven = one.network.counters.unproven;
    const again = connect(one.network.port, "127.0.0.1");
    const over = closed(again);
    for (const bytes of recorded) again.write(bytes);
    await over;
    await one.sink.until(() => one.network.counters.unproven === unproven + 1);
  });
});
