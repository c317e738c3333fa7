/**
 * The seam between the driver and what it serves: the objects of a user's groups above (`group/replica.ts`), or the
 * checked counters of a simulation. Everything here is a plain call, made in a definite order and never re-entered:
 * upcalls happen while the driver drains its effects; what an upcall asks of its `Membership` takes effect afterwards.
 */
import type { AnswerStatus, DeliveryPoint, Ending, RawOutcome, ReplyStatus } from "../protocol/effects.ts";
import type { GroupView, NodeId } from "../protocol/view.ts";
import type { Packet } from "../wire/packet.ts";
import type { RekeyOutcome } from "./rekeying.ts";
import type { GroupKey } from "./secure/group-key.ts";

/** One group as its application sees it, at one node. */
export interface Application {
  /** A packet whose turn has come. Its bytes are borrowed until the call returns. */
  deliver(packet: Packet, point: DeliveryPoint): void;
  /** A new view, in the order of deliveries; the first one comes after the state was loaded. */
  install(view: GroupView): void;
  /** This member's state at this very point of the deliveries, for a joiner; it must not change while it is read. */
  capture(): StateReader;
  /** State begins to arrive; a loader that was begun earlier is abandoned. */
  load(): StateLoader;
  /** The join is complete: the state is loaded (or new: `created`), deliveries follow. */
  joined(membership: Membership, created: boolean): void;
  /**
   * The group has failed, and is brought back here: what is delivered from now on was delivered in this view once. Comes
   * after the state was loaded, if it was on disk, and before `joined`. Queries are not to be answered again.
   */
  revisit(view: GroupView, group: number): void;
  /** The group cannot be brought back from this node's disk; `ended` follows. */
  unrecoverable(detail: string): void;
  /** A packet of this member's own entered the epoch of `view`; only called when `recordsSends` is true. */
  sent(packet: Packet, view: GroupView): void;
  readonly recordsSends: boolean;
  /** The raw messages of this turn, so many, were dropped before anybody got them: the partition was lost meanwhile. */
  rawUnsent(messages: number): void;
  /** So many raw messages were dropped here, on their way to one member or from one. */
  rawDropped(messages: number): void;
  /** There is room again after `send` returned false. */
  room(): void;
  /** The member has held the group's senders back for so long; told again and again, at last with 0 when it does no more. */
  slow(member: NodeId, forMs: number): void;
  /** The primary partition is out of reach (`true`: nothing is delivered or sent until it is back), or within it again. */
  blocked(blocked: boolean): void;
  /** One answer to a query of this member. */
  reply(query: number, from: NodeId, status: ReplyStatus, value: Uint8Array): void;
  /** Every member of the view in which the query was delivered has answered or left. */
  queryComplete(query: number): void;
  /** Nothing comes any more. */
  ended(how: Ending): void;
}

export interface StateReader {
  /** Calls back once with the next chunk (at most 64 KiB is best), or undefined at the end; at once or later. */
  read(callback: (chunk: Uint8Array | undefined) => void): void;
  /** What was read does not make a whole state, and never will. */
  readonly hasFailed: boolean;
  /** The transfer is over or void. */
  close(): void;
}

export interface StateLoader {
  chunk(bytes: Uint8Array): void;
  /** The last chunk has come: calls back once when the state is in place. */
  end(callback: (problem: Error | undefined) => void): void;
}

/** What an application can ask of its group. */
export interface Membership {
  readonly name: string;
  readonly group: number;
  readonly self: NodeId;
  /** The newest view that the application was told of. */
  readonly view: GroupView;
  /**
   * Queues one message; the flavour is a code of `wire/packet.ts` (FIFO, CAUSAL, TOTAL, SAFE). The payload is copied. False
   * when the queue is full: nothing was queued, `room` will be called. Messages of one flavour are delivered at this
   * member in the order in which they were queued.
   */
  send(flavour: number, tag: number, payload: Uint8Array): boolean;
  /**
   * Sends one raw message to whoever is in the group: at once or not at all. What is sent is delivered here at the end of
   * the turn, in the order of sending; otherwise the outcome says why it was dropped. The payload is copied.
   */
  sendRaw(tag: number, payload: Uint8Array): RawOutcome;
  /**
   * F1, F2: calls back when everything queued or delivered here before is held by every member of the view (by at least
   * `copies`, if given), or with how the membership ended. The result cancels: nothing is called back after it.
   */
  flush(copies: number | undefined, done: (ending: Ending | undefined) => void): () => void;
  /**
   * Opens a query: its replies come as `reply`, its end as `queryComplete`. The number goes into the message that the
   * application then sends; `queryDelivered` says in which view it was delivered here.
   */
  openQuery(): number;
  /** `members` are those who will answer: all of the view, or the audience. */
  queryDelivered(query: number, members: readonly NodeId[]): void;
  /** Replies that come later are dropped. */
  closeQuery(query: number): void;
  /**
   * These members have not answered the query in time: the directory is to exclude them from the group. It does if a
   * quorum of the members stays; then their replies are `left`, else `timeout`.
   */
  accuse(query: number, members: readonly NodeId[]): void;
  /** Answers a query that was delivered here. */
  answer(to: NodeId, query: number, status: AnswerStatus, value: Uint8Array): void;
  /** Says that another member is too slow, or no longer; whom a quorum of the view finds so is excluded (C13). */
  findSlow(member: NodeId, isSlow: boolean): void;
  /**
   * Gives a group that has a key of its own another one, 32 bytes: calls back when the group has it, unless the membership ends
   * before. The result takes it back, if it is not too late.
   */
  rekey(key: Uint8Array, done: (outcome: RekeyOutcome) => void): () => void;
  /** Leaves in good order (C11): queued messages are sent and flushed first. Ends with `ended("left")`. */
  leave(): void;
}

export interface JoinRequest {
  readonly name: string;
  /** Names the definition: members with another digest are refused. */
  readonly digest: string;
  /** The codes of its operations, ascending; a member's are a part of another's, or the other way round (rule C14). */
  readonly operations: readonly number[];
  /** Members hold on their disks what they hold. */
  readonly durable: boolean;
  /** Of a durable group: safe messages wait for the disks of so many; of all members by default. */
  readonly acceptors?: number | undefined;
  readonly application: Application;
  /** The group is a secure one, with a key of its own or without. */
  readonly security?: GroupSecurity | undefined;
}

export interface GroupSecurity {
  /** The group's own key, without which nobody joins, or reads what members say. */
  readonly key: GroupKey | undefined;
}

export type {
  AnswerStatus,
  ClusterStatus,
  DeliveryPoint,
  Ending,
  JoinRefusal,
  RawOutcome,
  ReplyStatus,
} from "../protocol/effects.ts";
export type { RekeyOutcome } from "./rekeying.ts";
