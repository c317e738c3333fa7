/**
 * What the core wants done, as verbs on a sink that only records. The driver drains it in order, once per turn: nothing
 * happens inside a call of the core, which is also where batching comes from.
 *
 * `persist` adds a record to the node's log; the driver tells `persisted` when it is on disk, and only then does the core
 * record the effects that rely on it (`journal.ts`; rule E1 lists what these are).
 */
import type { Packet } from "../wire/packet.ts";
import type { JournalRecord } from "./journal-records.ts";
import type { Message } from "./messages.ts";
import type { ClusterView, GroupView, NodeId, NodeRecord } from "./view.ts";

/** Where in its group's history a packet is delivered; the same at every member. */
export interface DeliveryPoint {
  /** The view in which the packet was sent and is delivered; for a raw packet, in which it is delivered here. */
  readonly view: GroupView;
  readonly sender: NodeId;
  readonly own: boolean;
  /**
   * The index of the packet's first message: in the view's total order for total and safe packets, in the sender's
   * fifo messages or its causal messages of this view; for raw packets one that grows, with gaps, at their sender.
   */
  readonly index: number;
}

/**
 * What becomes of a raw message: it is sent, or dropped because the primary partition is out of reach, because more was
 * sent in this turn than may leave at once, or because the membership is over, or will be.
 */
export type RawOutcome = "sent" | "blocked" | "full" | "over";

/** How a member's time in a group ended. */
export type Ending = "left" | "excluded" | "lost" | "closed";

/** How a member answers a query. */
export type AnswerStatus = "value" | "null" | "abort";

/** What its caller learns of a member: the answer, that it has left, or that it was accused of silence and stays. */
export type ReplyStatus = AnswerStatus | "left" | "timeout";

/** Why the directory refused to let a node join a group. */
export type JoinRefusal =
  /** `operations` are those of some member, if they are what differs. */
  | {
      readonly code: "definition-mismatch";
      readonly name: string;
      readonly expected: string;
      readonly operations?: readonly number[];
    }
  | { readonly code: "already-member"; readonly name: string }
  | { readonly code: "group-lost"; readonly name: string }
  /** The node has not proved that it has the group's key, or the group has none; or it is not authorized. */
  | { readonly code: "refused"; readonly name: string }
  /** A durable group needs a data directory at each member, and at each acceptor. */
  | { readonly code: "data-dir-needed" | "directory-not-durable"; readonly name: string };

export type ClusterStatus = "joining" | "primary" | "blocked" | "excluded" | "closed";

