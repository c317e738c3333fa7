import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { freePort } from "../../test/processes/ports.ts";
import { newClusterKey } from "../runtime/secure/cluster-key.ts";
import { authorizeBy } from "./authorize.ts";
import { defineGroup } from "./define.ts";
import type { CoterieError } from "./errors.ts";
import type { Node } from "./node.ts";
import type { StartOptions } from "./options.ts";
import { ALL } from "./reply.ts";
import { start } from "./start.ts";

const closers: (() => unknown)[] = [];

afterEach(async () => {
  delete process.env["COTERIE_CLUSTER_KEY"];
  for (const close of closers.splice(0).reverse()) await close();
});

const certificate = (name: string): string => join("test", "certificates", name);
const secureOf = (name: string) => ({
  cert: certificate(`${name}.pem`),
  key: certificate(`${name}.key`),
  ca: certificate("authority.pem"),
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "coterie-secure-"));
  closers.push(() => rmSync(path, { recursive: true }));
  return path;
}

async function started(options: StartOptions): Promise<Node> {
  const node = await start({ log: () => {}, ...options });
  closers.push(() => node.close());
  return node;
}

/** The error with which this start ends. */
async function refusal(options: StartOptions): Promise<CoterieError> {
  try {
    await started(options);
  } catch (error) {
    return error as CoterieError;
  }
  throw new Error("it started");
}

const tally = defineGroup({
  name: "tally",
  state: () => ({ sum: 0 }),
  updates: {
    add: ({ state }, amount: number) => {
      state.sum += amount;
      return state.sum;
    },
  },
});

describe("a node that others could reach", () => {
  it.each([{ listen: "0.0.0.0:7000" }, { listen: "[::]:7000" }, { advertise: "node.example:7000" }])(
    "does not start without proof of who they are: %o",
    async (options) => {
      expect(await refusal({ discovery: folder(), ...options })).toMatchObject({ code: "insecure", retryable: false });
    },
  );

  it("starts when told that it is to believe whoever reaches it", async () => {
    const node = await started({
      discovery: folder(),
      listen: `0.0.0.0:${await freePort("0.0.0.0")}`,
      advertise: "127.0.0.1:1",
      insecure: true,
    });
    expect(node.cluster.status).toBe("primary");
  });
});

