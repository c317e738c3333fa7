/** A group that serves, and a flood of connections against its nodes that never end their handshake. */
import { type ChildProcess, fork } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { makeCertificates } from "../../src/edge/demo/certificates.ts";
import { clusterKeys, newClusterKey } from "../../src/runtime/secure/cluster-key.ts";
import { Guard } from "../../src/runtime/secure/guard.ts";
import { handshakeFrame, readHandshake, VERSION_NEWEST, VERSION_OLDEST } from "../../src/runtime/tcp/handshake.ts";
import type { MemberProcess } from "../processes/member-process.ts";
import { freePorts } from "../processes/ports.ts";
import { Trial, viewOf } from "../processes/trial.ts";

export interface FloodOptions {
  /** How many connections the attacker tries to keep open. */
  readonly connections: number;
  /** How many it makes in a second, at most. */
  readonly perSecond: number;
  /** How long the group is measured without the flood, and in it, in each round. */
  readonly seconds: number;
  /** By what nodes prove themselves. */
  readonly credentials: "key" | "certificates";
}

export interface Flooded {
  /** What is delivered in the flood, to before. */
  readonly ratio: number;
  readonly deliveredPerSecond: number;
  readonly baselinePerSecond: number;
  /** Connections that the attacker made in a second. */
  readonly madePerSecond: number;
  /** How many it had at once at most: being made, waiting in the system, or with the nodes. */
  readonly mostOpen: number;
  /** Of the member that used most, in the flood. */
  readonly descriptorsMost: number;
  readonly rssGrowthMb: number;
  /** How long it took a new node to join the group, and a stranger with the key to be answered. */
  readonly joinMs: number;
  readonly answerMs: number;
  readonly problems: readonly string[];
}

const NAMES = ["ann", "bob", "cat"] as const;
const ADDRESSES = 64;
const ATTACKERS = 4;
/** Who joins in the flood, and who only asks. */
const NEWCOMER = "eve";
const ASKER = "dan";
const GROUP = "ledger";
const WARM_MS = 2000;
const RISE_MS = 10_000;
/** So long after the attack connections may still fail to end their handshake, and be told of. */
const AFTERMATH_S = 5;
const LOAD = { perSecond: 200_000, flavours: ["orderedSend"], unansweredMax: 2000, bytes: 100 } as const;
/** The group is measured without the flood and in it by turns; the median of the ratios counts. */
const ROUNDS = 3;
/** Descriptors beyond those that a node has without a flood: places, those that wait, and a few that are being closed. */
const DESCRIPTORS_MAX = 256 + 256 + 256;
const RSS_GROWTH_MB_MAX = 128;

/** Several processes, because one cannot make connections fast enough. */
export class Attacker {
  readonly #processes: readonly ChildProcess[];
  /** What each has at once. */
  readonly #open: number[];
  #mostOpen = 0;

  private constructor(processes: readonly ChildProcess[]) {
    this.#processes = processes;
    this.#open = processes.map(() => 0);
    for (const [index, process] of processes.entries()) {
      process.on("message", (told: { readonly open?: number }) => {
        this.#open[index] = told.open ?? 0;
        this.#mostOpen = Math.max(this.#mostOpen, this.#openNow);
      });
    }
  }

  static async begin(
    ports: readonly number[],
    { connections, perSecond }: Pick<FloodOptions, "connections" | "perSecond">,
    processes = 1,
  ): Promise<Attacker> {
    const path = fileURLToPath(new URL("./attacker.mjs", import.meta.url));
    const children = Array.from({ length: processes }, (_, part) => {
      const addresses = Array.from({ length: ADDRESSES / processes }, (_, index) => `127.66.${index}.${part + 1}`);
      const share = { connections: connections / processes, perSecond: perSecond / processes };
      return fork(path, [JSON.stringify({ ports, ...share, addresses })], { execArgv: [] });
    });
    await Promise.all(children.map((child) => new Promise((resolve) => child.once("message", resolve))));
    return new Attacker(children);
  }

