/**
 * Asks nodes how they are, without becoming one: those of the rendezvous directory or at given addresses, and those that
 * they name in their views. A node that does not answer is shown with what others say of it.
 */
import type { NodeId } from "../../protocol/view.ts";
import type { Resident } from "../../runtime/discovery/rendezvous.ts";
import type { NodeReport } from "../../runtime/driver.ts";
import type { Guard } from "../../runtime/secure/guard.ts";
import { parseAddress } from "../../runtime/tcp/address.ts";
import { inquire } from "../../runtime/tcp/inquire.ts";

/** One node as far as it could be seen. */
export interface SeenNode {
  /** "" when nobody knows who is at the address. */
  readonly id: NodeId;
  readonly address: string;
  /** Only known on this machine. */
  readonly pid: number | undefined;
  readonly report: NodeReport | undefined;
  /** Why there is no report. */
  readonly problem: string | undefined;
  /** The cluster that it is in, as it says itself, or its record, or those who have it in their view; "" for none. */
  readonly cluster: string;
}

interface Known {
  readonly id: NodeId;
  readonly pid?: number | undefined;
  readonly cluster?: string | undefined;
}

const ANSWER_MS_MAX = 2000;
const NODES_MAX = 1000;

export async function survey(
  residents: readonly Resident[],
  addresses: readonly string[],
  guard: Guard | undefined,
): Promise<readonly SeenNode[]> {
  const seen = new Map<string, SeenNode>();
  let unasked = new Map<string, Known>(addresses.map((address) => [address, { id: "" }]));
  for (const { address, id, pid, cluster } of residents) unasked.set(address, { id, pid, cluster });
  while (unasked.size > 0 && seen.size < NODES_MAX) {
    const asked = [...unasked].map(([address, known]) => ask(address, known, guard));
    const answers = await Promise.all(asked);
    for (const node of answers) seen.set(node.address, node);
    unasked = named(answers, seen);
  }
  return distinct([...seen.values()]);
}

/** Those whom reports name and who have not been asked. */
function named(answers: readonly SeenNode[], seen: ReadonlyMap<string, SeenNode>): Map<string, Known> {
  const found = new Map<string, Known>();
  for (const { report } of answers) {
    for (const { id, address } of report?.view?.nodes ?? []) {
      if (!seen.has(address)) found.set(address, { id, cluster: report?.cluster });
    }
  }
  return found;
}

async function ask(address: string, { id, pid, cluster = "" }: Known, guard: Guard | undefined): Promise<SeenNode> {
  const target = parseAddress(address);
  if (target === undefined) return { id, address, pid, cluster, report: undefined, problem: "not an address" };
  try {
    const report = JSON.parse(await inquire(target, ANSWER_MS_MAX, guard)) as NodeReport;
    // Somebody else may have taken the address of a node that is gone.
    return {
      id: report.id,
      address,
      pid: report.id === id ? pid : undefined,
      cluster: report.cluster,
      report,
      problem: undefined,
    };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { id, address, pid, cluster, report: undefined, problem: PROBLEMS[problem] ?? problem };
  }
}

const PROBLEMS: { readonly [code: string]: string | undefined } = {
  ECONNREFUSED: "nobody listens there",
  ENOTFOUND: "no such host",
};

/** A node that was asked at two of its addresses is one node. */
function distinct(nodes: readonly SeenNode[]): readonly SeenNode[] {
  const ids = new Set<NodeId>();
  return nodes.filter(({ id, report }) => {
    if (report === undefined) return true;
    const isNew = !ids.has(id);
    ids.add(id);
    return isNew;
  });
}