export type Effect =
  | { readonly kind: "link"; readonly peer: NodeRecord }
  | { readonly kind: "unlink"; readonly id: NodeId }
  | { readonly kind: "send"; readonly to: readonly NodeId[]; readonly message: Message }
  /** The packet is retained for it. */
  | { readonly kind: "multicast"; readonly to: readonly NodeId[]; readonly packet: Packet }
  | { readonly kind: "persist"; readonly record: JournalRecord }
  /** Records below this position of the log are not needed any more. */
  | { readonly kind: "forget"; readonly below: number }
  /** To whom it gets, if it gets there: nothing waits for it and nothing repeats it. */
  | { readonly kind: "datagram"; readonly group: number; readonly to: readonly NodeId[]; readonly packet: Packet }
  /** So many raw messages that this member sent in this turn were dropped before anybody got them. */
  | { readonly kind: "rawUnsent"; readonly group: number; readonly messages: number }
  /** So many raw messages of the group were dropped here, on their way to one member or from one. */
  | { readonly kind: "rawDropped"; readonly group: number; readonly messages: number }
  | { readonly kind: "status"; readonly status: ClusterStatus; readonly detail: string }
  | { readonly kind: "cluster"; readonly view: ClusterView }
  | { readonly kind: "joinRefused"; readonly code: "name-taken" | "closing"; readonly detail: string }
  /** For an operator. */
  | { readonly kind: "notice"; readonly what: string; readonly detail: Readonly<Record<string, unknown>> }
  /** The directory has executed a join of this node; the refused ones will not come to anything. */
  | { readonly kind: "joinOutcome"; readonly request: number; readonly refusals: readonly JoinRefusal[] }
  | { readonly kind: "entered"; readonly group: number; readonly name: string }
  /** F-1: the secret of an epoch of a secure group that may come; and that it has come. */
  | { readonly kind: "learnKey"; readonly group: number; readonly view: GroupView; readonly secret: Uint8Array }
  | { readonly kind: "useKey"; readonly group: number; readonly number: number }
  /** The group has another key of its own from its next view on. */
  | { readonly kind: "rekeyed"; readonly group: number; readonly publicKey: Uint8Array }
  | { readonly kind: "deliver"; readonly group: number; readonly packet: Packet; readonly point: DeliveryPoint }
  | { readonly kind: "install"; readonly group: number; readonly view: GroupView }
  | { readonly kind: "sent"; readonly group: number; readonly packet: Packet; readonly view: GroupView }
  /** The application's state at this point is wanted, for transfer number `since` to `joiner`. */
  | { readonly kind: "capture"; readonly group: number; readonly joiner: NodeId; readonly since: number }
  /** The next chunk of a captured state is wanted. */
  | { readonly kind: "pull"; readonly group: number; readonly joiner: NodeId; readonly since: number }
  | { readonly kind: "release"; readonly group: number; readonly joiner: NodeId; readonly since: number }
  | { readonly kind: "load"; readonly group: number; readonly since: number }
  | {
      readonly kind: "chunk";
      readonly group: number;
      readonly since: number;
      readonly chunk: Uint8Array;
      readonly last: boolean;
    }
  /** The records of the log from this position on are wanted, up to but not including `to`. */
  | { readonly kind: "recall"; readonly group: number; readonly from: number; readonly to: number }
  /** The state cannot be had from this node's log. */
  | { readonly kind: "unrecoverable"; readonly group: number; readonly detail: string }
  /** What is delivered from now on was delivered in this view, before the group failed. */
  | { readonly kind: "revisit"; readonly group: number; readonly view: GroupView }
  | { readonly kind: "joined"; readonly group: number; readonly created: boolean }
  | { readonly kind: "room"; readonly group: number }
  /** The member has held the senders back for so long; 0 when it does so no more. */
  | { readonly kind: "slow"; readonly group: number; readonly member: NodeId; readonly forMs: number }
  | { readonly kind: "blocked"; readonly group: number; readonly blocked: boolean }
  | { readonly kind: "flushed"; readonly group: number; readonly flush: number; readonly ending: Ending | undefined }
  | {
      readonly kind: "reply";
      readonly group: number;
      readonly query: number;
      readonly from: NodeId;
      readonly status: ReplyStatus;
      readonly value: Uint8Array;
    }
  | { readonly kind: "queryComplete"; readonly group: number; readonly query: number }
  | { readonly kind: "ended"; readonly group: number; readonly how: Ending }
  /** For the history of the run only. */
  | { readonly kind: "accepted"; readonly number: number; readonly proposal: string }
  | { readonly kind: "decided" | "adopted"; readonly view: ClusterView; readonly proposal: string }
  | { readonly kind: "directory"; readonly index: number; readonly digest: string };

/** Records effects. The order of `perform` is the order in which they take place. */
export class Effects {
  #recorded: Effect[] = [];

  perform(effect: Effect): void {
    this.#recorded.push(effect);
  }

  send(to: NodeId, message: Message): void {
    this.#recorded.push({ kind: "send", to: [to], message });
  }

  /** One message to several: it is encoded once. */
  broadcast(to: readonly NodeId[], message: Message): void {
    if (to.length > 0) this.#recorded.push({ kind: "send", to, message });
  }

  /** What was recorded since the last call. */
  take(): readonly Effect[] {
    const recorded = this.#recorded;
    if (recorded.length > 0) this.#recorded = [];
    return recorded;
  }

  get empty(): boolean {
    return this.#recorded.length === 0;
  }
}
