/**
 * What a survey says, by cluster. Nodes may be of different views for a moment; the newest view that anybody reports is
 * taken for the cluster's.
 */
import { type NodeId, nodeName } from "../../protocol/view.ts";
import type { NodeReport } from "../../runtime/driver.ts";
import type { SeenNode } from "./survey.ts";

export interface ClusterState {
  /** "" for nodes that are in none yet. */
  readonly cluster: string;
  /** Its number; 0 when no node could say. */
  readonly view: number;
  readonly nodes: readonly NodeState[];
  readonly groups: readonly GroupState[];
}

export interface NodeState {
  readonly id: NodeId;
  readonly address: string;
  readonly pid: number | null;
  /** As it says itself; `unknown` when it does not answer. */
  readonly status: NodeReport["status"] | "unknown";
  readonly detail: string;
  /** The number of the view that it is in; 0 for none. */
  readonly view: number;
  /** It is in the newest view. */
  readonly inView: boolean;
  /** It agrees on views and keeps the directory. */
  readonly isAcceptor: boolean;
  /** How its disk is; null without a data directory, or when it does not answer. */
  readonly disk: NodeReport["disk"];
  /** What it has turned away since it began; null when it does not answer. */
  readonly network: NodeReport["network"] | null;
}

export interface GroupState {
  readonly name: string;
  readonly status: string;
  /** The number of its view. */
  readonly view: number;
  readonly members: readonly NodeId[];
  /** Members that have the state. */
  readonly synced: readonly NodeId[];
  /** Of a durable group whose members have all failed: those who have it on their disks. */
  readonly awaited: readonly NodeId[];
}

export function clustersOf(nodes: readonly SeenNode[]): readonly ClusterState[] {
  const names = [...new Set(nodes.map(({ cluster }) => cluster))].sort();
  return names.map((cluster) =>
    clusterOf(
      cluster,
      nodes.filter((node) => node.cluster === cluster),
    ),
  );
}

/** Every node answers, serves, is in the newest view and has a good disk, if any, and every group has its state. */
export function isSound({ cluster, nodes, groups }: ClusterState): boolean {
  const areNodesSound = nodes.every(({ status, inView, disk }) => status === "primary" && inView && isDiskSound(disk));
  return cluster !== "" && areNodesSound && groups.every(({ status }) => status === "live");
}

function isDiskSound(disk: NodeState["disk"]): boolean {
  return disk === null || (disk.condition === "ok" && disk.damagedRecords === 0);
}

function clusterOf(cluster: string, nodes: readonly SeenNode[]): ClusterState {
  const reports = nodes.flatMap(({ report }) => report ?? []).sort((a, b) => viewOf(b) - viewOf(a));
  const [newest] = reports;
  const members = newest?.view?.nodes ?? [];
  const rank = new Map(members.map(({ id }, index) => [id, index]));
  const states = nodes.map((node) => stateOf(node, newest));
  const rankOf = ({ id }: NodeState): number => rank.get(id) ?? Number.POSITIVE_INFINITY;
  return {
    cluster,
    view: newest === undefined ? 0 : viewOf(newest),
    nodes: states.sort((a, b) => rankOf(a) - rankOf(b) || nodeName(a.id).localeCompare(nodeName(b.id))),
    groups: (newest?.groups ?? []).map(({ name, status, number: view, members, synced, awaited }) => {
      return { name, status, view, members, synced, awaited };
    }),
  };
}

function stateOf({ id, address, pid, report, problem = "" }: SeenNode, newest: NodeReport | undefined): NodeState {
  return {
    id,
    address,
    pid: pid ?? null,
    status: report?.status ?? "unknown",
    detail: report?.detail ?? problem,
    view: report === undefined ? 0 : viewOf(report),
    inView: newest?.view?.nodes.some((node) => node.id === id) ?? false,
    isAcceptor: newest?.view?.acceptors.includes(id) ?? false,
    disk: report?.disk ?? null,
    network: report?.network ?? null,
  };
}

function viewOf({ view }: NodeReport): number {
  return view?.number ?? 0;
}
