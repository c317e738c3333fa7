/**
 * A history arranged for the checkers: by node, group, view, and a member's stay in a view. Names are looked up once,
 * while arranging; the checkers then follow references. `arrange` in `arrange.ts` fills these objects in one pass.
 *
 * The order of events of one node is the order in which they happened. The order of events of different nodes means
 * nothing, so a message may be delivered in the history before it is sent.
 */
import type { HistoryEvent, HistoryFlavour } from "../../protocol/history.ts";
import type { NodeId } from "../../protocol/view.ts";

export type EventOf<Kind extends HistoryEvent["kind"]> = Extract<HistoryEvent, { kind: Kind }>;

/** The index of an event that is not in the history. */
export const NEVER = -1;

/** The name of the group of all nodes. */
export const CLUSTER = "";

/** One incarnation of a node, and how its life ended. */
export class NodeRun {
  readonly id: NodeId;
  readonly index: number;
  readonly members = new Map<string, Member>();
  readonly flushes = new Map<string, Flush>();
  /** What it remembers outlives it, if it has a disk. */
  disk: string | undefined;
  /** When it crashed or closed. */
  stoppedAt = NEVER;
  excludedAt = NEVER;
  blocked = false;

  constructor(id: NodeId, index: number) {
    this.id = id;
    this.index = index;
  }

  /** It runs at the end of the history, and has not heard that the cluster goes on without it. */
  get live(): boolean {
    return this.stoppedAt === NEVER && this.excludedAt === NEVER;
  }
}

export class GroupRun {
  readonly name: string;
  readonly views = new Map<number, ViewRun>();
  /** The lowest number of an installed view. Who begins with a later view has joined. */
  lowest = Number.POSITIVE_INFINITY;
  /** When the first node heard that the group is lost; it need not have been in any view. */
  lostAt = NEVER;

  constructor(name: string) {
    this.name = name;
  }

  view(number: number): ViewRun {
    let view = this.views.get(number);
    if (view === undefined) {
      view = new ViewRun(this, number);
      this.views.set(number, view);
    }
    return view;
  }
}

/** A view of a group as the first event that installed it describes it. */
export class ViewRun {
  readonly group: GroupRun;
  readonly number: number;
  members: readonly NodeId[] = [];
  nodes: readonly NodeId[] | undefined;
  /** What each of the members of a cluster view counts; one each if it is undefined. */
  votes: readonly number[] | undefined;
  proposal: string | undefined;
  installedAt = NEVER;
  /** When acceptors went on in it on their disks; of a cluster view. */
  readonly adoptedAt: number[] = [];
  /** Everybody's stays in this view, in the order of the history. */
  readonly stays: Stay[] = [];
  readonly streams: Stream[] = [];
  /** The safe messages that somebody delivered in this view. */
  readonly safe: Message[] = [];
  /** Set by `reference` in `order.ts`. */
  reference: Stay | undefined;
  referenceKnown = false;

  constructor(group: GroupRun, number: number) {
    this.group = group;
    this.number = number;
  }

  toString(): string {
    return this.group.name === CLUSTER ? `cluster view ${this.number}` : `view ${this.number} of ${this.group.name}`;
  }
}

/** What one sender sent with one flavour in one view. */
export class Stream {
  readonly sender: NodeRun;
  readonly view: ViewRun;
  readonly flavour: HistoryFlavour;
  /** Its place among the streams of the view. */
  readonly index: number;
  readonly messages: Message[] = [];
  /** The sender is a member of the view; set by the checker of M4. */
  fromMember: boolean | undefined;

  constructor(sender: NodeRun, view: ViewRun, flavour: HistoryFlavour) {
    this.sender = sender;
    this.view = view;
    this.flavour = flavour;
    this.index = view.streams.length;
    view.streams.push(this);
  }
}

