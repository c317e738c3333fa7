/**
 * The application of simulated groups: it keeps digests of what it was told, in the order in which the guarantees
 * promise it, and records every send, delivery, flush, query and state in the run's history. There are two versions of it:
 * the newer one has an operation more, another update.
 */
import { allocate, wordAt } from "../base/arena.ts";
import { hashString, mix } from "../base/random.ts";
import type { FlushOutcome, HistoryFlavour, HistorySink } from "../protocol/history.ts";
import { type GroupView, type NodeId, nodeIds } from "../protocol/view.ts";
import type {
  Application,
  DeliveryPoint,
  Ending,
  Membership,
  ReplyStatus,
  StateLoader,
  StateReader,
} from "../runtime/application.ts";
import { historyName } from "../runtime/memberships.ts";
import { decode, encode } from "../wire/layout.ts";
import { CAUSAL, FIFO, MessageCursor, type Packet, RAW, SAFE, TOTAL } from "../wire/packet.ts";

const UPDATE = 0;
const QUERY = 1;
/** A query that some of its members never answer. */
const HOPELESS_QUERY = 2;
/** An update that older counters do not have. */
const NEWER_UPDATE = 3;
const NOTHING = new Uint8Array(0);
/** So small that a state comes in many: donors are to die in the midst of it. */
const CHUNK_BYTES = 16;
const DURABLE_CHUNK_BYTES = 512;
/** Where a query's audience begins, after the numbers of message and query. */
const AUDIENCE_FROM = 8;

/** What a query of a counter is like. */
export interface CounterQuery {
  readonly flavour: number;
  readonly wanted: number;
  /** Who is asked; default: all members. */
  readonly audience?: readonly NodeId[];
  /** Some never answer it; the query ends only if they are accused. */
  readonly hopeless?: boolean;
}

interface CounterState {
  readonly total: number;
  readonly fifo: [string, number][];
  readonly causal: [string, number][];
  readonly messages?: number[];
}

interface Asked {
  readonly id: string;
  readonly wanted: number;
  /** Who was asked, once it was delivered here. */
  members: readonly NodeId[] | undefined;
  /** Of whom it is known how the query ended there. */
  readonly answered: Set<NodeId>;
  values: number;
}

export interface CounterHooks {
  readonly node: NodeId;
  /** Tells apart the times that one node has joined one group. */
  readonly session: number;
  readonly now: () => number;
  readonly history: HistorySink;
  readonly names: Names;
  /** Its groups are durable: it remembers which messages its state contains. */
  readonly durable?: boolean;
  /** Whether it is of the older version. */
  readonly isOlder?: boolean;
  /** Who has held senders back for so long is accused. */
  readonly slowAfterMs?: number;
  readonly ended: (how: Ending) => void;
  readonly joined: () => void;
}

/** The names of a run's messages. On the wire a message carries the number of its name. */
export interface Names {
  /** A name that is unique in the whole run: who made the message, and its number. */
  mint(node: NodeId, session: number, number: number): number;
  /** "" when there is no such message. */
  at(number: number): string;
}

/** Names by a table that all nodes share: 1, 2, … */
export class MessageNames implements Names {
  readonly #names: string[] = [""];

  mint(node: NodeId, session: number, number: number): number {
    return this.#names.push(`${node}:${session}.${number}`) - 1;
  }

  at(number: number): string {
    return this.#names[number] ?? "";
  }
}

export class Counter implements Application {
  readonly recordsSends = true;
  membership: Membership | undefined;
  isBlocked = false;
  isLeaving = false;
  view: GroupView = { number: 0, members: [], synced: [], acceptors: [], lacking: [] };
  delivered = 0;
  sentCount = 0;
  /** Updates that were run by nobody because a member lacks them. */
  passedOver = 0;
  flushesPending = 0;
  queriesPending = 0;
  /** Whether it answers some causal messages of others with a causal one of its own. */
  isTalkative = false;
  /** The views in which something was delivered again from the log. */
  readonly revisited: number[] = [];
  /** The numbers of all messages that its state contains, in the order in which they were delivered; in durable groups. */
  #messages: number[] = [];
  readonly #hooks: CounterHooks;
  /** What was delivered in total order, as one running hash; fifo and causal messages, as one each per sender. */
  #total = 0;
  #fifo = new Map<NodeId, number>();
  #causal = new Map<NodeId, number>();
  #group = "";
  #flush = 0;
  readonly #queries = new Map<number, Asked>();
  #partial = new Map<string, Uint8Array[]>();

  constructor(hooks: CounterHooks) {
    this.#hooks = hooks;
  }