  get #openNow(): number {
    return this.#open.reduce((sum, open) => sum + open, 0);
  }

  /**
   * Waits until there are so many connections at once, or for so long. From then on the attack is to cost the nodes what it
   * sends, not the processors that it shares with them here.
   */
  async risen(connections: number, withinMs: number): Promise<void> {
    const until = performance.now() + withinMs;
    while (this.#openNow < connections && performance.now() < until) await sleep(50);
    for (const { pid } of this.#processes) setPriority(pid ?? 0, constants.priority.PRIORITY_LOW);
  }

  /** Ends the flood: how many connections were made, and how many there were at once. */
  async end(): Promise<{ readonly opened: number; readonly mostOpen: number }> {
    const mostOpen = this.#mostOpen;
    const made = await Promise.all(
      this.#processes.map(
        (child) =>
          new Promise<number>((resolve) => {
            child.on("message", ({ opened }: { readonly opened?: number }) => {
              if (opened !== undefined) resolve(opened);
            });
            child.send("stop");
          }),
      ),
    );
    this.kill();
    return { opened: made.reduce((sum, opened) => sum + opened, 0), mostOpen };
  }

  kill(): void {
    for (const process of this.#processes) process.kill("SIGKILL");
  }
}

/** Asks a node how it is, from an address from which nobody has come before; how long that took. */
export async function answerMs(port: number, guard: Guard, localAddress: string, withinMs: number): Promise<number> {
  const begun = performance.now();
  while (performance.now() - begun < withinMs) {
    const isAnswered = await new Promise<boolean>((resolve) => {
      const socket = guard.dial({ host: "127.0.0.1", port, localAddress });
      const done = (is: boolean): void => {
        socket.destroy();
        resolve(is);
      };
      socket.setTimeout(5000, () => done(false));
      socket.on("secureConnect", () =>
        socket.write(handshakeFrame({ kind: "inquiry", versionOldest: VERSION_OLDEST, versionNewest: VERSION_NEWEST })),
      );
      const chunks: Buffer[] = [];
      socket.on("data", (chunk) => chunks.push(chunk));
      socket.on("end", () => done(readHandshake(Buffer.concat(chunks), 1 << 20)?.kind === "report"));
      socket.on("error", () => done(false));
      socket.on("close", () => done(false));
    });
    if (isAnswered) return Math.round(performance.now() - begun);
    await sleep(100);
  }
  return Number.POSITIVE_INFINITY;
}

export function descriptorsOf({ pid }: MemberProcess): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

export function rssMbOf({ pid }: MemberProcess): number {
  const [kb = "0"] = /(?<=VmRSS:\s*)\d+/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kb) / 1024;
}

/** What the nodes prove themselves by. */
class Credentials {
  readonly #key = newClusterKey();
  readonly #certificates: ReturnType<typeof makeCertificates> | undefined;

  constructor(kind: FloodOptions["credentials"]) {
    this.#certificates = kind === "key" ? undefined : makeCertificates([...NAMES, NEWCOMER, ASKER]);
  }

