/** What two processes that serve do when something is asked of them that cannot be: they say so, and serve on. */
import { createSocket } from "node:dgram";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Handshake, handshakeFrame, readHandshake } from "../../src/runtime/tcp/handshake.ts";
import { type MemberProcess, monotonicMs } from "./member-process.ts";
import { freePort, freePorts } from "./ports.ts";
import { allowanceMs, areNames, figure, type Ledger, type Tally, Trial, viewOf } from "./trial.ts";

/** From SIGTERM to the view without the process: much less than it takes to find out that a process is gone. */
const LEAVE_MS_MAX = 1000;

let trial: Trial;
let ann: MemberProcess;
let bob: MemberProcess;
let annPort: number;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  trial = new Trial();
  annPort = await freePort();
  ann = await trial.member("ann", { start: { listen: `127.0.0.1:${annPort}` }, groups: ["ledger", "small"] });
  bob = await trial.member("bob", { groups: ["ledger", "small"] });
  await viewOf(ann, "small", ["ann", "bob"]);
});

afterAll(async () => {
  for (const close of closers.reverse()) close();
  await trial.end();
});

/** Both still serve, agree, and have not changed their view. */
async function serveOn(): Promise<Ledger> {
  for (const each of [ann, bob]) await each.call("send", "ledger", "safeSend", "append", each.slot, 0);
  expect(await ann.call("group", "ledger")).toMatchObject({ status: "active", view: { members: { length: 2 } } });
  return await trial.settle([ann, bob]);
}

/** A server of which nobody knows what it does with what it is sent. */
async function serverOf(onConnection: (socket: Socket) => void): Promise<{ server: Server; address: string }> {
  const server = createServer(onConnection);
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  closers.push(() => server.close());
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("the server does not listen");
  return { server, address: `127.0.0.1:${bound.port}` };
}

/** Sends bytes to ann's port; resolves with all that comes back until the connection ends. */
function answerTo(bytes: Uint8Array): Promise<Buffer> {
  return new Promise((resolve) => {
    const received: Buffer[] = [];
    const socket = connect({ host: "127.0.0.1", port: annPort }, () => socket.write(bytes));
    closers.push(() => socket.destroy());
    socket.on("data", (chunk) => received.push(chunk));
    socket.on("error", () => {});
    socket.on("close", () => resolve(Buffer.concat(received)));
  });
}

function helloOf(fields: Partial<Extract<Handshake, { kind: "hello" }>>): Uint8Array {
  return handshakeFrame({
    kind: "hello",
    versionOldest: 1,
    versionNewest: 1,
    cluster: "",
    record: { id: "mallory#00000001", address: "127.0.0.1:1", livenessPort: 0, features: 0, disk: "", weight: 1 },
    expects: "",
    probe: false,
    session: 1,
    peerSession: 0,
    attempt: 1,
    offset: 0,
    ...fields,
  });
}

async function clusterOf(member: MemberProcess): Promise<string> {
  const { view } = await member.call<{ readonly view: { readonly cluster: string } }>("cluster");
  return view.cluster;
}

const logged = (member: MemberProcess, text: string, from: number): Promise<{ readonly message: string }> =>
  member.event("log", ({ message }) => message.includes(text), from);

