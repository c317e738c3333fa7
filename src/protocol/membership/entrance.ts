/**
 * What a joiner waits for, and what waits for it (ST1): it takes part in the group from its first view on, but its
 * application sees nothing of that before the state is there. Until then whatever is to be shown is kept behind a gate.
 * When the donor goes, the next view names another, and what was kept is in the state that comes from there.
 *
 * Who comes back to a durable group with an earlier state on its disk says where it stands, and is given either the state,
 * or what has happened since (`tail.ts`); the first chunk tells which. Should the latter come to nothing, the joiner asks
 * for another view, and in that for the whole state.
 */
import type { Effect, Effects } from "../effects.ts";
import type { GroupJournal } from "../group-journal.ts";
import type { Remains } from "../groups-memory.ts";
import type { JournalRecord } from "../journal-records.ts";
import type { Message, Standing, Transfer } from "../messages.ts";
import type { NodeId } from "../view.ts";
import { Tail, type TailChunk } from "./tail.ts";
import { Loading } from "./transfer.ts";

type Chunk = Extract<Message, { kind: "stateChunk" }> | TailChunk;

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
  /** The state is to be written as it is now, at the start of view `since`, as the checkpoint that the journal has begun. */
  writeCheckpoint(since: number, onDisk: () => void): void;
  /** The transfer in this view has come to nothing: another view is wanted. */
  wentAstray(view: number): void;
}

export interface EntranceLimits {
  /** Beyond so many bytes behind the gate the group's senders are to be held back. */
  readonly joinerBytesMax: number;
  /** So many chunks of a transfer are under way at a time. */
  readonly chunksMax: number;
}

/** A donor sends no more than a few before it is answered. */
const EARLY_MAX = 256;

export class Entrance {
  readonly #host: EntranceHost;
  readonly #effects: Effects;
  readonly #limits: EntranceLimits;
  /** What the application will see once its state is loaded. */
  #gate: Effect[] | undefined = [];
  #gatedBytes = 0;
  /** The view from whose start on the state is wanted, who gives it, and how it comes, when that is known. */
  #since = 0;
  #donor = "";
  #loading: Loading | undefined;
  #tail: Tail | undefined;
  /** What this node's disk has of the group; undefined once that is of no use any more. */
  #remains: Remains | undefined;
  #astray = false;
  #view = 0;
  /** The state came while the primary partition was out of reach. */
  #hasComeWhileBlocked = false;
  /** What has come before the view of its transfer was installed here. */
  #early: { readonly from: NodeId; readonly chunk: Chunk }[] = [];

  /** `remains`: what the joiner's disk has of the group, if it is any use. */
  constructor(host: EntranceHost, remains: Remains | undefined, limits: EntranceLimits, effects: Effects) {
    this.#host = host;
    this.#remains = remains;
    this.#limits = limits;
    this.#effects = effects;
  }

  /** Where this joiner stands; undefined if it needs the whole state. */
  get standing(): Standing | undefined {
    return this.#remains?.standing;
  }

  /** Whether the transfer has come to nothing, and another is wanted. */
  get astray(): boolean {
    return this.#astray;
  }

  /** Whether the state is there. */
  get isOpen(): boolean {
    return this.#gate === undefined;
  }

  /** Whether so much waits for the state that no more should come. */
  get isFull(): boolean {
    return this.#gatedBytes > this.#limits.joinerBytesMax;
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

  /** View `view`, with these transfers, is being installed. */
  begin(view: number, transfers: readonly Transfer[]): void {
    this.#view = view;
    for (const { joiner, donor, since, standing } of transfers) {
      if (joiner === this.#host.self && this.#gate !== undefined && since !== this.#since)
        this.#load(donor, since, standing !== undefined);
    }
    if (this.#astray) this.#host.wentAstray(view);
  }

  receive(from: NodeId, chunk: Chunk): void {
    if (chunk.view !== this.#since) {
      const isAhead = this.#gate !== undefined && chunk.view > this.#since;
      if (isAhead && this.#early.length < EARLY_MAX) this.#early.push({ from, chunk });
    } else if (from !== this.#donor) {
      // Whoever else has a state was not asked for it.
    } else if (this.#astray || this.#gate === undefined) {
      // It comes too late.
    } else if (chunk.kind === "stateChunk") {
      if (this.#tail === undefined) this.#whole().receive(chunk);
    } else if (this.#loading === undefined) this.#rest().receive(chunk);
  }

  /** The application has loaded the state at the start of view `since`, the donor's or one of its own disk. */
  loaded(since: number): void {
    if (this.#loading !== undefined && since === this.#since) this.#came();
    else this.#tail?.loaded(since);
  }

  /** Records of this node's log; false if it was not the entrance that has asked for them. */
  recalled(records: readonly JournalRecord[], next: number | "end" | "damaged"): boolean {
    if (this.#tail?.isReading !== true) return false;
    this.#tail.recalled(records, next);
    return true;
  }

  /** The primary partition is within reach again. */
  resume(): void {
    if (this.#hasComeWhileBlocked) this.#came();
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
    this.#tail?.end();
    this.#gate = undefined;
  }

  #load(donor: NodeId, since: number, isChoice: boolean): void {
    this.#drop();
    this.#tail?.end();
    this.#tail = undefined;
    this.#loading = undefined;
    this.#astray = false;
    this.#hasComeWhileBlocked = false;
    this.#donor = donor;
    this.#since = since;
    this.#host.journal.beginCheckpoint(since);
    if (!isChoice) this.#whole();
    for (const { from, chunk } of this.#early.splice(0)) this.receive(from, chunk);
  }

  #whole(): Loading {
    const { group, journal } = this.#host;
    this.#remains = undefined;
    this.#loading ??= new Loading(group, this.#donor, this.#since, journal, this.#effects);
    return this.#loading;
  }

  /** What has happened since. */
  #rest(): Pick<Tail, "receive"> {
    if (this.#tail !== undefined) return this.#tail;
    const remains = this.#remains;
    if (remains === undefined) {
      this.#goAstray();
      return { receive: () => {} };
    }
    const { group } = this.#host;
    const since = this.#since;
    const host = {
      group,
      donor: this.#donor,
      since,
      remains,
      // What was replayed cannot be replayed again.
      began: () => {
        this.#remains = undefined;
      },
      arrived: () => this.#came(),
      failed: () => this.#goAstray(),
    };
    this.#tail = new Tail(host, this.#limits.chunksMax, this.#effects);
    return this.#tail;
  }

  /** The application has the state of the transfer. */
  #came(): void {
    const since = this.#since;
    const { blocked, journal } = this.#host;
    this.#hasComeWhileBlocked = blocked;
    if (blocked) return;
    const hold = (): void => this.#host.holdsState(since);
    // A state that came whole is on its way to the disk already.
    if (this.#tail !== undefined) this.#host.writeCheckpoint(since, hold);
    const isWhole = this.#tail === undefined;
    this.#tail = undefined;
    this.#loading = undefined;
    this.open(false);
    if (isWhole) journal.after(hold);
  }

  #goAstray(): void {
    this.#remains = undefined;
    this.#tail = undefined;
    this.#astray = true;
    this.#host.wentAstray(this.#view);
  }

  #drop(): void {
    for (const effect of this.#gate ?? []) if (effect.kind === "deliver") effect.packet.release();
    this.#gate = [];
    this.#gatedBytes = 0;
  }
}
