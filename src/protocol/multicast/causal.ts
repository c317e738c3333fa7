/**
 * Causal delivery (D6): a causal packet is delivered only after every causal packet that its sender had delivered when it
 * sent it, and after the sender's own earlier ones. What a sender had delivered it says as counts of packets, by rank, and
 * in each packet only what has grown since its packet before in the same epoch: the packet's *past*, a run of
 *
 *     varint ranks skipped since the last one named      varint packets more of this rank, at least one
 *
 * Counts begin anew with each epoch; what was delivered in an earlier one everybody who is in this one has delivered, too.
 *
 * A packet waits only for packets that have been sent already, never for what members say of each other, so whatever
 * waits ends with the arrival of packets. Where they will never arrive the epoch ends at a cut, and what still waits then
 * is dropped: something that it follows is beyond the cut (rule C7), for all members that go on alike.
 */
import { Deque } from "../../base/deque.ts";
import type { Packet } from "../../wire/packet.ts";
import { Reader } from "../../wire/reader.ts";
import { Writer } from "../../wire/writer.ts";

const NOBODY = -1;

/** What has come from one sender, and what it had delivered. */
class Source {
  readonly waiting = new Deque<Packet>();
  waitingBytes = 0;
  /** What it had delivered, by rank, as of its first packet that waits, or of its last one. */
  readonly past: Float64Array;
  /** Whose packet its first one waits for. */
  awaits = NOBODY;

  constructor(size: number) {
    this.past = new Float64Array(size);
  }
}

export class CausalOrder {
  readonly #size: number;
  readonly #self: number;
  /** By rank; those that have sent causal packets. */
  readonly #sources: (Source | undefined)[];
  /** How many packets of each sender were delivered here. */
  readonly #delivered: Uint32Array;
  /** How many senders have packets that wait. */
  #waiting = 0;

  /** Of a view of `size` members, at the one of rank `self`. */
  constructor(size: number, self: number) {
    this.#size = size;
    this.#self = self;
    this.#sources = new Array<Source | undefined>(size).fill(undefined);
    this.#delivered = new Uint32Array(size);
  }

  /** The past of the packet that this member is about to send; undefined when nothing is new. */
  past(): Uint8Array | undefined {
    const told = this.#source(this.#self).past;
    scratch.clear();
    let next = 0;
    for (let rank = 0; rank < this.#size; rank++) {
      const more = (this.#delivered[rank] as number) - (told[rank] as number);
      if (more === 0 || rank === this.#self) continue;
      scratch.varint(rank - next);
      scratch.varint(more);
      next = rank + 1;
    }
    return scratch.length === 0 ? undefined : scratch.finish();
  }

  /** A packet, in its sender's order; delivers what may now be delivered. False when it is malformed, and dropped. */
  add(packet: Packet, deliver: (packet: Packet) => void): boolean {
    if (!this.#isWellFormed(packet)) return false;
    const source = this.#source(packet.sender);
    source.waiting.push(packet);
    source.waitingBytes += packet.bytes.length;
    if (source.waiting.length > 1) return true;
    this.#waiting++;
    this.#learn(source, packet);
    this.#advance(packet.sender, deliver);
    return true;
  }

  /** The least seqno of a sender that waits for others, or undefined when none does. */
  firstWaiting(sender: number): number | undefined {
    return this.#sources[sender]?.waiting.first()?.seqno;
  }

  /** Bytes of a sender's packets that wait for others. */
  waitingBytes(sender: number): number {
    return this.#sources[sender]?.waitingBytes ?? 0;
  }

  #source(sender: number): Source {
    const known = this.#sources[sender];
    if (known !== undefined) return known;
    const source = new Source(this.#size);
    this.#sources[sender] = source;
    return source;
  }

  #isWellFormed(packet: Packet): boolean {
    const reader = new Reader(packet.bytes, packet.bodyEnd, packet.pastEnd);
    for (let next = 0; reader.remaining > 0; next++) {
      next += reader.varint();
      const more = reader.varint();
      if (reader.failed || next >= this.#size || next === packet.sender || more === 0) return false;
    }
    return true;
  }

  /** Takes in the past of a sender's first packet that waits. */
  #learn(source: Source, packet: Packet): void {
    const reader = new Reader(packet.bytes, packet.bodyEnd, packet.pastEnd);
    for (let rank = 0; reader.remaining > 0; rank++) {
      rank += reader.varint();
      const count = (source.past[rank] as number) + reader.varint();
      source.past[rank] = count;
      if (count > (this.#delivered[rank] as number)) source.awaits = rank;
    }
  }

  /** Delivers what `first` has sent, as far as it may be delivered, and what waits for that, and so on. */
  #advance(first: number, deliver: (packet: Packet) => void): void {
    let ready: number[] | undefined;
    for (let sender: number | undefined = first; sender !== undefined; sender = ready?.pop()) {
      if (!this.#deliverFrom(sender, deliver) || this.#waiting === 0) continue;
      for (let rank = 0; rank < this.#size; rank++) {
        if (this.#sources[rank]?.awaits !== sender) continue;
        ready ??= [];
        ready.push(rank);
      }
    }
  }

  /** Whether anything was delivered. */
  #deliverFrom(sender: number, deliver: (packet: Packet) => void): boolean {
    const source = this.#source(sender);
    const before = this.#delivered[sender] as number;
    for (let packet = source.waiting.first(); packet !== undefined && this.#isReady(source); ) {
      source.waiting.shift();
      source.waitingBytes -= packet.bytes.length;
      this.#delivered[sender] = (this.#delivered[sender] as number) + 1;
      deliver(packet);
      packet = source.waiting.first();
      if (packet === undefined) this.#waiting--;
      else this.#learn(source, packet);
    }
    return this.#delivered[sender] !== before;
  }

  #isReady(source: Source): boolean {
    if (source.awaits === NOBODY) return true;
    source.awaits = NOBODY;
    for (let rank = 0; rank < this.#size && source.awaits === NOBODY; rank++) {
      if ((source.past[rank] as number) > (this.#delivered[rank] as number)) source.awaits = rank;
    }
    return source.awaits === NOBODY;
  }
}

const scratch = new Writer(256);
