/** The rendezvous between real processes, which are killed and paused. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Founding } from "./discovery.ts";
import { rendezvous } from "./rendezvous.ts";

const PROCESSES = 8;
const ROUNDS = 30;
const DEADLINE_MS = 20_000;

/** Does one call of a discovery per message and answers with its outcome. */
const SCRIPT = `
  import { rendezvous } from ${JSON.stringify(new URL("./rendezvous.ts", import.meta.url).href)};
  let discovery;
  const calls = {
    open: async (directory, id) => {
      discovery = await rendezvous({ directory, record: { id, address: "127.0.0.1:" + process.pid } });
    },
    start: async (directory, id) => {
      await calls.open(directory, id);
      return discovery.founding();
    },
    founding: () => discovery.founding(),
    candidates: () => discovery.candidates(),
    joined: (cluster) => discovery.joined(cluster),
    close: () => discovery.close(),
  };
  process.on("message", async ({ call, values }) => {
    try {
      process.send({ value: await calls[call](...values) });
    } catch (error) {
      process.send({ error: String(error) });
    }
  });
  process.on("disconnect", () => process.exit());
  process.send({ value: "ready" });
`;

class Child {
  readonly #process: ChildProcess;
  #isGone = false;
  #settle: ((answer: { value?: unknown; error?: string }) => void) | undefined;

