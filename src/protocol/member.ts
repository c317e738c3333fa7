/**
 * A node's long-lived membership in one group: joining → normal → flushing → … → left. While normal it holds one epoch;
 * a flush replaces it by the next, and what crosses from one epoch to the other is what this class keeps: queued messages,
 * pending flushes, open queries, and the transfers of the state to and from this member.
 */
import { assert } from "../base/assert.ts";
import type { Packet } from "../wire/packet.ts";
import type { AnswerStatus, DeliveryPoint, Effects, Ending, RawOutcome } from "./effects.ts";
import { Epoch } from "./epoch.ts";
import { Flushes } from "./flushes.ts";
import { GroupJournal } from "./group-journal.ts";
import type { Remains } from "./groups-memory.ts";
import type { Journal } from "./journal.ts";
import type { JournalRecord } from "./journal-records.ts";
import { Donations, type DonationsHost } from "./membership/donations.ts";
import { Entrance, type EntranceHost } from "./membership/entrance.ts";
import { Flush, type FlushHost } from "./membership/flush.ts";
import { EPOCH_SECRET_BYTES, type Message, type Standing, type Step, type Transfer } from "./messages.ts";
import { Laggards } from "./multicast/laggards.ts";
import { Outgoing } from "./outgoing.ts";
import { Queries } from "./query.ts";
import { RawBatch, rawIndex } from "./raw.ts";
import { Recovery } from "./recovery.ts";
import type { Replay, ReplayEnd } from "./replay.ts";
import type { Bounds, Timing } from "./timing.ts";
import { type GroupView, isAcceptor, type NodeId } from "./view.ts";

export interface MemberOptions {
  readonly group: number;
  readonly name: string;
  readonly self: NodeId;
  /** The group's newest target when this node entered. */
  readonly admitted: number;
  readonly bounds: Bounds;
  readonly timing: Timing;
  readonly recordsSends: boolean;
  /** This node has made the group, or brings it back: its state is new, or on its disk, and not transferred. */
  readonly creates: boolean;
  /** What its disk still has of a group that has gone on without it. */
  readonly returnsWith?: Remains | undefined;
  /** Of the node, if the group is durable. */
  readonly journal: Journal;
  /** Mints secrets for the epochs of a secure group; undefined for others. */
  readonly mintSecret?: (() => Uint8Array) | undefined;
}

/** What a member asks of the process it belongs to. */
export interface MemberHost {
  directoryIndex(): number;
  /** Whether the directory says that this member of the group holds the state. */
  isSynced(group: number, member: NodeId): boolean;
  /** The state is here: the directory is to know. */
  reportSynced(group: number, target: number): void;
  /** Whether others are asked for the state if this member, which brings the group back, cannot. */
  hasReserve(group: number): boolean;
  /** The target since which this member is to be an acceptor, as long as the directory does not know that it is; else 0. */
  unprovenSince(group: number): number;
  /** The beginning of target `target`, or of a later one, is on disk. */
  reportBegun(group: number, target: number): void;
  requestLeave(group: number): void;
  /** This node's disk cannot bring the group back; `isBehind`: because it was no acceptor's in the last epoch it has. */
  reportUnrecoverable(group: number, isBehind: boolean): void;
  /** The group is to begin another epoch after view `target`. */
  requestRenewal(group: number, target: number): void;
  /** The directory is to exclude these members of the group's view `target`. */
  requestExclusion(group: number, target: number, members: readonly NodeId[]): void;
  /** This member finds another one too slow in view `target`, or no longer. */
  reportSlow(group: number, target: number, member: NodeId, isSlow: boolean): void;
  /** A number for a query, unique at this incarnation. */
  nextQuery(): number;
  /** A number for a raw packet, unique at this incarnation until it wraps. */
  nextRaw(): number;
}

