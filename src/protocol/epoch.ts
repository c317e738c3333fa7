/**
 * An epoch: everything that belongs to one view of one group at one member, thrown away with the view. Membership is
 * constant within it, so ranks index the tables and no protocol here handles failure; failure makes a new epoch.
 *
 * Its life: packets are sent and received, walked in each sender's order into the delivery rules, and forgotten when all
 * hold them. `freeze` ends it: from then on it acknowledges, orders and delivers nothing (rules B3, C2), and only
 * collects what its last act, `drain`, will deliver up to the cut.
 */
import { copyOf } from "../base/arena.ts";
import { assert } from "../base/assert.ts";
import { CAUSAL, FIFO, ORDER, Packet, SAFE } from "../wire/packet.ts";
import type { Effects } from "./effects.ts";
import type { Records } from "./journal.ts";
import type { Row } from "./messages.ts";
import { CausalOrder } from "./multicast/causal.ts";
import { Custody } from "./multicast/custody.ts";
import { Rows } from "./multicast/rows.ts";
import { Stability } from "./multicast/stability.ts";
import { Stream } from "./multicast/stream.ts";
import { SEQUENCER, TotalOrder } from "./multicast/total.ts";
import { type GroupView, isAcceptor, isQuorum, type NodeId } from "./view.ts";

export interface EpochOptions {
  readonly group: number;
  readonly view: GroupView;
  readonly self: NodeId;
  /** Who must hold a safe packet before it is delivered: all members (C8), or a quorum (B2, the cluster group). */
  readonly safety: "all" | "quorum";
  /** What each member counts in a quorum, by rank; one by default. */
  readonly votes?: readonly number[];
  /** Rows go to the sequencer, which tells all what every member holds; with `safety` "all" only. All members agree on it. */
  readonly relaysRows: boolean;
  /** A sender has at most so many bytes in the epoch that not every member holds. */
  readonly windowBytes: number;
  /** A row that nobody waits for is sent at the latest so long after it changed. */
  readonly rowDelayMs: number;
  /** Where packets are kept. If it is durable, members say that they hold only what is on their disks. */
  readonly journal: Records;
  readonly deliver: (packet: Packet, sender: number, index: number) => void;
}

/** What a member lacks of a cut. */
export interface Gap {
  readonly sender: number;
  readonly from: number;
  readonly to: number;
}

export class Epoch {
  readonly view: GroupView;
  readonly rank: number;
  readonly others: readonly NodeId[];
  readonly #group: number;
  readonly #options: EpochOptions;
  readonly #effects: Effects;
  /** What this member holds is on its disk. */
  readonly #awaitsDisk: boolean;
  readonly #streams: readonly Stream[];
  readonly #custody: Custody;
  readonly #stability: Stability;
  readonly #order: TotalOrder;
  readonly #causal: CausalOrder;
  readonly #rows: Rows;
  /** Per sender: how many packets went into the delivery rules, and how many messages were delivered as fifo, as causal. */
  readonly #walked: Uint32Array;
  readonly #fifoCounts: Float64Array;
  readonly #causalCounts: Float64Array;
  #totalCount = 0;
  /** Per sender: behind the last of its packets that were delivered in the total order. */
  readonly #ordered: Uint32Array;
  #frozen = false;
  #paused = false;
  /** Somebody waits to hear that what is on its way to the disk is there. */
  #isAwaited = false;
  #frozenRow: Row | undefined;
  /** What all should hold at the next look for laggards. */
  #awaited: Row | undefined;
  /** Counts packets that broke the rules of the data path; they are dropped. */
  irregular = 0;

