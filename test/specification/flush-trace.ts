/**
 * Runs of the model in `spec/flush.pml`, repeated with the code's own members: what is under way between them arrives when the
 * model says so, and after each step the code must stand where the model does. A run of a model with a planted bug must come
 * to a step that the code does not take.
 */
import type { Effect } from "../../src/protocol/effects.ts";
import { Effects } from "../../src/protocol/effects.ts";
import { VOLATILE } from "../../src/protocol/journal.ts";
import { Member } from "../../src/protocol/member.ts";
import type { Message } from "../../src/protocol/messages.ts";
import { BOUNDS, timing } from "../../src/protocol/timing.ts";
import type { GroupView, NodeId } from "../../src/protocol/view.ts";
import { Packet, SAFE } from "../../src/wire/packet.ts";
import { ids } from "../protocol/kit.ts";

export interface Trace {
  /** Of the first view, who come first by age. */
  readonly founders: number;
  readonly joiners: number;
  /** The words of each step. */
  readonly steps: readonly (readonly string[])[];
}

/** Where the code did something else than the model. */
export interface Difference {
  readonly step: string;
  readonly index: number;
  readonly why: string;
}

type Kind<K extends Message["kind"]> = Extract<Message, { readonly kind: K }>;
type Envelope = { readonly from: number; readonly to: number; readonly message: Message };

const GROUP = 1;
const TIMING = timing(3000);

/** One member, and what has come of it. */
class Station {
  readonly effects = new Effects();
  readonly member: Member;
  /** The senders of what was delivered, by view. */
  readonly delivered = new Map<number, NodeId[]>();
  /** The views that were shown. */
  readonly views: number[] = [];
  #now = 0;

  constructor(self: NodeId, admitted: number, isFounder: boolean) {
    const options = { group: GROUP, name: "g", self, admitted, bounds: BOUNDS, timing: TIMING };
    const host = {
      directoryIndex: () => 0,
      isSynced: () => isFounder,
      reportSynced: () => {},
      hasReserve: () => false,
      unprovenSince: () => 0,
      reportBegun: () => {},
      requestLeave: () => {},
      requestExclusion: () => {},
      reportSlow: () => {},
      requestRenewal: () => {},
      reportUnrecoverable: () => {},
      nextQuery: () => 0,
      nextRaw: () => 0,
    };
    this.member = new Member(
      { ...options, recordsSends: false, creates: isFounder, journal: VOLATILE },
      host,
      this.effects,
    );
  }

  get view(): number {
    return this.member.epoch?.number ?? 0;
  }

  /** Long turns: whatever wants to be told of this member's row is told. */
  endTurn(): void {
    for (let turn = 0; turn < 2; turn++) {
      this.#now += 2 * TIMING.rowDelayMs;
      this.member.endTurn(this.#now, 0);
    }
  }

  note(effect: Effect): void {
    if (effect.kind === "install") this.views.push(effect.view.number);
    if (effect.kind !== "deliver") return;
    const { view, sender } = effect.point;
    this.delivered.set(view.number, [...(this.delivered.get(view.number) ?? []), sender]);
    effect.packet.release();
  }
}

class Player {
  readonly #ids: readonly NodeId[];
  readonly #founders: number;
  readonly #flavour: number;
  readonly #stations = new Map<number, Station>();
  readonly #targets = new Map<number, GroupView>();
  readonly #known: number[];
  /** What is under way: messages, and packets by receiver and view, in the order in which they were sent. */
  #mail: Envelope[] = [];
  readonly #packets: { readonly from: number; readonly to: number; readonly bytes: Uint8Array }[] = [];
  /** Who has said that it holds which cut, as the model has it. */
  readonly #holds: Envelope[] = [];
  /** The view that each member is in, as the model has it. */
  readonly #views: number[];
  /** How much of the order of each view is safe, as the model has it. */
  readonly #safe = new Map<number, number>();