  constructor() {
    this.#process = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", SCRIPT], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#process.on("message", (answer: { value?: unknown; error?: string }) => this.#settle?.(answer));
    this.#process.on("exit", (code, signal) => {
      this.#isGone = true;
      this.#settle?.({ error: `ended with ${code ?? signal}` });
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get address(): string {
    return `127.0.0.1:${this.pid}`;
  }

  async answer(): Promise<unknown> {
    const answer = await new Promise<{ value?: unknown; error?: string }>((resolve) => {
      this.#settle = resolve;
    });
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.value;
  }

  call(call: "open" | "close" | "joined", ...values: string[]): Promise<void>;
  call(call: "start" | "founding", ...values: string[]): Promise<Founding>;
  call(call: "candidates"): Promise<string[]>;
  call(call: string, ...values: string[]): Promise<unknown> {
    this.#process.send({ call, values });
    return this.answer();
  }

  async kill(): Promise<void> {
    if (this.#isGone) return;
    const gone = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#settle = undefined;
    this.#process.kill("SIGKILL");
    await gone;
  }

  async pause(): Promise<void> {
    this.#process.kill("SIGSTOP");
    await until(() => this.#state() === "T");
  }

  resume(): void {
    this.#process.kill("SIGCONT");
  }

  #state(): string | undefined {
    if (process.platform !== "linux")
      return execFileSync("ps", ["-o", "stat=", "-p", String(this.pid)], { encoding: "utf8" })[0];
    return / ([A-Za-z]) /.exec(readFileSync(`/proc/${this.pid}/stat`, "utf8"))?.[1];
  }
}

async function until(isDone: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await isDone())) {
    if (Date.now() > deadline) throw new Error(`not within ${DEADLINE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const directories: string[] = [];
let children: Child[] = [];
let ids = 0;

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "coterie-test-"));
  directories.push(directory);
  return directory;
}

function newId(): string {
  return `child#${(ids++).toString(16).padStart(8, "0")}`;
}

function founders(among: readonly Child[], answers: readonly Founding[]): readonly Child[] {
  return among.filter((_, index) => answers[index]?.kind === "found");
}

function only(among: readonly Child[], answers: readonly Founding[]): Child {
  const [founder, ...others] = founders(among, answers);
  if (founder === undefined || others.length > 0) throw new Error(`not one founder: ${JSON.stringify(answers)}`);
  return founder;
}

async function startChildren(count: number): Promise<Child[]> {
  const started = Array.from({ length: count }, () => new Child());
  children.push(...started);
  await Promise.all(started.map((child) => child.answer()));
  return started;
}

beforeAll(async () => {
  await startChildren(PROCESSES);
});

afterAll(async () => {
  await Promise.all(children.map((child) => child.kill()));
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

test("of many processes that start at once exactly one founds, in new and in used directories", async () => {
  let directory = newDirectory();
  for (let round = 0; round < ROUNDS; round++) {
    if (round % 3 === 0) directory = newDirectory();
    const answers = await Promise.all(children.map((child) => child.call("start", directory, newId())));
    expect(founders(children, answers), JSON.stringify(answers)).toHaveLength(1);
    await Promise.all(children.map((child) => child.call("close")));
    expect(readdirSync(directory).filter((file) => !file.startsWith("generation-"))).toEqual([]);
  }
});

test("a paused founder is waited for, and founds when it goes on", async () => {
  const directory = newDirectory();
  const [founder, ...others] = children as [Child, ...Child[]];
  expect(await founder.call("start", directory, newId())).toEqual({ kind: "found" });
  await founder.pause();
  const answers = await Promise.all(others.map((child) => child.call("start", directory, newId())));
  expect(founders(others, answers)).toEqual([]);
  // More often than the queue of a listening socket is long.
  const patient = await rendezvous({ directory, record: { id: newId(), address: "127.0.0.1:1" } });
  for (let time = 0; time < 2000; time++) {
    const answer = await patient.founding();
    if (answer.kind !== "wait") throw new Error("founded in spite of a paused founder");
    expect(answer.why).toContain(`process ${founder.pid}`);
  }
  await patient.close();
  founder.resume();
  await founder.call("joined", "c1");
  for (const child of others) expect(await child.call("candidates")).toEqual([founder.address]);
  await founder.pause();
  for (const child of others) expect((await child.call("founding")).kind).toBe("wait");
  founder.resume();
  await Promise.all(children.map((child) => child.call("close")));
});

test("a cluster whose founder was killed is joined through its member; without that, one founds anew", async () => {
  const directory = newDirectory();
  const [founder, member] = (await startChildren(2)) as [Child, Child];
  await founder.call("start", directory, newId());
  await founder.call("joined", "c1");
  await member.call("open", directory, newId());
  await member.call("joined", "c1");
  await founder.kill();
  const answers = await Promise.all(
    children.slice(0, PROCESSES).map((child) => child.call("start", directory, newId())),
  );
  expect(answers.map((answer) => answer.kind)).toEqual(children.slice(0, PROCESSES).map(() => "wait"));
  children = children.slice(0, PROCESSES);
  for (const child of children) expect(await child.call("candidates")).toEqual([member.address]);
  await member.kill();
  let again: Founding[] = [];
  await until(async () => {
    again = await Promise.all(children.map((child) => child.call("founding")));
    return founders(children, again).length > 0;
  });
  expect(founders(children, again)).toHaveLength(1);
  await Promise.all(children.map((child) => child.call("close")));
});

test("a founder killed before its cluster lives is succeeded by exactly one, down to the last process", async () => {
  const directory = newDirectory();
  let founder = only(children, await Promise.all(children.map((child) => child.call("start", directory, newId()))));
  while (children.length > 1) {
    await founder.kill();
    children = children.filter((child) => child !== founder);
    let answers: Founding[] = [];
    await until(async () => {
      answers = await Promise.all(children.map((child) => child.call("founding")));
      return founders(children, answers).length > 0;
    });
    founder = only(children, answers);
  }
  await founder.kill();
  expect(readdirSync(directory).filter((file) => file.startsWith("generation-"))).toHaveLength(PROCESSES);
  const heir = await rendezvous({ directory, record: { id: newId(), address: "127.0.0.1:1" } });
  expect(await heir.founding()).toEqual({ kind: "found" });
  await heir.close();
  expect(readdirSync(directory).filter((file) => !file.startsWith("generation-"))).toEqual([]);
});
