/**
 * What a node's disk remembers of the cluster, read off the node's log when it starts: the last view that was in place
 * with the directory at its beginning, and what the node, as an acceptor of that view, has held, promised and accepted.
 */
import { copyOf } from "../../base/arena.ts";
import { Packet } from "../../wire/packet.ts";
import type { Journal } from "../journal.ts";
import type { JournalRecord } from "../journal-records.ts";
import { isLower, type Proposal } from "../messages.ts";
import { NO_PLEDGE, type Pledge } from "./agreement.ts";

/** A view that was decided, and the directory at its beginning. */
export interface Installation {
  readonly decided: Proposal;
  readonly snapshot: Uint8Array;
}

/** Writes the view down; what was written about the cluster before is not needed once it is on disk. */
export function remember(journal: Journal, installation: Installation): void {
  const { next } = journal;
  journal.write({ kind: "view", ...installation });
  journal.after(() => journal.need(0, next));
}

export class ClusterMemory {
  #installed: Installation | undefined;
  #pledge: Pledge = NO_PLEDGE;
  #packets: Packet[] = [];
  #coordinator: string | undefined;
  #from: number | undefined;
  #isWhole = true;

  /** The log's next record, and its position. */
  add(position: number, record: JournalRecord): void {
    const number = this.#installed?.decided.view.number ?? 0;
    switch (record.kind) {
      case "founding":
        this.#coordinator = record.coordinator;
        this.#from ??= position;
        break;
      case "view":
        this.#isWhole = true;
        this.#installed = { decided: record.decided, snapshot: record.snapshot };
        this.#pledge = NO_PLEDGE;
        this.#packets = [];
        this.#from = position;
        break;
      case "again": {
        const { decided, snapshot, promised, accepted } = record;
        const packets = record.packets.map((bytes) => Packet.parse(bytes));
        this.#isWhole = packets.every((packet) => packet !== undefined);
        this.#installed = { decided, snapshot };
        this.#pledge = { promised, accepted };
        this.#packets = packets.filter((packet) => packet !== undefined);
        this.#from = position;
        break;
      }
      case "promise":
        if (record.view === number) this.#promised(record.ballot);
        break;
      case "accepted":
        if (record.view !== number) break;
        this.#promised(record.ballot);
        this.#pledge = { promised: this.#pledge.promised, accepted: record };
        break;
      case "packet":
        if (record.packet.group === 0 && record.packet.epoch === number) this.#packets.push(record.packet);
        break;
    }
  }

  /** All of it in one record, of which a crash leaves all or nothing; undefined before the first view, or if it is not whole. */
  record(): JournalRecord | undefined {
    if (this.#installed === undefined || !this.#isWhole) return undefined;
    const { promised, accepted } = this.#pledge;
    const packets = this.#packets.map(({ bytes }) => bytes);
    return { kind: "again", ...this.#installed, promised, accepted, packets };
  }

  /** One that goes on by itself. */
  copy(): ClusterMemory {
    const copy = new ClusterMemory();
    copy.#installed = this.#installed;
    copy.#pledge = this.#pledge;
    copy.#packets = this.#packets.map(({ bytes }) => new Packet(copyOf(bytes)));
    copy.#coordinator = this.#coordinator;
    copy.#from = this.#from;
    copy.#isWhole = this.#isWhole;
    return copy;
  }

  /** Records that are not intact lie here: whatever was promised since the last view may be among them. */
  missed(): void {
    this.#isWhole = false;
  }

  /** Whether all that was written since the last view is here. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** The last view; undefined when this disk has been in none. */
  get installed(): Installation | undefined {
    return this.#installed;
  }

  /** Of the acceptor of that view. */
  get pledge(): Pledge {
    return this.#pledge;
  }

  /** Of the cluster's epoch of that view, in the order in which they came. */
  get packets(): readonly Packet[] {
    return this.#packets;
  }

  /** The disk of the founder for whose first view this one has voted. */
  get coordinator(): string | undefined {
    return this.#coordinator;
  }

  /** Whether this disk has taken part in founding a cluster, or been in one: it is never founded again from it (A8). */
  get isUsed(): boolean {
    return this.#installed !== undefined || this.#coordinator !== undefined || !this.#isWhole;
  }

  /** The id of the cluster; "" for none. */
  get cluster(): string {
    return this.#installed?.decided.view.cluster ?? "";
  }

  /** The position of the first record that is still needed; undefined for none. */
  get from(): number | undefined {
    return this.#from;
  }

  #promised(ballot: Pledge["promised"]): void {
    if (isLower(this.#pledge.promised, ballot)) this.#pledge = { ...this.#pledge, promised: ballot };
  }
}
