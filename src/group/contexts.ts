/**
 * What handlers see of the replica. An update's context is one object per replica, filled anew for each message, since
 * updates run one at a time and to their end; it is also where the state lives. A query's context is its own, because a
 * query may wait and look again.
 *
 * `random()` is seeded by the message's place (group, view, sender, flavour, index), so it is the same at every replica. A
 * raw message finds replicas in different views, so its place has none.
 */
import { hashString, Random } from "../base/random.ts";
import type { GroupView, NodeId } from "../protocol/view.ts";
import { RAW, SAFE, TOTAL } from "../wire/packet.ts";
import type { NullReply, Position, QueryContext, UpdateContext, ViewContext } from "./operations.ts";

const NOBODY: GroupView = { number: 0, members: [], synced: [], acceptors: [], lacking: [] };
const NULL_REPLY = Object.freeze({}) as NullReply;

export class LiveUpdateContext implements UpdateContext<unknown> {
  state: unknown;
  view: GroupView = NOBODY;
  rank = -1;
  self: NodeId = "";
  sender: NodeId = "";
  time = 0;
  readonly random: () => number;
  /** The rest of the message's place; not for handlers. */
  group = 0;
  flavour = 0;
  index = 0;
  #random: Random | undefined;
  #randomIndex = -1;
  #randomSender = "";
  #randomFlavour = -1;
  #randomView = -1;

  constructor(state: unknown) {
    this.state = state;
    this.random = () => this.#generator().fraction();
  }

  get position(): Position {
    return positionOf(this.view, this.flavour, this.index, this.sender);
  }

  /** One generator for each message, made when it is asked for. */
  #generator(): Random {
    if (
      this.#random === undefined ||
      this.#randomIndex !== this.index ||
      this.#randomSender !== this.sender ||
      this.#randomFlavour !== this.flavour ||
      this.#randomView !== this.view.number
    ) {
      this.#randomIndex = this.index;
      this.#randomSender = this.sender;
      this.#randomFlavour = this.flavour;
      this.#randomView = this.view.number;
      this.#random = generatorOf(this);
    }
    return this.#random;
  }
}

/** The context of the query that `at` stands at now. */
export class LiveQueryContext implements QueryContext<unknown> {
  readonly state: unknown;
  readonly view: GroupView;
  readonly rank: number;
  readonly self: NodeId;
  readonly sender: NodeId;
  readonly time: number;
  readonly position: Position;
  readonly random: () => number;
  readonly nullReply: () => NullReply;
  #answersNull = false;

  constructor(at: LiveUpdateContext) {
    this.state = at.state;
    this.view = at.view;
    this.rank = at.rank;
    this.self = at.self;
    this.sender = at.sender;
    this.time = at.time;
    this.position = at.position;
    const { group, flavour, index } = at;
    let random: Random | undefined;
    this.random = () => {
      random ??= generatorOf({ group, view: this.view, sender: this.sender, flavour, index });
      return random.fraction();
    };
    this.nullReply = () => {
      this.#answersNull = true;
      return NULL_REPLY;
    };
  }

  /** Whether the handler asked for a null reply. */
  get answersNull(): boolean {
    return this.#answersNull;
  }
}

function positionOf(view: GroupView, flavour: number, index: number, sender: NodeId): Position {
  const total = flavour === TOTAL || flavour === SAFE;
  return { view: view.number, index, sender: total ? undefined : sender };
}

function generatorOf(place: {
  readonly group: number;
  readonly view: GroupView;
  readonly sender: NodeId;
  readonly flavour: number;
  readonly index: number;
}): Random {
  const view = place.flavour === RAW ? 0 : place.view.number;
  return new Random(place.group, view, hashString(place.sender), place.flavour, place.index);
}

/** The context of `onView`; the state is the replica's own. */
export class LiveViewContext implements ViewContext<unknown> {
  readonly view: GroupView;
  readonly rank: number;
  readonly self: NodeId;
  readonly joined: readonly NodeId[];
  readonly left: readonly NodeId[];
  readonly #at: LiveUpdateContext;

  constructor(at: LiveUpdateContext, before: readonly NodeId[]) {
    this.#at = at;
    this.view = at.view;
    this.rank = at.rank;
    this.self = at.self;
    this.joined = at.view.members.filter((member) => !before.includes(member));
    this.left = before.filter((member) => !at.view.members.includes(member));
  }

  get state(): unknown {
    return this.#at.state;
  }

  set state(state: unknown) {
    this.#at.state = state;
  }
}