  of(
    name: string,
  ): { readonly clusterKey: string } | { readonly cert: string; readonly key: string; readonly ca: string } {
    const { members, ca } = this.#certificates ?? {};
    const own = members?.get(name);
    return own === undefined || ca === undefined ? { clusterKey: this.#key } : { ...own, ca };
  }

  /** Of somebody who is no node. */
  guard(): Guard {
    const proof = this.of(ASKER);
    return "cert" in proof
      ? new Guard({ kind: "certificates", certificates: proof })
      : new Guard({ kind: "cluster-key", keys: clusterKeys(proof.clusterKey) });
  }
}

export async function flood(options: FloodOptions): Promise<Flooded> {
  const { connections, perSecond, seconds } = options;
  const trial = new Trial();
  const credentials = new Credentials(options.credentials);
  let attacker: Attacker | undefined;
  try {
    const ports = await freePorts(NAMES.length);
    const startOf = (name: string, port: number) => ({
      start: { listen: `127.0.0.1:${port}`, secure: credentials.of(name), records: false },
    });
    const members: MemberProcess[] = [];
    for (const [index, name] of NAMES.entries())
      members.push(await trial.member(name, startOf(name, ports[index] ?? 0)));
    await Promise.all(members.map((member) => viewOf(member, GROUP, NAMES)));
    for (const member of members) await member.call("load", GROUP, LOAD);
    await sleep(WARM_MS);
    const [descriptors, rss] = [members.map(descriptorsOf), members.map(rssMbOf)];
    let descriptorsMost = 0;
    const watch = setInterval(() => {
      const more = members.map((member, index) => descriptorsOf(member) - (descriptors[index] ?? 0));
      descriptorsMost = Math.max(descriptorsMost, ...more);
    }, 250);
    const rounds: { readonly ratio: number; readonly before: number; readonly during: number }[] = [];
    let attackedMs = 0;
    let opened = 0;
    let mostOpen = 0;
    const attackOver = async (): Promise<void> => {
      const done = await attacker?.end();
      attacker = undefined;
      opened += done?.opened ?? 0;
      mostOpen = Math.max(mostOpen, done?.mostOpen ?? 0);
    };
    for (let round = 0; round < ROUNDS; round++) {
      const before = await throughput(members, seconds);
      attacker = await Attacker.begin(ports, { connections, perSecond }, ATTACKERS);
      const begun = performance.now();
      await attacker.risen(connections, RISE_MS);
      await sleep(WARM_MS);
      const during = await throughput(members, seconds);
      rounds.push({ ratio: during / before, before, during });
      attackedMs += performance.now() - begun;
      if (round < ROUNDS - 1) await attackOver();
    }
    const [, median] = rounds.toSorted((one, other) => one.ratio - other.ratio);
    const { ratio = 0, before = 0, during = 0 } = median ?? {};
    const attacked = performance.now();
    const answered = await answerMs(ports[0] ?? 0, credentials.guard(), "127.77.0.1", 30_000);
    const joining = performance.now();
    const eve = await trial.member(NEWCOMER, startOf(NEWCOMER, 0));
    const joinMs = Math.round(performance.now() - joining);
    clearInterval(watch);
    const rssGrowthMb = Math.round(Math.max(...members.map((member, index) => rssMbOf(member) - (rss[index] ?? 0))));
    const attackedSeconds = (attackedMs + performance.now() - attacked) / 1000;
    await attackOver();

    const problems: string[] = [];
    for (const member of members) await member.call("stopLoad");
    await trial.settle([...members, eve]);
    for (const { name, events } of [...members, eve]) {
      const isOut = events.some(({ kind }) => kind === "excluded" || kind === "ended");
      if (isOut) problems.push(`${name} was excluded`);
      const lines = events.filter((event) => event.kind === "log" && event.level !== "debug").length;
      if (lines > 0) problems.push(`${name} has complained ${lines} times`);
      const details = events.filter(({ kind }) => kind === "log").length;
      if (details > (attackedSeconds + ROUNDS * AFTERMATH_S) * 10)
        problems.push(`${name} has written ${details} lines`);
    }
    // Afterwards everybody is let in as before.
    await eve.call("close");
    await trial.member(NEWCOMER, startOf(NEWCOMER, 0));
    if (descriptorsMost > DESCRIPTORS_MAX) problems.push(`a member had ${descriptorsMost} descriptors more`);
    if (rssGrowthMb > RSS_GROWTH_MB_MAX) problems.push(`a member grew by ${rssGrowthMb} MB`);
    if (answered === Number.POSITIVE_INFINITY) problems.push("who has the key was not answered in the flood");
    return {
      ratio: Number(ratio.toFixed(3)),
      deliveredPerSecond: during,
      baselinePerSecond: before,
      madePerSecond: Math.round(opened / attackedSeconds),
      mostOpen,
      descriptorsMost,
      rssGrowthMb,
      joinMs,
      answerMs: answered,
      problems,
    };
  } finally {
    attacker?.kill();
    await trial.end();
  }
}

/** Messages delivered in a second at each member, on average. */
async function throughput(members: readonly MemberProcess[], seconds: number): Promise<number> {
  const delivered = async (): Promise<number> => {
    const groups = await Promise.all(
      members.map((member) => member.call<{ readonly counters: { readonly delivered: number } }>("group", GROUP)),
    );
    return groups.reduce((sum, { counters }) => sum + counters.delivered, 0) / members.length;
  };
  const before = await delivered();
  const begun = performance.now();
  await sleep(seconds * 1000);
  return Math.round(((await delivered()) - before) / ((performance.now() - begun) / 1000));
}
