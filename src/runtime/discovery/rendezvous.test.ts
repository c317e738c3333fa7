import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Random } from "../../base/random.ts";
import { type Discovery, DiscoveryError, type Founding } from "./discovery.ts";
import { LOCK_PATH_BYTES_MAX } from "./lock.ts";
import { defaultDirectory, rendezvous, residents } from "./rendezvous.ts";

const directories: string[] = [];
const opened: Discovery[] = [];
let incarnations = 0;

afterEach(async () => {
  vi.useRealTimers();
  await Promise.all(opened.splice(0).map((discovery) => discovery.close()));
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "coterie-test-"));
  directories.push(directory);
  return directory;
}

async function open(directory: string, port: number): Promise<Discovery> {
  const id = `node${port}#${(incarnations++).toString(16).padStart(8, "0")}`;
  const discovery = await rendezvous({ directory, record: { id, address: `127.0.0.1:${port}` } });
  opened.push(discovery);
  return discovery;
}

async function why(discovery: Discovery): Promise<string> {
  const answer = await discovery.founding();
  return answer.kind === "wait" ? answer.why : `not waiting: ${answer.kind}`;
}

const found: Founding = { kind: "found" };

describe("founding", () => {
  test("a node alone founds, and is told so again until it is in a cluster", async () => {
    const alone = await open(newDirectory(), 1);
    expect(await alone.founding()).toEqual(found);
    expect(await alone.founding()).toEqual(found);
    await alone.joined("c1");
    expect(await why(alone)).toContain("this node is in cluster c1");
  });

  test("of several that ask at once one is told to found, the others wait for it by name", async () => {
    const directory = newDirectory();
    const nodes = await Promise.all([1, 2, 3, 4].map((port) => open(directory, port)));
    const answers = await Promise.all(nodes.map((node) => node.founding()));
    expect(answers.filter((answer) => answer.kind === "found")).toHaveLength(1);
    const winner = answers.findIndex((answer) => answer.kind === "found") + 1;
    for (const answer of answers) {
      if (answer.kind === "wait") expect(answer.why).toMatch(`node${winner}#`);
    }
  });

  test("a founder that dies before its cluster lives is succeeded by one of the undecided", async () => {
    const directory = newDirectory();
    const founder = await open(directory, 1);
    expect(await founder.founding()).toEqual(found);
    const undecided = await Promise.all([2, 3, 4].map((port) => open(directory, port)));
    for (const node of undecided) expect(await why(node)).toContain("may be founding");
    await founder.close();
    await vi.waitFor(async () => {
      const answers = await Promise.all(undecided.map((node) => node.founding()));
      expect(answers.filter((answer) => answer.kind === "found")).toHaveLength(1);
    });
    expect(readdirSync(directory).filter((file) => file.startsWith("generation-"))).toHaveLength(2);
  });

  test("a cluster outlives its founder: newcomers seek its members and never found", async () => {
    const directory = newDirectory();
    const founder = await open(directory, 1);
    await founder.founding();
    await founder.joined("c1");
    const member = await open(directory, 2);
    expect(await member.candidates()).toEqual(["127.0.0.1:1"]);
    await member.joined("c1");
    await founder.close();
    const newcomer = await open(directory, 3);
    expect(await newcomer.candidates()).toEqual(["127.0.0.1:2"]);
    expect(await why(newcomer)).toContain("in cluster c1");
    await member.close();
    expect(await newcomer.candidates()).toEqual([]);
    expect(await newcomer.founding()).toEqual(found);
  });

  test("a founder that has not founded yet is a candidate, the undecided are not", async () => {
    const directory = newDirectory();
    const [first, second, third] = [await open(directory, 1), await open(directory, 2), await open(directory, 3)];
    await first.founding();
    expect(await second.candidates()).toEqual(["127.0.0.1:1"]);
    expect(await third.candidates()).toEqual(["127.0.0.1:1"]);
    expect(await first.candidates()).toEqual([]);
  });

  test("who takes a generation while another becomes a member gives it up", async () => {
    const directory = newDirectory();
    const taker = await open(directory, 1);
    const member = await open(directory, 2);
    // Both look before the other writes: the taker's first look is over when the member joins, in the same turn.
    const answer = taker.founding();
    const joining = member.joined("c1");
    await joining;
    expect((await answer).kind).toBe("wait");
    expect(existsSync(join(directory, "generation-1.void"))).toBe(true);
    const newcomer = await open(directory, 3);
    await newcomer.joined("c1");
    await Promise.all([member.close(), newcomer.close()]);
    expect(await taker.founding()).toEqual(found);
    expect(existsSync(join(directory, "generation-2"))).toBe(true);
  });

  test("who is admitted late to a cluster that another generation has succeeded must not act", async () => {
    const directory = newDirectory();
    const founder = await open(directory, 1);
    await founder.founding();
    await founder.joined("c1");
    const late = await open(directory, 2);
    await founder.close();
    const second = await open(directory, 3);
    expect(await second.founding()).toEqual(found);
    const refusal = await late.joined("c1").catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(DiscoveryError);
    expect(refusal).toMatchObject({ field: "cluster", message: expect.stringContaining("node3#") });
    await second.joined("c2");
    await expect(late.joined("c1")).rejects.toThrow("is in c2");
    await late.joined("c2");
    await late.joined("c2");
    await expect(late.joined("c1")).rejects.toThrow("this node is in c2");
  });

  test("a closed node neither founds nor joins, and leaves only generations behind", async () => {
    const directory = newDirectory();
    const node = await open(directory, 1);
    const other = await open(directory, 2);
    const third = await open(directory, 3);
    await other.founding();
    const answer = node.founding();
    const joining = third.joined("c1");
    joining.catch(() => undefined);
    await Promise.all([node.close(), node.close(), third.close(), other.close()]);
    expect((await answer).kind).toBe("wait");
    await expect(joining).rejects.toThrow("this node is closed");
    expect(await why(node)).toBe("this node is closed");
    expect(await node.candidates()).toEqual([]);
    await expect(node.joined("c1")).rejects.toThrow("closed");
    expect(readdirSync(directory)).toEqual(["generation-1"]);
  });

  test("no two living nodes act for different clusters, however they found, join and end", async () => {
    const seen = { founded: 0, joined: 0, refused: 0 };
    for (let seed = 1; seed <= 32; seed++) await ramble(seed, seen);
    // It is about races: they must have happened.
    expect(seen.founded).toBeGreaterThan(60);
    expect(seen.joined).toBeGreaterThan(60);
    expect(seen.refused).toBeGreaterThan(0);
  });
});

