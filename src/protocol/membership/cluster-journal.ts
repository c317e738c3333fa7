/**
 * The cluster's part of a node's journal. What a node must remember of the cluster is the view that is in place and all
 * that this acceptor has held and pledged since, which is little; but it lies where the view was installed, and nothing of
 * the log behind that could be given up as long as the view stays. So it is kept in mind, and written anew when much
 * has been written since.
 */
import { copyOf } from "../../base/arena.ts";
import { Packet } from "../../wire/packet.ts";
import { type Journal, JournalPart } from "../journal.ts";
import type { JournalRecord } from "../journal-records.ts";
import { ClusterMemory } from "./memory.ts";

/** More than this is not written twice: it waits for the next view. */
const PACKETS_BYTES_MAX = 4 * 1024 * 1024;

export class ClusterJournal extends JournalPart {
  readonly #memory: ClusterMemory;
  readonly #bytesMax: number;
  /** What the journal had written when the view was. */
  #bytesBefore = 0;
  #packetsBytes = 0;

  /** `memory`: what the disk remembers; `bytesMax`: of the journal between the view and its end. */
  constructor(journal: Journal, memory: ClusterMemory | undefined, bytesMax: number) {
    super(journal);
    this.#memory = memory?.copy() ?? new ClusterMemory();
    this.#bytesMax = bytesMax;
    for (const { bytes } of this.#memory.packets) this.#packetsBytes += bytes.length;
  }

  override write(record: JournalRecord): void {
    if (this.durable) this.#note(record);
    super.write(record);
  }

  /** Records before this position are not intact: if the view's are among them, it is written anew. */
  damaged(to: number): void {
    if ((this.#memory.from ?? to) < to) this.#bytesBefore = Number.NEGATIVE_INFINITY;
  }

  /** Called once per turn. */
  endTurn(): void {
    if (this.journal.bytes - this.#bytesBefore < this.#bytesMax || this.#packetsBytes > PACKETS_BYTES_MAX) return;
    const record = this.#memory.record();
    if (record === undefined) return;
    const { next } = this.journal;
    super.write(record);
    this.#bytesBefore = this.journal.bytes;
    // What is installed meanwhile comes later, and so does what it needs.
    this.journal.after(() => this.journal.need(0, next));
  }

  #note(record: JournalRecord): void {
    if (record.kind === "view") {
      this.#bytesBefore = this.journal.bytes;
      this.#packetsBytes = 0;
    }
    if (record.kind !== "packet") {
      this.#memory.add(this.journal.next, record);
      return;
    }
    const packet = new Packet(copyOf(record.packet.bytes));
    this.#packetsBytes += packet.bytes.length;
    if (this.#packetsBytes <= PACKETS_BYTES_MAX) this.#memory.add(this.journal.next, { kind: "packet", packet });
  }
}
