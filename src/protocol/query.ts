/**
 * The queries that a member has asked and not closed (Q1): every member of the view in which a query was delivered
 * answers it, answers null, aborts it, or is reported as having left; no time-out is needed for the end. An answer of a
 * member that was already reported as left is dropped (rule D-2).
 */
import type { AnswerStatus, Effects, ReplyStatus } from "./effects.ts";
import type { NodeId } from "./view.ts";

interface Query {
  /** Who has not answered; undefined until the query is delivered here. */
  awaited: Set<NodeId> | undefined;
  /** The number of the view in which it was delivered here. */
  view: number;
  /** Who has answered before the query was delivered here. */
  readonly early: Set<NodeId>;
  /** Who was accused because its answer took too long. */
  accused: readonly NodeId[];
}

interface Assembly {
  readonly parts: Uint8Array[];
  bytes: number;
}

const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const NOTHING = new Uint8Array(0);

export class Queries {
  readonly #group: number;
  readonly #effects: Effects;
  readonly #open = new Map<number, Query>();
  /** Long answers come in parts. */
  readonly #assemblies = new Map<string, Assembly>();
  /** The members of the newest view. */
  #members: ReadonlySet<NodeId> = new Set();
  /** Joiners, with the number of the view from whose start on they have the messages, not the state, of the group. */
  readonly #answersFrom = new Map<NodeId, number>();

  constructor(group: number, effects: Effects) {
    this.#group = group;
    this.#effects = effects;
  }

  /** The number is one that this incarnation has not used before, in any group: a late answer never meets another query. */
  open(query: number): void {
    this.#open.set(query, { awaited: undefined, view: 0, early: new Set(), accused: [] });
  }

  close(query: number): void {
    this.#open.delete(query);
    this.#forgetAssemblies(query);
  }

  /** The query was delivered here in view number `view`: `members` will answer. */
  delivered(query: number, members: readonly NodeId[], view: number): void {
    const open = this.#open.get(query);
    if (open === undefined) return;
    open.awaited = new Set(members.filter((member) => !open.early.has(member)));
    open.view = view;
    // The delivery may have been the last act of an epoch whose successor is already in place.
    this.#reportLeft(query, open);
  }

  answered(from: NodeId, query: number, status: AnswerStatus, part: Uint8Array, more: boolean): void {
    const open = this.#open.get(query);
    if (open === undefined) return;
    const isExpected = open.awaited?.has(from) ?? (this.#members.has(from) && !open.early.has(from));
    // A part of nothing that is not the last is none.
    if (!isExpected || (more && part.length === 0)) return;
    const value = this.#assembled(`${query} ${from}`, part, more);
    if (value === undefined) return;
    open.early.add(from);
    open.awaited?.delete(from);
    this.#effects.perform({ kind: "reply", group: this.#group, query, from, status, value });
    this.#completeIfAnswered(query, open);
  }

  /**
   * A view was installed: those who are not in it will not answer. Nor will those whose state transfer has begun anew with
   * it: what was delivered before is in the state that they load, and they answer none of it.
   */
  installed(view: number, members: readonly NodeId[], loadingAnew: readonly NodeId[]): void {
    this.#members = new Set(members);
    for (const member of loadingAnew) this.#answersFrom.set(member, view);
    for (const member of this.#answersFrom.keys()) if (!this.#members.has(member)) this.#answersFrom.delete(member);
    for (const [query, open] of this.#open) this.#reportLeft(query, open);
  }

  /** Which of these members are to be accused: those whose answers are still awaited. */
  accuse(query: number, members: readonly NodeId[]): readonly NodeId[] {
    const open = this.#open.get(query);
    if (open === undefined) return [];
    open.accused = members.filter((member) => open.awaited?.has(member));
    return open.accused;
  }

  /** These were accused, and stay members: nobody waits for their answers any longer. */
  spared(members: readonly NodeId[]): void {
    for (const [query, open] of this.#open) {
      for (const member of members) if (open.accused.includes(member)) this.#giveUp(query, open, member, "timeout");
      this.#completeIfAnswered(query, open);
    }
  }

  #reportLeft(query: number, open: Query): void {
    for (const member of [...(open.awaited ?? [])]) {
      const isGone = !this.#members.has(member);
      if (!isGone && open.view >= (this.#answersFrom.get(member) ?? 0)) continue;
      this.#giveUp(query, open, member, isGone ? "left" : "null");
    }
    this.#completeIfAnswered(query, open);
  }

  #giveUp(query: number, open: Query, member: NodeId, status: ReplyStatus): void {
    if (open.awaited?.delete(member) !== true) return;
    this.#effects.perform({ kind: "reply", group: this.#group, query, from: member, status, value: NOTHING });
  }

  /** The whole answer, once its last part has come. */
  #assembled(key: string, part: Uint8Array, more: boolean): Uint8Array | undefined {
    const assembly = this.#assemblies.get(key);
    if (!more && assembly === undefined) return part;
    const joined = assembly ?? { parts: [], bytes: 0 };
    joined.parts.push(part);
    joined.bytes += part.length;
    if (more) {
      // Beyond the limit only the fact that there was an answer is kept.
      if (joined.bytes > ANSWER_BYTES_MAX) joined.parts.length = 0;
      this.#assemblies.set(key, joined);
      return undefined;
    }
    this.#assemblies.delete(key);
    if (joined.bytes > ANSWER_BYTES_MAX) return NOTHING;
    const value = new Uint8Array(joined.bytes);
    let at = 0;
    for (const piece of joined.parts) {
      value.set(piece, at);
      at += piece.length;
    }
    return value;
  }

  #completeIfAnswered(query: number, open: Query): void {
    if (open.awaited?.size !== 0) return;
    this.#open.delete(query);
    this.#forgetAssemblies(query);
    this.#effects.perform({ kind: "queryComplete", group: this.#group, query });
  }

  #forgetAssemblies(query: number): void {
    for (const key of this.#assemblies.keys()) if (key.startsWith(`${query} `)) this.#assemblies.delete(key);
  }
}
