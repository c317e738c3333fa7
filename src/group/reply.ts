/**
 * How the members answer a query, and how many answers its caller wants.
 */
import type { NodeId } from "../protocol/view.ts";

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
      /** What the handler returned there. */
      readonly value: R;
    }
  | {
      readonly member: NodeId;
      /**
       * `null`: it called `nullReply()`. `left`: it left or failed before it answered, or was no member when the query
       * was delivered. `timeout`: it had not answered within `timeoutMs`.
       */
      readonly status: "null" | "left" | "timeout";
      readonly value?: undefined;
    };

export interface QueryOptions {
  /**
   * Where the query runs in the order of messages: `fifo` (the default) after what the caller sent before; `causal` also
   * after all causal messages that the caller had delivered; `ordered` at the same point of the total order at every
   * member; `safe` likewise, and once every member holds it.
   */
  readonly order?: "fifo" | "causal" | "ordered" | "safe";
  /** Gives up after so many milliseconds. Termination does not need it, unless a handler never settles. */
  readonly timeoutMs?: number;
  /** What a time-out does: `report` (the default) resolves, with `timeout` for who has not answered. */
  readonly onTimeout?: "report" | "reject";
  /** Drops the query, or its replies: rejects with code `aborted`. */
  readonly signal?: AbortSignal;
}
