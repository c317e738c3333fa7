/**
 * A reference model that makes correct histories, to test the checkers with. It is trivially right, because one
 * scheduler sees everything: what each member holds, one total order, and who goes on from a view. Yet it does what a
 * correct protocol may do and a careless checker would not expect: messages that die with their senders, an order that
 * only an excluded member saw, deliveries by a member that does not know yet that it was excluded, members that crash
 * between their last delivery and the new view, joiners that begin their transfer anew, who leave and come back.
 */
import { hashString } from "../../base/random.ts";
import type { HistoryEvent, HistoryFlavour } from "../../protocol/history.ts";
import type { NodeId } from "../../protocol/view.ts";
import { isOrdered, type Letter, Letters, type Process, type Question } from "./letters.ts";
import type { EventOf } from "./run.ts";

const GROUP = "g";
const FLAVOURS: readonly HistoryFlavour[] = ["fifo", "causal", "total", "safe", "raw"];
const NODES_MAX = 6;

/** Draws an integer from 0 to below `below`; where a run comes from. */
export type Pick = (below: number) => number;

export class Rounds {
  readonly history: HistoryEvent[] = [];
  readonly #pick: Pick;
  #processes: Process[] = [];
  #cluster: NodeId[] = [];
  #clusterNumber = 1;
  #names = 0;
  #number = 1;
  /** Those of the present view, and during a change those who go on from it. */
  #members: Process[] = [];
  #viewMembers: readonly Process[] = [];
  #letters = new Letters();
  #leaving = new Set<Process>();
  #start = { sum: 0, chain: 0 };
  #questions: Question[] = [];
  #answers: { readonly question: Question; readonly from: Process; readonly status: "value" | "null" }[] = [];

