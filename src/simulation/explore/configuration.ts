/**
 * A state of a whole explored world, never changed: the state of each node, what is under way between any two, and what may
 * still go wrong or be asked. `choices` are the ways in which it may go on; each of them makes another configuration.
 *
 * Frames of one lane of a link arrive in the order in which they were sent, datagrams in any, also after their sender's
 * death; everything else is open: which link delivers next, whether a frame comes before or after another node's, when and to whom a death shows, and how much of what the
 * dead had sent arrives at whom. Time passes only as a choice, so that a suspicion never waits for a clock: it comes as
 * the network's word that a link is gone.
 */
import type { HistoryEvent } from "../../protocol/history.ts";
import type { Automaton, LocalState, LocalStep, Wish } from "./automaton.ts";
import { type Frames, type Signal, signal } from "./signals.ts";

/** What the world may do besides delivering what is under way, each so many times in a run. */
export interface Acts {
  /** A member sends a message; the flavours in turn. */
  readonly sends: number;
  /** A node dies. */
  readonly crashes: number;
  /** A node of the cluster that is not in the group joins it. */
  readonly joins: number;
  /** A member leaves the group. */
  readonly leaves: number;
  /** A node leaves the cluster in good order. */
  readonly closes: number;
  /** The nodes fall into two sides, whose addresses refuse each other until nothing else is under way. */
  readonly partitions: number;
  /** Two nodes refuse each other. */
  readonly cuts: number;
  /** A member calls `flush`. */
  readonly flushes: number;
  /** A node's timer fires. */
  readonly wakes: number;
  /** A frame comes before the turn for the one before it: the node handles both in one turn. */
  readonly batches: number;
  /** A datagram never arrives. */
  readonly losses: number;
}

export const NO_ACTS: Acts = {
  sends: 0,
  crashes: 0,
  joins: 0,
  leaves: 0,
  closes: 0,
  partitions: 0,
  cuts: 0,
  flushes: 0,
  wakes: 0,
  batches: 0,
  losses: 0,
};

/** From one node to another. */
interface Channel {
  /** `waiting`: the sender wants the link; `coming`: the receiver is to hear of it; `cut`: the receiver holds it for dead. */
  readonly phase: "none" | "waiting" | "coming" | "up" | "cut" | "over";
  readonly control: readonly number[];
  readonly bulk: readonly number[];
  /** In no order, so by number. */
  readonly datagrams: readonly number[];
  /** What the receiver may learn at any moment: that the sender cannot be reached, or has gone on without it. */
  readonly news: "none" | "gone" | "refused";
}

const NO_CHANNEL: Channel = { phase: "none", control: [], bulk: [], datagrams: [], news: "none" };
const OVER: Channel = { ...NO_CHANNEL, phase: "over" };

export interface Choice {
  /** Equal in any two configurations in which it is the same thing that happens. */
  readonly name: string;
  /** The node that it happens to; none: the world. */
  readonly agent: number | undefined;
  readonly act: keyof Acts | undefined;
  /** What the node does; none for a death, or for something that happens to the network. */
  readonly step: LocalStep | undefined;
  readonly make: () => Configuration;
}

export interface Cast {
  readonly automata: readonly Automaton[];
  readonly frames: Frames;
  readonly flavours: readonly number[];
}

export class Configuration {
  readonly cast: Cast;
  readonly locals: readonly LocalState[];
  readonly alive: readonly boolean[];
  readonly left: Acts;
  /** From a to b at a * size + b. */
  readonly channels: readonly Channel[];
  /** Pairs of nodes, at either place, that cannot reach each other. */
  readonly broken: readonly boolean[];

  private constructor(parts: Pick<Configuration, "cast" | "locals" | "alive" | "left" | "channels" | "broken">) {
    this.cast = parts.cast;
    this.locals = parts.locals;
    this.alive = parts.alive;
    this.left = parts.left;
    this.channels = parts.channels;
    this.broken = parts.broken;
  }

