/**
 * Coterie: replicated, fault-tolerant process groups. Virtual synchrony meets Paxos.
 */

export { type Batch, batched, borrowed } from "./group/batch.ts";
export {
  type Checkpoint,
  type Durability,
  defineGroup,
  type GroupDefinition,
  type GroupDescription,
  type ShapeOf,
} from "./group/define.ts";
export type { GroupCounters, Log, LogEntry, LogLevel } from "./group/diagnostics.ts";
export {
  AbortReply,
  CoterieError,
  ERROR_CODES,
  type ErrorCode,
  type ErrorMeaning,
  ExcludedError,
  OutcomeUnknownError,
} from "./group/errors.ts";
export type {
  FlushOptions,
  Group,
  GroupCalls,
  GroupStatus,
  MemberEvent,
  ScopedCalls,
  SubsetCalls,
} from "./group/group.ts";
export type { Optimistic, Plain, Stable } from "./group/guarantee.ts";
export type { NodeKeys } from "./group/key-ring.ts";
export type { Cluster, JoinAllOptions, JoinOptions, Node } from "./group/node.ts";
export { type OpenOperations, openOperations, requireOpen } from "./group/openness.ts";
export type {
  NullReply,
  Position,
  QueryContext,
  ReadContext,
  ReplicaContext,
  UpdateContext,
  ViewContext,
} from "./group/operations.ts";
export type {
  Applicant,
  CertificateOptions,
  ClusterKeyOptions,
  KeySetting,
  SecureOptions,
  StartOptions,
} from "./group/options.ts";
export type { Pending } from "./group/pending.ts";
export { ALL, MAJORITY, type QueryOptions, type Reply, type Wanted } from "./group/reply.ts";
export { start } from "./group/start.ts";
export type { HistoryEvent, HistorySink } from "./protocol/history.ts";
export { type ClusterView, type GroupView, type NodeId, type NodeRecord, nodeName } from "./protocol/view.ts";
export type { ClusterStatus } from "./runtime/application.ts";
