/**
 * What a member holds of each sender, and may say so in its row: what has come; or, at an acceptor of a durable group, what
 * of that is on disk (E1). Other members of such a group write all of it, too, and need not wait for it, but in two cases:
 * what is written must not pile up; and nothing is held before the beginning of the epoch is on disk, so that a disk that
 * does not know of an epoch is proof that nothing was safe in it (E3). Packets go into the journal once, in each sender's
 * order; that they are on disk is learnt for all of a turn together.
 */
import type { Packet } from "../../wire/packet.ts";
import type { Records } from "../journal.ts";
import type { Stream } from "./stream.ts";

export class Custody {
  readonly #journal: Records;
  readonly #streams: readonly Stream[];
  readonly #isAcceptor: boolean;
  /** The beginning of the epoch is on disk. */
  #isBegun = false;
  /** Per sender: how many packets were written to the journal, and how many of them are on disk. */
  readonly #written: Uint32Array;
  readonly #persisted: Uint32Array;
  #unsettled = false;

  constructor(streams: readonly Stream[], journal: Records, isAcceptor: boolean) {
    this.#journal = journal;
    this.#isAcceptor = isAcceptor;
    this.#streams = streams;
    this.#written = new Uint32Array(streams.length);
    this.#persisted = new Uint32Array(streams.length);
  }

  /** How many packets of `sender` are held. */
  held(sender: number): number {
    const isBehind = this.#isAcceptor || !this.#isBegun || !this.#journal.hasRoom;
    if (this.#journal.durable && isBehind) return this.#persisted[sender] as number;
    return this.#streams[sender]?.received ?? 0;
  }

  /** The journal has the beginning of the epoch: calls back when it is on disk, if something waits for that. */
  begin(onDisk: () => void): void {
    if (!this.#journal.durable || this.#isAcceptor) return;
    this.#journal.after(() => {
      this.#isBegun = true;
      onDisk();
    });
  }

  /** Writes the packets of `sender` below `end` that have come and were not written before. */
  take(sender: number, end: number): void {
    if (!this.#journal.durable) return;
    const stream = this.#streams[sender];
    for (let seqno = this.#written[sender] as number; seqno < end; seqno++) {
      this.#journal.write({ kind: "packet", packet: stream?.get(seqno) as Packet });
      this.#written[sender] = seqno + 1;
      this.#unsettled = true;
    }
  }

  /** Calls back when what was taken since the last call is on disk, if there is anything; perhaps somebody waits for it. */
  settle(isAwaited: boolean, onDisk: () => void): void {
    if (!this.#unsettled) return;
    this.#unsettled = false;
    const written = this.#written.slice();
    this.#journal.afterwards(() => {
      this.#persisted.set(written);
      onDisk();
    });
    if (isAwaited) this.#journal.hurry();
  }
}