  static begin(cast: Cast): Configuration {
    const size = cast.automata.length;
    return new Configuration({
      cast,
      locals: cast.automata.map(({ initial }) => initial),
      alive: cast.automata.map(() => true),
      left: NO_ACTS,
      channels: Array.from({ length: size * size }, () => NO_CHANNEL),
      broken: Array.from({ length: size * size }, () => false),
    });
  }

  get size(): number {
    return this.locals.length;
  }

  /** Equal for equal configurations. */
  get key(): string {
    const parts: (string | number)[] = [];
    for (const [node, { number }] of this.locals.entries()) parts.push(this.alive[node] ? number : "x");
    for (const { phase, control, bulk, datagrams, news } of this.channels) {
      parts.push(`${phase[0]}${phase.length}${news[0]}${control.join()};${bulk.join()};${datagrams.join()}`);
    }
    for (const act of Object.keys(this.left) as (keyof Acts)[]) parts.push(this.left[act]);
    return parts.join(" ");
  }

  allow(left: Acts): Configuration {
    return this.#with({ left });
  }

  /** What may happen next; whatever `act` says is limited in number, all else happens sooner or later. */
  choices(): Choice[] {
    const choices: Choice[] = [];
    for (let node = 0; node < this.size; node++) {
      if (!this.alive[node]) continue;
      this.#arrivals(node, choices);
      this.#deeds(node, choices);
    }
    if (this.left.partitions > 0) this.#partitions(choices);
    if (this.left.cuts > 0) this.#cuts(choices);
    return choices;
  }

  /** The network is whole again; who dials a node that has gone on without it is told so. */
  healed(): Configuration {
    const channels = [...this.channels];
    for (const [at, isBroken] of this.broken.entries()) {
      const channel = channels[at] as Channel;
      const back = (at % this.size) * this.size + Math.floor(at / this.size);
      if (!isBroken) continue;
      if (channel.phase === "cut") channels[at] = { ...channel, phase: "coming" };
      else if (channel.phase === "none" && channels[back]?.phase !== "none")
        channels[at] = { ...NO_CHANNEL, news: "refused" };
    }
    return this.#with({ channels, broken: this.broken.map(() => false), left: NO_ACTS });
  }

  /** The processes of nodes that have left or were excluded end. */
  withoutTheEnded(): Configuration {
    let after: Configuration = this;
    for (const node of this.survivors) if (this.locals[node]?.runs === false) after = after.#stop(node, after.left);
    return after;
  }

  /** The nodes whose process lives. */
  get survivors(): number[] {
    return this.locals.flatMap((_, node) => (this.alive[node] ? [node] : []));
  }

