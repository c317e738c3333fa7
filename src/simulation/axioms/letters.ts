/**
 * The messages of one view in the reference model of `rounds.ts`: who holds them, who may deliver which, and which of
 * them survive the view. All members see the one total order, so nothing has to be agreed.
 */
import type { HistoryFlavour } from "../../protocol/history.ts";
import type { NodeId } from "../../protocol/view.ts";

export interface Letter {
  readonly name: string;
  readonly sender: Process;
  readonly flavour: HistoryFlavour;
  /** The view in which it was sent. */
  readonly number: number;
  readonly holders: Set<Process>;
  /** Causal letters that happened before this one. */
  readonly causes: ReadonlySet<Letter>;
  readonly question: Question | undefined;
}

export interface Question {
  readonly name: string;
  readonly caller: Process;
  readonly wanted: number;
  /** The members of the view in which the caller delivered it. */
  asked: Set<Process> | undefined;
  readonly answered: Set<Process>;
  ended: boolean;
}

export interface Flushing {
  readonly name: string;
  readonly copies: number | undefined;
  readonly letters: readonly Letter[];
}

export interface Process {
  readonly id: NodeId;
  running: boolean;
  /** Cut off: the others go on without it, and it does not know. */
  isolated: boolean;
  /** It has begun the present view and delivers; or, isolated, an old one. */
  synced: boolean;
  delivered: Set<Letter>;
  sent: Letter[];
  /** How far it is in the total order; infinitely far when the others have gone on without it. */
  place: number;
  flushes: Flushing[];
  /** Its state: what was delivered in no particular order, and what was delivered in total order. */
  sum: number;
  chain: number;
}

export function isOrdered({ flavour }: Letter): boolean {
  return flavour === "total" || flavour === "safe";
}

export class Letters {
  all: Letter[] = [];
  order: Letter[] = [];
  /** How much of the order is decided because a safe delivery or a flush relied on it. */
  fixed = 0;

  add(letter: Letter): void {
    this.all.push(letter);
    if (isOrdered(letter)) this.order.push(letter);
  }

  /** Those who hold a letter hold the earlier ones of its sender. */
  give(letter: Letter, receivers: Iterable<Process>): void {
    const processes = [...receivers];
    for (const earlier of this.all) {
      if (earlier.sender === letter.sender) for (const process of processes) earlier.holders.add(process);
      if (earlier === letter) return;
    }
  }

  /** What a process may deliver next. `members` are those who must hold a safe letter; all know the order. */
  readyAt(process: Process, members: readonly Process[]): Letter[] {
    const behind = new Set<string>();
    const ready: Letter[] = [];
    for (const letter of this.#within(process)) {
      if (process.delivered.has(letter) || isOrdered(letter)) continue;
      const stream = `${letter.sender.id} ${letter.flavour}`;
      if (behind.has(stream)) continue;
      behind.add(stream);
      const inTurn = [...letter.causes].every((cause) => process.delivered.has(cause));
      if (inTurn && letter.holders.has(process)) ready.push(letter);
    }
    const next = this.order[process.place];
    if (!next?.holders.has(process)) return ready;
    const safe = this.order.slice(0, process.place + 1).filter(({ flavour }) => flavour === "safe");
    const isHeld = safe.every(({ holders }) => members.every((member) => holders.has(member)));
    if (next.flavour === "total" || isHeld) ready.push(next);
    return ready;
  }

  /** Once the others have gone on, an isolated member has no more than what it sent itself. */
  #within(process: Process): readonly Letter[] {
    if (process.place !== Number.POSITIVE_INFINITY) return this.all;
    return process.sent.filter(({ causes }) => causes.size === 0);
  }

  /** Keeps what survivors hold, without causal letters whose causes are lost. */
  cut(survivors: readonly Process[]): void {
    const kept = new Set<Letter>();
    for (const letter of this.all) {
      if (!survivors.some((process) => letter.holders.has(process))) continue;
      if ([...letter.causes].every((cause) => kept.has(cause))) kept.add(letter);
    }
    this.all = [...kept];
    this.fixed = this.order.slice(0, this.fixed).filter((letter) => kept.has(letter)).length;
    this.order = this.order.filter((letter) => kept.has(letter));
    for (const letter of this.all) for (const process of survivors) letter.holders.add(process);
  }

  /** Another order of what no survivor has delivered and nobody relied on; each sender's letters stay in order. */
  reorder(survivors: readonly Process[]): void {
    const places = survivors.filter(({ synced }) => synced).map(({ place }) => place);
    const rest = this.order.splice(Math.max(this.fixed, ...places));
    rest.sort((a, b) => (a.sender === b.sender ? 0 : a.sender.id < b.sender.id ? 1 : -1));
    this.order.push(...rest);
  }
}