  constructor(options: EpochOptions, effects: Effects) {
    const { group, view, self, relaysRows, windowBytes, rowDelayMs, journal } = options;
    const size = view.members.length;
    this.view = view;
    this.rank = view.members.indexOf(self);
    assert(this.rank >= 0, "a member installs only views that contain it (M1)");
    this.others = view.members.filter((member) => member !== self);
    this.#group = group;
    this.#options = options;
    this.#effects = effects;
    this.#streams = Array.from({ length: size }, () => new Stream());
    this.#awaitsDisk = journal.durable && isAcceptor(view, self);
    this.#custody = new Custody(this.#streams, journal, this.#awaitsDisk);
    this.#stability = new Stability(size);
    this.#order = new TotalOrder(size);
    this.#causal = new CausalOrder(size, this.rank);
    const relay = relaysRows ? SEQUENCER : undefined;
    const { number: epoch, members } = view;
    this.#rows = new Rows(
      { group, epoch, members, rank: this.rank, relay, windowBytes, rowDelayMs },
      this.#stability,
      effects,
    );
    this.#walked = new Uint32Array(size);
    this.#ordered = new Uint32Array(size);
    this.#fifoCounts = new Float64Array(size);
    this.#causalCounts = new Float64Array(size);
    this.#custody.begin(() => this.#acknowledgeAll());
  }

  get number(): number {
    return this.view.number;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /** Whether one more packet may enter: the bytes that not every member holds are within the window. */
  get hasCredit(): boolean {
    return !this.#frozen && !this.#paused && (this.#streams[this.rank]?.heldBytes ?? 0) < this.#options.windowBytes;
  }

  /** Time of the next call of `endTurn` that is needed even if nothing else happens. */
  get deadline(): number {
    return this.#paused ? Number.POSITIVE_INFINITY : this.#rows.deadline;
  }

  get stability(): Stability {
    return this.#stability;
  }

  /** Whether a packet of this member's own waits for its place in the order. */
  get awaitsOwn(): boolean {
    return this.#order.firstWaiting(this.rank) !== undefined;
  }

  /** What this member holds; from `freeze` on, what it held then. */
  row(): Row {
    return this.#frozenRow ?? this.#stability.row(this.rank);
  }

  /** How many packets of each sender have come, late and fetched ones included. */
  held(): Row {
    return this.#streams.map((stream) => stream.received);
  }

  /** How many packets of each sender went into the delivery rules: whatever was delivered here is among them. */
  walked(): Row {
    return Array.from(this.#walked);
  }

  /** Sends a packet to all: it gets its place in the epoch. The caller has looked at `hasCredit`. */
  send(packet: Packet, wallTime: number): void {
    assert(!this.#frozen && !this.#paused, "nothing is sent into a frozen epoch");
    const stream = this.#streams[this.rank] as Stream;
    const past = packet.flavour === CAUSAL ? this.#causal.past() : undefined;
    if (past !== undefined) packet.addPast(past);
    packet.stamp(this.#group, this.number, this.rank, stream.received, wallTime);
    stream.accept(packet);
    if (this.#isDurable) this.#custody.take(this.rank, stream.received);
    else this.#stability.raise(this.rank, this.rank, stream.received);
    if (this.#isDurable && !this.#awaitsDisk) this.#acknowledge(this.rank);
    packet.retain();
    this.#effects.perform({ kind: "multicast", to: this.others, packet });
    this.#walk(this.rank);
    this.#advance();
  }

  /** A packet from the node of rank `from`; only in a flush may it be another sender's. */
  receive(from: number, packet: Packet): void {
    const { sender } = packet;
    const stream = this.#streams[sender];
    if (stream === undefined || (from !== sender && !this.#frozen) || sender === this.rank) {
      this.irregular++;
      packet.release();
      return;
    }
    const acceptance = stream.accept(packet);
    if (acceptance !== "next") {
      if (acceptance === "gap") this.irregular++;
      packet.release();
      return;
    }
    if (this.#frozen || this.#paused) return;
    this.#rows.received(packet.bytes.length);
    this.#noteReceived(sender);
    this.#walk(sender);
    this.#advance();
  }

  /**
   * A packet from this member's log, its own or another's, when the whole group has failed (E3). What is there is all
   * there will be, so it counts as held by all. False when it is not the next of its stream.
   */
  restore(packet: Packet): boolean {
    const { sender } = packet;
    const stream = this.#streams[sender];
    if (stream?.accept(packet) !== "next") return false;
    for (let rank = 0; rank < this.#streams.length; rank++) this.#stability.raise(rank, sender, stream.received);
    this.#walk(sender);
    this.#advance();
    return true;
  }

  /**
   * A packet of a frozen epoch, from this member's log or fetched in its place; its own, too, of which others may hold more.
   * False when it is not the next of its stream.
   */
  regain(packet: Packet): boolean {
    assert(this.#frozen, "only a frozen epoch is completed");
    return this.#streams[packet.sender]?.accept(packet) === "next";
  }

  receiveRow(from: number, row: Row): void {
    if (this.#frozen) return;
    if (this.#stability.raiseRow(from, row)) this.#advance();
  }

  /** The sequencer's word on what every member holds; it cannot know of more than this one has told. */
  receiveStable(from: number, row: Row): void {
    if (this.#frozen) return;
    const isExpected = this.#options.relaysRows && from === SEQUENCER && row.length === this.view.members.length;
    if (!isExpected || row.some((count, sender) => count > this.#stability.count(this.rank, sender))) this.irregular++;
    else if (this.#stability.raiseAll(row)) this.#advance();
  }

  /** The flush of the member of rank `from` waits until this member's row covers `target`. */
  receiveSolicit(from: number, target: Row): void {
    if (this.#frozen || target.length !== this.view.members.length) return;
    this.#rows.solicited(from, target);
    if (this.#rows.isWanted && this.#awaitsDisk) this.#options.journal.hurry();
  }

  /** Copies of packets of `sender` from `from` up to but not including `to`, for a member that lacks them. */
  packets(sender: number, from: number, to: number): Packet[] {
    const found: Packet[] = [];
    for (let seqno = from; seqno < to; seqno++) {
      const packet = this.#streams[sender]?.get(seqno);
      if (packet === undefined) break;
      found.push(new Packet(copyOf(packet.bytes)));
    }
    return found;
  }

  /** Closes the turn: announces the order of what came, and sends the row if somebody needs it now. */
  endTurn(now: number, wallTime: number): void {
    if (this.#frozen || this.#paused) return;
    if (this.rank === SEQUENCER) {
      const announcement = this.#order.announcement();
      if (announcement !== undefined) this.send(announcement, wallTime);
    }
    this.settle();
    this.#rows.endTurn(now);
  }

  /** E1: what was sent or has come in this turn is held, and the row says so, when it is on disk. */
  settle(): void {
    const isAwaited = this.#isAwaited;
    this.#isAwaited = false;
    this.#custody.settle(this.#awaitsDisk && (isAwaited || this.#rows.isWanted), () => {
      if (isAwaited) this.#rows.hurry();
      this.#acknowledgeAll();
    });
  }

  /** Whether a sender has used half of its window or more. */
  get isCrowded(): boolean {
    if (this.#frozen || this.#paused) return false;
    return this.#streams.some((stream) => stream.heldBytes * 2 >= this.#options.windowBytes);
  }

  /**
   * The ranks that still lack what was, at the call before, the older half of a crowded window, while at least half of the
   * members have it. Where rows are relayed this asks for them, and the next call knows more.
   */
  laggards(): number[] {
    if (this.#frozen || this.#paused) return [];
    const awaited = this.#awaited;
    if (awaited === undefined || awaited.every((count, sender) => this.#stability.stable(sender) >= count)) {
      this.#awaited = this.isCrowded ? this.#olderHalves() : undefined;
      return [];
    }
    if (this.#options.relaysRows && this.rank !== SEQUENCER) this.solicit(awaited);
    const found = new Set<number>();
    for (const [sender, count] of awaited.entries()) {
      const behind: number[] = [];
      for (let rank = 0; rank < this.#streams.length; rank++) {
        if (this.#stability.count(rank, sender) < count) behind.push(rank);
      }
      if (behind.length * 2 <= this.#streams.length) for (const rank of behind) found.add(rank);
    }
    found.delete(this.rank);
    return [...found];
  }

  #olderHalves(): Row {
    return this.#streams.map(({ heldBytes, received }, sender) =>
      heldBytes * 2 < this.#options.windowBytes ? 0 : Math.ceil((this.#stability.stable(sender) + received) / 2),
    );
  }

  /** Asks all members to say when they hold `target`. */
  solicit(target: Row): void {
    this.#effects.broadcast(this.others, { kind: "solicit", group: this.#group, epoch: this.number, target });
  }

  /** While the primary partition is out of reach nothing is acknowledged or delivered; what comes is kept. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#frozen) return;
    for (let sender = 0; sender < this.#streams.length; sender++) {
      this.#noteReceived(sender);
      this.#acknowledge(sender);
      this.#walk(sender);
    }
    this.#advance();
  }

  /** B3, C2: from now on no counter moves and nothing is delivered, but by `drain`. */
  freeze(): void {
    if (this.#frozen) return;
    this.#frozenRow = this.#stability.row(this.rank);
    this.#frozen = true;
    this.#rows.end();
  }

  /** E1: writes what this member has of the cut and was not written before; the caller waits until it is on disk. */
  keep(cut: Row): void {
    for (const [sender, count] of cut.entries()) this.#custody.take(sender, count);
  }

  /** What must still be fetched before this member holds the cut. */
  gaps(cut: Row): Gap[] {
    const gaps: Gap[] = [];
    for (let sender = 0; sender < this.#streams.length; sender++) {
      const from = this.#streams[sender]?.received ?? 0;
      const to = cut[sender] ?? 0;
      if (from < to) gaps.push({ sender, from, to });
    }
    return gaps;
  }

  /**
   * The last act: delivers everything up to the cut, what is ordered in the same order at every survivor. A causal packet
   * that still waits then is dropped (C7).
   */
  drain(cut: Row): void {
    assert(this.#frozen, "an epoch is frozen before it is drained");
    assert(this.gaps(cut).length === 0, "a member drains only a cut that it holds (C3)");
    for (let sender = 0; sender < this.#streams.length; sender++) this.#walk(sender, cut[sender] ?? 0);
    this.#order.drain(cut, (packet) => this.#deliverOrdered(packet));
    for (const stream of this.#streams) stream.forgetBelow(stream.received);
  }

  get #isDurable(): boolean {
    return this.#options.journal.durable;
  }

  #noteReceived(sender: number): void {
    const count = (this.#streams[sender] as Stream).received;
    if (this.#isDurable) this.#custody.take(sender, count);
    // What comes its sender holds, if that does not mean on disk.
    else this.#stability.raise(sender, sender, count);
    if (!this.#awaitsDisk) this.#acknowledge(sender);
  }

  #acknowledgeAll(): void {
    if (this.#frozen || this.#paused) return;
    for (let sender = 0; sender < this.#streams.length; sender++) this.#acknowledge(sender);
    this.#advance();
  }

  /** Lets this member's row say what it holds of a sender. */
  #acknowledge(sender: number): void {
    // What waits for others and is not acknowledged is within the sender's window: so it is bounded.
    if (this.#causal.waitingBytes(sender) > this.#options.windowBytes) return;
    if (this.#stability.raise(this.rank, sender, this.#custody.held(sender))) this.#rows.grew();
  }

  /** Passes the packets that have come, up to `end`, to the delivery rule of their flavour. */
  #walk(sender: number, end: number = (this.#streams[sender] as Stream).received): void {
    const stream = this.#streams[sender] as Stream;
    for (let seqno = this.#walked[sender] as number; seqno < end; seqno++) {
      const packet = stream.get(seqno) as Packet;
      this.#walked[sender] = seqno + 1;
      switch (packet.flavour) {
        case FIFO: {
          const index = this.#fifoCounts[sender] as number;
          this.#fifoCounts[sender] = index + packet.count;
          this.#options.deliver(packet, sender, index);
          break;
        }
        case CAUSAL:
          if (!this.#causal.add(packet, this.#deliverCausal)) this.irregular++;
          break;
        case ORDER:
          if (sender !== SEQUENCER || !this.#order.addOrder(packet)) this.irregular++;
          // What the sequencer announces it holds, if that does not mean on disk; its row need not say so again.
          if (!this.#isDurable) this.#order.announced((rank, count) => this.#stability.raise(SEQUENCER, rank, count));
          if (this.#order.awaitsSafety) this.#hurryRow();
          break;
        default:
          this.#order.add(packet);
          if (packet.flavour === SAFE && this.#order.isAnnounced(packet)) this.#hurryRow();
      }
    }
  }

  /**
   * A safe packet is here and so is its place in the order: the others wait to hear it. Until both are here the row would
   * not help; the sequencer says it by its order packets, or, like the others, when it is on disk.
   */
  #hurryRow(): void {
    if (this.#awaitsDisk) this.#isAwaited = true;
    else if (this.#isDurable || this.rank !== SEQUENCER) this.#rows.hurry();
  }

  /** Delivers what has become deliverable and forgets what all hold. */
  #advance(): void {
    if (this.#frozen || this.#paused) return;
    this.#order.advance(
      (sender) => this.#walked[sender] as number,
      (packet, announcedBy) => this.#isSafe(packet, announcedBy),
      (packet) => this.#deliverOrdered(packet),
    );
    for (let sender = 0; sender < this.#streams.length; sender++) {
      const stable = this.#stability.stable(sender);
      const unordered = this.#order.firstWaiting(sender) ?? stable;
      const premature = this.#causal.firstWaiting(sender) ?? stable;
      const walked = this.#walked[sender] as number;
      const freed = (this.#streams[sender] as Stream).forgetBelow(Math.min(stable, unordered, premature, walked));
      if (freed > 0) this.#rows.stabilized(freed);
    }
  }

  readonly #deliverCausal = (packet: Packet): void => {
    const { sender } = packet;
    const index = this.#causalCounts[sender] as number;
    this.#causalCounts[sender] = index + packet.count;
    this.#options.deliver(packet, sender, index);
    if (this.#frozen || this.#stability.count(this.rank, sender) === this.#custody.held(sender)) return;
    // What was not acknowledged is now, at once: its sender may have no credit left.
    this.#acknowledge(sender);
    this.#rows.hurry();
  };

  #deliverOrdered(packet: Packet): void {
    const index = this.#totalCount;
    this.#totalCount += packet.count;
    this.#ordered[packet.sender] = packet.seqno + 1;
    this.#options.deliver(packet, packet.sender, index);
    if (packet.flavour === SAFE) this.#rows.safeDelivered();
  }

  /** Whether all members hold all that was delivered in the total order. */
  get #isOrderedStable(): boolean {
    return this.#ordered.every((end, sender) => this.#stability.stable(sender) >= end);
  }

  #isSafe(packet: Packet, announcedBy: number): boolean {
    const { sender, seqno } = packet;
    // E3: one member alone may have to bring back what a safe message was delivered upon.
    if (this.#isDurable && this.#options.safety === "all" && !this.#isOrderedStable) return false;
    if (this.#stability.stable(sender) > seqno && this.#stability.stable(SEQUENCER) > announcedBy) return true;
    if (this.#options.safety === "all") return false;
    const { members } = this.view;
    const isHeldBy = (member: NodeId): boolean => {
      const rank = members.indexOf(member);
      return this.#stability.count(rank, sender) > seqno && this.#stability.count(rank, SEQUENCER) > announcedBy;
    };
    return isQuorum(members, isHeldBy, this.#options.votes);
  }
}
