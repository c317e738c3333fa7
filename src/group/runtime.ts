/**
 * The node that groups live in, as this layer sees it: what the driver offers to `createNode`. Calls and callbacks come
 * one at a time; a callback may be made from within the call that causes it.
 */

import type { ClusterView, NodeId } from "../protocol/view.ts";
import type { ClusterStatus, JoinRefusal, JoinRequest } from "../runtime/application.ts";
import type { ErrorCode } from "./errors.ts";

/** Why a join failed, other than by the directory's refusal. */
export interface JoinFailure {
  readonly code: ErrorCode;
  /** What happened, as the beginning of a sentence. */
  readonly detail: string;
  readonly cause?: unknown;
}

export interface NodeRuntime {
  /** This node's present incarnation; it changes when the node enters again after an exclusion. */
  readonly self: NodeId;
  readonly status: ClusterStatus;
  /** The newest view of the cluster, undefined before the first. */
  readonly clusterView: ClusterView | undefined;
  /**
   * Joins all groups in one step or none. Success is told to each application (`joined`); `done` is called once if the
   * join is refused or fails. The result cancels: nothing is told after it, and a membership already granted is left.
   */
  join(requests: readonly JoinRequest[], done: (why: JoinRefusal | JoinFailure) => void): () => void;
  /** Listens to changes until the result is called. */
  onStatus(listener: (status: ClusterStatus) => void): () => void;
  onClusterView(listener: (view: ClusterView) => void): () => void;
  /** Milliseconds of the node's clock, for the history of a run. */
  now(): number;
  /** Calls back once after so many milliseconds of the node's clock; the result cancels. */
  after(delayMs: number, callback: () => void): () => void;
  /** Ends all memberships (`closed`), leaves the cluster and frees the node's ports; never fails. */
  close(): Promise<void>;
}
