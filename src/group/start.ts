/**
 * `start` checks its options and makes a node that runs on the real world.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { HistorySink } from "../protocol/history.ts";
import type { NodeRecord } from "../protocol/view.ts";
import { DataDirectory, DataDirectoryError } from "../runtime/data-directory.ts";
import { type Discovery, DiscoveryError } from "../runtime/discovery/discovery.ts";
import { defaultDirectory, rendezvous } from "../runtime/discovery/rendezvous.ts";
import { seeds as seedDiscovery } from "../runtime/discovery/seeds.ts";
import { closeOnTerminate } from "../runtime/graceful-exit.ts";
import { HistoryFiles } from "../runtime/history-files.ts";
import { Incarnation, NameTakenError } from "../runtime/incarnation.ts";
import { realTimers } from "../runtime/real-clock.ts";
import { EndedError, type IncarnationListener, RunningNode } from "../runtime/running-node.ts";
import type { Guard } from "../runtime/secure/guard.ts";
import { ListenError, parseAddress } from "../runtime/tcp/address.ts";
import { authorizeBy } from "./authorize.ts";
import { certifiedName, checkName, dataKeysOf, guardOf, isSecured } from "./credentials.ts";
import { consoleLog, type Log } from "./diagnostics.ts";
import { CoterieError, describe } from "./errors.ts";
import { KeyRing, type NodeKeys } from "./key-ring.ts";
import { createNode, type Node } from "./node.ts";
import { checkOptions, type StartOptions } from "./options.ts";

const FAILURE_TIMEOUT_MS = 3000;
const DIRECTORY_SIZE = 5;
/** Refusals that an operator must look at. */
const LOUD_REFUSALS: readonly unknown[] = ["foreign-cluster", "version", "unproven"];
/** What an operator must do something about, and what goes by itself. */
const LOUD_NOTICES: readonly string[] = ["disk failed", "disk full", "disk damaged", "the disk is damaged"];
const WARNINGS: readonly string[] = ["disk slow", "disk well again", "group awaits a keeper"];
/** A node that was told where to look and finds nobody for so long gives up. */
const START_TIMEOUT_MS = 30_000;
/** Names a directory for histories, for programs that do not say. */
const HISTORY_VARIABLE = "COTERIE_HISTORY";

/**
 * Starts a node: it finds the cluster, or founds it, and resolves when it is a part of it. Rejects with a CoterieError:
 * `invalid-option`, `insecure`, `name-taken`, `port-in-use`, `data-dir-in-use`, `data-damaged`, `unreachable`, `unproven`,
 * `foreign-cluster`, `version-mismatch`, `aborted`.
 */
export async function start(options: StartOptions = {}): Promise<Node> {
  const checked = checkOptions(options);
  const log = checked.log ?? consoleLog;
  const refusals = new Map<string, string>();
  const { sink: history, close: closeHistory } = recording(checked.history ?? process.env[HISTORY_VARIABLE], log);
  let running: RunningNode | undefined;
  let guard: Guard | undefined;
  let data: DataDirectory | undefined;
  const timeout = AbortSignal.timeout(START_TIMEOUT_MS);
  try {
    data = checked.dataDir === undefined ? undefined : await openData(checked.dataDir, checked);
    // Founders are waited for, and so are those who have failed together with this node.
    const isPatient = checked.founders !== undefined || data?.isUsed === true;
    const signals = [checked.signal, isPatient ? undefined : timeout];
    const signal = AbortSignal.any(signals.filter((each) => each !== undefined));
    guard = guardOf(checked, reachableHosts(checked));
    running = await openNode(checked, log, history, data, guard, refusals, signal);
  } catch (problem) {
    closeHistory();
    await data?.close();
    throw startError(problem, checked, refusals, timeout.aborted);
  }
  const isSealed = data === undefined || data.isSealed;
  const keys = new KeyRing(checked, guard, data, log);
  const rekey = (others?: NodeKeys): void => keys.rekey(others);
  const node = createNode(running, { ...checked, history, isSecured: isSecured(checked), isSealed, rekey });
  const release = closeOnTerminate(node);
  running.onStatus((status) => {
    if (status !== "closed") return;
    release();
    keys.close();
    closeHistory();
    // Also after it has ended by itself, as when its disk has failed.
    void running.close();
  });
  return node;
}

interface Recording {
  readonly sink: HistorySink | undefined;
  readonly close: () => void;
}

/** Where to record the node's history: nowhere, to the user's sink, or to files in a directory. */
function recording(history: HistorySink | string | undefined, log: Log): Recording {
  if (typeof history !== "string" || history === "") return { sink: history || undefined, close: () => {} };
  const failed = (error: unknown): void =>
    log({ level: "error", code: "history-lost", message: `the history in ${history} is not complete`, error });
  try {
    const files = new HistoryFiles(history, failed);
    return { sink: files.sink, close: () => files.close() };
  } catch (cause) {
    throw new CoterieError("invalid-option", `start: \`history\`: no files can be made in ${history}`, { cause });
  }
}

async function openData(path: string, options: StartOptions): Promise<DataDirectory> {
  const { setting, keys } = dataKeysOf(options);
  try {
    return await DataDirectory.open(path, keys);
  } catch (cause) {
    if (!(cause instanceof DataDirectoryError) || cause.code !== "sealed") throw cause;
    throw new CoterieError("invalid-option", `${setting}: ${cause.message}`, {
      cause,
      remedy: "Give the key that the directory was begun with; or start the node on an empty one.",
    });
  }
}

