/**
 * What a node promises to remember over a crash. Whoever records something says so before the message that relies on it:
 *
 *     journal.write(record);
 *     journal.after(() => effects.send(to, message));
 *
 * On a node with a data directory the message leaves when the record, and every record before it, is on disk. On any other
 * the message leaves at once and nothing is recorded, by the same code. What promises nothing does not wait.
 *
 * A record's position is its place in the node's log, over restarts. Each group says from which position on it still
 * needs the log (`need`), before anything is given up; what no group needs is given up. The cluster is group 0.
 */
import { Deque } from "../base/deque.ts";
import type { Effects } from "./effects.ts";
import type { JournalRecord } from "./journal-records.ts";

export interface Journal {
  /** Whether anything is kept at all. */
  readonly durable: boolean;
  /** Whether the disk keeps up; while it does not, nothing new is begun. */
  readonly hasRoom: boolean;
  /** The position of the next record. */
  readonly next: number;
  /** Of what was written since the start. */
  readonly bytes: number;
  /** Records this; what `after` is given afterwards waits until it is on disk. A packet is held until then. */
  write(record: JournalRecord): void;
  /**
   * Runs the action once everything written so far is on disk; at once if that is so. Actions run in the order in which
   * they were given.
   */
  after(action: () => void): void;
  /** The same, but nobody waits: the disk may be left alone for a while, so that one write takes more. */
  afterwards(action: () => void): void;
  /** Somebody waits for what is written so far. */
  hurry(): void;
  /** The group needs no record before this position any more; `Infinity`: none at all. */
  need(group: number, from: number): void;
}

/** What writes records, and waits for them. */
export type Records = Pick<Journal, "durable" | "hasRoom" | "write" | "after" | "afterwards" | "hurry">;

/** A part of a node's journal: what it does not do in its own way, the whole does. */
export class JournalPart implements Journal {
  readonly durable: boolean;
  protected readonly journal: Journal;

  constructor(journal: Journal) {
    this.journal = journal;
    this.durable = journal.durable;
  }

  get hasRoom(): boolean {
    return this.journal.hasRoom;
  }

  get next(): number {
    return this.journal.next;
  }

  get bytes(): number {
    return this.journal.bytes;
  }

  write(record: JournalRecord): void {
    this.journal.write(record);
  }

  after(action: () => void): void {
    this.journal.after(action);
  }

  afterwards(action: () => void): void {
    this.journal.afterwards(action);
  }

  hurry(): void {
    this.journal.hurry();
  }

  need(group: number, from: number): void {
    this.journal.need(group, from);
  }
}

/** Of a node that keeps nothing. */
export const VOLATILE: Journal = {
  durable: false,
  hasRoom: true,
  next: 0,
  bytes: 0,
  write: () => {},
  after: (action) => action(),
  afterwards: (action) => action(),
  hurry: () => {},
  need: () => {},
};

/** Beyond so many records or bytes that are not on disk, nothing new is begun. */
const WAITING_BYTES_MAX = 32 * 1024 * 1024;
const WAITING_RECORDS_MAX = 65_536;
const RECORD_BYTES = 256;
/** What nobody waits for is written after so long, or when there is so much of it. */
const IDLE_MS = 10;
const IDLE_BYTES = 64 * 1024;

export class DurableJournal implements Journal {
  readonly durable = true;
  readonly #effects: Effects;
  readonly #needs: Map<number, number>;
  readonly #actions = new Deque<{ readonly position: number; readonly action: () => void }>();
  /** Records that are not on disk: the packets, which are held until then, and how many bytes each has. */
  readonly #waiting = new Deque<JournalRecord>();
  #waitingBytes = 0;
  #bytes = 0;
  #next: number;
  #durable: number;
  #floor = 0;
  /** Somebody waits for the records below this position; for the rest nobody does until the deadline. */
  #awaited = 0;
  #deadline = Number.POSITIVE_INFINITY;

  /**
   * `next`: the position of the first record that will be written; `needs`: from where on each group needs what is there.
   * All are known before the first says more, or it would give up what others need.
   */
  constructor(effects: Effects, next: number, needs: ReadonlyMap<number, number> = new Map()) {
    this.#effects = effects;
    this.#needs = new Map(needs);
    this.#next = next;
    this.#durable = next;
  }

  get next(): number {
    return this.#next;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get hasRoom(): boolean {
    return this.#waitingBytes < WAITING_BYTES_MAX && this.#waiting.length < WAITING_RECORDS_MAX;
  }

  write(record: JournalRecord): void {
    if (record.kind === "packet") record.packet.retain();
    this.#next++;
    this.#waiting.push(record);
    this.#waitingBytes += sizeOf(record);
    this.#bytes += sizeOf(record);
    this.#effects.perform({ kind: "persist", record });
  }

  /** Whether what waits is to be written now. */
  get isAwaited(): boolean {
    return this.#durable < this.#awaited;
  }

  /** Time of the next call of `endTurn` that is needed even if nothing else happens. */
  get deadline(): number {
    return this.#deadline;
  }

  after(action: () => void): void {
    this.hurry();
    this.#await(action);
  }

  afterwards(action: () => void): void {
    if (this.#waitingBytes >= IDLE_BYTES) this.hurry();
    this.#await(action);
  }

  hurry(): void {
    this.#awaited = this.#next;
  }

  endTurn(now: number): void {
    if (now >= this.#deadline) this.hurry();
    if (this.#awaited === this.#next || this.#durable === this.#next) this.#deadline = Number.POSITIVE_INFINITY;
    else if (this.#deadline === Number.POSITIVE_INFINITY) this.#deadline = now + IDLE_MS;
  }

  need(group: number, from: number): void {
    if (from === Number.POSITIVE_INFINITY) this.#needs.delete(group);
    else this.#needs.set(group, from);
    const floor = Math.min(this.#durable, ...this.#needs.values());
    if (floor <= this.#floor) return;
    this.#floor = floor;
    this.#effects.perform({ kind: "forget", below: floor });
  }

  /** All records below this position are on disk. */
  persisted(upTo: number): void {
    while (this.#durable < upTo) {
      const record = this.#waiting.shift();
      if (record === undefined) break;
      this.#durable++;
      this.#waitingBytes -= sizeOf(record);
      if (record.kind === "packet") record.packet.release();
    }
    for (let first = this.#actions.at(0); first !== undefined && first.position <= this.#durable; ) {
      this.#actions.shift();
      first.action();
      first = this.#actions.at(0);
    }
  }

  #await(action: () => void): void {
    if (this.#durable === this.#next && this.#actions.length === 0) action();
    else this.#actions.push({ position: this.#next, action });
  }
}

function sizeOf(record: JournalRecord): number {
  if (record.kind === "packet") return record.packet.bytes.length;
  if (record.kind === "again") return record.snapshot.length;
  return record.kind === "checkpoint" ? record.chunk.length + RECORD_BYTES : RECORD_BYTES;
}