/** Nodes that start, found, join and end at random moments on one directory. */
async function ramble(seed: number, seen: { founded: number; joined: number; refused: number }): Promise<void> {
  const directory = newDirectory();
  const random = new Random(seed);
  const acting = new Map<string, string>();
  const act = (address: string, cluster: string): void => {
    acting.set(address, cluster);
    expect([...new Set(acting.values())], `seed ${seed}`).toHaveLength(1);
  };
  const pass = async (): Promise<void> => {
    for (let turns = random.below(2 + (seed % 4) * 3); turns > 0; turns--)
      await new Promise((resolve) => setImmediate(resolve));
  };
  const live = async (port: number): Promise<void> => {
    const address = `127.0.0.1:${port}`;
    const node = await open(directory, port);
    let hasEnded = false;
    const end = async (): Promise<void> => {
      for (let step = random.below(6); step >= 0; step--) await pass();
      hasEnded = true;
      acting.delete(address);
      await node.close();
    };
    const ending = end();
    while (!hasEnded && !acting.has(address)) {
      const member = (await node.candidates()).find((candidate) => acting.has(candidate));
      const cluster = member === undefined ? undefined : acting.get(member);
      // The admission travels while its sender may end.
      await pass();
      if (cluster !== undefined) {
        const isIn = await node.joined(cluster).then(
          () => true,
          () => false,
        );
        if (isIn) seen.joined++;
        else if (!hasEnded) seen.refused++;
        if (isIn && !hasEnded) act(address, cluster);
      } else if ((await node.founding()).kind === "found" && !hasEnded) {
        const founded = `c${++seen.founded}`;
        act(address, founded);
        await pass();
        if (!hasEnded) await node.joined(founded);
      }
    }
    await ending;
  };
  const slots = [1, 2, 3, 4].slice(0, 2 + (seed % 3)).map(async (slot) => {
    for (let incarnation = 0; incarnation < 8; incarnation++) {
      await live(slot * 100 + incarnation);
      await pass();
    }
  });
  await Promise.all(slots);
}