describe("start refuses", () => {
  it("options that are not, or that are wrong, and names the field", async () => {
    const process = await trial.launch("nobody");
    expect(await process.refusal("start", { nosuch: 1 })).toMatchObject({
      code: "invalid-option",
      class: "CoterieError",
    });
    const wrong = await process.refusal("start", { failureTimeoutMs: "long" });
    expect(wrong.message).toContain("`failureTimeoutMs`");
    expect(await process.refusal("start", { discovery: false })).toMatchObject({ code: "invalid-option" });
  });

  it("a port in use", async () => {
    const { address } = await serverOf((socket) => socket.destroy());
    const process = await trial.launch("late");
    const refusal = await process.refusal("start", { listen: address, discovery: trial.discovery });
    expect(refusal).toMatchObject({ code: "port-in-use", class: "CoterieError" });
    expect(refusal.message).toContain("`listen`");
  });

  it("the name of another process, which does not notice", async () => {
    const process = await trial.launch("impostor");
    const refusal = await process.refusal("start", { name: "bob", discovery: trial.discovery, failureTimeoutMs: 300 });
    expect(refusal).toMatchObject({ code: "name-taken", class: "CoterieError" });
    expect(refusal.message).toContain("bob");
    // The process goes on, and may have another name.
    await process.call("start", { name: "impostor", discovery: trial.discovery });
    await process.call("close");
    await serveOn();
  });

  it("to wait longer than its signal allows for seeds that do not answer, or are silent", async () => {
    const { address } = await serverOf(() => {});
    const [closed] = await freePorts(1);
    const process = await trial.launch("seeker");
    const from = monotonicMs();
    const refusal = await process.refusal("start", { seeds: [address, `127.0.0.1:${closed}`], abortAfterMs: 400 });
    expect(refusal).toMatchObject({ code: "aborted", class: "CoterieError" });
    expect(monotonicMs() - from).toBeLessThan(5000);
    expect(await process.refusal("start", { seeds: [address], abortAfterMs: 1 })).toMatchObject({ code: "aborted" });
  });

  it("to be in two clusters: a node whose seeds are of two joins one, says that the other is foreign, and leaves it alone", async () => {
    const [port] = await freePorts(1);
    const other = new Trial();
    closers.push(() => other.end());
    const eve = await other.member("eve", { start: { listen: `127.0.0.1:${port}` }, groups: [] });
    const process = await other.launch("both");
    const from = new Map([ann, eve].map((each) => [each, each.events.length]));
    await process.call("start", { name: "both", seeds: [`127.0.0.1:${annPort}`, `127.0.0.1:${port}`] });
    const chosen = (await clusterOf(process)) === (await clusterOf(ann)) ? ann : eve;
    const foreign = chosen === ann ? eve : ann;
    expect(await clusterOf(process)).toBe(await clusterOf(chosen));
    expect(await clusterOf(process)).not.toBe(await clusterOf(foreign));
    await process.event("log", ({ level, message }) => level === "error" && message.includes("foreign-cluster"));
    expect(foreign.events.slice(from.get(foreign)).filter(({ kind }) => kind === "cluster")).toEqual([]);
    await process.call("close");
    await serveOn();
  });
});

describe("a connection is refused, and its dialler told why,", () => {
  it("from a node of another cluster, and from one that speaks another version", async () => {
    const from = ann.events.length;
    const foreign = readHandshake(await answerTo(helloOf({ cluster: "another" })));
    expect(foreign).toEqual({ kind: "refusal", code: "foreign-cluster", detail: await clusterOf(ann) });
    await logged(ann, 'mallory#00000001 of cluster "another": foreign-cluster', from);
    const future = readHandshake(await answerTo(helloOf({ versionOldest: 7, versionNewest: 9 })));
    expect(future).toMatchObject({ kind: "refusal", code: "version" });
    await logged(ann, "version", from);
    await serveOn();
  });
});