  /** The codes of its operations. */
  get operations(): readonly number[] {
    return this.#hasNewer ? [UPDATE, QUERY, HOPELESS_QUERY, NEWER_UPDATE] : [UPDATE, QUERY, HOPELESS_QUERY];
  }

  get #hasNewer(): boolean {
    return this.#hooks.isOlder !== true;
  }

  leave(): void {
    if (this.membership === undefined) return;
    this.isLeaving = true;
    this.membership.leave();
  }

  /** Sends one update; false when there was no room or there is no group. */
  send(flavour: number, paddingBytes = 0): boolean {
    const { membership } = this;
    if (membership === undefined) return false;
    const message = this.#mint(membership);
    const tag = message % 2 === 1 && this.#hasNewer && !isLacking(this.view) ? NEWER_UPDATE : UPDATE;
    if (!membership.send(flavour, tag, messageOf(message, paddingBytes))) return false;
    this.sentCount++;
    return true;
  }

  /** Sends one raw update; false when it was dropped. */
  sendRaw(): boolean {
    const { membership } = this;
    if (membership === undefined) return false;
    if (membership.sendRaw(UPDATE, messageOf(this.#mint(membership), 0)) !== "sent") return false;
    this.sentCount++;
    return true;
  }

  /** The result abandons the flush, if it has not ended. */
  flush(copies?: number): () => void {
    const { membership } = this;
    if (membership === undefined) return () => {};
    const flush = `${membership.self}:${this.#hooks.session}.f${this.#flush++}`;
    const { node, now, history } = this.#hooks;
    const group = this.#group;
    this.flushesPending++;
    history({ kind: "flush-begin", at: now(), node, group, flush, ...(copies === undefined ? {} : { copies }) });
    let isOver = false;
    const end = (outcome: FlushOutcome): void => {
      if (isOver) return;
      isOver = true;
      this.flushesPending--;
      history({ kind: "flush-end", at: now(), node, group, flush, outcome });
    };
    const cancel = membership.flush(copies, (ending) => end(ending === undefined ? "held" : "rejected"));
    return () => {
      if (isOver || this.membership !== membership) return;
      cancel();
      end("abandoned");
    };
  }

  /** The query's number; undefined when there was no room or there is no group. */
  query({ flavour, wanted, audience, hopeless = false }: CounterQuery): number | undefined {
    const { membership } = this;
    if (membership === undefined) return undefined;
    const number = membership.openQuery();
    const message = this.#mint(membership);
    const id = this.#hooks.names.at(message);
    const to = audience === undefined ? NOTHING : encode(nodeIds, audience);
    const payload = messageOf(message, 4 + to.length, number);
    payload.set(to, AUDIENCE_FROM);
    const tag = hopeless ? HOPELESS_QUERY : QUERY;
    const isSent =
      flavour === RAW ? membership.sendRaw(tag, payload) === "sent" : membership.send(flavour, tag, payload);
    if (!isSent) {
      membership.closeQuery(number);
      return undefined;
    }
    this.sentCount++;
    this.queriesPending++;
    this.#queries.set(number, { id, wanted, members: undefined, answered: new Set(), values: 0 });
    this.#record({ kind: "query", query: id, wanted, ...(audience === undefined ? {} : { audience }) });
    return number;
  }

  /** The query that was asked last and is not over; 0 when there is none. */
  get newestQuery(): number {
    return [...this.#queries.keys()].at(-1) ?? 0;
  }

  /** Accuses those that have not answered the query, or those of `members` that have not; false when it is over. */
  accuse(query: number, members?: readonly NodeId[]): boolean {
    const asked = this.#queries.get(query);
    if (asked === undefined) return false;
    this.membership?.accuse(query, members ?? asked.members ?? []);
    return true;
  }

  /** Nobody waits for the query's answers any longer: who has not answered has had its time. */
  giveUp(query: number): void {
    const asked = this.#queries.get(query);
    if (asked === undefined) return;
    for (const member of asked.members ?? []) {
      if (!asked.answered.has(member)) this.#record({ kind: "reply", query: asked.id, member, status: "timeout" });
    }
    this.#endQuery(query, "complete");
  }

  #mint({ self }: Membership): number {
    return this.#hooks.names.mint(self, this.#hooks.session, this.sentCount);
  }

  digest(): string {
    return [this.#total, sumOf(this.#fifo), sumOf(this.#causal)].map((hash) => hash.toString(16)).join(".");
  }

  joined(membership: Membership, _created: boolean): void {
    this.membership = membership;
    this.#group = historyName(membership.name, membership.group);
    if (this.revisited.length === 0) return;
    const { names } = this.#hooks;
    this.#record({
      kind: "recover",
      view: this.revisited.at(-1) ?? 0,
      messages: this.#messages.map((message) => names.at(message)),
    });
  }

  install(view: GroupView): void {
    const isFirst = this.view.number === 0;
    this.view = view;
    this.#partial.clear();
    this.#record({ kind: "state", view: view.number, digest: this.digest(), loaded: isFirst });
    if (isFirst) this.#hooks.joined();
  }

  revisit(view: GroupView): void {
    this.#partial.clear();
    this.revisited.push(view.number);
  }

  unrecoverable(): void {}

  deliver(packet: Packet, point: DeliveryPoint): void {
    const cursor = new MessageCursor(packet);
    const flavour = flavourName(packet.flavour);
    while (cursor.next()) {
      const payload = this.#whole(packet, cursor, point);
      if (payload === undefined) continue;
      const message = wordAt(payload, 0);
      this.delivered++;
      if (this.#hooks.durable === true && packet.flavour !== RAW) this.#messages.push(message);
      // C14: what is lacking in the view of its delivery is run by nobody.
      const runs = cursor.tag !== NEWER_UPDATE || (this.#hasNewer && !isLacking(point.view));
      if (!runs) this.passedOver++;
      else if (packet.flavour === FIFO) add(this.#fifo, point.sender, message);
      else if (packet.flavour === CAUSAL) add(this.#causal, point.sender, message);
      else if (packet.flavour !== RAW) this.#total = mix(this.#total, message);
      // What is delivered again, when the group is brought back, is told all together.
      if (this.membership === undefined) continue;
      const { node, now, history, names } = this.#hooks;
      const { view, sender } = point;
      const group = this.#group;
      const name = names.at(message);
      history({ kind: "deliver", at: now(), node, group, view: view.number, message: name, sender, flavour });
      if (cursor.tag === QUERY || cursor.tag === HOPELESS_QUERY) this.#asked(cursor.tag, payload, name, point);
      else if (this.isTalkative && packet.flavour === CAUSAL) this.#respond(name, point);
    }
  }

  sent(packet: Packet, view: GroupView): void {
    const cursor = new MessageCursor(packet);
    const { node, now, history, names } = this.#hooks;
    while (cursor.next()) {
      // Of a message in fragments the first one carries the number, the others only padding.
      const message = names.at(wordAt(cursor.payload(), 0));
      if (message === "") continue;
      history({
        kind: "send",
        at: now(),
        node,
        group: this.#group,
        view: view.number,
        message,
        flavour: flavourName(packet.flavour),
      });
    }
  }

  slow(member: NodeId, forMs: number): void {
    if (forMs === 0 || forMs >= (this.#hooks.slowAfterMs ?? Number.POSITIVE_INFINITY))
      this.membership?.findSlow(member, forMs > 0);
  }

  capture(): StateReader {
    const messages = this.#hooks.durable === true ? { messages: this.#messages } : {};
    const text = JSON.stringify({ total: this.#total, fifo: [...this.#fifo], causal: [...this.#causal], ...messages });
    const chunkBytes = this.#hooks.durable === true ? DURABLE_CHUNK_BYTES : CHUNK_BYTES;
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    let at = 0;
    return {
      read: (callback) => {
        const from = at;
        at += chunkBytes;
        callback(from < bytes.length ? bytes.subarray(from, at) : undefined);
      },
      hasFailed: false,
      close: () => {},
    };
  }

  load(): StateLoader {
    let text = "";
    this.revisited.length = 0;
    return {
      chunk: (bytes) => {
        text += String.fromCharCode(...bytes);
      },
      end: (callback) => {
        const state = JSON.parse(text) as CounterState;
        this.#total = state.total;
        this.#fifo = new Map(state.fifo);
        this.#causal = new Map(state.causal);
        this.#messages = state.messages ?? [];
        callback(undefined);
      },
    };
  }

  rawUnsent(): void {}

  rawDropped(): void {}

  room(): void {}

  blocked(blocked: boolean): void {
    this.isBlocked = blocked;
  }

  reply(query: number, from: NodeId, status: ReplyStatus, _value: Uint8Array): void {
    const asked = this.#queries.get(query);
    if (asked === undefined) return;
    asked.answered.add(from);
    this.#record({ kind: "reply", query: asked.id, member: from, status });
    if (status === "abort") this.#endQuery(query, "aborted");
    else if (status === "value" && ++asked.values === asked.wanted) this.#endQuery(query, "enough");
  }

  queryComplete(query: number): void {
    this.#endQuery(query, "complete");
  }

  ended(how: Ending): void {
    for (const query of [...this.#queries.keys()]) this.#endQuery(query, "rejected");
    this.membership = undefined;
    this.#hooks.ended(how);
  }

  #endQuery(query: number, outcome: "enough" | "complete" | "aborted" | "rejected"): void {
    const asked = this.#queries.get(query);
    if (asked === undefined) return;
    this.#queries.delete(query);
    this.queriesPending--;
    this.membership?.closeQuery(query);
    this.#record({ kind: "query-end", query: asked.id, outcome });
  }

  #asked(tag: number, payload: Uint8Array, id: string, point: DeliveryPoint): void {
    const { membership } = this;
    if (membership === undefined) return;
    const number = wordAt(payload, 4);
    const audience = payload.length > AUDIENCE_FROM ? decode(nodeIds, payload.subarray(AUDIENCE_FROM)) : undefined;
    if (point.own) this.#ownQuery(membership, number, audience, point.view);
    if (audience?.includes(membership.self) === false) return;
    // A few members have nothing to say, and very few object; which ones is the same in every run of a seed.
    const die = hashString(`${id} ${membership.self}`) % 64;
    if (tag === HOPELESS_QUERY && die >= 24 && !point.own) return;
    const status = die === 0 ? "abort" : die < 6 ? "null" : "value";
    membership.answer(point.sender, number, status, NOTHING);
  }

  /** Who responds to what is the same in every run of a seed; so few do that a conversation ends. */
  #respond(name: string, { own }: DeliveryPoint): void {
    // However many they are, fewer than one of them answers, or the talk would never end.
    const oneIn = Math.max(12, this.view.members.length * 2);
    if (!own && hashString(`${this.#hooks.node} ${name}`) % oneIn === 0) this.send(CAUSAL);
  }

  #ownQuery(membership: Membership, number: number, audience: readonly NodeId[] | undefined, view: GroupView): void {
    const asked = this.#queries.get(number);
    if (asked === undefined) return;
    const members = audience ?? view.members;
    asked.members = members;
    for (const member of members) {
      if (view.members.includes(member)) continue;
      asked.answered.add(member);
      this.#record({ kind: "reply", query: asked.id, member, status: "left" });
    }
    membership.queryDelivered(
      number,
      members.filter((member) => view.members.includes(member)),
    );
  }

  /** The whole message, once its last fragment is there. */
  #whole(packet: Packet, cursor: MessageCursor, point: DeliveryPoint): Uint8Array | undefined {
    if (!packet.more && this.#partial.size === 0) return cursor.payload();
    const key = `${point.sender} ${packet.flavour}`;
    const parts = this.#partial.get(key);
    if (packet.more) {
      const part = cursor.payload().slice();
      if (parts === undefined) this.#partial.set(key, [part]);
      else parts.push(part);
      return undefined;
    }
    if (parts === undefined) return cursor.payload();
    this.#partial.delete(key);
    return parts[0];
  }

  #record(event: DistributedOmit): void {
    const { node, now, history } = this.#hooks;
    history({ ...event, at: now(), node, group: this.#group } as Parameters<HistorySink>[0]);
  }
}

type Recorded = Parameters<HistorySink>[0];
type DistributedOmit = Recorded extends infer E
  ? E extends { group: string }
    ? Omit<E, "at" | "node" | "group">
    : never
  : never;

function add(hashes: Map<NodeId, number>, sender: NodeId, message: number): void {
  hashes.set(sender, mix(hashes.get(sender) ?? 1, message));
}

/** The same whatever the order of the senders. */
function sumOf(hashes: ReadonlyMap<NodeId, number>): number {
  let sum = 0;
  for (const [sender, hash] of hashes) sum = (sum + hashString(sender, hash)) >>> 0;
  return sum;
}

function flavourName(flavour: number): HistoryFlavour {
  return flavour === FIFO
    ? "fifo"
    : flavour === TOTAL
      ? "total"
      : flavour === SAFE
        ? "safe"
        : flavour === RAW
          ? "raw"
          : "causal";
}

/** The message's number, what the message says, and padding. */
function messageOf(message: number, moreBytes: number, said = 0): Uint8Array {
  const bytes = allocate(4 + moreBytes);
  for (let at = 0; at < 4; at++) bytes[at] = message >>> (8 * at);
  if (said !== 0) for (let at = 0; at < 4; at++) bytes[4 + at] = said >>> (8 * at);
  return bytes;
}

function isLacking(view: GroupView): boolean {
  return view.lacking.some(({ operations }) => operations.includes(NEWER_UPDATE));
}