describe("nodes that prove themselves", () => {
  it.each([
    ["a cluster key", () => ({ clusterKey: newClusterKey() }), ["ann", "bob"]],
    ["certificates", undefined, [undefined, undefined]],
  ])("form a cluster and share a group: with %s", async (_what, common, names) => {
    const discovery = folder();
    const shared = common?.();
    const [one, other] = await Promise.all(
      (["ann", "bob"] as const).map((who, at) => {
        const name = names[at];
        return started({ discovery, secure: shared ?? secureOf(who), ...(name === undefined ? {} : { name }) });
      }),
    );
    if (one === undefined || other === undefined) throw new Error("two nodes");
    expect([one.self, other.self].map((id) => id.split("#")[0])).toEqual(["ann", "bob"]);
    const [first, second] = await Promise.all([one.join(tally), other.join(tally)]);
    await first.orderedSend.add(20);
    await second.orderedSend.add(1);
    expect(await first.safeSend.add(0)).toBe(21);
  });

  it("take other keys while they run: from files that change, and from the application", async () => {
    const discovery = folder();
    const file = join(folder(), "key");
    const [first, second, third] = [newClusterKey(), newClusterKey(), newClusterKey()];
    writeFileSync(file, first);
    const entries: string[] = [];
    const log = ({ code }: { readonly code: string }): unknown => entries.push(code);
    const one = await started({ discovery, name: "ann", secure: { clusterKey: file }, log });
    // A change before the first look at the file is seen with the next.
    const changed = (content: string, code: string): Promise<void> =>
      vi.waitFor(
        () => {
          if (!entries.includes(code)) writeFileSync(file, content);
          expect(entries).toContain(code);
        },
        { timeout: 15_000, interval: 2500 },
      );
    await changed("no key at all", "keys-not-taken");
    await changed(`${second}\n${first}`, "rekeyed");
    const other = await started({ discovery, name: "bob", secure: { clusterKey: second } });
    await one.rekey({ clusterKey: [third, second] });
    await other.rekey({ clusterKey: third });
    const late = await started({ discovery, name: "cat", secure: { clusterKey: [first, third] } });
    expect(late.cluster.view?.nodes).toHaveLength(3);
    await one.rekey({});
    for (const wrong of [{ clusterKey: 7 }, { clusterKey: "no such file" }, { dataKey: first }, { colour: first }]) {
      await expect(one.rekey(wrong as never)).rejects.toMatchObject({ code: "invalid-option" });
    }
    const certified = await started({ discovery: folder(), secure: secureOf("ann") });
    await certified.rekey();
    await expect(certified.rekey({ clusterKey: first })).rejects.toMatchObject({ code: "invalid-option" });
  });

  it("take the key from the environment", async () => {
    const keyFile = join(folder(), "key");
    writeFileSync(keyFile, newClusterKey());
    process.env["COTERIE_CLUSTER_KEY"] = keyFile;
    const node = await started({
      discovery: folder(),
      listen: `0.0.0.0:${await freePort("0.0.0.0")}`,
      advertise: "127.0.0.1:1",
    });
    expect(node.cluster.status).toBe("primary");
  });

  it("do not start under a name that their certificate does not have", async () => {
    const error = await refusal({ discovery: folder(), name: "zoe", secure: secureOf("ann") });
    expect(error).toMatchObject({ code: "invalid-option" });
    expect(error.message).toContain("zoe");
  });

  it.each([
    [{ clusterKey: "/no/such/file" }, "neither a key nor a file"],
    [{ clusterKey: [] }, "neither text nor bytes"],
    [{ clusterKey: "x", ca: "y" }, "neither { clusterKey }"],
    [{ cert: "/no/such/file", key: "x", ca: "y" }, "`secure.cert`"],
    [{ ...secureOf("ann"), key: certificate("bob.key") }, "TLS cannot use"],
  ])("name the option that is wrong: %o", async (secure, text) => {
    const error = await refusal({ discovery: folder(), secure: secure as never, name: "ann" });
    expect(error).toMatchObject({ code: "invalid-option" });
    expect(error.message).toContain(text);
  });

  it("never show a key in an error", async () => {
    const key = newClusterKey();
    const error = await refusal({ discovery: folder(), secure: { clusterKey: `${key.slice(0, -1)}!` } });
    expect(`${error.stack} ${String(error.cause)}`).not.toContain(key.slice(10, 30));
  });
});

describe("a secure group", () => {
  const vault = defineGroup({
    name: "vault",
    secure: true,
    state: () => new Map<string, string>(),
    updates: {
      keep: ({ state }, name: string, word: string) => {
        state.set(name, word);
        return state.size;
      },
    },
    queries: { find: ({ state }, name: string) => state.get(name) },
  });

  it("sends, orders, answers and hands over its state like any other", async () => {
    const [discovery, secure] = [folder(), { clusterKey: newClusterKey() }];
    const one = await started({ discovery, secure, name: "ann" });
    const first = await one.join(vault);
    await first.safeSend.keep("long", "x".repeat(300_000));
    const other = await started({ discovery, secure, name: "bob" });
    const second = await other.join(vault);
    expect(second.read(({ state }) => state.get("long")?.length)).toBe(300_000);
    await Promise.all([
      first.orderedSend.keep("a", "1"),
      second.causalSend.keep("b", "2"),
      second.safeSend.keep("c", "3"),
    ]);
    const replies = await first.query(ALL, { order: "safe" }).find("c");
    expect(replies.map((reply) => reply.status === "value" && reply.value)).toEqual(["3", "3"]);
    await second.leave();
    expect(await first.safeSend.keep("d", "4")).toBe(5);
  });

  it("is refused where connections are not secured, and to members that take it for a clear one", async () => {
    const node = await started({ discovery: folder() });
    await expect(node.join(vault)).rejects.toMatchObject({ code: "insecure", group: "vault" });
    const [discovery, secure] = [folder(), { clusterKey: newClusterKey() }];
    await (await started({ discovery, secure, name: "ann" })).join(vault);
    const clear = defineGroup({ name: "vault", state: () => new Map<string, string>() });
    const other = await started({ discovery, secure, name: "bob" });
    await expect(other.join(clear)).rejects.toMatchObject({ code: "definition-mismatch" });
  });
});