describe("garbage is counted and dropped", () => {
  it("on the port: what is no hello, half of one, too much of one", async () => {
    const from = ann.events.length;
    const hello = helloOf({});
    const random = Uint8Array.from({ length: 5000 }, (_, index) => (index * 7919 + 13) & 0xff);
    expect(await answerTo(random)).toHaveLength(0);
    expect(await answerTo(Buffer.from("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"))).toHaveLength(0);
    expect(await answerTo(Buffer.concat([hello, hello]))).toHaveLength(0);
    const broken = Buffer.from(hello);
    broken.writeUInt8(99, 8);
    expect(await answerTo(broken)).toHaveLength(0);
    await ann.until("four reports of garbage", () => {
      const reports = ann.events
        .slice(from)
        .filter((event) => event.kind === "log" && event.code === "garbage-dropped");
      return reports.length >= 4 ? true : undefined;
    });
    // Half of one, and then silence: it costs a few bytes and seconds, and nobody waits for it.
    void answerTo(hello.subarray(0, 20));
    await serveOn();
  });

  it("from a node that greets properly: frames that are none, packets that are broken", async () => {
    const from = ann.events.length;
    const frames: Buffer[] = [];
    for (let kind = 0; kind < 256; kind += 5) {
      const frame = Buffer.alloc(64, kind);
      frame.writeUInt32LE(60, 0);
      frame.writeUInt8(kind, 4);
      frames.push(frame);
    }
    const { address } = await serverOf((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => {
        const welcome = { kind: "welcome", version: 1, cluster: "", record, session: 1, offset: 0 } as const;
        socket.write(Buffer.concat([handshakeFrame(welcome), ...frames]));
      });
    });
    const record = { id: "mallory#00000002", address, livenessPort: 0, features: 0, disk: "", weight: 1 };
    void answerTo(helloOf({ record }));
    await logged(ann, "mallory#00000002", from);
    await serveOn();
  });

  it("at the port of the liveness worker", async () => {
    const { view } = await ann.call<{
      readonly view: { readonly nodes: readonly { readonly livenessPort: number }[] };
    }>("cluster");
    const socket = createSocket("udp4");
    closers.push(() => socket.close());
    for (const { livenessPort } of view.nodes) {
      for (const text of ["", "garbage", "x".repeat(2000)]) {
        await new Promise((resolve) => socket.send(text, livenessPort, "127.0.0.1", resolve));
      }
    }
    await serveOn();
  });
});

describe("join refuses", () => {
  it("another definition of the group, for all groups of the step or none; and what is joined already", async () => {
    const cy = await trial.member("cy", { groups: [] });
    const mismatch = await cy.refusal("join", "ledger-2");
    expect(mismatch).toMatchObject({ code: "definition-mismatch", class: "CoterieError", group: "ledger" });
    expect(await cy.refusal("joinAll", ["other", "ledger-2"])).toMatchObject({ code: "definition-mismatch" });
    // It has not even made the other group: whoever makes it is alone in it.
    await ann.call("join", "other");
    expect(await ann.call("group", "other")).toMatchObject({ view: { members: { length: 1 } } });
    await ann.call("leave", "other");
    expect(await ann.refusal("send", "other", "send", "count", 0, 1)).toMatchObject({ code: "left", group: "other" });
    expect(await ann.refusal("join", "ledger")).toMatchObject({ code: "already-member" });
    await cy.call("close");
    expect(await cy.refusal("join", "ledger")).toMatchObject({ code: "closed" });
    await serveOn();
  });
});