export class Message {
  readonly name: string;
  /** Its place among the messages of the run. */
  readonly index: number;
  /** Undefined until its `send` was seen, as is all that its sender says of it. */
  stream: Stream | undefined;
  /** Its place in its stream. */
  place = 0;
  sentAt = NEVER;
  /** A second `send` of the same name. */
  sentAgainAt = NEVER;
  query: Query | undefined;
  /** The sender's own delivery. */
  ownDelivery: Delivery | undefined;
  /** Its place in the total order of its view; set by `reference` in `order.ts`. */
  position = NEVER;
  /** Pairs of a causal stream's index and a count; set by the checker of D6. */
  causes: number[] | undefined;
  /** Who delivered it: the first nodes of the run as bits, others by index. */
  #firstNodes = 0;
  #otherNodes: number[] | undefined;

  constructor(name: string, index: number) {
    this.name = name;
    this.index = index;
  }

  deliveredBy(node: NodeRun): boolean {
    const { index } = node;
    return index < 31 ? ((this.#firstNodes >>> index) & 1) === 1 : (this.#otherNodes?.includes(index) ?? false);
  }

  get delivered(): boolean {
    return this.#firstNodes !== 0 || this.#otherNodes !== undefined;
  }

  noteDelivery(node: NodeRun): void {
    const { index } = node;
    if (index < 31) this.#firstNodes |= 1 << index;
    else if (this.#otherNodes === undefined) this.#otherNodes = [index];
    else this.#otherNodes.push(index);
  }
}

/** A delivery as the delivering member describes it. */
export class Delivery {
  readonly event: number;
  readonly message: Message;
  readonly member: Member;
  /** The stay during which it happened; undefined when no view was installed. */
  readonly stay: Stay | undefined;
  readonly view: number;
  readonly sender: NodeId;
  readonly flavour: HistoryFlavour;
  /** This node had delivered the message before. */
  readonly again: boolean;
  /** The node had said that it does not serve. */
  readonly blocked: boolean;

  constructor(
    event: number,
    message: Message,
    member: Member,
    view: number,
    sender: NodeId,
    flavour: HistoryFlavour,
    again: boolean,
  ) {
    this.event = event;
    this.message = message;
    this.member = member;
    this.stay = member.stay;
    this.view = view;
    this.sender = sender;
    this.flavour = flavour;
    this.again = again;
    this.blocked = member.node.blocked;
  }
}

/** A node in a group, over all its spells of membership. */
export class Member {
  readonly node: NodeRun;
  readonly group: GroupRun;
  readonly spells: Spell[] = [];
  /** The present spell and stay, while arranging. */
  spell: Spell | undefined;
  stay: Stay | undefined;
  readonly streams: (Stream | undefined)[] = [undefined, undefined, undefined, undefined, undefined];

  constructor(node: NodeRun, group: GroupRun) {
    this.node = node;
    this.group = group;
  }
}

export type SpellEnd = "left" | "lost" | "excluded" | "closed" | "crashed";

/** One membership, from joining a group to its end; a node may leave a group and join it again. */
export class Spell {
  readonly member: Member;
  readonly stays: Stay[] = [];
  readonly loads: StateRecord[] = [];
  firstDelivery: Delivery | undefined;
  overAt = NEVER;
  why: SpellEnd | undefined;

  constructor(member: Member) {
    this.member = member;
    member.spells.push(this);
  }

  get over(): boolean {
    return this.overAt !== NEVER;
  }
}

/** One member's time in one view. Messages delivered again are left out, so that its lists are sets. */
export class Stay {
  readonly member: Member;
  readonly spell: Spell;
  readonly view: ViewRun;
  readonly installedAt: number;
  readonly deliveries: Delivery[] = [];
  /** Those of them that are in the total order. */
  readonly ordered: Delivery[] = [];
  safeCount = 0;
  causalCount = 0;
  readonly sends: Message[] = [];
  /** The stays before and after this one in the same spell. */
  readonly previous: Stay | undefined;
  next: Stay | undefined;

  constructor(spell: Spell, view: ViewRun, installedAt: number) {
    this.previous = spell.stays.at(-1);
    this.member = spell.member;
    this.spell = spell;
    this.view = view;
    this.installedAt = installedAt;
  }

  get node(): NodeRun {
    return this.member.node;
  }

  /** The member is in this view at the end of the history. */
  get last(): boolean {
    return this.next === undefined && !this.spell.over;
  }
}

export class Flush {
  readonly name: string;
  readonly member: Member;
  readonly spell: Spell | undefined;
  readonly beginStay: Stay | undefined;
  readonly beganAt: number;
  readonly copies: number | undefined;
  endedAt = NEVER;
  endedAgainAt = NEVER;
  held = false;
  /** Nobody waited for it any more. */
  abandoned = false;
  /** The member's stay when the flush ended. */
  endStay: Stay | undefined;

  constructor(name: string, member: Member, beganAt: number, copies: number | undefined) {
    this.name = name;
    this.member = member;
    this.spell = member.spell;
    this.beginStay = member.stay;
    this.beganAt = beganAt;
    this.copies = copies;
  }
}

export class Query {
  readonly message: Message;
  /** Undefined until its `query` event was seen. */
  caller: Member | undefined;
  askedAt = NEVER;
  wanted = 0;
  /** Who was asked; undefined when that was all members of the view in which it was delivered. */
  audience: readonly NodeId[] | undefined;
  readonly replies: { readonly event: number; readonly reply: EventOf<"reply"> }[] = [];
  readonly ends: { readonly event: number; readonly end: EventOf<"query-end"> }[] = [];

  constructor(message: Message) {
    this.message = message;
  }
}

export interface StateRecord {
  readonly event: number;
  readonly member: Member;
  readonly view: number;
  readonly digest: string;
  readonly loaded: boolean;
}

/** A node has brought a durable group back from its disk. */
export interface Recovered {
  readonly event: number;
  readonly member: Member;
  /** The last view of which something was brought back. */
  readonly view: number;
  /** The first view of which messages are named; what came before is in the state at its start. */
  readonly since: number;
  /** The names of all messages since that its state contains, in the order in which it delivered them. */
  readonly messages: readonly string[];
}

export interface CheckOptions {
  /**
   * The history ends after all faults were healed and the run has settled: nothing is under way, and nodes that the
   * cluster excluded know it. Only then is something missing at the end a violation.
   */
  readonly quiescent?: boolean;
  /** At most so many violations of each property are reported; 10 by default. */
  readonly violationsMax?: number;
}

/** A whole history, arranged. */
export class Run {
  readonly history: readonly HistoryEvent[];
  readonly quiescent: boolean;
  readonly violationsMax: number;
  readonly nodes = new Map<NodeId, NodeRun>();
  readonly groups = new Map<string, GroupRun>();
  readonly messages = new Map<string, Message>();
  /** All of them, raw ones and repeated ones too. */
  readonly deliveries: Delivery[] = [];
  readonly stays: Stay[] = [];
  readonly states: StateRecord[] = [];
  readonly recoveries: Recovered[] = [];
  readonly queries: Query[] = [];
  readonly flushes: Flush[] = [];
  /** Ends of flushes that never began. */
  readonly strayFlushEnds: number[] = [];
  /** Sends outside the view that the sender had installed. */
  readonly straySends: number[] = [];
  readonly accepts: number[] = [];
  readonly directorySteps: number[] = [];

  constructor(history: readonly HistoryEvent[], options: CheckOptions) {
    this.history = history;
    this.quiescent = options.quiescent ?? false;
    this.violationsMax = options.violationsMax ?? 10;
  }

  /** The member runs at the end of a history that has settled, in the view of this stay. */
  settledIn(stay: Stay): boolean {
    return this.quiescent && stay.last && stay.node.live;
  }
}