const ANSWER_PART_BYTES = 64 * 1024;
const EARLY_MAX = 65_536;
const NO_SECRET = new Uint8Array(0);
/** Packets and rows, and from whom. */
interface Early {
  readonly from: NodeId;
  readonly packet?: Packet;
  readonly message?: Message;
}

const BEHIND = "safe messages did not wait for this disk when it was last written to, so some of them may be missing";
const NOTHING: ReplayEnd = { from: 0, cut: [] };
const NO_VIEW: GroupView = { number: 0, members: [], synced: [], acceptors: [], lacking: [] };

export class Member implements FlushHost, EntranceHost, DonationsHost {
  readonly group: number;
  readonly name: string;
  readonly self: NodeId;
  readonly admitted: number;
  readonly #options: MemberOptions;
  readonly #host: MemberHost;
  readonly #effects: Effects;
  readonly #outgoing: Outgoing;
  readonly #queries: Queries;
  /** Members that the directory is asked to exclude. */
  readonly #accused = new Set<NodeId>();
  readonly #flush: Flush;
  readonly journal: GroupJournal;
  readonly #entrance: Entrance;
  readonly #donations: Donations;
  /** The view for which another epoch was asked for. */
  #renewed = 0;
  /** The target for which the directory was told that this acceptor has begun. */
  #begunSince = 0;
  #recovery: Recovery | undefined;
  /** While this member brings the group back, until the directory knows that it has the state (`told`). */
  #return: "begun" | "told" | undefined;
  /** How the epoch before the first one ended. */
  #recovered: ReplayEnd | undefined;
  #epoch: Epoch | undefined;
  #laggards: Laggards;
  /** The newest target of the directory, installed or not. */
  #target: GroupView = NO_VIEW;
  #blocked = false;
  #ended = false;
  #leaving: "no" | "flushing" | "asked" = "no";
  /** Packets and rows of the next epoch, whose install is still under way to this member. */
  #early: Early[] = [];
  /** What has come while the group was being brought back. */
  #deferred: { readonly from: NodeId; readonly message: Message }[] = [];
  readonly #flushes = new Flushes();
  readonly #raw = new RawBatch();
  transfers: readonly Transfer[] = [];

  constructor(options: MemberOptions, host: MemberHost, effects: Effects) {
    this.group = options.group;
    this.name = options.name;
    this.self = options.self;
    this.admitted = options.admitted;
    this.#options = options;
    this.#host = host;
    this.#effects = effects;
    this.#outgoing = new Outgoing(options.bounds.queueBytesMax, options.bounds.packetBytesMax);
    this.#queries = new Queries(options.group, effects);
    this.journal = new GroupJournal(
      options.journal,
      options.group,
      options.name,
      options.self,
      options.bounds.recordBytesMax,
    );
    if (options.returnsWith !== undefined) this.journal.keep(options.returnsWith);
    this.#flush = new Flush(this, effects);
    this.#entrance = new Entrance(this, options.returnsWith, options.bounds, effects);
    this.#donations = new Donations(this, options.bounds.chunksMax, effects);
    this.#laggards = new Laggards(options.timing.heartbeatMs);
  }

  get epoch(): Epoch | undefined {
    return this.#epoch;
  }

  get target(): GroupView {
    return this.#target;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get blocked(): boolean {
    return this.#blocked;
  }

  get joined(): boolean {
    return this.#entrance.isOpen;
  }