function openNode(
  options: StartOptions,
  log: Log,
  history: HistorySink | undefined,
  data: DataDirectory | undefined,
  guard: Guard | undefined,
  refusals: Map<string, string>,
  signal: AbortSignal,
): Promise<RunningNode> {
  const { host, port } = listenAddress(options.listen);
  const noticed = (what: string, detail: Readonly<Record<string, unknown>>): void => {
    if (typeof detail["refusal"] === "string") refusals.set(detail["refusal"], String(detail["address"]));
    const isLoud = LOUD_NOTICES.includes(what) || LOUD_REFUSALS.includes(detail["refusal"]);
    const level = isLoud ? "error" : WARNINGS.includes(what) ? "warn" : "debug";
    log({ level, code: what.replaceAll(" ", "-"), message: `${what}: ${text(detail)}` });
  };
  const { name = certifiedName(options) ?? defaultName(), failureTimeoutMs = FAILURE_TIMEOUT_MS } = options;
  checkName(options, name);
  const incarnation = {
    name,
    host,
    advertise: options.advertise,
    failureTimeoutMs,
    directorySize: options.directorySize ?? DIRECTORY_SIZE,
    weight: options.weight ?? 1,
    history,
    authorize: options.authorize && authorizeBy(options.authorize, log),
    guard,
    data,
    discover: (record: NodeRecord) => discover(options, record),
  };
  let lastPort = port;
  const incarnate = async (listener: IncarnationListener): Promise<Incarnation> => {
    const opened = await Incarnation.open({ ...incarnation, port: lastPort }, listener);
    lastPort = opened.network.port;
    return opened;
  };
  const release = async (): Promise<void> => data?.close();
  return RunningNode.open({ name, failureTimeoutMs, timers: realTimers, incarnate, noticed, release }, signal);
}

function reachableHosts({ listen, advertise }: StartOptions): readonly string[] {
  const { host } = listenAddress(listen);
  return advertise === undefined ? [host] : [host, parseAddress(advertise)?.host ?? ""];
}

function discover(options: StartOptions, record: NodeRecord): Promise<Discovery> {
  const { seeds, founders, discovery } = options;
  if (seeds === undefined && founders === undefined) {
    if (discovery === false) {
      throw new CoterieError(
        "invalid-option",
        "start: `discovery` is false and neither `seeds` nor `founders` are given",
      );
    }
    return rendezvous({ directory: discovery ?? defaultDirectory("default"), record });
  }
  const list = seeds === undefined ? [] : typeof seeds === "string" ? [seeds] : seeds;
  return Promise.resolve(seedDiscovery({ seeds: list, founders, self: record.address }));
}

const DATA_ERRORS = { "in-use": "data-dir-in-use", damaged: "data-damaged", unusable: "invalid-option" } as const;

/** What went wrong, in the words of this layer. */
function startError(
  problem: unknown,
  options: StartOptions,
  refusals: ReadonlyMap<string, string>,
  timedOut: boolean,
): unknown {
  if (problem instanceof CoterieError) return problem;
  if (problem instanceof ListenError) {
    const code = problem.code === "port-in-use" ? "port-in-use" : "invalid-option";
    return new CoterieError(code, `start: \`listen\`: ${problem.message}`, { cause: problem });
  }
  if (problem instanceof DataDirectoryError && problem.code !== "sealed") {
    return new CoterieError(DATA_ERRORS[problem.code], `start: \`dataDir\`: ${problem.message}`, { cause: problem });
  }
  if (problem instanceof EndedError) {
    return new CoterieError("invalid-option", `start: \`dataDir\`: ${problem.message}`, { cause: problem });
  }
  if (problem instanceof NameTakenError) {
    return new CoterieError("name-taken", `start: \`name\`: ${problem.message}`, { cause: problem });
  }
  if (problem instanceof DiscoveryError) {
    return new CoterieError("invalid-option", `start: \`${problem.field}\`: ${problem.message}`, { cause: problem });
  }
  if (options.signal?.aborted) return new CoterieError("aborted", "start was aborted", { cause: problem });
  if (!timedOut) return problem;
  const version = refusals.get("version");
  if (version !== undefined) return new CoterieError("version-mismatch", `start: ${version} speaks another version`);
  const unproven = refusals.get("unproven");
  if (unproven !== undefined)
    return new CoterieError("unproven", `start: ${unproven} and this node do not trust each other`);
  const foreign = refusals.get("foreign-cluster");
  if (foreign !== undefined) return new CoterieError("foreign-cluster", `start: ${foreign} is in another cluster`);
  const seeds = options.seeds ?? "the nodes of this machine";
  return new CoterieError("unreachable", `start: no cluster answers at ${String(seeds)}`, { cause: problem });
}

function listenAddress(listen: string | undefined): { readonly host: string; readonly port: number } {
  if (listen === undefined) return { host: "127.0.0.1", port: 0 };
  const parsed = parseAddress(listen.includes(":") ? listen : `127.0.0.1:${listen}`, 0);
  if (parsed === undefined) throw new CoterieError("invalid-option", `start: \`listen\` is not an address: ${listen}`);
  return parsed;
}

function defaultName(): string {
  const host = hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, "-")
    .slice(0, 40);
  return `${host}-${process.pid}-${randomBytes(2).toString("hex")}`;
}

function text(detail: Readonly<Record<string, unknown>>): string {
  return Object.entries(detail)
    .map(([name, value]) => `${name} ${describe(value)}`)
    .join(", ");
}
