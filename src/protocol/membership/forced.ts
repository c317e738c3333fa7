/**
 * The operator's last resort, when a quorum of the last view is gone for good with its disks: the view as one disk
 * remembers it, but so that only this disk has a vote. Its node then recovers as it would with a quorum, alone, and others
 * join it. What the lost disks have decided, or delivered as safe, without this one is lost. The cluster gets another id:
 * nodes of the old one, should they come back, are refused rather than mixed with what has begun here (M3).
 */
import type { JournalRecord } from "../journal-records.ts";
import type { ClusterView } from "../view.ts";
import type { ClusterMemory } from "./memory.ts";

/**
 * What is to be appended to this disk's log, the view first; undefined when it was never in a view. Its promises to
 * others are void with them.
 */
export function forced(memory: ClusterMemory, disk: string, cluster: string): readonly JournalRecord[] | undefined {
  const { installed, packets } = memory;
  const seat = installed?.decided.view.nodes.find((node) => node.disk === disk);
  if (installed === undefined || seat === undefined) return undefined;
  const { decided, snapshot } = installed;
  // Ranks stay as they are, for the packets of this view; who is no acceptor holds none.
  const isAcceptor = decided.view.acceptors.includes(seat.id);
  const view: ClusterView = {
    ...decided.view,
    cluster,
    nodes: decided.view.nodes.map((node) => ({ ...node, weight: node === seat ? 1 : 0 })),
    acceptors: isAcceptor ? decided.view.acceptors : [seat.id],
  };
  const held = isAcceptor ? packets.map((packet): JournalRecord => ({ kind: "packet", packet })) : [];
  return [{ kind: "view", decided: { ...decided, view }, snapshot }, ...held];
}
