/**
 * What a node's log still says of durable groups when the node starts: for each, where its newest complete checkpoint lies
 * and from which record on it is needed. It is of use only to a node that the directory names as a keeper of the group.
 */
import type { JournalRecord } from "./journal-records.ts";

export interface Remains {
  readonly group: number;
  readonly name: string;
  /** The position of the first record that is needed. */
  readonly from: number;
  /** The checkpoint: the view at whose start the state was taken, and the position of its first piece. */
  readonly checkpoint: { readonly view: number; readonly at: number } | undefined;
  /** Why the group cannot be had from this log, if it cannot. */
  readonly flaw?: string;
}

const DAMAGED = "a part of the log is not intact";

/** What has been found of one group. */
interface Trail {
  readonly name: string;
  /** Its first epoch here was the first of this membership: nothing lies before it. */
  readonly isFromStart: boolean;
  /** Where epochs began, by number. */
  readonly began: Map<number, number>;
  complete: { readonly view: number; readonly at: number } | undefined;
  open: { readonly view: number; readonly at: number; next: number } | undefined;
}

export class GroupsMemory {
  readonly #trails = new Map<number, Trail>();
  /** Behind the last record that is not intact. */
  #missedTo = 0;

  /** The log's next record, and its position. */
  add(position: number, record: JournalRecord): void {
    if (record.kind === "began") this.#began(position, record);
    else if (record.kind === "checkpoint") this.#piece(position, record);
  }

  /** The records before this position, back to the one that was added last, are not intact. */
  missed(to: number): void {
    this.#missedTo = to;
  }

  /** The groups of which something is in the log. Whatever is missing may have been theirs. */
  remains(): Map<number, Remains> {
    const found = new Map<number, Remains>();
    for (const [group, { name, isFromStart, began, complete }] of this.#trails) {
      const first = complete === undefined ? Math.min(...began.values()) : began.get(complete.view);
      const isWhole = first !== undefined && first >= this.#missedTo && (isFromStart || complete !== undefined);
      const from = first ?? Math.min(...began.values());
      const remains = { group, name, from, checkpoint: complete };
      found.set(group, isWhole ? remains : { ...remains, flaw: DAMAGED });
    }
    return found;
  }

  #began(position: number, { group, name, view, from }: Extract<JournalRecord, { kind: "began" }>): void {
    const before = this.#trails.get(group);
    // From nowhere: another membership, which has or gets its state from elsewhere.
    const trail =
      from === 0 || before === undefined
        ? { name, isFromStart: from === 0, began: new Map(), complete: undefined, open: undefined }
        : before;
    trail.began.set(view.number, position);
    this.#trails.set(group, trail);
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
