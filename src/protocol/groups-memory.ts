/**
 * What a node's log still says of durable groups when the node starts: for each, where its newest complete checkpoint lies
 * and from which record on it is needed. With it a node that the directory names as a keeper brings the group back; any
 * other that joins the group again needs only what has happened since.
 */
import type { JournalRecord } from "./journal-records.ts";
import type { Row, Standing } from "./messages.ts";

/** Where an epoch begins, how many bytes of packets lie before it, and at which cut the epoch before has ended. */
export interface EpochMark {
  readonly number: number;
  readonly at: number;
  readonly bytes: number;
  readonly cut: Row;
}

export interface Remains {
  readonly group: number;
  readonly name: string;
  /** The position of the first record that is needed. */
  readonly from: number;
  /** The checkpoint: the view at whose start the state was taken, and the position of its first piece. */
  readonly checkpoint: { readonly view: number; readonly at: number } | undefined;
  /** Behind the last record, if not all that the log says of the group belongs together. */
  readonly to?: number;
  /** The epochs from `from` on. */
  readonly epochs?: readonly EpochMark[];
  /** Where the last epoch stands; undefined if there is nothing from before the node has started. */
  readonly standing?: Standing;
  /** Why the group cannot be had from this log, if it cannot. */
  readonly flaw?: string;
  /** What an earlier membership has left, if the last one never came to hold the state. It makes no keeper. */
  readonly before?: Remains;
}

const DAMAGED = "a part of the log is not intact";

/** What has been found of one membership of one group. */
interface Trail {
  readonly group: number;
  readonly name: string;
  /** Its first epoch here was the first of the group, or of one that was brought back: no state lies before it. */
  readonly isFromStart: boolean;
  readonly epochs: EpochMark[];
  readonly held: number[];
  bytes: number;
  complete: { readonly view: number; readonly at: number } | undefined;
  open: { readonly view: number; readonly at: number; next: number } | undefined;
  readonly before: Remains | undefined;
}

export class GroupsMemory {
  readonly #trails = new Map<number, Trail>();
  /** Behind the last record that is not intact. */
  #missedTo = 0;

  /** The log's next record, and its position. */
  add(position: number, record: JournalRecord): void {
    if (record.kind === "packet") this.#packet(record.packet);
    else if (record.kind === "began") this.#began(position, record);
    else if (record.kind === "checkpoint") this.#piece(position, record);
  }

  /** The records before this position, back to the one that was added last, are not intact. */
  missed(to: number): void {
    this.#missedTo = to;
  }

  /** The groups of which something is in the log. Whatever is missing may have been theirs. */
  remains(): Map<number, Remains> {
    return new Map([...this.#trails].map(([group, trail]) => [group, this.#remainsOf(trail)]));
  }

  #remainsOf({ group, name, isFromStart, epochs, held, complete, before }: Trail): Remains {
    const first = complete === undefined ? epochs[0] : epochs.find(({ number }) => number === complete.view);
    const from = first?.at ?? epochs[0]?.at ?? 0;
    const isWhole = first !== undefined && from >= this.#missedTo && (isFromStart || complete !== undefined);
    const found = { group, name, from, checkpoint: complete };
    if (!isWhole) {
      const flawed = { ...found, flaw: DAMAGED };
      return before !== undefined && before.from >= this.#missedTo ? { ...flawed, before } : flawed;
    }
    const kept = epochs.filter(({ at }) => at >= from).map((mark) => ({ ...mark, bytes: mark.bytes - first.bytes }));
    return { ...found, epochs: kept, standing: { epoch: epochs.at(-1)?.number ?? 0, held } };
  }

  #packet({ group, epoch, sender, seqno, bytes }: Extract<JournalRecord, { kind: "packet" }>["packet"]): void {
    const trail = this.#trails.get(group);
    if (trail === undefined || sender >= trail.held.length || epoch !== trail.epochs.at(-1)?.number) return;
    trail.held[sender] = seqno + 1;
    trail.bytes += bytes.length;
  }

  #began(position: number, { group, name, self, view, from, cut }: Extract<JournalRecord, { kind: "began" }>): void {
    let trail = this.#trails.get(group);
    // From nowhere: another membership, which has or gets its state from elsewhere.
    if (from === 0 || trail === undefined) {
      const last = trail && this.#remainsOf(trail);
      const before = last?.flaw === undefined ? last && { ...last, to: position } : last.before;
      // Who makes a group, or brings it back, holds its state at once.
      const isFromStart = from === 0 && view.synced.includes(self);
      trail = {
        group,
        name,
        isFromStart,
        epochs: [],
        held: [],
        bytes: 0,
        complete: undefined,
        open: undefined,
        before,
      };
      this.#trails.set(group, trail);
    }
    trail.epochs.push({ number: view.number, at: position, bytes: trail.bytes, cut });
    trail.held.splice(0, Number.POSITIVE_INFINITY, ...view.members.map(() => 0));
  }

  #piece(position: number, { group, view, index, last }: Extract<JournalRecord, { kind: "checkpoint" }>): void {
    const trail = this.#trails.get(group);
    if (trail === undefined) return;
    if (index === 0) trail.open = { view, at: position, next: 0 };
    const { open } = trail;
    if (open?.view !== view || open.next !== index) return;
    open.next++;
    if (last) trail.complete = { view, at: open.at };
  }
}