  /** The step that a signal makes a node take, and what it comes to. */
  take(node: number, by: Signal): { readonly step: LocalStep; readonly make: () => Configuration } {
    const step = (this.cast.automata[node] as Automaton).step(this.locals[node] as LocalState, by);
    return { step, make: () => this.#after(node, step, new Map(), undefined) };
  }

  // What is under way.

  #arrivals(node: number, choices: Choice[]): void {
    const { frames, automata } = this.cast;
    const add = (name: string, by: Signal, act: keyof Acts | undefined, changes: Map<number, Channel>): void => {
      const { step } = this.take(node, by);
      choices.push({ name, agent: node, act, step, make: () => this.#after(node, step, changes, act) });
    };
    if (this.locals[node]?.turnWanted) add(`${node} turn`, signal({ kind: "turn" }), undefined, new Map());
    for (let from = 0; from < this.size; from++) {
      const at = from * this.size + node;
      const channel = this.channels[at] as Channel;
      const { phase, control, bulk, datagrams, news } = channel;
      const peer = (automata[from] as Automaton).options.self.id;
      if (phase === "coming") {
        add(
          `${node} up ${from}`,
          signal({ kind: "up", peer }),
          undefined,
          new Map([[at, { ...channel, phase: "up" }]]),
        );
      }
      const [ordered] = phase === "up" ? control : [];
      if (ordered !== undefined) {
        const changes = new Map([[at, { ...channel, control: control.slice(1) }]]);
        add(`${node} control ${from}`, frames.signal(peer, ordered, false), undefined, changes);
        if (this.left.batches > 0)
          add(`${node} control ${from} held`, frames.signal(peer, ordered, true), "batches", changes);
      }
      const [bulky] = phase === "up" ? bulk : [];
      if (bulky !== undefined) {
        const changes = new Map([[at, { ...channel, bulk: bulk.slice(1) }]]);
        add(`${node} bulk ${from}`, frames.signal(peer, bulky, false), undefined, changes);
        if (this.left.batches > 0)
          add(`${node} bulk ${from} held`, frames.signal(peer, bulky, true), "batches", changes);
      }
      for (const [place, frame] of datagrams.entries()) {
        const changes = new Map([[at, { ...channel, datagrams: datagrams.toSpliced(place, 1) }]]);
        add(`${node} datagram ${from} #${frame}`, frames.datagram(peer, frame), undefined, changes);
        if (this.left.losses === 0) continue;
        const make = (): Configuration => this.#losing(changes);
        choices.push({ name: `${node} loses ${from} #${frame}`, agent: node, act: "losses", step: undefined, make });
      }
      if (news === "none") continue;
      // What a cut holds back will come when it heals; what the dead had sent, and has not come, never will.
      const isHeld = news === "gone" && this.alive[from] === true;
      const changes = new Map([
        [at, isHeld ? { ...channel, phase: "cut" as const, news: "none" as const } : { ...OVER, datagrams }],
      ]);
      add(
        `${node} ${news} ${from}`,
        signal(news === "gone" ? { kind: "gone", peer } : { kind: news }),
        undefined,
        changes,
      );
    }
  }

  // What is asked of nodes, and what befalls them.

  #deeds(node: number, choices: Choice[]): void {
    const { left, cast } = this;
    const local = this.locals[node] as LocalState;
    const ask = (act: keyof Acts, by: Signal): void => {
      if (left[act] === 0) return;
      const { step } = this.take(node, by);
      choices.push({
        name: `${node} ${act}`,
        agent: node,
        act,
        step,
        make: () => this.#after(node, step, new Map(), act),
      });
    };
    if (local.isMember) {
      ask("sends", signal({ kind: "send", flavour: cast.flavours[(left.sends - 1) % cast.flavours.length] as number }));
      ask("flushes", signal({ kind: "flush" }));
      ask("leaves", signal({ kind: "leave" }));
    }
    if (local.mayJoin) ask("joins", signal({ kind: "join" }));
    if (!local.runs) return;
    if (!local.isLeaving) ask("closes", signal({ kind: "close" }));
    if (local.hasDeadline) ask("wakes", signal({ kind: "wake" }));
    if (left.crashes === 0) return;
    choices.push({
      name: `${node} crashes`,
      agent: node,
      act: "crashes",
      step: undefined,
      make: () => this.#stop(node, this.#without("crashes")),
    });
  }

  #stop(node: number, left: Acts): Configuration {
    const channels = [...this.channels];
    for (let other = 0; other < this.size; other++) {
      const [to, back] = [node * this.size + other, other * this.size + node];
      const channel = channels[to] as Channel;
      if (this.channels[back]?.phase !== "none") channels[to] = { ...channel, news: "gone" };
      channels[back] = OVER;
    }
    const alive = this.alive.map((each, at) => each && at !== node);
    return this.#with({ channels, alive, left });
  }

