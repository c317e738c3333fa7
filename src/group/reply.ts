/**
 * How the members answer a query, and how many answers its caller wants.
 */
import type { NodeId } from "../protocol/view.ts";
import { CAUSAL, FIFO, RAW, SAFE, TOTAL } from "../wire/packet.ts";

/** Every member that was asked. */
export const ALL: unique symbol = Symbol("ALL");

/** More than half of the members that were asked: floor(size / 2) + 1. */
export const MAJORITY: unique symbol = Symbol("MAJORITY");

/** How many values are wanted: of all that were asked in the view in which the query is delivered, or a number. */
export type Wanted = typeof ALL | typeof MAJORITY | number;

/** What became of the query at one member. */
export type Reply<R> =
  | {
      readonly member: NodeId;
      readonly status: "value";
      /** What the handler returned there; never undefined. */
      readonly value: R;
    }
  | {
      readonly member: NodeId;
      /**
       * `null`: it had nothing to say, because its handler returned nothing or called `nullReply()`. `left`: it left or
       * failed before it answered, or was no member when the query was delivered. `timeout`: it had not answered within
       * `timeoutMs`.
       */
      readonly status: "null" | "left" | "timeout";
      readonly value?: undefined;
    };

/** Where a query may run in the order of messages, and the flavour that takes it there. */
export const QUERY_ORDERS = { fifo: FIFO, causal: CAUSAL, ordered: TOTAL, safe: SAFE, raw: RAW } as const;

export const TIMEOUT_ACTIONS = ["null", "abort", "suspect"] as const;

export type TimeoutAction = (typeof TIMEOUT_ACTIONS)[number];

export interface QueryOptions {
  /**
   * Where the query runs in the order of messages: `fifo` (the default) after what the caller sent before; `causal` also
   * after all causal messages that the caller had delivered; `ordered` at the same point of the total order at every
   * member; `safe` likewise, and once every member holds it. `raw` is outside of all orders, at once, and may not reach
   * everybody: it needs `timeoutMs`, and its time-out blames nobody.
   */
  readonly order?: keyof typeof QUERY_ORDERS;
  /**
   * Gives up after so many milliseconds. Termination does not need it, unless a handler never settles or the order is
   * `raw`.
   */
  readonly timeoutMs?: number;
  /**
   * What a time-out does about the members that have not answered. `null` (the default): they have nothing to say; the
   * query resolves, with `timeout` for them. `abort`: it rejects with code `timeout`. `suspect`: they are accused, and
   * the group goes on without them, unless that would leave no majority of it; the query resolves once that is settled,
   * with `left` for those that had to go and `timeout` for those that stay.
   */
  readonly onTimeout?: TimeoutAction;
  /** Drops the query, or its replies: rejects with code `aborted`. */
  readonly signal?: AbortSignal;
}