  get deadline(): number {
    return Math.min(this.#epoch?.deadline ?? Number.POSITIVE_INFINITY, this.#laggards.deadline);
  }

  directoryIndex(): number {
    return this.#host.directoryIndex();
  }

  // Commands of the application.

  /** Queues a message; false when there is no room, or when the member leaves (C11: it stops sending first). */
  send(flavour: number, tag: number, payload: Uint8Array): boolean {
    if (this.#ended || this.#leaving !== "no") return false;
    return this.#outgoing.append(flavour, tag, payload);
  }

  /** Sends a raw message at the end of the turn, or says why it is dropped. */
  sendRaw(tag: number, payload: Uint8Array): RawOutcome {
    if (this.#ended || this.#leaving !== "no" || !this.joined) return "over";
    if (this.#blocked) return "blocked";
    return this.#raw.append(tag, payload) ? "sent" : "full";
  }

  /** D9: a raw packet counts if its sender is another member, here and in the directory, and this member delivers. */
  acceptsRaw(from: NodeId): boolean {
    if (this.#ended || this.#blocked || !this.joined || from === this.self) return false;
    return this.#epoch?.view.members.includes(from) === true && this.#target.members.includes(from);
  }

  deliverRaw(from: NodeId, packet: Packet): void {
    const view = this.#epoch?.view;
    if (view === undefined) return;
    packet.retain();
    const point: DeliveryPoint = { view, sender: from, own: from === this.self, index: rawIndex(packet) };
    this.#effects.perform({ kind: "deliver", group: this.group, packet, point });
  }

  /** F1: the number under which `flushed` will be reported. */
  flush(copies: number | undefined): number {
    return this.#flushes.begin(copies, this.#outgoing.mark());
  }

  cancelFlush(flush: number): void {
    this.#flushes.cancel(flush);
  }

  openQuery(): number {
    const query = this.#host.nextQuery();
    this.#queries.open(query);
    return query;
  }

  queryDelivered(query: number, members: readonly NodeId[], view: number): void {
    this.#queries.delivered(query, members, view);
  }

  closeQuery(query: number): void {
    this.#queries.close(query);
  }

  /** These members have not answered in time: the directory is to exclude them. */
  accuse(query: number, members: readonly NodeId[]): void {
    const accused = this.#queries.accuse(query, members).filter((member) => !this.#accused.has(member));
    for (const member of accused) this.#accused.add(member);
    if (accused.length > 0) this.#host.requestExclusion(this.group, this.#epoch?.number ?? 0, accused);
  }

  /** The directory has judged these accused; the group goes on without all but `staying`. */
  judged(accused: readonly NodeId[], staying: readonly NodeId[]): void {
    for (const member of accused) this.#accused.delete(member);
    this.#queries.spared(staying);
  }

  answer(to: NodeId, query: number, status: AnswerStatus, value: Uint8Array): void {
    if (to === this.self) {
      this.#queries.answered(to, query, status, value, false);
      return;
    }
    let from = 0;
    do {
      const part = value.subarray(from, from + ANSWER_PART_BYTES);
      from += ANSWER_PART_BYTES;
      const more = from < value.length;
      this.#effects.send(to, { kind: "answer", group: this.group, query, status, value: part, more });
    } while (from < value.length);
  }

  /** Says to the directory that another member is too slow for this one, or no longer. */
  findSlow(member: NodeId, isSlow: boolean): void {
    if (this.#epoch !== undefined) this.#host.reportSlow(this.group, this.#epoch.number, member, isSlow);
  }

  /** C11: flushes, then asks the directory; goes on to report and forward until the new view is in place. */
  leave(): void {
    if (this.#leaving === "no") this.#leaving = "flushing";
  }

  /** The next chunk of a captured state. */
  stateChunk(joiner: NodeId, since: number, chunk: Uint8Array | undefined): void {
    this.#donations.chunk(joiner, since, chunk);
  }

  /** The application could not capture its state at the start of view `since` for the disk. */
  checkpointFailed(since: number): void {
    this.#donations.checkpointFailed(since);
    // Who does not hold its state on its disk holds none.
    if (!this.#host.isSynced(this.group, this.self)) this.leave();
  }

  /** The application has loaded the state of transfer `since`. */
  stateLoaded(since: number): void {
    this.#recovery?.loaded(since);
    this.#entrance.loaded(since);
  }

  /** The next records of this node's log, and the position behind them, or why there is none. */
  recalled(records: readonly JournalRecord[], next: number | "end" | "damaged"): void {
    if (this.#recovery !== undefined) {
      this.journal.replayed(records);
      this.#recovery.recalled(records, next);
    } else if (!this.#entrance.recalled(records, next)) this.#donations.recalled(records, next);
  }

  // Events from the world.

  packet(from: NodeId, packet: Packet): void {
    const epoch = this.#epoch;
    if (this.#ended) {
      packet.release();
    } else if (epoch !== undefined && packet.epoch === epoch.number) {
      const rank = epoch.view.members.indexOf(from);
      if (rank < 0) {
        packet.release();
        return;
      }
      epoch.receive(rank, packet);
      this.#flush.packetsCame();
      if (this.#entrance.isFull) epoch.pause();
    } else if (this.#isAhead(from, packet.epoch)) {
      this.#early.push({ from, packet });
    } else {
      packet.release();
    }
  }

  /**
   * Whether this is of an epoch that may come. No member begins one in which this member has no part, so its target is known
   * here; and of who is in the newest target no more, nothing is needed.
   */
  #isAhead(from: NodeId, epoch: number): boolean {
    const { number, members } = this.#target;
    const isToCome = epoch > (this.#epoch?.number ?? 0) && epoch <= number;
    return isToCome && members.includes(from) && this.#early.length < EARLY_MAX;
  }

  /** Whether this is a member of the view in place, or of the newest target. */
  #isMember(id: NodeId): boolean {
    return this.#target.members.includes(id) || this.#epoch?.view.members.includes(id) === true;
  }

  receive(from: NodeId, message: Message): void {
    if (this.#ended) return;
    if (this.#return !== undefined) {
      if (this.#deferred.length < EARLY_MAX && this.#isMember(from)) this.#deferred.push({ from, message });
      return;
    }
    const epoch = this.#epoch;
    switch (message.kind) {
      case "row":
      case "stable":
      case "solicit": {
        if (epoch !== undefined && message.epoch === epoch.number) {
          const rank = epoch.view.members.indexOf(from);
          if (rank < 0) return;
          if (message.kind === "row") epoch.receiveRow(rank, message.row);
          else if (message.kind === "stable") epoch.receiveStable(rank, message.row);
          else epoch.receiveSolicit(rank, message.target);
        } else if (this.#isAhead(from, message.epoch)) {
          this.#early.push({ from, message });
        }
        break;
      }
      case "fetch":
        if (epoch === undefined || message.epoch !== epoch.number || !epoch.view.members.includes(from)) return;
        for (const packet of epoch.packets(message.sender, message.from, message.to)) {
          this.#effects.perform({ kind: "multicast", to: [from], packet });
        }
        break;
      case "install":
        if (this.#leaving === "no" || this.#target.members.includes(this.self)) this.#flush.receive(from, message);
        else if (this.#isMember(from)) this.end("left");
        break;
      case "report":
      case "cut":
      case "hold":
        this.#flush.receive(from, message);
        break;
      case "stateChunk":
      case "tailChunk":
        // Nobody else may fill the room for what has come early.
        if (this.#isMember(from)) this.#entrance.receive(from, message);
        break;
      case "stateCredit":
        this.#donations.credit(from, message.view, message.index);
        break;
      case "answer":
        this.#queries.answered(from, message.query, message.status, message.value, message.more);
        break;
      default:
    }
  }

  /** The directory has a newer target of this group. */
  retarget(target: GroupView): void {
    if (this.#ended || target.number <= this.#target.number) return;
    this.#target = target;
    if (target.members.includes(this.self)) {
      if (this.#return === undefined) this.#flush.begin(target);
      return;
    }
    // A leaver answers fetches until it is told that the others have gone on, or none of them is there to fetch, or to tell
    // it; who was accused is not asked.
    this.#epoch?.freeze();
    this.#flush.end();
    const isNeeded = this.#epoch?.others.some((member) => target.members.includes(member)) === true;
    if (this.#leaving !== "asked") this.end("excluded");
    else if (!isNeeded) this.end("left");
  }

  /** Nobody in the group holds the state any more. */
  lost(): void {
    this.end(this.#leaving === "asked" ? "left" : "lost");
  }

  /** Begins with what is in this node's log, or with nothing; nothing else happens until that is done. */
  recover(remains: Remains | undefined): void {
    this.#return = "begun";
    if (remains === undefined) {
      this.#restored();
      return;
    }
    this.journal.continue(remains);
    const failed = (detail: string, isBehind = false): void => {
      this.#effects.perform({ kind: "unrecoverable", group: this.group, detail });
      // Another keeper may still have it.
      this.#leaving = "asked";
      this.#host.reportUnrecoverable(this.group, isBehind);
    };
    const replayed = (replay: Replay): void => {
      const { isBehind } = replay;
      const end = replay.end();
      if (replay.flaw !== undefined || isBehind) {
        failed(replay.flaw ?? BEHIND, replay.flaw === undefined);
        return;
      }
      this.#recovered = end;
      this.#restored();
    };
    this.#recovery = new Recovery(remains, this.#effects, { replayed, failed });
  }

  /** The state is there; as soon as others may not bring it back any more, the group goes on from here. */
  #restored(): void {
    this.#recovery = undefined;
    this.#return = "told";
    if (this.#host.hasReserve(this.group)) this.#host.reportSynced(this.group, this.#target.number);
    else this.#goOn();
  }

  #goOn(): void {
    this.#return = undefined;
    if (this.#target.members.includes(this.self)) this.#flush.begin(this.#target);
    for (const { from, message } of this.#deferred.splice(0)) this.receive(from, message);
  }

  /** The primary partition is out of reach, or within it again. */
  setBlocked(blocked: boolean): void {
    if (this.#blocked === blocked || this.#ended) return;
    this.#blocked = blocked;
    this.#entrance.show({ kind: "blocked", group: this.group, blocked });
    if (blocked) {
      this.#epoch?.pause();
      const messages = this.#raw.drop();
      if (messages > 0) this.#effects.perform({ kind: "rawUnsent", group: this.group, messages });
      return;
    }
    this.#epoch?.resume();
    this.#entrance.resume();
    this.#flush.resume();
  }

  end(how: Ending): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#recovery = undefined;
    this.#return = undefined;
    this.#epoch?.freeze();
    this.#flush.end();
    this.#donations.end();
    for (const flush of this.#flushes.end()) {
      this.#effects.perform({ kind: "flushed", group: this.group, flush, ending: how });
    }
    this.#entrance.end();
    for (const { packet } of this.#early) packet?.release();
    this.#early = [];
    this.#effects.perform({ kind: "ended", group: this.group, how });
  }

  endTurn(now: number, wallTime: number): void {
    const epoch = this.#epoch;
    if (epoch === undefined || this.#ended) return;
    this.#emitRaw(epoch, wallTime);
    this.#outgoing.seal();
    this.#emit(epoch, wallTime);
    epoch.endTurn(now, wallTime);
    this.#emit(epoch, wallTime);
    epoch.settle();
    if (this.#outgoing.roomWanted && this.#outgoing.hasRoom) {
      this.#outgoing.roomWanted = false;
      this.#effects.perform({ kind: "room", group: this.group });
    }
    this.#settleFlushes(epoch);
    this.#renewIfLong(epoch);
    this.#lookForLaggards(epoch, now);
    if (this.#leaving === "flushing") this.#leaveIfFlushed(epoch);
  }

  #lookForLaggards(epoch: Epoch, now: number): void {
    for (const { rank, forMs } of this.#laggards.look(now, epoch)) {
      const member = epoch.view.members[rank] as NodeId;
      // Who still loads the state keeps what comes, up to a bound, and then holds the senders back on purpose.
      if (!this.joined || !this.#host.isSynced(this.group, member)) continue;
      this.#effects.perform({ kind: "slow", group: this.group, member, forMs });
    }
  }

  /** The directory has moved on: a joiner that has the state needs no donor any more. */
  directoryMoved(): void {
    this.#donations.endOf((joiner) => this.#host.isSynced(this.group, joiner));
    if (this.#return === "told" && !this.#host.hasReserve(this.group)) this.#goOn();
    this.#reportIfBegun();
  }

  /** E3: the directory asks this disk rather than those of former acceptors once it is known to be as good. */
  #reportIfBegun(): void {
    const since = this.#host.unprovenSince(this.group);
    const epoch = this.#epoch;
    if (since === 0 || since === this.#begunSince || epoch === undefined || epoch.number < since) return;
    if (!isAcceptor(epoch.view, this.self)) return;
    this.#begunSince = since;
    this.journal.after(() => this.#host.reportBegun(this.group, since));
  }

  // What entrance and flush ask and tell.

  get standing(): Standing | undefined {
    return this.#entrance.standing;
  }

  get astray(): boolean {
    return this.#entrance.astray;
  }

  writeCheckpoint(since: number, onDisk: () => void): void {
    this.#donations.checkpoint(since, onDisk);
  }

  wentAstray(view: number): void {
    this.#host.requestRenewal(this.group, view);
  }

  opened(): void {
    if (!this.#blocked) this.#epoch?.resume();
  }

  holdsState(since: number): void {
    this.#host.reportSynced(this.group, since);
  }

  mintSecret(): Uint8Array {
    return this.#options.mintSecret?.() ?? NO_SECRET;
  }

  learnSecret(step: Step): boolean {
    const { view, epochSecret: secret } = step;
    if (this.#options.mintSecret === undefined) return secret.length === 0;
    if (secret.length !== EPOCH_SECRET_BYTES) return false;
    this.#effects.perform({ kind: "learnKey", group: this.group, view, secret });
    return true;
  }

  install(step: Step): void {
    const before = this.#epoch;
    const { view } = step;
    if (before !== undefined) {
      assert(before.number === step.from, "a step is taken from the epoch that it ends");
      before.drain(step.cut);
    }
    this.journal.begin(view, before === undefined ? (this.#recovered ?? NOTHING) : step, this.#target.number);
    if (this.#options.mintSecret !== undefined) {
      this.#effects.perform({ kind: "useKey", group: this.group, number: view.number });
    }
    this.#startTransfers(step, before === undefined);
    const { bounds, timing } = this.#options;
    this.#epoch = new Epoch(
      {
        group: this.group,
        view,
        self: this.self,
        safety: "all",
        relaysRows: view.members.length > bounds.rowsToAllMax,
        windowBytes: bounds.windowBytes,
        rowDelayMs: timing.rowDelayMs,
        journal: this.journal,
        deliver: (packet, sender, index) => this.#deliver(view, packet, sender, index),
      },
      this.#effects,
    );
    this.#laggards = new Laggards(timing.heartbeatMs);
    if (this.#blocked) this.#epoch.pause();
    this.#entrance.show({ kind: "install", group: this.group, view });
    const loadingAnew = step.transfers.filter(({ since }) => since === view.number).map(({ joiner }) => joiner);
    this.#queries.installed(view.number, view.members, loadingAnew);
    this.#flushes.installed();
    // Those who left in good order wait to hear that the others have gone on (C11).
    const { group } = this;
    for (const member of before?.view.members ?? []) {
      if (view.members.includes(member)) continue;
      const directoryIndex = this.directoryIndex();
      this.#effects.send(member, { kind: "install", group, directoryIndex, target: view.number, from: step.from });
    }
    this.#reportIfBegun();
    this.#replayEarly(view.number);
  }

  #replayEarly(number: number): void {
    const early = this.#early;
    this.#early = [];
    for (const item of early) {
      const { from, packet, message } = item;
      if (packet !== undefined) this.packet(from, packet);
      else if (message !== undefined && "epoch" in message && message.epoch >= number) this.receive(from, message);
    }
  }

  #startTransfers({ view, transfers }: Step, isFirst: boolean): void {
    this.transfers = transfers;
    const isNew = isFirst && this.#options.creates && view.synced.includes(this.self);
    if (isNew) this.#entrance.open(this.#recovered === undefined);
    this.#donations.begin(view, transfers, this.joined);
    this.#entrance.begin(view.number, transfers);
  }

  /**
   * The oldest that holds the state asks for another epoch when much was recorded since the last checkpoint; and whoever needs
   * a checkpoint because its log is damaged.
   */
  #renewIfLong({ frozen, view }: Epoch): void {
    if (!this.journal.isLong || frozen || this.#blocked || this.#renewed === view.number) return;
    const oldest = view.members.find((member) => this.#host.isSynced(this.group, member));
    if (oldest !== this.self && !this.journal.isDamaged) return;
    this.#renewed = view.number;
    this.#host.requestRenewal(this.group, view.number);
  }

  #deliver(view: GroupView, packet: Packet, sender: number, index: number): void {
    packet.retain();
    const id = view.members[sender] as NodeId;
    const point: DeliveryPoint = { view, sender: id, own: id === this.self, index };
    this.#entrance.show({ kind: "deliver", group: this.group, packet, point });
  }

  #emit(epoch: Epoch, wallTime: number): void {
    let more = false;
    while (more || (epoch.hasCredit && this.journal.hasRoom)) {
      const packet = this.#outgoing.take();
      if (packet === undefined) return;
      // All fragments of a message enter one epoch.
      more = packet.more;
      if (this.#options.recordsSends) {
        this.#effects.perform({ kind: "sent", group: this.group, packet, view: epoch.view });
      }
      epoch.send(packet, wallTime);
    }
  }

  /** Raw messages wait for nothing, so they leave in a flush, too. */
  #emitRaw(epoch: Epoch, wallTime: number): void {
    for (const packet of this.#raw.take()) {
      packet.stamp(this.group, epoch.number, epoch.rank, this.#host.nextRaw(), wallTime);
      if (this.#options.recordsSends) {
        this.#effects.perform({ kind: "sent", group: this.group, packet, view: epoch.view });
      }
      this.deliverRaw(this.self, packet);
      this.#effects.perform({ kind: "datagram", group: this.group, to: epoch.others, packet });
    }
  }

  #settleFlushes(epoch: Epoch): void {
    if (this.#flushes.empty || epoch.frozen || this.#blocked) return;
    const isSynced = (member: NodeId): boolean => this.#host.isSynced(this.group, member);
    for (const flush of this.#flushes.settle(epoch, this.#outgoing.taken, isSynced)) {
      this.#effects.perform({ kind: "flushed", group: this.group, flush, ending: undefined });
    }
  }

  #syncedCount(members: readonly NodeId[]): number {
    return members.filter((member) => this.#host.isSynced(this.group, member)).length;
  }

  #leaveIfFlushed(epoch: Epoch): void {
    if (epoch.frozen || !this.#outgoing.empty || epoch.awaitsOwn || !this.#flushes.empty) return;
    // Who holds the state stays until all others hold it too.
    const others = epoch.others.length;
    if (this.joined && this.#syncedCount(epoch.others) < others) return;
    if (this.joined && !this.#leaveFlushed) {
      this.#leaveFlushed = true;
      this.flush(undefined);
      this.#settleFlushes(epoch);
      if (!this.#flushes.empty) return;
    }
    this.#leaving = "asked";
    this.#host.requestLeave(this.group);
  }

  #leaveFlushed = false;

  /** The directory did not let this member go, because nobody else holds the state yet. */
  leaveDeferred(): void {
    if (this.#leaving !== "asked") return;
    this.#leaving = "flushing";
    this.#leaveFlushed = false;
  }
}
