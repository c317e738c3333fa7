/**
 * E3: what a durable group's records say after all its members have failed. Each epoch delivers again what this member
 * held of it, in the order that it had: what the sequencer announced, as far as that is on disk, then the rest, as every
 * survivor of a flush does. An epoch ends where its successor says; the last one at the newest cut that this member has
 * acknowledged, because others may have gone on from there, and else with all that is here. As a member acknowledges a cut,
 * or a packet, only when it is on disk, nothing that anybody was told to be safe is missing.
 *
 * Where the group has gone on without this member, its records may hold more of the last epoch than those who went on:
 * beyond their cut they count for nothing, and what its own records lack follows from a donor's.
 */
import type { Packet } from "../wire/packet.ts";
import { Effects } from "./effects.ts";
import { Epoch } from "./epoch.ts";
import { VOLATILE } from "./journal.ts";
import type { JournalRecord } from "./journal-records.ts";
import type { Row } from "./messages.ts";
import { type GroupView, isAcceptor } from "./view.ts";

/** Where the records end: the number of the last epoch, and the cut at which it has ended. Number 0: there is none. */
export interface ReplayEnd {
  readonly from: number;
  readonly cut: Row;
}

export interface ReplayHost {
  /** What is delivered from now on was delivered in this view. */
  revisit(view: GroupView): void;
  deliver(view: GroupView, packet: Packet, sender: number, index: number): void;
}

export class Replay {
  readonly #group: number;
  readonly #since: number;
  readonly #host: ReplayHost;
  readonly #limit: ReplayEnd | undefined;
  #epoch: Epoch | undefined;
  /** Whether no message of the epoch can have been safe without being on this disk. */
  #isAcceptors = true;
  /** The newest cut of the epoch that was acknowledged. */
  #cut: Row | undefined;
  #flaw: string | undefined;

  /**
   * Of the epochs from view `since` on, with whose beginning the state that is there begins. `limit`: an epoch, and the cut
   * beyond which nothing of it counts.
   */
  constructor(group: number, since: number, host: ReplayHost, limit?: ReplayEnd) {
    this.#group = group;
    this.#since = since;
    this.#host = host;
    this.#limit = limit;
  }

  /** What is missing or contradicts itself, if anything does; then nothing may be made of these records. */
  get flaw(): string | undefined {
    return this.#flaw;
  }

  /**
   * E3: whether the last epoch may have had safe messages that are not here. It cannot where they have waited for this disk,
   * nor when this member has acknowledged a cut, which has them all, nor if the epoch was over for this member when it began.
   * Of later epochs nothing was safe: each member has the beginning of an epoch on disk before others may count on it
   * (custody.ts).
   */
  get isBehind(): boolean {
    return this.#epoch !== undefined && !this.#isAcceptors && this.#cut === undefined;
  }

  /** The node's next record; those of others are passed over. */
  add(record: JournalRecord): void {
    if (this.#flaw !== undefined) return;
    switch (record.kind) {
      case "packet":
        this.#packet(record.packet);
        break;
      case "cut":
        if (record.group === this.#group && record.from === this.#epoch?.number) this.#cut = record.cut;
        break;
      case "began":
        if (record.group === this.#group && record.view.number >= this.#since) this.#begin(record);
        break;
      default:
    }
  }

  /** There are no more records. */
  end(): ReplayEnd {
    const from = this.#epoch?.number ?? 0;
    return { from, cut: this.#close(this.#cut ?? this.#epoch?.held()) };
  }

  /** The epoch of a view begins that is not replayed: the one before, `from`, has ended at `cut`. */
  endAt({ from, cut }: ReplayEnd): void {
    if (this.#flaw !== undefined) return;
    if (from !== this.#epoch?.number) this.#flaw = `epoch ${from} is missing`;
    else this.#close(cut);
  }

  #packet(packet: Packet): void {
    const epoch = this.#epoch;
    if (epoch === undefined || packet.group !== this.#group || packet.epoch !== epoch.number) return;
    const limit = this.#limit;
    if (limit?.from === epoch.number && packet.seqno >= (limit.cut[packet.sender] ?? 0)) return;
    if (!epoch.restore(packet)) this.#flaw = `epoch ${epoch.number}: a packet is missing before ${packet.seqno}`;
  }

  #begin({ view, self, target, from, cut }: Extract<JournalRecord, { kind: "began" }>): void {
    const before = this.#epoch?.number ?? 0;
    if (from !== before && before !== 0) this.#flaw = `epoch ${view.number} follows ${from}, and ${before} is here`;
    else this.#close(cut);
    if (this.#flaw !== undefined) return;
    this.#host.revisit(view);
    this.#cut = undefined;
    // C6: who is on its way to a newer target begins frozen.
    this.#isAcceptors = isAcceptor(view, self) || target > view.number;
    this.#epoch = new Epoch(
      {
        group: this.#group,
        view,
        self,
        safety: "all",
        relaysRows: false,
        windowBytes: Number.POSITIVE_INFINITY,
        rowDelayMs: Number.POSITIVE_INFINITY,
        journal: VOLATILE,
        deliver: (packet, sender, index) => this.#host.deliver(view, packet, sender, index),
      },
      new Effects(),
    );
  }

  #close(cut: Row = []): Row {
    const epoch = this.#epoch;
    if (epoch === undefined) return [];
    if (epoch.gaps(cut).length > 0) {
      this.#flaw = `epoch ${epoch.number}: a part of what its cut names is missing`;
      return [];
    }
    epoch.freeze();
    epoch.drain(cut);
    this.#epoch = undefined;
    return cut;
  }
}
