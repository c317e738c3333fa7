/**
 * Writes what the driver cannot see of a member's part of the run's history (`protocol/history.ts`), for the checkers of
 * the model: messages, queries, flushes and states; views and ends are the driver's. A message's id is made of where its packet stands at its sender and of its place in the packet, which sender and receivers can both see.
 * Only made when the node was started with `history`: nothing of it is on the path of messages otherwise.
 */
import type { FlushOutcome, HistoryEvent, HistoryFlavour, HistorySink } from "../protocol/history.ts";
import type { GroupView, NodeId } from "../protocol/view.ts";
import { FLAVOURS, MessageCursor, type Packet, RAW } from "../wire/packet.ts";
import { openMessage, QUERY } from "./message.ts";
import { ALL, MAJORITY, type Reply, type Wanted } from "./reply.ts";
import { stateDigest } from "./state-digest.ts";

/** Where and when events are recorded. */
export interface RecordingTo {
  readonly sink: HistorySink;
  /** Milliseconds of the run's clock. */
  readonly now: () => number;
}

export class Recorder {
  readonly #to: RecordingTo;
  #node: NodeId = "";
  #group = "";
  #flushes = 0;
  /** How many values an open query wants, until it is sent. */
  readonly #wanted = new Map<number, Wanted>();
  /** The message ids of queries that were sent and have not ended. */
  readonly #queries = new Map<number, string>();
  /** What comes from this node's disk, until `begin`. */
  #revisited: { readonly since: number; view: number; readonly messages: string[] } | undefined;

  constructor(to: RecordingTo) {
    this.#to = to;
  }

  begin(node: NodeId, group: string): void {
    this.#node = node;
    this.#group = group;
    const revisited = this.#revisited;
    this.#revisited = undefined;
    if (revisited !== undefined) this.#record({ kind: "recover", ...this.#here(), ...revisited });
  }

  /** Whatever was delivered so far is in the state that comes, or void. */
  loading(): void {
    this.#revisited = undefined;
  }

  /** What is delivered until `begin` is from this node's disk, and was delivered in this view before all members failed. */
  revisited({ number }: GroupView, group: string): void {
    this.#group = group;
    this.#revisited ??= { since: number, view: number, messages: [] };
    this.#revisited.view = number;
  }

  /** A packet of this member's own entered the epoch of `view`. */
  sent(packet: Packet, view: GroupView): void {
    if (packet.more) return;
    const cursor = new MessageCursor(packet);
    for (let place = 0; cursor.next(); place++) {
      const message = idOf(packet, this.#node, place, this.#group);
      this.#record({ kind: "send", ...this.#here(), view: view.number, message, flavour: flavourOf(packet) });
      if ((cursor.tag & QUERY) !== 0) this.#querySent(packet, cursor, message, view);
    }
  }

  #querySent(packet: Packet, cursor: MessageCursor, message: string, view: GroupView): void {
    const opened = openMessage(cursor.tag, packet.bytes, cursor.from, cursor.from + cursor.length);
    const { query, audience } = opened ?? {};
    const wanted = query === undefined ? undefined : this.#wanted.get(query);
    if (query === undefined || wanted === undefined) return;
    this.#wanted.delete(query);
    this.#queries.set(query, message);
    const size = (audience ?? view.members).length;
    const count = wanted === ALL ? size : wanted === MAJORITY ? Math.floor(size / 2) + 1 : wanted;
    const asked = audience === undefined ? {} : { audience };
    this.#record({ kind: "query", ...this.#here(), query: message, wanted: count, ...asked });
  }

  /** The message at `place` of a packet, or the one that ends with it, is delivered. */
  delivered(packet: Packet, place: number, sender: NodeId, view: GroupView): void {
    const message = idOf(packet, sender, place, this.#group);
    if (this.#revisited !== undefined) {
      this.#revisited.messages.push(message);
      return;
    }
    this.#record({ kind: "deliver", ...this.#here(), view: view.number, message, sender, flavour: flavourOf(packet) });
  }

  asked(query: number, wanted: Wanted): void {
    this.#wanted.set(query, wanted);
  }

  replied(query: number, member: NodeId, status: Reply<unknown>["status"] | "abort"): void {
    const message = this.#queries.get(query);
    if (message !== undefined) this.#record({ kind: "reply", ...this.#here(), query: message, member, status });
  }

  ended(query: number, outcome: "enough" | "complete" | "aborted" | "rejected"): void {
    this.#wanted.delete(query);
    const message = this.#queries.get(query);
    this.#queries.delete(query);
    if (message !== undefined) this.#record({ kind: "query-end", ...this.#here(), query: message, outcome });
  }

  /** Returns the flush's id, for `flushEnded`. */
  flushBegun(copies: number | undefined): string {
    const flush = `${this.#node}/${this.#group}/${++this.#flushes}`;
    this.#record({ kind: "flush-begin", ...this.#here(), flush, ...(copies === undefined ? {} : { copies }) });
    return flush;
  }

  flushEnded(flush: string, outcome: FlushOutcome): void {
    this.#record({ kind: "flush-end", ...this.#here(), flush, outcome });
  }

  /** The state at the start of a view; states that the default codec cannot encode are not recorded. */
  state(view: GroupView, state: unknown, loaded: boolean): void {
    const digest = stateDigest(state);
    if (digest === undefined) return;
    this.#record({ kind: "state", ...this.#here(), view: view.number, digest, loaded });
  }

  #here(): { readonly at: number; readonly node: NodeId; readonly group: string } {
    return { at: this.#to.now(), node: this.#node, group: this.#group };
  }

  #record(event: HistoryEvent): void {
    this.#to.sink(event);
  }
}

function idOf(packet: Packet, sender: NodeId, place: number, group: string): string {
  // Raw packets are numbered apart, through all views.
  const epoch = packet.flavour === RAW ? "raw" : packet.epoch;
  return `${group}/${epoch}/${sender}/${packet.seqno}.${place}`;
}

function flavourOf(packet: Packet): HistoryFlavour {
  const flavour = FLAVOURS[packet.flavour];
  return flavour === undefined || flavour === "order" ? "fifo" : flavour;
}
