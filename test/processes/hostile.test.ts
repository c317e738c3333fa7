/**
 * Three processes that serve, and one that has the cluster's key, is none of their members, and keeps to no rule. It moves
 * nobody, costs a bounded amount, shows in the counters, and is cut off.
 */
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Random } from "../../src/base/random.ts";
import type { NodeRecord } from "../../src/protocol/view.ts";
import type { NodeReport } from "../../src/runtime/driver.ts";
import { clusterKeys, newClusterKey } from "../../src/runtime/secure/cluster-key.ts";
import { Guard } from "../../src/runtime/secure/guard.ts";
import { parseAddress } from "../../src/runtime/tcp/address.ts";
import { type Handshake, handshakeFrame, readHandshake } from "../../src/runtime/tcp/handshake.ts";
import { inquire } from "../../src/runtime/tcp/inquire.ts";
import { descriptorsOf, rssMbOf } from "../flood/flood.ts";
import { type Known, lie, understandable } from "../hostile/liar.ts";
import { startNode, type TestNode } from "../tcp-kit.ts";
import type { MemberProcess } from "./member-process.ts";
import { freePorts } from "./ports.ts";
import { Trial, viewOf } from "./trial.ts";

const NAMES = ["ann", "bob", "cat"] as const;
const LIES = 2000;
const INCARNATIONS = 1000;
/** Of those in their handshake, those that wait, and links, which are two connections each. */
const DESCRIPTORS_MAX = 256 + 256 + 2 * 256 + 64;
const RSS_GROWTH_MB_MAX = 128;

const clusterKey = newClusterKey();
const guard = (): Guard => new Guard({ kind: "cluster-key", keys: clusterKeys(clusterKey) });
/** Of one who only dials. */
const dialler = guard();
const closers: (() => unknown)[] = [];
let trial: Trial;
let members: readonly MemberProcess[];
let addresses: readonly string[];

beforeAll(async () => {
  trial = new Trial();
  const ports = await freePorts(NAMES.length);
  addresses = ports.map((port) => `127.0.0.1:${port}`);
  const started: MemberProcess[] = [];
  for (const [index, name] of NAMES.entries())
    started.push(await trial.member(name, { start: { listen: addresses[index], secure: { clusterKey } } }));
  members = started;
  await Promise.all(members.map((member) => viewOf(member, "ledger", NAMES)));
  for (const member of members) await member.call("load", "ledger", { perSecond: 200 });
});

afterAll(async () => {
  for (const close of closers.reverse()) await close();
  await trial.end();
});

async function reportOf(address: string): Promise<NodeReport> {
  const target = parseAddress(address);
  if (target === undefined) throw new Error("not an address");
  return JSON.parse(await inquire(target, 5000, dialler)) as NodeReport;
}

/** What anybody with the key can ask for. */
async function known(self: NodeRecord): Promise<Known> {
  const { view, groups, cluster } = await reportOf(addresses[0] ?? "");
  const [ledger] = groups;
  if (view === null || ledger === undefined) throw new Error("the node is in no view");
  const nodes = view.nodes.map((node) => ({ ...node, livenessPort: 0, features: 0, disk: "", weight: 1 }));
  const { number, members: ids, synced } = ledger;
  return {
    self,
    cluster: { cluster, number: view.number, nodes, acceptors: view.acceptors },
    group: 1,
    view: { number, members: ids, synced, acceptors: [], lacking: [] },
  };
}

/** A node that all three have linked. */
async function linked(id: string): Promise<{ readonly liar: TestNode; readonly at: Known }> {
  const liar = await startNode(id, { guard: guard() });
  closers.push(() => liar.network.close());
  const at = await known(liar.sink.record);
  liar.sink.cluster = at.cluster.cluster;
  for (const node of at.cluster.nodes) liar.sink.call((network) => network.link(node));
  for (const { id: node } of at.cluster.nodes) await liar.sink.first("up", (up) => up.id === node);
  return { liar, at };
}

async function tell({ liar, at }: Awaited<ReturnType<typeof linked>>, frame: Uint8Array, number: number) {
  for (const { id } of at.cluster.nodes) liar.sink.call((network) => network.send(id, "control", frame));
  liar.sink.call((network) => network.flush());
  if (number % 10 === 0) await sleep(2);
}

/** While `action` goes on the group serves: no view changes, nobody leaves, and what is sent is delivered. */
async function serves(action: () => Promise<void>): Promise<void> {
  const before = await Promise.all(members.map((member) => member.call("group", "ledger")));
  const clusters = await Promise.all(members.map((member) => member.call("cluster")));
  const rss = members.map(rssMbOf);
  const descriptors = members.map(descriptorsOf);
  await action();
  for (const [index, member] of members.entries()) {
    await member.call("send", "ledger", "safeSend", "append", member.slot, 1);
    const { view } = before[index] as { readonly view: object };
    expect(await member.call("group", "ledger")).toMatchObject({ status: "active", view });
    expect(await member.call("cluster")).toEqual(clusters[index]);
    expect(rssMbOf(member) - (rss[index] ?? 0)).toBeLessThan(RSS_GROWTH_MB_MAX);
    expect(descriptorsOf(member) - (descriptors[index] ?? 0)).toBeLessThan(DESCRIPTORS_MAX);
  }
}

it("that says what all understand, and nobody may say, moves nobody", async () => {
  const random = new Random(11);
  const link = await linked("mallory#00000001");
  await serves(async () => {
    for (let told = 0; told < LIES; told++) await tell(link, understandable(link.at, random), told);
    await sleep(500);
  });
  await link.liar.network.close();
});

