/**
 * To whom a member gives its state: to the joiners whose donor it is, each from the start of the view that names it, or what
 * such a joiner lacks of it; and in a durable group now and then to its own disk.
 */
import type { Effects } from "../effects.ts";
import type { GroupJournal } from "../group-journal.ts";
import type { JournalRecord } from "../journal-records.ts";
import type { Transfer } from "../messages.ts";
import type { GroupView, NodeId } from "../view.ts";
import { Checkpoint } from "./checkpoint.ts";
import { TailDonation } from "./tail.ts";
import { Donation } from "./transfer.ts";

export interface DonationsHost {
  readonly group: number;
  readonly self: NodeId;
  readonly journal: GroupJournal;
}

export class Donations {
  readonly #host: DonationsHost;
  /** Of each transfer, and of a checkpoint, so many pieces are under way at a time. */
  readonly #chunksMax: number;
  readonly #effects: Effects;
  readonly #donations = new Map<NodeId, Donation | TailDonation>();
  /** Who has asked for records of the log, in this order. */
  readonly #readers: TailDonation[] = [];
  #checkpoint: Checkpoint | undefined;

  constructor(host: DonationsHost, chunksMax: number, effects: Effects) {
    this.#host = host;
    this.#chunksMax = chunksMax;
    this.#effects = effects;
  }

  /** A view with these transfers is being installed; `holdsState`: this member has the state at its start. */
  begin(view: GroupView, transfers: readonly Transfer[], holdsState: boolean): void {
    this.#endUnless((joiner, { since }) => transfers.some((goes) => goes.joiner === joiner && goes.since === since));
    const { self, journal } = this.#host;
    if (holdsState && journal.isLong) {
      journal.beginCheckpoint(view.number);
      this.checkpoint(view.number, () => {});
    }
    for (const transfer of transfers) {
      const { joiner, donor, since } = transfer;
      if (donor === self && since === view.number) this.#donations.set(joiner, this.#donationFor(transfer, view));
    }
  }

  /** Writes the state as it is now, at the start of view `since`, as the checkpoint that the journal has begun. */
  checkpoint(since: number, onDisk: () => void): void {
    this.#checkpoint = new Checkpoint(this.#host, since, this.#chunksMax, this.#effects, onDisk);
  }

  #donationFor(transfer: Transfer, view: GroupView): Donation | TailDonation {
    const { joiner, since, standing } = transfer;
    const { group, journal } = this.#host;
    // C14: what was run in the meantime this member can run, but perhaps not the joiner.
    const isAble = view.lacking.every(({ members }) => !members.includes(joiner));
    const stretch = standing && isAble ? journal.lackedBy(standing) : undefined;
    if (stretch === undefined) return new Donation(group, joiner, since, this.#chunksMax, this.#effects);
    const donation: TailDonation = new TailDonation(
      group,
      transfer,
      stretch,
      this.#chunksMax,
      journal,
      this.#effects,
      (from, to) => {
        this.#readers.push(donation);
        this.#effects.perform({ kind: "recall", group, from, to });
      },
    );
    return donation;
  }

  /** Records of the log for the first that has asked. */
  recalled(records: readonly JournalRecord[], next: number | "end" | "damaged"): void {
    this.#readers.shift()?.recalled(records, next);
  }

  /** The next chunk of a captured state. */
  chunk(joiner: NodeId, since: number, chunk: Uint8Array | undefined): void {
    const source = joiner === this.#host.self ? this.#checkpoint : this.#donations.get(joiner);
    if (source?.since === since && !(source instanceof TailDonation)) source.chunk(chunk);
  }

  /** The application could not capture its state at the start of view `since` for the disk. */
  checkpointFailed(since: number): void {
    if (this.#checkpoint?.since === since) this.#checkpoint.fail();
  }

  credit(joiner: NodeId, since: number, index: number): void {
    const donation = this.#donations.get(joiner);
    if (donation?.since === since) donation.credit(index);
  }

  /** Who has the state needs no donor any more. */
  endOf(isSynced: (joiner: NodeId) => boolean): void {
    this.#endUnless((joiner) => !isSynced(joiner));
  }

  end(): void {
    this.#checkpoint?.end();
    this.#endUnless(() => false);
  }

  #endUnless(goesOn: (joiner: NodeId, donation: { readonly since: number }) => boolean): void {
    for (const [joiner, donation] of this.#donations) {
      if (goesOn(joiner, donation)) continue;
      donation.end();
      this.#donations.delete(joiner);
    }
  }
}
