/**
 * What a joiner waits for, and what waits for it (ST1): it takes part in the group from its first view on, but its
 * application sees nothing of that before the state is there. Until then whatever is to be shown is kept behind a gate.
 * When the donor goes, the next view names another, and what was kept is in the state that comes from there.
 */
import type { Effect, Effects } from "../effects.ts";
import type { GroupJournal } from "../group-journal.ts";
import type { Message, Transfer } from "../messages.ts";
import type { NodeId } from "../view.ts";
import { Loading } from "./transfer.ts";

type Chunk = Extract<Message, { kind: "stateChunk" }>;

export interface EntranceHost {
  readonly group: number;
  readonly self: NodeId;
  readonly journal: GroupJournal;
  /** Whether the primary partition is out of reach: nothing is shown until it is back. */
  readonly blocked: boolean;
  /** The application sees what happens from now on. */
  opened(): void;
  /** The state at the start of view `since` is here, and on the disk if the group is durable (C9). */
  holdsState(since: number): void;
}

const EARLY_MAX = 65_536;

export class Entrance {
  readonly #host: EntranceHost;
  readonly #effects: Effects;
  /** Beyond so many bytes behind the gate the group's senders are to be held back. */
  readonly #bytesMax: number;
  /** What the application will see once its state is loaded. */
  #gate: Effect[] | undefined = [];
  #gatedBytes = 0;
  #loading: Loading | undefined;
  /** A state that was loaded while the primary partition was out of reach. */
  #loadedWhileBlocked: number | undefined;
  /** What has come before the view of its transfer was installed here. */
  #early: Chunk[] = [];

  constructor(host: EntranceHost, bytesMax: number, effects: Effects) {
    this.#host = host;
    this.#bytesMax = bytesMax;
    this.#effects = effects;
  }

  /** Whether the state is there. */
  get isOpen(): boolean {
    return this.#gate === undefined;
  }

  /** Whether so much waits for the state that no more should come. */
  get isFull(): boolean {
    return this.#gatedBytes > this.#bytesMax;
  }

  /** What the application is to see, in this order. */
  show(effect: Effect): void {
    if (this.#gate === undefined) {
      this.#effects.perform(effect);
      return;
    }
    if (effect.kind === "deliver") this.#gatedBytes += effect.packet.bytes.length;
    this.#gate.push(effect);
  }

  /** A view with these transfers is being installed. */
  begin(transfers: readonly Transfer[]): void {
    for (const { joiner, donor, since } of transfers) {
      if (joiner === this.#host.self && this.#gate !== undefined && since !== this.#loading?.since)
        this.#load(donor, since);
    }
  }

  receive(chunk: Chunk): void {
    if (this.#loading?.since === chunk.view) this.#loading.receive(chunk);
    else if (this.#gate !== undefined && this.#early.length < EARLY_MAX) this.#early.push(chunk);
  }

  /** The application has loaded the state of transfer `since`. */
  loaded(since: number): void {
    if (this.#loading?.since !== since) return;
    const { blocked, journal } = this.#host;
    this.#loadedWhileBlocked = blocked ? since : undefined;
    if (blocked) return;
    this.#loading = undefined;
    this.open(false);
    journal.after(() => this.#host.holdsState(since));
  }

  /** The primary partition is within reach again. */
  resume(): void {
    if (this.#loadedWhileBlocked !== undefined) this.loaded(this.#loadedWhileBlocked);
  }

  /** The state is there: the application may see what has gone on since. */
  open(created: boolean): void {
    const gated = this.#gate ?? [];
    this.#gate = undefined;
    this.#gatedBytes = 0;
    this.#effects.perform({ kind: "joined", group: this.#host.group, created });
    for (const effect of gated) this.#effects.perform(effect);
    this.#host.opened();
  }

  end(): void {
    this.#drop();
    this.#gate = undefined;
  }

  #load(donor: NodeId, since: number): void {
    this.#drop();
    const { group, journal } = this.#host;
    this.#loading = new Loading(group, donor, since, journal, this.#effects);
    for (const chunk of this.#early.splice(0)) this.receive(chunk);
  }

  #drop(): void {
    for (const effect of this.#gate ?? []) if (effect.kind === "deliver") effect.packet.release();
    this.#gate = [];
    this.#gatedBytes = 0;
  }
}
