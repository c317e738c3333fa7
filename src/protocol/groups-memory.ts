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
}

/** What has been found of one group. */
interface Trail {
  readonly name: string;
  /** Where epochs began, by number. */
  readonly began: Map<number, number>;
  complete: { readonly view: number; readonly at: number } | undefined;
  open: { readonly view: number; readonly at: number; next: number } | undefined;
}

export class GroupsMemory {
  readonly #trails = new Map<number, Trail>();

  /** The log's next record, and its position. */
  add(position: number, record: JournalRecord): void {
    if (record.kind === "began") this.#began(position, record);
    else if (record.kind === "checkpoint") this.#piece(position, record);
  }

  /** The groups whose state can be had from the log. */
  remains(): Map<number, Remains> {
    const found = new Map<number, Remains>();
    for (const [group, { name, began, complete }] of this.#trails) {
      const from = complete === undefined ? Math.min(...began.values()) : began.get(complete.view);
      if (from !== undefined) found.set(group, { group, name, from, checkpoint: complete });
    }
    return found;
  }

  #began(position: number, { group, name, view, from }: Extract<JournalRecord, { kind: "began" }>): void {
    const before = this.#trails.get(group);
    // From nowhere: another membership, which has or gets its state from elsewhere.
    const trail =
      from === 0 || before === undefined ? { name, began: new Map(), complete: undefined, open: undefined } : before;
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