describe("the directory", () => {
  test("is made for this user alone, with short names for any cluster", async () => {
    expect(defaultDirectory("orders")).toMatch(/coterie-[^/]+-orders$/);
    const names = [
      "Orders",
      "orders/../x",
      "",
      "ordersordersordersordersordersorders",
      "ordersordersordersordersordersorderz",
    ];
    const paths = names.map(defaultDirectory);
    expect(new Set(paths.map((path) => path.toLowerCase())).size).toBe(names.length);
    for (const path of paths) expect(path.slice(tmpdir().length + 1)).toMatch(/^[A-Za-z0-9_.-]{1,60}$/);
    const directory = join(newDirectory(), "new", "nested");
    await open(directory, 1);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
  });

  test("is refused when it belongs to somebody else", async () => {
    // Nobody but root can give a directory away, and nobody but root owns the root.
    const isRoot = process.geteuid?.() === 0;
    const directory = isRoot ? newDirectory() : "/";
    if (isRoot) chownSync(directory, 65_534, 65_534);
    await expect(open(directory, 1)).rejects.toMatchObject({
      field: "directory",
      message: expect.stringContaining("belongs to"),
    });
  });

  test("is refused when others may write into it, and when it is a link or a file", async () => {
    const directory = newDirectory();
    chmodSync(directory, 0o777);
    await expect(open(directory, 1)).rejects.toThrow("mode 777");
    const parent = newDirectory();
    symlinkSync(newDirectory(), join(parent, "link"));
    await expect(open(join(parent, "link"), 1)).rejects.toThrow("is not a directory");
    writeFileSync(join(parent, "file"), "");
    await expect(open(join(parent, "file"), 1)).rejects.toBeInstanceOf(DiscoveryError);
    expect(readdirSync(directory)).toEqual([]);
  });

  test("is refused when a socket's path would not fit, and taken when it just does", async () => {
    const parent = newDirectory();
    const free = LOCK_PATH_BYTES_MAX - parent.length - "/".length - "/0123456789abcdef.lock".length;
    await open(join(parent, "x".repeat(free)), 1);
    await expect(open(join(parent, "x".repeat(free + 1)), 1)).rejects.toMatchObject({
      field: "directory",
      message: expect.stringContaining(`${LOCK_PATH_BYTES_MAX + 1} bytes`),
    });
  });

  test("refuses an id that is in use", async () => {
    const options = { directory: newDirectory(), record: { id: "a#00000000", address: "127.0.0.1:1" } };
    opened.push(await rendezvous(options));
    await expect(rendezvous(options)).rejects.toMatchObject({ field: "id" });
    writeFileSync(
      join(options.directory, `${createHash("sha256").update("b#0").digest("hex").slice(0, 16)}.node`),
      "{}",
    );
    const reused = { ...options, record: { id: "b#0", address: "127.0.0.1:2" } };
    await expect(rendezvous(reused)).rejects.toThrow("ids must be fresh");
  });

  test("with files of the dead, even damaged ones, founds the next generation and keeps only generations", async () => {
    const directory = newDirectory();
    const dead = "0123456789abcdef";
    writeFileSync(join(directory, `${dead}.node`), "");
    writeFileSync(join(directory, `${dead}.joined`), "c7");
    writeFileSync(
      join(directory, "generation-7"),
      JSON.stringify({ id: "old#00000001", address: "127.0.0.1:9", pid: 1 }),
    );
    writeFileSync(join(directory, "notes.txt"), "not ours");
    const node = await open(directory, 1);
    expect(readdirSync(directory).filter((file) => file.startsWith(dead))).toEqual([]);
    expect(await node.founding()).toEqual(found);
    expect(readdirSync(directory)).toEqual(expect.arrayContaining(["generation-7", "generation-8", "notes.txt"]));
  });

  test("a living member whose record cannot be read is waited for", async () => {
    const directory = newDirectory();
    const server = createServer();
    const key = "0123456789abcdef";
    await new Promise<void>((resolve) => server.listen(join(directory, `${key}.lock`), resolve));
    writeFileSync(join(directory, `${key}.node`), "{}");
    writeFileSync(join(directory, `${key}.joined`), "c7");
    const node = await open(directory, 1);
    expect(await why(node)).toBe("a node is alive and in cluster c7");
    expect(await node.candidates()).toEqual([]);
    await node.close();
    await new Promise((resolve) => server.close(resolve));
  });

  test("with a generation that names nobody asks the operator instead of founding", async () => {
    const directory = newDirectory();
    writeFileSync(join(directory, "generation-2"), "");
    const node = await open(directory, 1);
    await expect(node.founding()).rejects.toMatchObject({
      field: "directory",
      message: expect.stringContaining("generation-2"),
    });
  });

  test("is kept from looking unused while nodes run", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] });
    const directory = newDirectory();
    const node = await open(directory, 1);
    await node.founding();
    await node.joined("c1");
    const files = readdirSync(directory).map((file) => join(directory, file));
    expect(files).toHaveLength(4);
    for (const file of files) utimesSync(file, 1, 1);
    vi.setSystemTime(2_000_000_000_000);
    vi.advanceTimersByTime(3_600_000);
    for (const file of [directory, ...files]) expect(statSync(file).mtimeMs).toBeGreaterThanOrEqual(2_000_000_000_000);
  });
});

