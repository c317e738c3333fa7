/**
 * What the demo and its member processes tell each other, over the channel that Node.js gives a forked process. Times
 * are milliseconds of the machine's monotonic clock, the same in all processes.
 */
import type { NodeId } from "../../protocol/view.ts";

/** What a member's own handler saw of one sender's updates. */
export interface SeenOf {
  readonly sender: NodeId;
  readonly count: number;
  readonly duplicates: number;
  /** Of the set of tickets: equal where the same updates were seen. */
  readonly digest: string;
}

/** What a member's copy of the book says (durable/book.ts). */
export interface BookReport {
  readonly node: NodeId;
  /** How many entries there are of each sender. */
  readonly entries: readonly (readonly [sender: NodeId, count: number])[];
  readonly repeated: number;
  readonly skipped: number;
  /** Of all entries in their order. */
  readonly chain: string;
  /** How many events of its journal belong to the run up to now. */
  readonly events: number;
  /** Calls that failed, and warnings. */
  readonly complaints: readonly string[];
}

export type FromMember =
  /** The node is in the cluster. */
  | { readonly kind: "started"; readonly at: number; readonly node: NodeId }
  /** It is a member of the group, with the state. */
  | { readonly kind: "joined"; readonly at: number; readonly entries: number }
  | { readonly kind: "view"; readonly at: number; readonly number: number; readonly members: readonly NodeId[] }
  /** How many updates were delivered here so far, and how many sends and queries have come back. */
  | { readonly kind: "tick"; readonly at: number; readonly delivered: number }
  /** The book as it was when the member had joined, and when all had come to rest. */
  | { readonly kind: "found"; readonly book: BookReport }
  | { readonly kind: "book"; readonly book: BookReport }
  /** All that this member sent has been delivered to all. */
  | { readonly kind: "quiet" }
  | {
      readonly kind: "report";
      readonly node: NodeId;
      /** Of the replica's state. */
      readonly digest: string;
      readonly entries: number;
      /** How many events of its journal belong to the run up to now. */
      readonly events: number;
      readonly seen: readonly SeenOf[];
      readonly issued: number;
      readonly flushes: number;
      readonly queries: number;
      readonly answers: number;
      /** Calls that failed, and warnings. */
      readonly complaints: readonly string[];
    }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };

export type ToMember =
  /** 0: as fast as they are taken. */
  | { readonly kind: "traffic"; readonly updatesPerSecond: number }
  /** Send no more, and answer `quiet`. */
  | { readonly kind: "stop" }
  | { readonly kind: "report" }
  | { readonly kind: "leave" };

/** Milliseconds of the machine's monotonic clock. */
export function machineTime(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
