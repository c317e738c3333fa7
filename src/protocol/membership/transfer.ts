/**
 * State transfer (ST1): the donor's state at the start of the view that admits the joiner, streamed in chunks outside the
 * flush, a bounded number of them under way. When the donor goes, the next view names another and the joiner begins anew
 * with the state at the start of that view, so it never needs two halves of two states.
 */
import { assert } from "../../base/assert.ts";
import type { Effects } from "../effects.ts";
import type { GroupJournal } from "../group-journal.ts";
import { CHUNK_BYTES_MAX, type Message } from "../messages.ts";
import type { NodeId } from "../view.ts";

type Chunk = Extract<Message, { kind: "stateChunk" }>;

/** The donor's side of one transfer. */
export class Donation {
  readonly joiner: NodeId;
  readonly since: number;
  readonly #group: number;
  readonly #effects: Effects;
  readonly #chunksMax: number;
  #sent = 0;
  #credited = 0;
  #pulling = false;
  #finished = false;

  constructor(group: number, joiner: NodeId, since: number, chunksMax: number, effects: Effects) {
    this.#group = group;
    this.joiner = joiner;
    this.since = since;
    this.#chunksMax = chunksMax;
    this.#effects = effects;
    effects.perform({ kind: "capture", group, joiner, since });
    this.#pull();
  }

  /** The application's next chunk, or undefined at the end. */
  chunk(bytes: Uint8Array | undefined): void {
    if (!this.#pulling || this.#finished) return;
    this.#pulling = false;
    const chunk = bytes ?? new Uint8Array(0);
    assert(chunk.length <= CHUNK_BYTES_MAX, "a chunk of a state fits into one message");
    this.#finished = bytes === undefined;
    const index = this.#sent++;
    const last = this.#finished;
    this.#effects.send(this.joiner, { kind: "stateChunk", group: this.#group, view: this.since, index, chunk, last });
    if (this.#finished) this.end();
    else this.#pull();
  }

  credit(index: number): void {
    // For what was not sent there is no credit.
    this.#credited = Math.max(this.#credited, Math.min(index + 1, this.#sent));
    this.#pull();
  }

  end(): void {
    this.#finished = true;
    this.#effects.perform({ kind: "release", group: this.#group, joiner: this.joiner, since: this.since });
  }

  #pull(): void {
    if (this.#pulling || this.#finished || this.#sent - this.#credited >= this.#chunksMax) return;
    this.#pulling = true;
    this.#effects.perform({ kind: "pull", group: this.#group, joiner: this.joiner, since: this.since });
  }
}

/** The joiner's side: the chunks of one donor's state, in order. In a durable group they are the checkpoint that it has begun. */
export class Loading {
  readonly donor: NodeId;
  readonly since: number;
  readonly #group: number;
  readonly #journal: GroupJournal;
  readonly #effects: Effects;
  #next = 0;

  constructor(group: number, donor: NodeId, since: number, journal: GroupJournal, effects: Effects) {
    this.#group = group;
    this.donor = donor;
    this.since = since;
    this.#journal = journal;
    this.#effects = effects;
    effects.perform({ kind: "load", group, since });
  }

  receive(message: Chunk): void {
    if (message.view !== this.since || message.index !== this.#next) return;
    this.#next++;
    const { chunk, last, index } = message;
    this.#effects.perform({ kind: "chunk", group: this.#group, since: this.since, chunk, last });
    this.#journal.checkpoint(chunk, last, () => {
      if (!last) this.#effects.send(this.donor, { kind: "stateCredit", group: this.#group, view: this.since, index });
    });
  }
}
