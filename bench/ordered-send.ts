/**
 * Claim: three members, all sending 100-byte messages in total order as bytes, deliver a good part of what the machine
 * carries with no protocol at all (`raw-framing.ts`), measured in the same run. Each member is a process.
 *
 *     npm run bench                        # the defaults
 *     npx tsx bench/ordered-send.ts --bytes 1024 --seconds 5 --flavour safeSend
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { defineGroup, start } from "../src/index.ts";
import { rawMember } from "./raw-framing.ts";

type Flavour = "send" | "orderedSend" | "safeSend";

interface Task {
  readonly kind: "raw" | "group";
  readonly rank: number;
  readonly senders: number;
  readonly members: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly flavour: Flavour;
  readonly directory: string;
}

interface Outcome {
  readonly delivered: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rssBytes: number;
}

const WARM_UP_MS = 1000;

async function member(task: Task): Promise<void> {
  const run = task.kind === "raw" ? await openRaw(task) : await openGroup(task);
  await told("go");
  await run.work(WARM_UP_MS);
  tell({ warm: true });
  await told("measure");
  const cpu = process.cpuUsage();
  const { delivered, seconds } = await run.work(task.seconds * 1000);
  const used = process.cpuUsage(cpu);
  const cpuSeconds = (used.user + used.system) / 1e6;
  const outcome: Outcome = { delivered, seconds, cpuSeconds, rssBytes: process.memoryUsage().rss };
  tell({ outcome });
  await told("end");
  await run.close();
  process.disconnect?.();
}

interface Work {
  work(forMs: number): Promise<{ readonly delivered: number; readonly seconds: number }>;
  close(): Promise<void>;
}

async function openRaw(task: Task): Promise<Work> {
  const raw = await rawMember();
  tell({ port: raw.port });
  const { ports } = (await told("ports")) as { readonly ports: readonly number[] };
  await raw.connectTo(ports.filter((port) => port !== raw.port));
  tell({ ready: true });
  const sends = task.rank < task.senders;
  return {
    work: (forMs) => raw.run(forMs, task.bytes, sends),
    close: async () => raw.close(),
  };
}

async function openGroup(task: Task): Promise<Work> {
  let delivered = 0;
  let checksum = 0;
  const definition = defineGroup({
    name: "bench",
    state: () => ({}),
    updates: {
      put: (_context, message: Uint8Array) => {
        delivered++;
        checksum = (checksum + (message[0] as number)) | 0;
      },
    },
    queries: {},
  });
  const node = await start({ discovery: task.directory, log: () => {} });
  const group = await node.join(definition);
  while (group.view.members.length < task.members) await new Promise((resolve) => setTimeout(resolve, 20));
  tell({ ready: true });
  const message = new Uint8Array(task.bytes).fill(7);
  const put = group[task.flavour].put;
  const sends = task.rank < task.senders;
  return {
    async work(forMs) {
      const from = delivered;
      const begin = performance.now();
      let window: PromiseLike<unknown> | undefined;
      while (performance.now() - begin < forMs) {
        if (sends) {
          // A burst without awaiting, then the last one of the burst before: that is the back-pressure.
          const before = window;
          for (let count = Math.max(1, Math.floor(65_536 / (task.bytes + 8))); count > 0; count--)
            window = put(message);
          await before;
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      const outcome = { delivered: delivered - from, seconds: (performance.now() - begin) / 1000 };
      await window;
      return outcome;
    },
    async close() {
      await node.close();
      if (checksum === -1) console.error("");
    },
  };
}

function tell(message: object): void {
  process.send?.(message);
}

const inbox: { readonly kind: string }[] = [];
const waiting: { readonly kind: string; readonly resolve: (message: object) => void }[] = [];

function told(kind: string): Promise<object> {
  const at = inbox.findIndex((message) => message.kind === kind);
  if (at >= 0) return Promise.resolve(inbox.splice(at, 1)[0] as object);
  return new Promise((resolve) => waiting.push({ kind, resolve }));
}

function onMessage(message: { readonly kind: string }): void {
  const at = waiting.findIndex(({ kind }) => kind === message.kind);
  if (at >= 0) waiting.splice(at, 1)[0]?.resolve(message);
  else inbox.push(message);
}

// The parent's part.

class Child {
  readonly process: ChildProcess;
  readonly #said: Record<string, unknown>[] = [];
  #wake: (() => void) | undefined;

  constructor(task: Task) {
    this.process = fork(fileURLToPath(import.meta.url), ["--member", JSON.stringify(task)]);
    this.process.on("message", (message) => {
      this.#said.push(message as Record<string, unknown>);
      this.#wake?.();
    });
  }

  tell(kind: string, more: object = {}): void {
    this.process.send({ kind, ...more });
  }

  async hear(field: string): Promise<unknown> {
    for (;;) {
      const found = this.#said.find((message) => field in message);
      if (found !== undefined) return found[field];
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

export interface Measurement {
  /** Messages delivered in a second at each member, on average. */
  readonly deliveredPerSecond: number;
  readonly cpuNsPerDelivery: number;
  readonly rssBytesMax: number;
}