it("that sends garbage is cut off by all, counted, and not linked again", async () => {
  const random = new Random(12);
  const link = await linked("mallory#00000002");
  const { sink } = link.liar;
  await serves(async () => {
    for (let told = 0; told < LIES; told++) await tell(link, lie(link.at, random), told);
    for (const { id } of link.at.cluster.nodes) await sink.first("down", (down) => down.id === id);
    await sink.first("refused", ({ refusal }) => refusal === "excluded");
  });
  for (const address of addresses) {
    const { network } = await reportOf(address);
    expect(network.cutOff).toBe(1);
    expect(network.garbage).toBeGreaterThan(16);
  }
  await link.liar.network.close();
});

/** A proved connection that says this hello; its first answer, or nothing if it was dropped. */
function greet(address: string, hello: Partial<Extract<Handshake, { kind: "hello" }>>, record: NodeRecord) {
  const target = parseAddress(address);
  if (target === undefined) throw new Error("not an address");
  const socket: TLSSocket = dialler.dial(target);
  closers.push(() => socket.destroy());
  const answer = new Promise<Handshake | undefined>((resolve) => {
    socket.on("error", () => {});
    socket.on("close", () => resolve(undefined));
    socket.once("data", (bytes) => resolve(readHandshake(bytes)));
  });
  const whole = { cluster: "", expects: "", probe: false, session: 1, peerSession: 0, attempt: 1, offset: 0 };
  const versions = { versionOldest: 1, versionNewest: 1 };
  socket.on("secureConnect", () =>
    socket.write(handshakeFrame({ kind: "hello", ...whole, ...versions, record, ...hello })),
  );
  return { socket, answer };
}

/** A server of which nobody knows what it does with those who come. */
async function serverOf(onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  closers.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const bound = server.address();
  return `127.0.0.1:${typeof bound === "object" && bound !== null ? bound.port : 0}`;
}

it("that takes the name of a member which is there does not take its place", async () => {
  const random = new Random(13);
  const { cluster } = await known({ id: "", address: "", livenessPort: 0, features: 0, disk: "", weight: 1 });
  const bob = cluster.nodes[1];
  if (bob === undefined) throw new Error("bob is not there");
  const address = await serverOf(() => {});
  await serves(async () => {
    for (let attempt = 1; attempt <= 40; attempt++) {
      const session = random.pick([1, 2, 0xffff_ffff, random.below(0x7fff_ffff)]);
      const peerSession = random.pick([0, 0, 1, session]);
      const offset = random.pick([0, 0, 12_345, 1e15]);
      const forged = { ...bob, address, livenessPort: 9 };
      const hello = { cluster: cluster.cluster, session, peerSession, attempt, offset };
      const { socket, answer } = greet(addresses[0] ?? "", hello, forged);
      const answered = await answer;
      expect(answered === undefined || answered.kind === "refusal").toBe(true);
      socket.destroy();
    }
  });
});

it("that comes under a thousand names, none of which answers, costs no more than some of them", async () => {
  const address = await serverOf(() => {});
  const { cluster } = await known({ id: "", address: "", livenessPort: 0, features: 0, disk: "", weight: 1 });
  await serves(async () => {
    const callers: TLSSocket[] = [];
    for (let number = 0; number < INCARNATIONS; number++) {
      const id = `mallory#${number.toString(16).padStart(8, "0")}`;
      const record = { id, address, livenessPort: 0, features: 0, disk: "", weight: 1 };
      callers.push(greet(addresses[0] ?? "", { cluster: cluster.cluster }, record).socket);
      if (number % 20 === 19) await sleep(100);
    }
    await sleep(1000);
    expect(descriptorsOf(members[0] as MemberProcess)).toBeLessThan(DESCRIPTORS_MAX + 64);
    for (const socket of callers) socket.destroy();
  });
});

/** What a sloth says after its welcome, and then a byte of each second. */
const SLOTHS: readonly Uint8Array[] = [
  Uint8Array.of(255, 255, 255, 255),
  Uint8Array.of(255, 255, 63, 0, 1),
  Uint8Array.of(0, 0, 0, 0, 0, 0),
  Uint8Array.of(1, 2),
];

it("that ends no frame, goes byte by byte, or names giant lengths is borne or dropped", async () => {
  const { cluster } = await known({ id: "", address: "", livenessPort: 0, features: 0, disk: "", weight: 1 });
  const before = (await reportOf(addresses[0] ?? "")).network.garbage;
  await serves(async () => {
    const calls: TLSSocket[] = [];
    for (const [number, says] of SLOTHS.entries()) {
      const id = `sloth#0000000${number}`;
      const own = guard();
      const address = await serverOf((raw) =>
        own.examine(raw, {
          passed: (socket) => {
            socket.on("error", () => {});
            socket.once("data", () => {
              const welcome = { kind: "welcome", version: 1, cluster: cluster.cluster, session: 1, offset: 0 } as const;
              socket.write(handshakeFrame({ ...welcome, record }));
              socket.write(says);
              const drip = setInterval(() => socket.write(Uint8Array.of(0)), 1000);
              socket.on("close", () => clearInterval(drip));
            });
          },
          failed: () => {},
        }),
      );
      const record: NodeRecord = { id, address, livenessPort: 0, features: 0, disk: "", weight: 1 };
      calls.push(greet(addresses[0] ?? "", { cluster: cluster.cluster }, record).socket);
    }
    await sleep(4000);
    // It says that it will say nothing more, and goes on to read.
    for (const socket of calls) socket.end();
    await sleep(1000);
  });
  expect((await reportOf(addresses[0] ?? "")).network.garbage).toBeGreaterThan(before);
});

it("has changed nothing of what the members delivered", async () => {
  for (const member of members) await member.call("stopLoad");
  await trial.settle(members);
  trial.judge({ quiescent: true });
});
