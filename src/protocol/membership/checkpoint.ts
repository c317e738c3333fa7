/**
 * Writes the state at the start of a view into the group's journal, as a donor streams it to a joiner: the application
 * captures it at that point and is asked for one piece after another, of which a bounded number is not on disk yet.
 */
import type { Effects } from "../effects.ts";
import type { GroupJournal } from "../group-journal.ts";
import type { NodeId } from "../view.ts";

export class Checkpoint {
  readonly #group: number;
  /** The member itself is the one that the state is captured for. */
  readonly #self: NodeId;
  readonly #chunksMax: number;
  readonly #journal: GroupJournal;
  readonly #effects: Effects;
  readonly #onDisk: () => void;
  readonly since: number;
  #waiting = 0;
  #pulling = false;
  #ended = false;

  /** The journal has begun it; `onDisk` is called when all of it is there. */
  constructor(
    { group, self, journal }: { readonly group: number; readonly self: NodeId; readonly journal: GroupJournal },
    since: number,
    chunksMax: number,
    effects: Effects,
    onDisk: () => void,
  ) {
    this.#group = group;
    this.#self = self;
    this.since = since;
    this.#chunksMax = chunksMax;
    this.#journal = journal;
    this.#effects = effects;
    this.#onDisk = onDisk;
    effects.perform({ kind: "capture", group, joiner: self, since });
    this.#pull();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The application's next piece, or undefined at the end. */
  chunk(bytes: Uint8Array | undefined): void {
    if (!this.#pulling || this.#ended) return;
    this.#pulling = false;
    this.#waiting++;
    this.#journal.checkpoint(bytes ?? new Uint8Array(0), bytes === undefined, () => {
      this.#waiting--;
      this.#pull();
      if (bytes === undefined) this.#onDisk();
    });
    if (bytes === undefined) this.end();
    else this.#pull();
  }

  /** The application cannot capture its state: what is there of it is no checkpoint. */
  fail(): void {
    this.#journal.abandonCheckpoint();
    this.end();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#effects.perform({ kind: "release", group: this.#group, joiner: this.#self, since: this.since });
  }

  #pull(): void {
    if (this.#pulling || this.#ended || this.#waiting >= this.#chunksMax) return;
    this.#pulling = true;
    this.#effects.perform({ kind: "pull", group: this.#group, joiner: this.#self, since: this.since });
  }
}
