/**
 * How operations are typed: written once in the definition, every call is inferred from the handler. A handler's first
 * parameter is the replica's context; the others are the arguments of the call.
 */
import type { GroupView, NodeId } from "../protocol/view.ts";
import type { Optimistic, Stable } from "./guarantee.ts";
import type { Pending } from "./pending.ts";
import type { Reply } from "./reply.ts";

/** Where in the group's history an operation runs. */
export interface Position {
  /** The view's number. Of a raw message: of this replica's view when it came, which may differ from others'. */
  readonly view: number;
  /**
   * The message's index in the view, from 0: in the view's total order for `orderedSend` and `safeSend`, among the
   * sender's own of this flavour otherwise. Of a raw message: a number that grows, with gaps, with every raw message of
   * the sender, through all views; the same at every replica.
   */
  readonly index: number;
  /** Whose messages the index counts; undefined when it counts those of the view's total order. */
  readonly sender: NodeId | undefined;
}

/** What an operation can see of the replica that it runs at. */
export interface ReplicaContext<S> {
  readonly state: S;
  /** The view in which the operation was sent and runs; of a raw one, this replica's view when it came. */
  readonly view: GroupView;
  /** This member's position in the view, from 0, the oldest; not the same at every replica. */
  readonly rank: number;
  /** This member; not the same at every replica. */
  readonly self: NodeId;
  /** The member that sent the operation. */
  readonly sender: NodeId;
  readonly position: Position;
  /** The sender's clock at the send, milliseconds since 1970: the same at every replica. */
  readonly time: number;
  /** A number in [0, 1): the same sequence at every replica, another for every operation. */
  readonly random: () => number;
}

/** The context of an update. It is only valid until the handler returns. */
export interface UpdateContext<S> extends Omit<ReplicaContext<S>, "state"> {
  /** The replica's state: change it in place, or assign another. */
  state: S;
}

declare const nullReply: unique symbol;
/** What `nullReply()` returns, so that a handler can end with it. */
export type NullReply = { readonly [nullReply]: true };

/** The context of a query; each query has its own. */
export interface QueryContext<S> extends ReplicaContext<S> {
  /** This member has nothing to say: its reply is an answer, but not a value. Returning nothing says the same. */
  readonly nullReply: () => NullReply;
}

/** What `onView` is told. */
export interface ViewContext<S> {
  /** The replica's state at the beginning of the view: may be changed, in the same way at every member. */
  state: S;
  readonly view: GroupView;
  readonly rank: number;
  readonly self: NodeId;
  /** Who is in this view and was not in the one before; everybody in a group's first view. The same at every member. */
  readonly joined: readonly NodeId[];
  /** Who was in the view before and is no longer. The same at every member. */
  readonly left: readonly NodeId[];
}

/** What a local read sees. */
export interface ReadContext<S> {
  readonly state: S;
  readonly view: GroupView;
  readonly rank: number;
  readonly self: NodeId;
}

/** Operations by name. */
export type Handlers<C> = { readonly [name: string]: (context: C, ...args: never[]) => unknown };

/** The arguments of a call of this handler. */
export type ArgumentsOf<H> = H extends (context: never, ...args: infer A) => unknown ? A : never;

/** What a handler returns in the end. */
export type ResultOf<H> = H extends (context: never, ...args: never[]) => infer R ? R : never;

// biome-ignore-start lint/suspicious/noConfusingVoidType: a handler that returns nothing returns void.
/** What a query's caller gets as a value: a handler that returns nothing has none. */
export type AnswerOf<H> = Exclude<Awaited<ResultOf<H>>, NullReply | undefined | void>;
// biome-ignore-end lint/suspicious/noConfusingVoidType: only here.

/** No operations: what a definition that does not mention them has. */
export type Given<H> = string extends keyof H ? Record<never, never> : H;

/** Refuses, with a sentence, handlers that may return a promise. */
export type Synchronous<U> = {
  readonly [K in keyof U]: U[K] extends (...args: never[]) => infer R
    ? 0 extends 1 & R
      ? unknown
      : [Extract<R, PromiseLike<unknown>>] extends [never]
        ? unknown
        : "an update must be synchronous: it may not return a promise"
    : never;
};

/** The shape of a definition, for the types of its group. */
export interface Shape {
  readonly state: unknown;
  readonly updates: object;
  readonly queries: object;
}

/** An update as it is called. */
export interface SendCall<A extends readonly unknown[], R> {
  /** Sends it, and gives what it returned here. */
  (...args: A): Pending<R>;
  /**
   * Sends it and asks for no outcome: nothing is kept for it. Gives undefined while there is room for more, else what to
   * await before more is posted. Throws what the call would reject with before it is sent; what the update throws is logged.
   */
  post(...args: A): Promise<void> | undefined;
}

/** The name of an update or a query. */
export type OperationOf<D extends Shape> = (keyof D["updates"] | keyof D["queries"]) & string;

/** Sends whose results an exclusion may undo. */
export type OptimisticSends<D extends Shape> = {
  readonly [K in keyof D["updates"]]: SendCall<ArgumentsOf<D["updates"][K]>, Optimistic<ResultOf<D["updates"][K]>>>;
};

/** Sends that may not reach everybody: a flush does not cover them, so their results cannot be made to stand. */
export type RawSends<D extends Shape> = {
  readonly [K in keyof D["updates"]]: SendCall<ArgumentsOf<D["updates"][K]>, ResultOf<D["updates"][K]>>;
};

/** Sends whose results stand. */
export type StableSends<D extends Shape> = {
  readonly [K in keyof D["updates"]]: SendCall<ArgumentsOf<D["updates"][K]>, Stable<ResultOf<D["updates"][K]>>>;
};

/** The same for calls to some of the members: the result is undefined when this member is not one of them. */
export type OptimisticSubsetSends<D extends Shape> = {
  readonly [K in keyof D["updates"]]: SendCall<
    ArgumentsOf<D["updates"][K]>,
    Optimistic<ResultOf<D["updates"][K]> | undefined>
  >;
};

export type RawSubsetSends<D extends Shape> = {
  readonly [K in keyof D["updates"]]: SendCall<ArgumentsOf<D["updates"][K]>, ResultOf<D["updates"][K]> | undefined>;
};

export type StableSubsetSends<D extends Shape> = {
  readonly [K in keyof D["updates"]]: SendCall<
    ArgumentsOf<D["updates"][K]>,
    Stable<ResultOf<D["updates"][K]> | undefined>
  >;
};

/** Queries: one reply per member that was asked and has answered, or left. */
export type Queries<D extends Shape> = {
  readonly [K in keyof D["queries"]]: QueryCall<ArgumentsOf<D["queries"][K]>, AnswerOf<D["queries"][K]>>;
};

export interface QueryCall<A extends readonly unknown[], R> {
  /** Asks, and resolves with the replies, by rank, when the query ends. */
  (...args: A): Pending<Reply<R>[]>;
  /**
   * Asks, and gives the replies as they come. It ends when the query ends, after its last reply; it throws what the query
   * rejects with. Leaving the loop, or `return()`, ends the query.
   */
  stream(...args: A): AsyncIterableIterator<Reply<R>, undefined>;
}