describe("a secure group with a key of its own", () => {
  const definition = { name: "vault", secure: true, state: () => ({ sum: 0 }) } as const;
  const add = ({ state }: { state: { sum: number } }, amount: number): number => {
    state.sum += amount;
    return state.sum;
  };
  const vault = defineGroup({ ...definition, updates: { add } });
  const key = newClusterKey();

  async function cluster(): Promise<readonly [Node, Node]> {
    const [discovery, secure] = [folder(), { clusterKey: newClusterKey() }];
    const one = await started({ discovery, secure, name: "ann" });
    return [one, await started({ discovery, secure, name: "bob" })];
  }

  it("takes those in who have the key, as text, bytes or a file, and tells all others the same", async () => {
    const [ann, bob] = await cluster();
    const keyFile = join(folder(), "vault.key");
    writeFileSync(keyFile, `${key}\n`);
    const first = await ann.join(vault, { key: keyFile });
    const other = defineGroup({ ...definition, version: 2, updates: {} });
    const attempts = [
      () => bob.join(vault),
      () => bob.join(vault, { key: newClusterKey() }),
      () => bob.join(other),
      () => bob.joinAll([vault, tally]),
    ];
    const refused = { code: "refused", group: "vault", retryable: false };
    for (const attempt of attempts) await expect(attempt()).rejects.toMatchObject(refused);
    const second = await bob.join(vault, { key: Buffer.from(key.slice(8), "base64url") });
    await first.orderedSend.add(20);
    expect(await second.safeSend.add(1)).toBe(21);
  });

  it("takes a key for each of several groups", async () => {
    const [ann, bob] = await cluster();
    const purse = defineGroup({ ...definition, name: "purse" });
    const purseKey = newClusterKey();
    await ann.joinAll([vault, purse], { keys: { vault: key, purse: purseKey } });
    const swapped = { keys: { vault: purseKey, purse: key } };
    await expect(bob.joinAll([vault, purse], swapped)).rejects.toMatchObject({ code: "refused" });
    await expect(bob.joinAll([vault, purse], { key })).rejects.toMatchObject({ code: "refused", group: "purse" });
    const [first] = await bob.joinAll([vault, purse], { key, keys: { purse: purseKey } });
    expect(await first.safeSend.add(1)).toBe(1);
    for (const keys of [{ tally: key }, { nobody: key }, { vault: "no key" }])
      await expect(bob.joinAll([vault, tally], { keys })).rejects.toMatchObject({ code: "invalid-option" });
  });

  it("refuses who knows only the key that was replaced, and says what to do", async () => {
    const [ann, bob] = await cluster();
    const first = await ann.join(vault, { key });
    const next = newClusterKey();
    await first.rekey(next);
    const late = await bob.join(vault, { key }).catch((error: unknown) => error);
    expect(late).toMatchObject({
      code: "refused",
      group: "vault",
      retryable: false,
      message: expect.stringContaining("`key` is missing, or not the one that the group has now"),
      remedy: expect.stringContaining("`group.rekey` may have replaced it"),
    });
    const second = await bob.join(vault, { key: next });
    expect(await second.safeSend.add(1)).toBe(1);
  });

  it("does not lead who brings a key into a group without one", async () => {
    const [ann, bob] = await cluster();
    await ann.join(vault);
    await expect(bob.join(vault, { key })).rejects.toMatchObject({ code: "refused" });
  });

  it("says what is wrong with a key, and never shows it", async () => {
    const [ann] = await cluster();
    for (const [given, problem] of [
      [`${key.slice(0, -1)}!`, "is not a key"],
      [new Uint8Array(31), "is a key of 31 bytes"],
      [7, "is neither text nor bytes"],
      [`${key} ${newClusterKey()}`, "names more than one key"],
    ] as const) {
      const attempt = ann.join(vault, { key: given as string });
      await expect(attempt).rejects.toMatchObject({
        code: "invalid-option",
        message: expect.stringContaining(problem),
      });
      await attempt.catch((error: CoterieError) =>
        expect(`${error.stack} ${String(error.cause)}`).not.toContain(key.slice(10, 30)),
      );
    }
    await expect(ann.join(tally, { key })).rejects.toMatchObject({ code: "invalid-option" });
  });
});