describe("a call is refused", () => {
  it("that has too long a message or bad arguments: nothing is sent", async () => {
    const before = await ann.call<{ readonly counters: { readonly sent: number } }>("group", "small");
    const tooLarge = await ann.refusal("send", "small", "orderedSend", "bytes", new Uint8Array(4097));
    expect(tooLarge).toMatchObject({ code: "message-too-large", class: "CoterieError", group: "small" });
    expect(await ann.refusal("send", "small", "send", "set", "key", 5)).toMatchObject({ code: "invalid-argument" });
    expect(await ann.refusal("send", "small", "send", "nosuch")).toMatchObject({ code: "unknown-operation" });
    const after = await ann.call<typeof before>("group", "small");
    expect(after.counters.sent).toBe(before.counters.sent);
    expect(await ann.call("send", "small", "orderedSend", "bytes", new Uint8Array(4096))).toBe(4096);
    await serveOn();
  });

  it("by an update that throws: the sender is told, all replicas are as the handler left them, the group goes on", async () => {
    const from = bob.events.length;
    const refusal = await ann.refusal("send", "ledger", "orderedSend", "setAndThrow", "thrown", "left");
    expect(refusal).toMatchObject({ code: "handler-failed", group: "ledger", cause: { name: "RangeError" } });
    await bob.event("log", ({ code }) => code === "handler-failed", from);
    const { values } = await serveOn();
    expect(values.get("thrown")).toBe("left");
  });

  it("by an update that returns a promise", async () => {
    const refusal = await bob.refusal("send", "ledger", "safeSend", "promise", "promised");
    expect(refusal).toMatchObject({ code: "asynchronous-update", group: "ledger" });
    const { values } = await serveOn();
    expect(values.get("promised")).toBe("promised");
  });

  it("by a query that throws, or answers that it will not", async () => {
    const threw = await ann.refusal("query", "ledger", "ALL", {}, "throws");
    expect(threw).toMatchObject({ code: "handler-failed", class: "CoterieError" });
    expect(threw.message).toContain("no answer");
    const aborted = await ann.refusal("query", "ledger", "ALL", {}, "aborts");
    expect(aborted).toMatchObject({ code: "query-aborted", class: "AbortReply", reason: "not now" });
    const nothing = await ann.call<readonly { readonly status: string }[]>("query", "ledger", "ALL", {}, "nothing");
    expect(nothing.map(({ status }) => status)).toEqual(["null", "null"]);
    await serveOn();
  });

  it("by its caller, or for lack of time", async () => {
    const { chain } = await serveOn();
    expect(await ann.refusal("sendUntil", 0, "ledger", "orderedSend", "append", 0, 1)).toMatchObject({
      code: "aborted",
    });
    expect(await bob.call<Ledger>("read", "ledger")).toMatchObject({ chain });
    const slow = { abortAfterMs: 50 };
    expect(await ann.refusal("query", "ledger", "ALL", slow, "answersAfter", 3000)).toMatchObject({ code: "aborted" });
    const hasty = { timeoutMs: 50, onTimeout: "abort" };
    expect(await ann.refusal("query", "ledger", "ALL", hasty, "answersAfter", 3000)).toMatchObject({ code: "timeout" });
    const patient = { timeoutMs: 50 };
    const replies = await ann.call<readonly { readonly status: string }[]>(
      "query",
      "ledger",
      "ALL",
      patient,
      "answersAfter",
      3000,
    );
    expect(replies.map(({ status }) => status)).toEqual(["timeout", "timeout"]);
    await serveOn();
  });
});

describe("SIGTERM", () => {
  it("makes a process leave in good order, at once, and end by the signal", async () => {
    const dee = await trial.member("dee");
    await viewOf(ann, "ledger", ["ann", "bob", "dee"]);
    await Promise.all([ann, dee].map((each) => each.call("load", "ledger", { perSecond: 200 })));
    await dee.call("send", "ledger", "safeSend", "append", dee.slot, 0);
    const boundMs = LEAVE_MS_MAX + (await allowanceMs([ann, bob]));
    const from = ann.events.length;
    const at = dee.terminate();
    const view = await ann.view("ledger", (each) => areNames(each, ["ann", "bob"]), from);
    figure("SIGTERM to the view without the process, ms", view.at - at);
    expect(view.at - at).toBeLessThanOrEqual(boundMs);
    await dee.ended();
    expect(dee.exit).toMatchObject({ code: null, signal: "SIGTERM" });
    figure("SIGTERM to the end of the process, ms", (dee.exit?.at ?? 0) - at);
    expect((await ann.call<Tally>("stopLoad")).failures).toEqual({});
    await trial.settle([ann, bob]);
    // It has left, and everything that it sent was delivered: D4 holds for those who leave.
    const history = trial.judge({ quiescent: true });
    expect(history.some((event) => event.kind === "end" && event.why === "left" && event.node.startsWith("dee"))).toBe(
      true,
    );
  });
});
