/**
 * One group's part of the node's journal: its epochs with their packets and cuts, and checkpoints, which are the state at
 * the start of an epoch, in pieces between the other records. Once all of a checkpoint is on disk, the group needs nothing
 * that lies before the beginning of that epoch. A group in memory has a part, too, in which nothing is kept.
 */

import type { EpochMark, Remains } from "./groups-memory.ts";
import { type Journal, JournalPart } from "./journal.ts";
import type { JournalRecord } from "./journal-records.ts";
import type { Standing } from "./messages.ts";
import type { ReplayEnd } from "./replay.ts";
import type { GroupView, NodeId } from "./view.ts";

interface Checkpoint {
  readonly view: number;
  /** Where the epoch begins, and how many bytes of records lay before it. */
  readonly at: number;
  readonly before: number;
  /** Where its first piece is. */
  first: number;
  next: number;
  bytes: number;
}

/** A part of the log that says what somebody lacks who stands in the epoch that ended at `end`. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly end: ReplayEnd;
  /** The epoch after that. */
  readonly next: number;
}

/** Of the log so much is given rather than a state, however small that is. */
const TAIL_BYTES = 1024 * 1024;

export class GroupJournal extends JournalPart {
  readonly #group: number;
  readonly #name: string;
  readonly #self: NodeId;
  readonly #bytesMax: number;
  #began = 0;
  /** The epochs that the log has, from the newest complete checkpoint on. */
  #epochs: EpochMark[] = [];
  #remains: Remains | undefined;
  /** Bytes of records so far, and as far as the newest complete checkpoint makes them unneeded. */
  #bytes = 0;
  #covered = 0;
  #stateBytes = 0;
  /** How many bytes there were when a checkpoint failed: it is tried again when there are as many more as for a new one. */
  #failedAt = 0;
  #open: Checkpoint | undefined;
  /** Before this position records are not intact; 0 once that has been tried to make good. */
  #damagedTo = 0;

  constructor(journal: Journal, group: number, name: string, self: NodeId, bytesMax: number) {
    super(journal);
    this.#group = group;
    this.#name = name;
    this.#self = self;
    this.#bytesMax = bytesMax;
  }

  /** Whether so much was recorded since the last checkpoint that another one is wanted, and none is under way. */
  get isLong(): boolean {
    const bytes = this.#bytes - Math.max(this.#covered, this.#failedAt);
    const isLong = bytes >= Math.max(this.#bytesMax, this.#stateBytes * 2);
    return this.#open === undefined && (isLong || this.isDamaged);
  }

  /** Whether records that the group needs are not intact. */
  get isDamaged(): boolean {
    return this.#remains !== undefined && this.#remains.from < this.#damagedTo;
  }

  /** Records before this position are not intact: the state in memory is, and a checkpoint of it makes them unneeded. */
  damaged(to: number): void {
    this.#damagedTo = Math.max(this.#damagedTo, to);
  }

  override write(record: JournalRecord): void {
    if (record.kind === "packet") this.#bytes += record.packet.bytes.length;
    super.write(record);
  }

  /** An epoch begins, on the way to `target`; the one before it, if there was one, has ended so. */
  begin(view: GroupView, { from, cut }: ReplayEnd, target: number = view.number): void {
    if (!this.durable) return;
    this.#began = this.journal.next;
    this.#epochs.push({ number: view.number, at: this.#began, bytes: this.#bytes, cut });
    this.#remains ??= this.#remainsFrom(this.#began, undefined);
    this.write({ kind: "began", group: this.#group, name: this.#name, self: this.#self, view, target, from, cut });
  }

  /** E3: the group goes on from what was recorded before. */
  continue(remains: Remains): void {
    this.#remains = remains;
    this.#epochs = [...(remains.epochs ?? [])];
  }

  /** The group has gone on without this node: what was recorded before is needed until it has the present state. */
  keep(remains: Remains): void {
    this.#remains = remains;
  }

  /** Where the log has what a member lacks of the epochs before the present one; undefined if the whole state is less. */
  lackedBy({ epoch, held }: Standing): Stretch | undefined {
    const index = this.#epochs.findIndex(({ number }) => number === epoch);
    const [mark, next, last] = [this.#epochs[index], this.#epochs[index + 1], this.#epochs.at(-1)];
    if (mark === undefined || next === undefined || last === undefined) return undefined;
    const all = next.cut.reduce((sum, count) => sum + count, 0);
    const lacked = next.cut.reduce((sum, count, sender) => sum + Math.max(0, count - (held[sender] ?? 0)), 0);
    const bytes = last.bytes - next.bytes + ((next.bytes - mark.bytes) * lacked) / Math.max(all, 1);
    if (bytes > Math.max(TAIL_BYTES, this.#stateBytes)) return undefined;
    return { from: mark.at, to: last.at + 1, end: { from: epoch, cut: next.cut }, next: next.number };
  }

  /** These came back from the log: they lie behind the checkpoint, too, which the next one makes unneeded. */
  replayed(records: readonly JournalRecord[]): void {
    for (const record of records) if (record.kind === "packet") this.#bytes += record.packet.bytes.length;
  }

  /** Where the group's records are; undefined when none was written. */
  get remains(): Remains | undefined {
    return this.#remains;
  }

  /**
   * The membership is over, and another one says what the group needs of the log: a checkpoint that is still on its way to the
   * disk comes too late.
   */
  end(): void {
    this.#open = undefined;
  }

  /** A checkpoint of the state at the start of the present epoch, `view`, begins; one that is under way is abandoned. */
  beginCheckpoint(view: number): void {
    if (!this.durable) return;
    const first = this.journal.next;
    this.#open = { view, at: this.#began, before: this.#bytes, first, next: 0, bytes: 0 };
  }

  /** The rest of the checkpoint will not come: the records before it are still needed. */
  abandonCheckpoint(): void {
    this.#open = undefined;
    this.#failedAt = this.#bytes;
    this.#damagedTo = 0;
  }

  /** The next piece of the checkpoint; `onDisk` is called when it is on disk. */
  checkpoint(chunk: Uint8Array, last: boolean, onDisk: () => void): void {
    const open = this.#open;
    if (open !== undefined) {
      if (open.next === 0) open.first = this.journal.next;
      open.bytes += chunk.length;
      const { view } = open;
      this.write({ kind: "checkpoint", group: this.#group, view, index: open.next++, chunk, last });
    }
    this.after(() => {
      if (last && open !== undefined && this.#open === open) this.#complete(open);
      onDisk();
    });
  }

  #complete({ view, at, first, before, bytes }: Checkpoint): void {
    this.#open = undefined;
    this.#covered = before;
    this.#stateBytes = bytes;
    this.#epochs = this.#epochs.filter((epoch) => epoch.at >= at);
    this.#remains = this.#remainsFrom(at, { view, at: first });
  }

  /** What lies before `from` is not needed. */
  #remainsFrom(from: number, checkpoint: Remains["checkpoint"]): Remains {
    this.journal.need(this.#group, from);
    return { group: this.#group, name: this.#name, from, checkpoint };
  }
}
