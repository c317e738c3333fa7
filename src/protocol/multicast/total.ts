/**
 * Total and safe delivery (D7, D8). The order of an epoch *is* the stream of its sequencer, the member of rank 0: its own
 * total and safe packets stand for themselves, and its order packets name runs of the other senders' packets. So holding
 * a prefix of the sequencer's stream is holding a prefix of the order, and the cut of a flush that covers that stream
 * covers the order; there is no order log beside the data (rules B2, C8: rows speak of data *and* order).
 *
 * A safe packet waits until the rows of all members (in the cluster group: of a quorum) cover it and the sequencer's
 * packet that orders it. Later packets of the order wait behind it.
 */
import { Deque } from "../../base/deque.ts";
import { FRAME_PACKET, ORDER, PACKET_HEADER_BYTES, Packet, SAFE } from "../../wire/packet.ts";
import { Reader } from "../../wire/reader.ts";
import { Writer } from "../../wire/writer.ts";
import type { Row } from "../messages.ts";

/** The order goes on with all packets of `sender` up to seqno `upTo`, says the sequencer's packet `announcedBy`. */
interface Run {
  readonly sender: number;
  readonly upTo: number;
  readonly announcedBy: number;
}

export const SEQUENCER = 0;

export class TotalOrder {
  readonly #unordered: Deque<Packet>[];
  readonly #runs = new Deque<Run>();
  /** At the sequencer: the last seqno of each sender that waits to be announced, or -1. */
  readonly #unannounced: Float64Array;
  /** How many packets of each sender the announced order covers. */
  readonly #announced: Float64Array;
  #announcing = false;
  #safeWaiting = 0;

  constructor(size: number) {
    this.#unordered = Array.from({ length: size }, () => new Deque<Packet>());
    this.#unannounced = new Float64Array(size).fill(-1);
    this.#announced = new Float64Array(size);
  }

  /** A total or safe packet, in its sender's order. */
  add(packet: Packet): void {
    const { sender, seqno } = packet;
    this.#unordered[sender]?.push(packet);
    if (packet.flavour === SAFE) this.#safeWaiting++;
    if (sender === SEQUENCER) {
      this.#runs.push({ sender, upTo: seqno, announcedBy: seqno });
      this.#announced[sender] = seqno + 1;
    } else {
      this.#unannounced[sender] = seqno;
      this.#announcing = true;
    }
  }

  /** An order packet of the sequencer; false when it is malformed. */
  addOrder(packet: Packet): boolean {
    const reader = new Reader(packet.bytes, PACKET_HEADER_BYTES);
    while (reader.remaining > 0) {
      const sender = reader.u16();
      const upTo = reader.u32();
      if (reader.failed || sender >= this.#unordered.length) return false;
      this.#runs.push({ sender, upTo, announcedBy: packet.seqno });
      this.#announced[sender] = Math.max(this.#announced[sender] as number, upTo + 1);
    }
    return true;
  }

  isAnnounced(packet: Packet): boolean {
    return packet.seqno < (this.#announced[packet.sender] as number);
  }

  /** Tells how many packets of each sender the announced order covers. */
  announced(tell: (sender: number, count: number) => void): void {
    for (let sender = 0; sender < this.#announced.length; sender++) tell(sender, this.#announced[sender] as number);
  }

  /** Whether some safe packet has come and is not delivered yet. */
  get awaitsSafety(): boolean {
    return this.#safeWaiting > 0;
  }

  /** The least seqno of a sender that is not delivered yet, or undefined when none waits. */
  firstWaiting(sender: number): number | undefined {
    return this.#unordered[sender]?.first()?.seqno;
  }

  /** At the sequencer: an order packet for what came from others since the last call, or undefined. */
  announcement(): Packet | undefined {
    if (!this.#announcing) return undefined;
    const writer = new Writer(PACKET_HEADER_BYTES + 6 * this.#unannounced.length);
    for (let count = 0; count < PACKET_HEADER_BYTES; count += 4) writer.u32(0);
    for (let sender = 0; sender < this.#unannounced.length; sender++) {
      const upTo = this.#unannounced[sender] as number;
      if (upTo < 0) continue;
      writer.u16(sender);
      writer.u32(upTo);
      this.#unannounced[sender] = -1;
    }
    this.#announcing = false;
    writer.patchU32(0, writer.length - 4);
    const bytes = writer.finish();
    bytes[4] = FRAME_PACKET;
    bytes[5] = ORDER;
    return new Packet(bytes);
  }

  /**
   * Delivers what may be delivered now. `received` says how many packets of a sender have come, `isSafe` whether a safe
   * packet, ordered by the sequencer's packet `announcedBy`, is held widely enough.
   */
  advance(
    received: (sender: number) => number,
    isSafe: (packet: Packet, announcedBy: number) => boolean,
    deliver: (packet: Packet) => void,
  ): void {
    for (let run = this.#runs.first(); run !== undefined; run = this.#runs.first()) {
      const waiting = this.#unordered[run.sender] as Deque<Packet>;
      for (let packet = waiting.first(); packet !== undefined; packet = waiting.first()) {
        if (packet.seqno > run.upTo) break;
        if (packet.flavour === SAFE) {
          if (!isSafe(packet, run.announcedBy)) return;
          this.#safeWaiting--;
        }
        waiting.shift();
        deliver(packet);
      }
      if (received(run.sender) <= run.upTo) return;
      this.#runs.shift();
    }
  }

  /**
   * Ends the epoch: delivers what was added and is within the cut, first in the announced order, then what nobody
   * announced, by rank. All that go on hold exactly the packets of the cut, so all do the same. What lies beyond the cut
   * is dropped by all (rule C7): an acceptor that took no part in the agreement may have walked farther than those who did.
   */
  drain(cut: Row, deliver: (packet: Packet) => void): void {
    for (let run = this.#runs.shift(); run !== undefined; run = this.#runs.shift()) {
      if (run.announcedBy < (cut[SEQUENCER] ?? 0)) this.#drainSender(run.sender, run.upTo, cut, deliver);
    }
    for (let sender = 0; sender < this.#unordered.length; sender++) {
      this.#drainSender(sender, Number.MAX_SAFE_INTEGER, cut, deliver);
    }
    this.#safeWaiting = 0;
  }

  #drainSender(sender: number, upTo: number, cut: Row, deliver: (packet: Packet) => void): void {
    const waiting = this.#unordered[sender] as Deque<Packet>;
    for (let packet = waiting.first(); packet !== undefined && packet.seqno <= upTo; packet = waiting.first()) {
      waiting.shift();
      if (packet.seqno < (cut[sender] ?? 0)) deliver(packet);
    }
  }
}