test("a directory can be shared by the nodes of one process", async () => {
  const directory = newDirectory();
  mkdirSync(join(directory, "sub"));
  const [first, second] = [await open(directory, 1), await open(directory, 2)];
  expect([(await first.founding()).kind, (await second.founding()).kind].sort()).toEqual(["found", "wait"]);
});

describe("looking from outside", () => {
  test("shows who is there, in which cluster, and changes nothing", async () => {
    const directory = newDirectory();
    const member = await open(directory, 1);
    await member.founding();
    await member.joined("c1");
    await open(directory, 2);
    const files = readdirSync(directory).sort();
    const seen = [...(await residents(directory))].sort((a, b) => a.address.localeCompare(b.address));
    expect(seen).toMatchObject([
      { address: "127.0.0.1:1", pid: process.pid, cluster: "c1", isAlive: true },
      { address: "127.0.0.1:2", pid: process.pid, cluster: undefined, isAlive: true },
    ]);
    expect(readdirSync(directory).sort()).toEqual(files);
  });

  test("a directory that is not there has nobody in it, and is not made", async () => {
    const directory = join(newDirectory(), "none");
    expect(await residents(directory)).toEqual([]);
    expect(existsSync(directory)).toBe(false);
  });

  test("the dead are told from the living", async () => {
    const directory = newDirectory();
    const key = "0123456789abcdef";
    writeFileSync(join(directory, `${key}.node`), JSON.stringify({ id: "gone#1", address: "127.0.0.1:3", pid: 1 }));
    expect(await residents(directory)).toMatchObject([{ id: "gone#1", isAlive: false }]);
  });
});
