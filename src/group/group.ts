/**
 * What a member holds of its group: calls to all members or to some, the local state, and the views. Everything that is
 * asked of a group ends: with its result, or with an error that says what is known about its effect. When the membership
 * ends, calls that wait fail with the reason, and calls that were sent with `OutcomeUnknownError`.
 */
import type { GroupView, NodeId } from "../protocol/view.ts";
import type { Ending } from "../runtime/application.ts";
import type { GroupDefinition, ShapeOf } from "./define.ts";
import type { GroupCounters } from "./diagnostics.ts";
import type { Guaranteed, Optimistic, Plain, Stable } from "./guarantee.ts";
import type {
  OperationOf,
  OptimisticSends,
  OptimisticSubsetSends,
  Queries,
  RawSends,
  RawSubsetSends,
  ReadContext,
  Shape,
  StableSends,
  StableSubsetSends,
} from "./operations.ts";
import type { Pending } from "./pending.ts";
import type { QueryOptions, Wanted } from "./reply.ts";

/** `active`: a member that delivers. `blocked`: the majority of the cluster is out of reach. The others are final. */
export type GroupStatus = "active" | "blocked" | Ending;

export interface FlushOptions {
  /** How many members must hold what was sent and delivered; default, and at most, all. A whole number from 1. */
  readonly copies?: number;
  /** Stops waiting: rejects with code `aborted`. */
  readonly signal?: AbortSignal;
}

/** A member of the group, or of the node with this name, came or went. */
export interface MemberEvent {
  readonly kind: "joined" | "left";
  readonly member: NodeId;
  /** The view from which on it is so. */
  readonly view: GroupView;
}

/** Calls to all members. Every send resolves when it was delivered here, with what the update returned here. */
export interface GroupCalls<D extends Shape> {
  /**
   * Best effort, at most once, in no order and outside of views: it may reach some members, or none but this one. It never
   * waits: what cannot leave now is dropped, which `counters` tell. Rejects with `blocked` or `overloaded` when it was dropped
   * before anybody got it.
   */
  readonly rawSend: RawSends<D>;
  /** Reliable, in this sender's order. The cheapest; members may see the updates of different senders in different orders. */
  readonly send: OptimisticSends<D>;
  /**
   * Like `send`, and after all causal messages that this member had delivered when it sent: an answer never comes before
   * the question. Messages that know nothing of each other may come in different orders.
   */
  readonly causalSend: OptimisticSends<D>;
  /** Like `send`, in one order for all members. */
  readonly orderedSend: OptimisticSends<D>;
  /**
   * Like `orderedSend`, and delivered only once every member holds it: it is not undone while one of them lives. (That
   * is true of the update; if the state also depends on sends of the early flavours, `flush` makes those firm too.)
   */
  readonly safeSend: StableSends<D>;
  /**
   * Runs a query at the members and resolves with their replies, by rank, when `wanted` values have come or everybody
   * has answered or left. Rejects with AbortReply at the first handler that throws one. Throws `invalid-argument`.
   */
  query(wanted: Wanted, options?: QueryOptions): Queries<D>;
}

/**
 * Calls to some members: only they run the operation, in the same order as all other messages. An update then changes
 * their state only; keeping replicas alike is up to the caller. A query asks those of them that are in the view when it
 * is delivered, and reports the others as having left.
 */
export interface SubsetCalls<D extends Shape> {
  readonly rawSend: RawSubsetSends<D>;
  readonly send: OptimisticSubsetSends<D>;
  readonly causalSend: OptimisticSubsetSends<D>;
  readonly orderedSend: OptimisticSubsetSends<D>;
  readonly safeSend: StableSubsetSends<D>;
  query(wanted: Wanted, options?: QueryOptions): Queries<D>;
}

export interface ScopedCalls<D extends Shape> extends GroupCalls<D> {
  to(members: NodeId | readonly NodeId[]): SubsetCalls<D>;
}

/** A membership. `Group<typeof prices>` is the type of what `node.join(prices)` gives. */
export interface Group<G extends GroupDefinition> extends ScopedCalls<ShapeOf<G>> {
  readonly name: string;
  readonly self: NodeId;
  /** The newest view that was installed here; after the end, the last one. */
  readonly view: GroupView;
  /** This member's position in the view: 0 is the oldest. */
  readonly rank: number;
  readonly status: GroupStatus;
  /** Aborts when the membership ends, with the CoterieError that says how as its reason. */
  readonly signal: AbortSignal;
  /** What was counted here since the join; a copy. */
  readonly counters: Readonly<GroupCounters>;
  /**
   * Whether every member of the present view has this update or query. During a rolling upgrade members with an older
   * definition may lack it; then calls of it fail with `not-supported`, but for raw ones, which run where it is known.
   */
  supports(operation: OperationOf<ShapeOf<G>>): boolean;

  /** The same calls, to these members only. Throws `invalid-argument` for what cannot be a member. */
  to(members: NodeId | readonly NodeId[]): SubsetCalls<ShapeOf<G>>;
  /**
   * The same calls, tied to a signal. Aborting takes back what still waits here for room (code `aborted`: it had no
   * effect); of what was sent it only ends the waiting (`OutcomeUnknownError`; for a query, `aborted`).
   */
  with(options: { readonly signal: AbortSignal }): ScopedCalls<ShapeOf<G>>;

  /**
   * Resolves when everything that was sent or delivered here before is held by every member of the view (or by
   * `copies`), over view changes if need be. Rejects when the membership ends before.
   */
  flush(options?: FlushOptions): Pending<void>;
  /** The same, for the sake of a result: resolves with it, now stable. */
  flush<T extends Guaranteed<unknown> | null | undefined>(
    result: T,
    options?: { readonly signal?: AbortSignal },
  ): Pending<Stable<Plain<T>>>;

  /**
   * Gives a secure group that has a key of its own another one: 32 bytes, or a key as `coterie key new` makes it, or the path of a
   * file that holds one. Resolves when whoever joins from now on needs it; those who are members stay members, and get it.
   * Rejects with `invalid-option`, `invalid-argument` if the group has no key of its own, `aborted`, or how the membership ended.
   */
  rekey(key: string | Uint8Array, options?: { readonly signal?: AbortSignal }): Pending<void>;

  /**
   * Looks at the local state, without asking anybody; it includes updates of the early flavours. `look` must not change
   * it. Throws `blocked` while the majority is out of reach (the state may be stale), and when the membership has ended.
   */
  read<R>(look: (context: ReadContext<ShapeOf<G>["state"]>) => R): Optimistic<R>;

  /**
   * The present view and every later one, until the membership ends; each call is a reading of its own. A reader that is
   * more than 1024 views behind loses the oldest.
   */
  views(): AsyncIterableIterator<GroupView>;
  /**
   * The comings and goings of one member, given its id, or of a node in all its incarnations, given its name. Begins
   * with how it is now: `joined` if it is in the view, `left` if a member of this id is not.
   */
  watch(member: NodeId): AsyncIterableIterator<MemberEvent>;

  /**
   * Leaves in good order: what was sent before is delivered first, later calls fail with code `left`. Resolves when the
   * membership has ended, in whatever way. Waits while blocked.
   */
  leave(): Promise<void>;
  /** Leaves, but does not wait while blocked: closing the node then ends the membership. */
  [Symbol.asyncDispose](): Promise<void>;
}