  constructor(pick: Pick, founders: number) {
    this.#pick = pick;
    for (let count = 0; count < founders; count++) this.#processes.push(this.#newProcess());
    this.#cluster = this.#processes.map(({ id }) => id);
    for (const process of this.#processes) this.#installCluster(process);
    this.#members = [...this.#processes];
    this.#viewMembers = this.#members;
    for (const process of this.#members) this.#begin(process);
  }

  /** One random step. */
  step(): void {
    const choice = this.#pick(40);
    if (choice < 10) this.#send(this.#anyMember());
    else if (choice < 26) this.#deliverSome(this.#any([...this.#members, ...this.#isolated()]));
    else if (choice < 29) this.#flush(this.#anyMember());
    else if (choice < 31) this.#endFlush(this.#anyMember());
    else if (choice < 33) this.#ask(this.#anyMember());
    else if (choice < 35) this.#answer();
    else if (choice < 36) this.#load();
    else if (choice < 37) this.#tellExcluded();
    else this.#change(this.#pick(8));
  }

  /** Lets everything that is under way come to its end, so that the history is quiescent. */
  settle(): HistoryEvent[] {
    if (this.#leaving.size > 0) this.#nextView([]);
    while (this.#isolated().length > 0) this.#tellExcluded();
    this.#load();
    for (const letter of this.#letters.all) this.#letters.give(letter, this.#members);
    for (const process of this.#members) {
      this.#deliverAll(process);
      while (process.flushes.length > 0) this.#endFlush(process);
    }
    while (this.#answers.length > 0) this.#answer();
    return this.history;
  }

  // Membership

  #change(kind: number): void {
    const synced = this.#members.filter(({ synced }) => synced);
    const lost: Process[] = [];
    if (kind < 2) {
      for (const process of this.#members) if (this.#pick(3) === 0) lost.push(process);
      const left = synced.filter((process) => !lost.includes(process) && !this.#leaving.has(process));
      if (lost.length * 2 >= this.#members.length || left.length === 0) return;
      for (const process of lost) this.#lose(process);
    } else if (kind < 4) {
      const process = this.#any(synced);
      if (synced.length - this.#leaving.size > 1) this.#leaving.add(process);
      return;
    } else if (kind < 6 && this.#cluster.length < NODES_MAX) {
      this.#processes.push(this.#newProcess());
    }
    const outside = this.#processes.filter((one) => one.running && !one.isolated && !this.#members.includes(one));
    const joiners = outside.filter(() => this.#pick(2) === 0);
    this.#nextCluster();
    this.#nextView(joiners);
  }

  #lose(process: Process): void {
    if (this.#pick(2) === 0) process.isolated = true;
    else this.#crash(process);
  }

  #crash(process: Process): void {
    process.running = false;
    this.#record({ kind: "crash", at: 0, node: process.id });
  }

  #nextCluster(): void {
    const next = this.#processes.filter((process) => process.running && !process.isolated);
    const ids = next.map(({ id }) => id);
    if (ids.join() === this.#cluster.join()) return;
    this.#clusterNumber++;
    const proposal = `p${this.#clusterNumber}`;
    for (const process of next.filter(({ id }) => this.#cluster.includes(id))) {
      this.#record({ kind: "accept", at: 0, node: process.id, number: this.#clusterNumber, proposal });
    }
    this.#cluster = ids;
    for (const process of next) this.#installCluster(process);
  }

  #installCluster(process: Process): void {
    const { id } = process;
    const [number, members] = [this.#clusterNumber, this.#cluster];
    this.#record({
      kind: "install",
      at: 0,
      node: id,
      group: "",
      number,
      members,
      nodes: members,
      proposal: `p${number}`,
    });
    this.#record({ kind: "directory", at: 0, node: id, index: number, digest: members.join() });
  }

  #nextView(joiners: readonly Process[]): void {
    const survivors = this.#members.filter((process) => process.running && !process.isolated);
    const isolated = this.#isolated();
    this.#members = survivors;
    this.#letters.cut(survivors);
    if (this.#pick(2) === 0) this.#letters.reorder(survivors);
    for (const process of survivors) if (process.synced) this.#deliverAll(process);
    const dying = survivors.length > 2 && this.#pick(6) === 0 ? this.#any(survivors) : undefined;
    const loadedElsewhere = survivors.some(
      (process) => process.synced && process !== dying && !this.#leaving.has(process),
    );
    if (dying !== undefined && loadedElsewhere) this.#crash(dying);

    this.#number++;
    this.#members = [...survivors.filter((process) => !this.#leaving.has(process)), ...joiners];
    this.#viewMembers = this.#members;
    for (const process of this.#leaving) if (survivors.includes(process) && process.running) this.#end(process, "left");
    this.#leaving.clear();
    for (const process of this.#members) if (joiners.includes(process)) this.#reset(process);
    const heir = this.#members.find((process) => process.synced && process.running);
    if (heir === undefined) throw new Error("the model lost its group");
    this.#start = { sum: heir.sum, chain: heir.chain };
    const old = this.#letters.all;
    this.#letters = new Letters();
    for (const process of this.#members) {
      for (const { question } of this.#unanswered(process, old))
        this.#answers.push({ question, from: process, status: "null" });
      if (process.running && process.synced) this.#begin(process);
    }
    for (const question of this.#questions) this.#reportLeft(question);
    for (const process of isolated) process.place = Number.POSITIVE_INFINITY;
    this.#nextViewAfterCrash(dying);
  }

  #nextViewAfterCrash(dying: Process | undefined): void {
    if (dying === undefined || dying.running) return;
    this.#nextCluster();
    this.#nextView([]);
  }

  #begin(process: Process): void {
    const { id } = process;
    process.synced = true;
    process.place = 0;
    process.delivered = new Set();
    process.sent = [];
    const digest = `${process.sum}/${process.chain}`;
    this.#record({ kind: "state", at: 0, node: id, group: GROUP, view: this.#number, digest, loaded: false });
    const members = this.#members.map((member) => member.id);
    this.#record({ kind: "install", at: 0, node: id, group: GROUP, number: this.#number, members });
  }

  /** Joiners load the state that the others had when the present view began; those that waited longer, too. */
  #load(): void {
    for (const process of this.#members) {
      if (process.synced || !process.running) continue;
      process.sum = this.#start.sum;
      process.chain = this.#start.chain;
      const digest = `${process.sum}/${process.chain}`;
      const event = { kind: "state", at: 0, node: process.id, group: GROUP, view: this.#number, digest } as const;
      this.#record({ ...event, loaded: true });
      this.#begin(process);
    }
  }

  #tellExcluded(): void {
    const process = this.#isolated()[0];
    if (process === undefined || this.#members.includes(process)) return;
    this.#record({ kind: "exclude", at: 0, node: process.id });
    if (process.synced) this.#end(process, "excluded");
    process.running = false;
  }

  #end(process: Process, why: "left" | "excluded"): void {
    const { id: node } = process;
    for (const { name } of process.flushes) {
      this.#record({ kind: "flush-end", at: 0, node, group: GROUP, flush: name, outcome: "rejected" });
    }
    for (const question of this.#questions) {
      if (question.caller === process && !question.ended) this.#endQuestion(question, "rejected");
    }
    this.#record({ kind: "end", at: 0, node, group: GROUP, why });
    this.#reset(process);
  }

  #reset(process: Process): void {
    process.synced = false;
    process.flushes = [];
    process.delivered = new Set();
    process.sent = [];
  }

  // Multicast

  #send(sender: Process, question?: Question, flavour = this.#any(FLAVOURS)): void {
    if (!sender.synced) return;
    const name = question?.name ?? `m${this.#names++}`;
    const number = this.#number;
    const earlier = flavour === "causal" ? [...sender.delivered, ...sender.sent] : [];
    const causes = new Set(earlier.filter((letter) => letter.flavour === "causal"));
    const letter: Letter = { name, sender, flavour, number, holders: new Set([sender]), causes, question };
    this.#record({ kind: "send", at: 0, node: sender.id, group: GROUP, view: number, message: name, flavour });
    if (flavour === "raw") {
      for (const process of this.#members) if (process.synced && this.#pick(2) === 0) this.#deliver(process, letter);
      return;
    }
    sender.sent.push(letter);
    this.#letters.add(letter);
    if (this.#pick(3) !== 0) this.#letters.give(letter, this.#members);
  }

  #deliverSome(process: Process): void {
    if (!process.synced) return;
    for (let count = this.#pick(4); count >= 0; count--) {
      const ready = this.#letters.readyAt(process, this.#members);
      if (ready.length > 0) this.#deliver(process, this.#any(ready));
    }
  }

  #deliverAll(process: Process): void {
    for (;;) {
      const ready = this.#letters.readyAt(process, this.#members);
      if (ready.length === 0) return;
      this.#deliver(process, this.#any(ready));
    }
  }

  #deliver(process: Process, letter: Letter): void {
    const { name: message, flavour, number: view, question } = letter;
    this.#record({
      kind: "deliver",
      at: 0,
      node: process.id,
      group: GROUP,
      view,
      message,
      sender: letter.sender.id,
      flavour,
    });
    process.delivered.add(letter);
    if (isOrdered(letter)) {
      process.place++;
      process.chain = hashString(message, process.chain);
      if (flavour === "safe") this.#letters.fixed = Math.max(this.#letters.fixed, process.place);
    } else if (flavour !== "raw") process.sum = (process.sum + hashString(message)) >>> 0;
    if (question === undefined) return;
    if (question.caller === process) question.asked = new Set(this.#viewMembers);
    this.#answers.push({ question, from: process, status: this.#pick(3) === 0 ? "null" : "value" });
  }

  // Flushes and queries

  #flush(process: Process): void {
    if (!process.synced) return;
    const flush = `f${this.#names++}`;
    const copies = this.#pick(3) === 0 ? 1 + this.#pick(3) : undefined;
    process.flushes.push({ name: flush, copies, letters: [...process.delivered, ...process.sent] });
    const event = { kind: "flush-begin", at: 0, node: process.id, group: GROUP, flush } as const;
    this.#record(copies === undefined ? event : { ...event, copies });
  }

  #endFlush(process: Process): void {
    const flush = process.isolated ? undefined : process.flushes.shift();
    if (flush === undefined) return;
    const others = this.#members.filter((member) => member !== process);
    const holders = flush.copies === undefined ? others : others.toReversed().slice(0, flush.copies - 1);
    for (const letter of flush.letters) {
      if (!this.#letters.all.includes(letter)) continue;
      this.#letters.give(letter, [process, ...holders]);
      const place = process.delivered.has(letter) ? this.#letters.order.indexOf(letter) : -1;
      this.#letters.fixed = Math.max(this.#letters.fixed, place + 1);
    }
    this.#record({ kind: "flush-end", at: 0, node: process.id, group: GROUP, flush: flush.name, outcome: "held" });
  }

  #ask(caller: Process): void {
    if (!caller.synced) return;
    const [name, wanted] = [`q${this.#names++}`, this.#pick(2) === 0 ? 1 : this.#members.length];
    const question = { name, caller, wanted, asked: undefined, answered: new Set<Process>(), ended: false };
    this.#questions.push(question);
    this.#record({ kind: "query", at: 0, node: caller.id, group: GROUP, query: name, wanted });
    this.#send(caller, question, this.#any(FLAVOURS.slice(0, 4)));
  }

  #answer(): void {
    const [answer] = this.#answers.splice(this.#pick(this.#answers.length || 1), 1);
    if (answer === undefined) return;
    const { question, from, status } = answer;
    if (from.running && !from.isolated) this.#reply(question, from, status);
  }

  #reply(question: Question, from: Process, status: EventOf<"reply">["status"]): void {
    const { caller, answered, name, wanted } = question;
    if (!caller.running || caller.isolated || question.ended || answered.has(from)) return;
    answered.add(from);
    this.#record({ kind: "reply", at: 0, node: caller.id, group: GROUP, query: name, member: from.id, status });
    const { asked } = question;
    if (asked !== undefined && [...asked].every((process) => answered.has(process)))
      this.#endQuestion(question, "complete");
    else if (wanted === 1 && status === "value" && asked !== undefined) this.#endQuestion(question, "enough");
  }

  #reportLeft(question: Question): void {
    for (const process of question.asked ?? []) {
      if (!this.#members.includes(process)) this.#reply(question, process, "left");
    }
  }

  #endQuestion(question: Question, outcome: EventOf<"query-end">["outcome"]): void {
    question.ended = true;
    this.#record({ kind: "query-end", at: 0, node: question.caller.id, group: GROUP, query: question.name, outcome });
  }

  /** Queries of the view that ends, for a member that will not deliver them because it still has no state. */
  #unanswered(process: Process, letters: readonly Letter[]): { readonly question: Question }[] {
    if (process.synced) return [];
    return letters.flatMap(({ question }) => (question?.asked?.has(process) ? [{ question }] : []));
  }

  #newProcess(): Process {
    const id = `n${this.#processes.length}#${String(this.#processes.length).padStart(8, "0")}`;
    this.#record({ kind: "start", at: 0, node: id });
    const process = { id, running: true, isolated: false, synced: false, delivered: new Set<Letter>(), sent: [] };
    return { ...process, place: 0, flushes: [], sum: 0, chain: 0 };
  }

  #isolated(): Process[] {
    return this.#processes.filter((process) => process.running && process.isolated);
  }

  #anyMember(): Process {
    return this.#any(this.#members);
  }

  #any<T>(values: readonly T[]): T {
    return values[this.#pick(values.length)] as T;
  }

  #record(event: HistoryEvent): void {
    this.history.push({ ...event, at: this.history.length });
  }
}
