/**
 * `coterie status`: the nodes of this machine, or at given addresses, their view and their groups, as they say themselves.
 * It joins nothing and changes nothing.
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { CLUSTER_KEY_VARIABLE, keyGuard } from "../../group/credentials.ts";
import { CoterieError } from "../../group/errors.ts";
import { nodeName } from "../../protocol/view.ts";
import { DiscoveryError } from "../../runtime/discovery/discovery.ts";
import { defaultDirectory, type Resident, residents } from "../../runtime/discovery/rendezvous.ts";
import { parseAddress } from "../../runtime/tcp/address.ts";
import { EXIT, type Exit, exitHelp } from "../exit.ts";
import { badOption } from "../options.ts";
import { count, figure, Output, wrap } from "../output.ts";
import { type ClusterState, clustersOf, isSound, type NodeState } from "./clusters.ts";
import { survey } from "./survey.ts";

interface Options {
  readonly discovery?: string;
  readonly seeds?: readonly string[];
  readonly clusterKey?: string;
  readonly json?: boolean;
}

export function addStatus(program: Command): void {
  program
    .command("status")
    .description("Show the nodes of this machine, or at some addresses: their view, their groups, how they are.")
    .option("--discovery <directory>", "the directory in which the nodes find each other", defaultDirectory("default"))
    .option("--seeds <addresses>", 'ask at these addresses instead, "host:port,host:port"', addressList)
    .option("--cluster-key <file>", `the cluster's key or its file; default: ${CLUSTER_KEY_VARIABLE}`)
    .option("--json", "print one JSON object")
    .addHelpText("after", exitHelp("there is no cluster, or a node does not answer or serve"))
    .action(async (options: Options) => {
      process.exitCode = await status(options);
    });
}

function addressList(text: string): readonly string[] {
  return text.split(",").map((part) => {
    const address = part.trim();
    if (parseAddress(address) === undefined)
      throw badOption("--seeds", `has ${JSON.stringify(part)}, which is not "host:port"`);
    return address;
  });
}

async function status(options: Options): Promise<Exit> {
  const { discovery = "", seeds, json = false } = options;
  const key = options.clusterKey ?? process.env[CLUSTER_KEY_VARIABLE];
  const guard = key === undefined || key === "" ? undefined : keyGuard(key, "--cluster-key");
  const output = new Output(json);
  const where = seeds === undefined ? resolve(discovery) : seeds.join(", ");
  const known = seeds === undefined ? await livingResidents(discovery) : { living: [], gone: 0 };
  const clusters = clustersOf(await survey(known.living, seeds ?? [], guard));
  const hasCluster = clusters.some(({ cluster }) => cluster !== "");
  const ok = hasCluster && clusters.every(isSound);
  output.record({ where, ok, clusters });
  output.line(`\n${output.colours.bold("coterie status")}  ${output.colours.dim(where)}`);
  for (const cluster of clusters) show(cluster, output);
  if (clusters.length === 0) output.line("\n  No node runs here.");
  if (known.gone > 0) output.line(output.colours.dim(`\n  ${count(known.gone, "record")} of processes that are gone`));
  return ok ? EXIT.ok : EXIT.wrong;
}

async function livingResidents(
  directory: string,
): Promise<{ readonly living: readonly Resident[]; readonly gone: number }> {
  try {
    const all = await residents(directory);
    const living = all.filter(({ isAlive }) => isAlive);
    return { living, gone: all.length - living.length };
  } catch (cause) {
    if (!(cause instanceof DiscoveryError)) throw cause;
    throw new CoterieError("invalid-option", `--discovery: ${cause.message}`, { cause, remedy: "See --help." });
  }
}

function show(state: ClusterState, output: Output): void {
  const { bold, cyan, dim } = output.colours;
  const { cluster, view, nodes, groups } = state;
  const title = cluster === "" ? "in no cluster" : `cluster ${cluster}`;
  const about = view === 0 ? "" : `view ${view} of ${count(nodes.filter(({ inView }) => inView).length, "node")}`;
  output.line(`\n  ${bold(title)}  ${cyan(about)}\n`);
  const width = (values: readonly string[]): number => Math.max(...values.map(({ length }) => length)) + 2;
  const ids = width(nodes.map(({ id }) => id || "?"));
  const addresses = width(nodes.map(({ address }) => address));
  for (const node of nodes) {
    const pid = `${node.pid ?? ""}`.padEnd(9);
    output.line(
      `  ${(node.id || "?").padEnd(ids)}${node.address.padEnd(addresses)}${dim(pid)}${statusOf(node, view, output)}`,
    );
  }
  if (groups.length === 0) return;
  const names = width(groups.map(({ name }) => name));
  output.line();
  for (const { name, status, view: number, members, synced, awaited } of groups) {
    const who = members.map((id) => `${nodeName(id)}${synced.includes(id) ? "" : " (awaits the state)"}`).join(" ");
    const keepers = awaited.map(nodeName).join(" or ");
    const gone = `${status}: all who held the state are gone`;
    const text =
      status === "live" ? who : keepers === "" ? gone : `${status}: it is on the disk of ${keepers}, and awaits one`;
    const indent = 2 + names + 10;
    const [first = "", ...more] = wrap(text, output.columns - indent);
    output.line(`  ${bold(name.padEnd(names))}${cyan(`view ${number}`.padEnd(10))}${first}`);
    for (const line of more) output.line(`${" ".repeat(indent)}${line}`);
  }
}

const TURNED_AWAY: readonly (readonly [keyof NonNullable<NodeState["network"]>, string])[] = [
  ["garbage", "garbage"],
  ["cutOff", "cut off"],
  ["unproven", "unproven"],
  ["crowdedOut", "crowded out"],
  ["tooSlow", "too slow"],
  ["refused", "refused"],
];

/** What was turned away, as far as anything was. */
function turnedAway(network: NodeState["network"]): string {
  const parts = TURNED_AWAY.flatMap(([field, word]) => {
    const times = network?.[field] ?? 0;
    return times === 0 ? [] : `${figure(times)} ${word}`;
  });
  return parts.length === 0 ? "" : `turned away: ${parts.join(", ")}`;
}

function statusOf(
  { status, detail, view, inView, isAcceptor, disk, network }: NodeState,
  newest: number,
  { colours }: Output,
): string {
  const { green, red, yellow, dim } = colours;
  const paint = status === "primary" ? green : status === "joining" ? yellow : red;
  const remarks = [
    status === "unknown" ? "does not answer" : status,
    status === "primary" ? "" : detail,
    view > 0 && view < newest ? `still in view ${view}` : "",
    newest > 0 && !inView ? "not in the view" : "",
    disk === null || disk.condition === "ok" ? "" : `disk ${disk.condition}: ${disk.detail}`,
    disk === null || disk.damagedRecords === 0 ? "" : `disk damaged: ${count(disk.damagedRecords, "record")}`,
    network === null || network.outdated === 0 ? "" : `${count(network.outdated, "connection")} with an older key`,
  ].filter((remark) => remark !== "");
  const roles = [
    isAcceptor ? "acceptor" : "",
    disk === null ? "" : `log ${figure(disk.bytes / 1e6)} MB`,
    turnedAway(network),
  ];
  const about = roles.filter((role) => role !== "").map((role) => dim(`  ${role}`));
  return `${paint(remarks.join(", "))}${about.join("")}`;
}