  constructor({ founders, joiners }: Trace, flavour: number) {
    this.#ids = ids(founders + joiners);
    this.#founders = founders;
    this.#flavour = flavour;
    this.#known = this.#ids.map(() => 1);
    this.#views = this.#ids.map((_, me) => (me < founders ? 1 : 0));
    const first = this.#target(1, 2 ** founders - 1);
    for (let me = 0; me < founders; me++) this.#stations.set(me, this.#station(me, 1));
    for (let me = 0; me < founders; me++) {
      this.#at(me).member.retarget(first);
      this.#collect();
    }
    while (this.#mail.length > 0) for (const letter of this.#mail.splice(0)) this.#post(letter);
  }

  /** Performs a step; says what the code does not do, or does otherwise. */
  perform([verb, ...words]: readonly string[]): string | undefined {
    const numbers = words.map(Number);
    const [me = 0, second = 0, third = 0] = numbers;
    switch (verb) {
      case "target":
        this.#target(me, second);
        return undefined;
      case "crash":
        this.#stations.delete(me);
        return undefined;
      case "learn":
        return this.#learn(me, second);
      case "send":
        if (!this.#at(me).member.send(this.#flavour, 0, Uint8Array.of(me))) return "refuses to send";
        return this.#turn(me);
      case "receive":
      case "fetch":
        return this.#take(me, second, verb === "fetch");
      case "issue":
        return this.#issue(me, second, third, numbers.slice(3));
      case "see":
        return this.#see(me, second);
      case "hold":
        return this.#hold(me, second);
      case "pass":
        return this.#pass(me, second);
      case "install":
        return this.#installed(me, second, numbers.slice(2));
      case "safe":
        this.#safe.set(me, second);
        return this.#checkSafe(me);
      default:
        throw new Error(`the step ${verb} is not known`);
    }
  }

  /** Says who ends in another view than in the model. */
  end(): string | undefined {
    for (const [me, { view }] of this.#stations) {
      if (view !== this.#views[me]) return `${this.#ids[me]} is in view ${view}, not in ${this.#views[me]}`;
    }
    return undefined;
  }

  // The steps.

  #target(number: number, mask: number): GroupView {
    const members = this.#ids.filter((_, rank) => (mask & (1 << rank)) !== 0);
    const founders = this.#ids.slice(0, this.#founders);
    const target = {
      number,
      members,
      synced: members.filter((member) => founders.includes(member)),
      acceptors: [],
      lacking: [],
    };
    this.#targets.set(number, target);
    return target;
  }

  #learn(me: number, number: number): string | undefined {
    const target = this.#targets.get(number) as GroupView;
    const isMember = target.members.includes(this.#ids[me] as NodeId);
    if (isMember && !this.#stations.has(me)) this.#stations.set(me, this.#station(me, number));
    this.#known[me] = number;
    const station = this.#stations.get(me);
    station?.member.retarget(target);
    this.#collect();
    if (isMember) return this.#mailOf(me, "report", number) || this.#leads(me, number) ? undefined : "does not report";
    this.#stations.delete(me);
    return station !== undefined && !station.member.ended ? "stays a member" : undefined;
  }

  #take(me: number, sender: number, isFetched: boolean): string | undefined {
    const station = this.#at(me);
    const epoch = station.member.epoch;
    const rank = epoch?.view.members.indexOf(this.#ids[sender] as NodeId) ?? -1;
    const seqno = epoch?.held()[rank] ?? 0;
    if (isFetched) this.#answerFetches(me);
    const parcel = this.#packets.find(({ from, to, bytes }) => {
      const packet = new Packet(bytes);
      const isNext = packet.epoch === station.view && packet.sender === rank && packet.seqno === seqno;
      return to === me && isNext && (isFetched || from === sender);
    });
    if (parcel === undefined) return isFetched ? "has not fetched it" : "was not sent it";
    station.member.packet(this.#ids[parcel.from] as NodeId, new Packet(parcel.bytes.slice()));
    return this.#turn(me);
  }

  /** Those who are asked for packets that somebody lacks send them. */
  #answerFetches(me: number): void {
    const letters = this.#mail.filter(({ from, message }) => from === me && message.kind === "fetch");
    this.#mail = this.#mail.filter((letter) => !letters.includes(letter));
    for (const letter of letters) this.#post(letter);
  }

  #issue(me: number, target: number, step: number, [from = 0, ...cut]: readonly number[]): string | undefined {
    const before = this.#at(me).view;
    for (const letter of this.#takeMail(({ to, message }) => to === me && isFor(message, "report", target)))
      this.#post(letter);
    // Who leads alone has issued, held and installed at once; the views that it shows are looked at.
    if (this.#isAlone(me, target) || this.#at(me).view !== before) return undefined;
    const letter = this.#mail.findLast((each) => each.from === me && isFor(each.message, "cut", target));
    if (letter === undefined) return "issues no cut";
    const { step: issued } = letter.message as Kind<"cut">;
    const members = this.#targets.get(from)?.members ?? [];
    const expected = members.map((member) => cut[this.#ids.indexOf(member)]);
    if (issued.view.number !== step || issued.from !== from) return `issues ${issued.from}→${issued.view.number}`;
    return issued.cut.join() === expected.join() ? undefined : `cuts at ${issued.cut}, not at ${expected}`;
  }

  #see(me: number, target: number): string | undefined {
    const [letter] = this.#takeMail(({ to, message }) => to === me && isFor(message, "cut", target)).slice(-1);
    if (letter === undefined) return "was told of no cut";
    this.#post(letter);
    return undefined;
  }

  #hold(me: number, target: number): string | undefined {
    if (this.#leads(me, target)) return undefined;
    const letters = this.#takeMail(({ from, message }) => from === me && isFor(message, "hold", target));
    this.#holds.push(...letters);
    return letters.length > 0 ? undefined : "does not say that it holds the cut";
  }

  #pass(me: number, target: number): string | undefined {
    const before = this.#at(me).view;
    const reports = this.#mail.filter(({ from, message }) => from === me && message.kind === "report").length;
    if (this.#leads(me, target)) {
      for (const letter of this.#holds.splice(0)) {
        if (letter.to === me && isFor(letter.message, "hold", target)) this.#post(letter);
        else this.#holds.push(letter);
      }
    } else {
      const isInstall = ({ to, message }: Envelope): boolean => to === me && isFor(message, "install", target);
      for (const letter of this.#takeMail(isInstall)) this.#post(letter);
    }
    const hasReported = this.#mail.filter(({ from, message }) => from === me && message.kind === "report").length;
    const isPast = this.#at(me).view > before || hasReported > reports || this.#leads(me, target);
    return isPast ? undefined : "does not go on";
  }

  #installed(me: number, view: number, senders: readonly number[]): string | undefined {
    const station = this.#at(me);
    this.#views[me] = view;
    // A joiner shows nothing before it has the state.
    if (me >= this.#founders) return station.view === view ? undefined : `is in view ${station.view}`;
    const at = station.views.indexOf(view);
    if (at < 0) return `is in view ${station.view}`;
    const names = senders.map((sender) => this.#ids[sender]);
    const delivered = station.delivered.get(station.views[at - 1] ?? 0) ?? [];
    return delivered.join() === names.join() ? undefined : `has delivered ${delivered}, not ${names}`;
  }

  /** Of safe messages exactly so many are delivered by whoever is open. */
  #checkSafe(view: number): string | undefined {
    if (this.#flavour !== SAFE) return undefined;
    const expected = this.#safe.get(view) ?? 0;
    for (const [me, station] of this.#stations) {
      if (me >= this.#founders || station.view !== view || station.member.epoch?.frozen !== false) continue;
      const count = station.delivered.get(view)?.length ?? 0;
      if (count !== expected) return `${this.#ids[me]} has delivered ${count} in view ${view}, not ${expected}`;
    }
    return undefined;
  }

  // What is under way.

  #turn(me: number): string | undefined {
    this.#at(me).endTurn();
    this.#collect();
    return undefined;
  }

  #post({ from, to, message }: Envelope): void {
    const station = this.#stations.get(to);
    station?.member.receive(this.#ids[from] as NodeId, message);
    this.#collect();
  }

  /** Takes over what the members have recorded; what they say of their rows arrives at once. */
  #collect(): void {
    for (const [from, station] of this.#stations) {
      for (const effect of station.effects.take()) {
        if (effect.kind === "multicast") {
          for (const to of this.#ranks(effect.to)) this.#packets.push({ from, to, bytes: effect.packet.bytes.slice() });
        } else if (effect.kind === "send") {
          for (const to of this.#ranks(effect.to)) this.#mail.push({ from, to, message: effect.message });
        } else station.note(effect);
      }
    }
    const rows = this.#takeMail(({ message }) => message.kind === "row");
    for (const letter of rows) this.#post(letter);
  }

  #takeMail(isWanted: (letter: Envelope) => boolean): Envelope[] {
    const taken = this.#mail.filter(isWanted);
    this.#mail = this.#mail.filter((letter) => !isWanted(letter));
    return taken;
  }

  #mailOf(from: number, kind: Message["kind"], target: number): boolean {
    return this.#mail.some((letter) => letter.from === from && isFor(letter.message, kind, target));
  }

  #ranks(members: readonly NodeId[]): number[] {
    return members.map((member) => this.#ids.indexOf(member));
  }

  #leads(me: number, target: number): boolean {
    return this.#targets.get(target)?.members[0] === this.#ids[me];
  }

  #isAlone(me: number, target: number): boolean {
    return this.#targets.get(target)?.members.join() === this.#ids[me];
  }

  #station(me: number, admitted: number): Station {
    return new Station(this.#ids[me] as NodeId, admitted, me < this.#founders);
  }

  #at(me: number): Station {
    const station = this.#stations.get(me);
    if (station === undefined) throw new Error(`${me} is no member`);
    return station;
  }
}

function isFor(message: Message, kind: Message["kind"], target: number): boolean {
  return message.kind === kind && "target" in message && message.target === target;
}

/** The first difference between the model's run and the code's, if there is one. */
export function replayTrace(trace: Trace, flavour: number): Difference | undefined {
  const player = new Player(trace, flavour);
  for (const [index, step] of trace.steps.entries()) {
    const why = player.perform(step);
    if (why !== undefined) return { index, step: step.join(" "), why };
  }
  const why = player.end();
  return why === undefined ? undefined : { index: trace.steps.length, step: "end", why };
}
