/**
 * What a run did, as the checkers judge it (docs/MODEL.md). Simulated and real processes record the same events. `at`
 * is in milliseconds of the run's clock and is for people; the checkers use only the order of events at each node.
 */
import type { NodeId } from "./view.ts";

export type HistoryFlavour = "fifo" | "causal" | "total" | "safe" | "raw";

/** `abandoned`: nobody waits for the flush any more. */
export type FlushOutcome = "held" | "rejected" | "abandoned";

export type HistoryEvent =
  /** A node began to run; `node` names the incarnation, and `disk` its data directory, if it has one. */
  | { readonly kind: "start"; readonly at: number; readonly node: NodeId; readonly disk?: string }
  /** The process died without a word. */
  | { readonly kind: "crash"; readonly at: number; readonly node: NodeId }
  /** The node left in good order. */
  | { readonly kind: "close"; readonly at: number; readonly node: NodeId }
  /** The node learned that the cluster goes on without it. */
  | { readonly kind: "exclude"; readonly at: number; readonly node: NodeId }
  /** An acceptor accepted a proposal for cluster view `number`; `proposal` is a digest of members and cut. */
  | {
      readonly kind: "accept";
      readonly at: number;
      readonly node: NodeId;
      readonly number: number;
      readonly proposal: string;
    }
  /**
   * A view was installed. `group` is "" for the cluster. For a cluster view `members` are the acceptors, `nodes` are all
   * nodes, and `proposal` is the digest of what was decided; `votes` are those of `members`, if they do not have one each.
   */
  | {
      readonly kind: "install";
      readonly at: number;
      readonly node: NodeId;
      readonly group: string;
      readonly number: number;
      readonly members: readonly NodeId[];
      readonly nodes?: readonly NodeId[];
      readonly votes?: readonly number[];
      readonly proposal?: string;
    }
  /**
   * The node, back on its disk, goes on as an acceptor of cluster view `number`, in which its disk has a vote under the id of
   * an earlier incarnation. All else is as of an `install`.
   */
  | {
      readonly kind: "adopt";
      readonly at: number;
      readonly node: NodeId;
      readonly number: number;
      readonly members: readonly NodeId[];
      readonly nodes: readonly NodeId[];
      readonly votes?: readonly number[];
      readonly proposal: string;
    }
  /** A directory step was executed; `digest` is of the directory's state after it. */
  | {
      readonly kind: "directory";
      readonly at: number;
      readonly node: NodeId;
      readonly index: number;
      readonly digest: string;
    }
  /** A message entered the epoch of view `view` at its sender. `message` identifies it in the whole run. */
  | {
      readonly kind: "send";
      readonly at: number;
      readonly node: NodeId;
      readonly group: string;
      readonly view: number;
      readonly message: string;
      readonly flavour: HistoryFlavour;
    }
  /** A message was delivered: its handler ran at `node`. */
  | {
      readonly kind: "deliver";
      readonly at: number;
      readonly node: NodeId;
      readonly group: string;
      readonly view: number;
      readonly message: string;
      readonly sender: NodeId;
      readonly flavour: HistoryFlavour;
    }
  | {
      readonly kind: "flush-begin";
      readonly at: number;
      readonly node: NodeId;
      readonly group: string;
      readonly flush: string;
      readonly copies?: number;
    }
  | {
      readonly kind: "flush-end";
      readonly at: number;
      readonly node: NodeId;
      readonly group: string;
      readonly flush: string;
      readonly outcome: FlushOutcome;
    }
  /**
   * A query was sent: it is also a `send` (and is delivered) under the message id `query`. `audience` are those who were
   * asked; without it, all members of the view in which it is delivered.
   */
  | {
      readonly kind: "query";
      readonly at: number;
      readonly node: NodeId;
      readonly group: string;
      readonly query: string;
      readonly wanted: number;
      readonly audience?: readonly NodeId[];
    }
  /** The caller learned how the query ended for one member. */
  | {
      readonly kind: "reply";
      readonly at: number;
      readonly node: NodeId;
      readonly group: string;
      readonly query: string;
      readonly member: NodeId;
      readonly status: "value" | "null" | "left" | "timeout" | "abort";
    }
  /** `rejected`: it failed, or its caller gave up. */
  | {
      readonly kind: "query-end";
      readonly at: number;
      readonly node: NodeId;
      readonly group: string;
      readonly query: string;
      readonly outcome: "enough" | "complete" | "aborted" | "rejected";
    }
  /**
   * The replica's state at the start of a view, after the drain: recorded by synced members, with a digest, and by a
   * joiner once it has loaded it (`loaded: true`).
   */
  | {
      readonly kind: "state";
      readonly at: number;
      readonly node: NodeId;
      readonly group: string;
      readonly view: number;
      readonly digest: string;
      readonly loaded: boolean;
    }
  /**
   * The node has brought the group back from its disk after all members had failed, up to the end of view `view`.
   * `messages` are all that its state contains, in the order in which they were delivered; with `since`, all that came
   * from that view on, for the state at its start was found as a whole.
   */
  | {
      readonly kind: "recover";
      readonly at: number;
      readonly node: NodeId;
      readonly group: string;
      readonly view: number;
      readonly since?: number;
      readonly messages: readonly string[];
    }
  /** The group was left in good order by this member, or ended for it (`lost`, `excluded`). */
  | {
      readonly kind: "end";
      readonly at: number;
      readonly node: NodeId;
      readonly group: string;
      readonly why: "left" | "lost" | "excluded";
    }
  /** The node stopped serving, or serves again. */
  | { readonly kind: "blocked" | "unblocked"; readonly at: number; readonly node: NodeId };

/**
 * Receives events in the order in which they happen at a node. `flush` is called before anything that follows from them
 * leaves the node: who collects events to write them together writes them then, and a crash loses nothing that another
 * node can know of.
 */
export interface HistorySink {
  (event: HistoryEvent): void;
  flush?(): void;
}
