/**
 * `coterie witness`: a node that only votes. A cluster of two cannot tell a dead node from a lost connection; with a third
 * vote it can, and the witness needs neither the program nor its state. It runs until it is told to end.
 */
import type { Command } from "commander";
import { CLUSTER_KEY_VARIABLE } from "../../group/credentials.ts";
import type { LogEntry } from "../../group/diagnostics.ts";
import { describe } from "../../group/errors.ts";
import type { Cluster } from "../../group/node.ts";
import { start } from "../../group/start.ts";
import { nodeName } from "../../protocol/view.ts";
import { EXIT, type Exit, exitHelp } from "../exit.ts";
import { wholeNumber } from "../options.ts";
import { Output } from "../output.ts";

interface Options {
  readonly name?: string;
  readonly listen?: string;
  readonly advertise?: string;
  readonly discovery?: string;
  readonly seeds?: readonly string[];
  readonly founders?: readonly string[];
  readonly dataDir?: string;
  readonly weight?: number;
  readonly failureTimeoutMs?: number;
  readonly clusterKey?: string;
  readonly insecure?: boolean;
  readonly json?: boolean;
}

export function addWitness(program: Command): void {
  program
    .command("witness")
    .description("Run a node that only votes, so that a cluster of two survives the loss of one.")
    .option("--name <name>", "the node's name")
    .option("--listen <address>", 'where to listen, "host:port" or "port"')
    .option("--advertise <address>", 'where others reach it, "host:port", if that is elsewhere')
    .option("--discovery <directory>", "the directory in which the nodes of this machine find each other")
    .option("--seeds <addresses>", 'nodes of the cluster, "host:port,host:port"', (text) => text.split(","))
    .option("--founders <addresses>", 'those that found the cluster, "host:port,host:port"', (text) => text.split(","))
    .option(
      "--data-dir <directory>",
      "where it keeps what it has promised, so that it is the same voter after a restart",
    )
    .option("--weight <votes>", "how many votes it has", wholeNumber("--weight", 0, 100))
    .option("--failure-timeout-ms <ms>", "as at the other nodes", wholeNumber("--failure-timeout-ms", 100, 600_000))
    .option("--cluster-key <file>", `the cluster's key or its file; default: ${CLUSTER_KEY_VARIABLE}`)
    .option("--insecure", "let nodes without a key reach it from other machines")
    .option("--json", "print one JSON object for each change")
    .addHelpText("after", exitHelp("does not occur: it runs until it is told to end"))
    .action(async (options: Options) => {
      process.exitCode = await witness(options);
    });
}

/** Votes until a signal comes. */
async function witness({ json = false, clusterKey, ...options }: Options): Promise<Exit> {
  const output = new Output(json);
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  process.once("SIGINT", interrupt);
  const log = ({ level, message, error }: LogEntry): void => {
    if (level === "warn" || level === "error")
      process.stderr.write(`${message}${error === undefined ? "" : `: ${describe(error)}`}\n`);
  };
  try {
    const secure = clusterKey === undefined ? {} : { secure: { clusterKey } };
    const node = await start({ ...options, ...secure, witness: true, signal: interrupted.signal, log });
    await Promise.all([views(node.cluster, output), statuses(node.cluster, output)]);
    await node.close();
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
  } finally {
    process.off("SIGINT", interrupt);
  }
  return interrupted.signal.aborted ? EXIT.interrupted : EXIT.ok;
}

async function views(cluster: Cluster, output: Output): Promise<void> {
  for await (const { number, nodes } of cluster.views()) {
    const names = nodes.map(({ id }) => nodeName(id));
    output.record({ view: number, nodes: names });
    output.line(`view ${number}: ${names.join(", ")}`);
  }
}

async function statuses(cluster: Cluster, output: Output): Promise<void> {
  for await (const status of cluster.statuses()) {
    output.record({ status });
    output.line(`status: ${status}`);
  }
}