describe("who may join", () => {
  async function cluster(authorize: StartOptions["authorize"], codes: string[] = []): Promise<readonly [Node, Node]> {
    const discovery = folder();
    const log: StartOptions["log"] = ({ code, message }) => void codes.push(`${code}: ${message.split(": ").pop()}`);
    const one = await started({ discovery, secure: secureOf("ann"), log, ...(authorize && { authorize }) });
    return [one, await started({ discovery, secure: secureOf("bob") })];
  }
  const names = defineGroup({ name: "names", state: () => 0, updates: {} });

  it("is asked at the node that leads, with the name of the certificate, for each group", async () => {
    const asked: unknown[] = [];
    const [ann, bob] = await cluster(async (applicant) => {
      asked.push(applicant);
      return applicant.group === "names";
    });
    const refused = { code: "refused", group: "tally" };
    await expect(ann.join(tally)).rejects.toMatchObject(refused);
    await ann.join(names);
    await expect(bob.joinAll([names, tally])).rejects.toMatchObject(refused);
    await expect(bob.join(tally)).rejects.toMatchObject(refused);
    expect((await bob.join(names)).view.members).toEqual([ann.self, bob.self]);
    expect(asked.map((each) => Object.values(each as object).join())).toEqual([
      // The one that leads asks itself, too.
      ...["tally", "names"].map((group) => `${ann.self},ann,${group}`),
      ...["names", "tally", "tally", "names"].map((group) => `${bob.self},bob,${group}`),
    ]);
  });

  it("is nobody when the application fails, or does not say yes", async () => {
    const answers = [
      () => {
        throw new Error("no list");
      },
      () => Promise.reject(new Error("no list")),
      () => "yes" as unknown as boolean,
    ];
    const codes: string[] = [];
    const [, bob] = await cluster(() => (answers.shift() as () => boolean)(), codes);
    for (let times = 0; times < 3; times++) await expect(bob.join(tally)).rejects.toMatchObject({ code: "refused" });
    const [failed, silent] = ["`authorize` has failed", "`authorize` does not allow it"];
    expect(codes.filter((code) => code.startsWith("join-refused"))).toEqual(
      [failed, failed, silent].map((why) => `join-refused: ${why}`),
    );
  });

  it("is nobody when the application says nothing for 5 seconds", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const said: boolean[] = [];
    const ask = authorizeBy(
      () => new Promise(() => {}),
      () => {},
    );
    ask({ node: "bob#0000000b", group: "tally" }, (isAllowed) => void said.push(isAllowed));
    vi.advanceTimersByTime(4999);
    expect(said).toEqual([]);
    vi.advanceTimersByTime(1);
    vi.useRealTimers();
    expect(said).toEqual([false]);
  });
});

describe("a node with another key", () => {
  it("is told so at once, and again when it gives up", async () => {
    const discovery = folder();
    await started({ discovery, name: "ann", secure: { clusterKey: newClusterKey() } });
    const codes: string[] = [];
    const enough = new AbortController();
    const attempt = refusal({
      discovery,
      name: "eve",
      secure: { clusterKey: newClusterKey() },
      signal: enough.signal,
      log: ({ code, level, message }) => {
        if (level !== "error" || !message.includes("unproven")) return;
        codes.push(code);
        enough.abort();
      },
    });
    expect(await attempt).toMatchObject({ code: "aborted" });
    expect(codes[0]).toBe("handshake-refused");
  });
});