  /** Every way in which the living may fall into two sides; the first of them is on the first. */
  #partitions(choices: Choice[]): void {
    const [first, ...others] = this.survivors;
    for (let pick = 1; pick < 2 ** others.length; pick++) {
      const beyond = others.filter((_, at) => (pick & (1 << at)) !== 0);
      const within = [first as number, ...others.filter((node) => !beyond.includes(node))];
      const pairs = within.flatMap((a) => beyond.map((b): [number, number] => [a, b]));
      this.#breaks(`partition ${within} | ${beyond}`, "partitions", pairs, choices);
    }
  }

  #cuts(choices: Choice[]): void {
    const { survivors } = this;
    for (const a of survivors) {
      for (const b of survivors) if (a < b) this.#breaks(`cut ${a} ${b}`, "cuts", [[a, b]], choices);
    }
  }

  #breaks(name: string, act: keyof Acts, pairs: readonly (readonly [number, number])[], choices: Choice[]): void {
    const make = (): Configuration => {
      const channels = [...this.channels];
      const broken = [...this.broken];
      for (const [a, b] of pairs) {
        for (const [from, to] of [
          [a, b],
          [b, a],
        ] as const) {
          const at = from * this.size + to;
          broken[at] = true;
          if (this.channels[to * this.size + from]?.phase !== "none")
            channels[at] = { ...(channels[at] as Channel), news: "gone" };
        }
      }
      return this.#with({ channels, broken, left: this.#without(act) });
    };
    choices.push({ name, agent: undefined, act, step: undefined, make });
  }

  /** What was under way does not arrive. */
  #losing(changes: ReadonlyMap<number, Channel>): Configuration {
    const channels = this.channels.map((channel, at) => changes.get(at) ?? channel);
    return this.#with({ channels, left: this.#without("losses") });
  }

  // What comes of a step.

  #after(
    node: number,
    step: LocalStep,
    changes: ReadonlyMap<number, Channel>,
    act: keyof Acts | undefined,
  ): Configuration {
    const channels = [...this.channels];
    for (const [at, channel] of changes) channels[at] = channel;
    for (const wish of step.wishes) this.#grant(node, wish, channels);
    const locals = [...this.locals];
    locals[node] = step.to;
    return this.#with({ locals, channels, left: act === undefined ? this.left : this.#without(act) });
  }

  #grant(node: number, wish: Wish, channels: Channel[]): void {
    const { to } = wish;
    if (to < 0) return;
    const [at, back] = [node * this.size + to, to * this.size + node];
    const channel = channels[at] as Channel;
    const isBroken = this.broken[at] === true;
    switch (wish.kind) {
      case "send": {
        if (channel.phase === "over" || !this.alive[to]) return;
        channels[at] = { ...channel, [wish.lane]: [...channel[wish.lane], wish.frame] };
        return;
      }
      case "datagram":
        // What does not get through a cut is lost.
        if (!this.alive[to] || isBroken) return;
        channels[at] = { ...channel, datagrams: [...channel.datagrams, wish.frame].sort((a, b) => a - b) };
        return;
      case "link": {
        if (!this.alive[to] || isBroken) {
          channels[at] = OVER;
          channels[back] = { ...(channels[back] as Channel), news: "gone" };
          return;
        }
        const isMutual = channels[back]?.phase === "waiting";
        channels[at] = { ...channel, phase: isMutual ? "coming" : "waiting" };
        if (isMutual) channels[back] = { ...(channels[back] as Channel), phase: "coming" };
        return;
      }
      case "unlink":
        channels[at] = this.alive[to] && !isBroken ? { ...NO_CHANNEL, news: "refused" } : NO_CHANNEL;
        channels[back] = OVER;
    }
  }

  #without(act: keyof Acts): Acts {
    return { ...this.left, [act]: this.left[act] - 1 };
  }

  #with(parts: Partial<Pick<Configuration, "locals" | "alive" | "left" | "channels" | "broken">>): Configuration {
    return new Configuration({ ...this, ...parts });
  }
}

/** What happened, for histories. */
export function eventsOf({ step, agent, act }: Choice, { automata }: Cast): readonly HistoryEvent[] {
  if (step !== undefined) return step.events;
  if (act !== "crashes" || agent === undefined) return [];
  return [{ kind: "crash", at: 0, node: (automata[agent] as Automaton).options.self.id }];
}

/**
 * Whether the two may happen in either order with the same result, when both may happen. What happens to different nodes
 * commutes: a node takes the first frame of a channel, and others add frames behind it. What makes or ends links, or
 * draws on the same allowance, does not.
 */
export function commute(a: Choice, b: Choice): boolean {
  if (a.agent === undefined || b.agent === undefined || a.agent === b.agent) return false;
  if (a.act !== undefined && a.act === b.act) return false;
  return a.step?.relinks !== true && b.step?.relinks !== true;
}
