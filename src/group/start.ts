/**
 * `start` checks its options and makes a node that runs on the real world.
 */
import { CoterieError } from "./errors.ts";
import { createNode, type Node } from "./node.ts";
import { checkOptions, type StartOptions } from "./options.ts";
import type { NodeRuntime } from "./runtime.ts";

/**
 * Starts a node: it finds the cluster, or founds it, and resolves when it is a part of it. Rejects with a CoterieError:
 * `invalid-option`, `name-taken`, `port-in-use`, `unreachable`, `foreign-cluster`, `version-mismatch`, `aborted`.
 */
export async function start(options: StartOptions = {}): Promise<Node> {
  const checked = checkOptions(options);
  return createNode(await openRuntime(checked), checked);
}

/** The driver on sockets, disks and clocks of this machine. */
async function openRuntime(_options: StartOptions): Promise<NodeRuntime> {
  throw new CoterieError("unreachable", "this build has no driver");
}