export async function measure(options: Omit<Task, "rank" | "directory">): Promise<Measurement> {
  const directory = mkdtempSync(join(tmpdir(), "coterie-bench-"));
  const children = Array.from({ length: options.members }, (_, rank) => new Child({ ...options, rank, directory }));
  try {
    if (options.kind === "raw") {
      const ports = await Promise.all(children.map((child) => child.hear("port")));
      for (const child of children) child.tell("ports", { ports });
    }
    await Promise.all(children.map((child) => child.hear("ready")));
    for (const child of children) child.tell("go");
    await Promise.all(children.map((child) => child.hear("warm")));
    for (const child of children) child.tell("measure");
    const outcomes = (await Promise.all(children.map((child) => child.hear("outcome")))) as Outcome[];
    for (const child of children) child.tell("end");
    await Promise.all(children.map((child) => new Promise((resolve) => child.process.once("exit", resolve))));
    const rates = outcomes.map(({ delivered, seconds }) => delivered / seconds);
    const delivered = outcomes.reduce((sum, outcome) => sum + outcome.delivered, 0);
    const cpuSeconds = outcomes.reduce((sum, outcome) => sum + outcome.cpuSeconds, 0);
    return {
      deliveredPerSecond: Math.round(rates.reduce((sum, rate) => sum + rate, 0) / rates.length),
      cpuNsPerDelivery: Math.round((cpuSeconds * 1e9) / delivered),
      rssBytesMax: Math.max(...outcomes.map(({ rssBytes }) => rssBytes)),
    };
  } finally {
    for (const child of children) child.process.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      member: { type: "string" },
      bytes: { type: "string", default: "100" },
      seconds: { type: "string", default: "3" },
      members: { type: "string", default: "3" },
      senders: { type: "string", default: "3" },
      flavour: { type: "string", default: "orderedSend" },
      rounds: { type: "string", default: "3" },
      json: { type: "boolean", default: false },
    },
  });
  if (values.member !== undefined) {
    process.on("message", onMessage);
    await member(JSON.parse(values.member) as Task);
    return;
  }
  const common = {
    bytes: Number(values.bytes),
    seconds: Number(values.seconds),
    members: Number(values.members),
    senders: Number(values.senders),
    flavour: values.flavour as Flavour,
  };
  const ratios: number[] = [];
  let last = {};
  for (let round = 1; round <= Number(values.rounds); round++) {
    const raw = await measure({ ...common, kind: "raw" });
    const group = await measure({ ...common, kind: "group" });
    const ratio = group.deliveredPerSecond / raw.deliveredPerSecond;
    ratios.push(ratio);
    last = {
      deliveredPerSecond: group.deliveredPerSecond,
      baselinePerSecond: raw.deliveredPerSecond,
      cpuNsPerDelivery: group.cpuNsPerDelivery,
      baselineCpuNsPerDelivery: raw.cpuNsPerDelivery,
      rssBytesMax: group.rssBytesMax,
    };
    if (!values.json) {
      const line = [
        `round ${round}: ${common.flavour} ${common.bytes} B, ${common.senders} of ${common.members} send:`,
        `${group.deliveredPerSecond.toLocaleString("en")} delivered/s at each member`,
        `(${group.cpuNsPerDelivery} ns CPU each), raw framing ${raw.deliveredPerSecond.toLocaleString("en")}/s`,
        `(${raw.cpuNsPerDelivery} ns): ratio ${ratio.toFixed(2)}`,
      ];
      console.log(line.join(" "));
    }
  }
  const ratio = ratios.sort((a, b) => a - b)[Math.floor(ratios.length / 2)] ?? 0;
  console.log(JSON.stringify({ ratio: Number(ratio.toFixed(3)), ...common, ...last }));
}

await main();
