/**
 * One incarnation of a node: the whole deterministic core. Events go in as calls with the time as an argument, effects
 * come out of the sink; nothing here knows a clock, a socket or a promise. It routes between the cluster, which knows who
 * is there and what the directory says, and this node's memberships in groups.
 *
 * Messages about a group name how much of the directory their sender knew; one that is ahead of this node waits until
 * the directory has caught up, so no part of a flush ever meets a target it has not heard of.
 */
import { type Packet, RAW } from "../wire/packet.ts";
import { type Arrival, Early } from "./early.ts";
import type { ClusterStatus, Effects, JoinRefusal } from "./effects.ts";
import type { Remains } from "./groups-memory.ts";
import { AwaitedJoins, type JoinWish } from "./joins.ts";
import { DurableJournal, type Journal, VOLATILE } from "./journal.ts";
import type { JournalRecord } from "./journal-records.ts";
import { Member, type MemberHost } from "./member.ts";
import { Cluster, type ClusterHost } from "./membership/cluster.ts";
import {
  type Awaiting,
  Directory,
  type DirectoryGroup,
  type DirectoryOutcome,
  isKept,
} from "./membership/directory.ts";
import type { ClusterMemory } from "./membership/memory.ts";
import { areEqual, type Verify } from "./membership/proof.ts";
import type { Message } from "./messages.ts";
import { RawWindow, rawCount } from "./raw.ts";
import type { Bounds, Timing } from "./timing.ts";
import { type ClusterView, isNodeOf, type NodeId, type NodeRecord } from "./view.ts";

export interface ProcessOptions {
  readonly self: NodeRecord;
  readonly timing: Timing;
  readonly bounds: Bounds;
  readonly directorySize: number;
  readonly mintCluster: () => string;
  /** A fresh secret of `EPOCH_SECRET_BYTES` unpredictable bytes, for an epoch of a secure group. */
  readonly mintSecret: () => Uint8Array;
  /** How joins of groups with a key of their own are checked. */
  readonly verify: Verify;
  /** Whether the directory requests of this node are sent to itself when it leads; else they are ordered at once. */
  readonly asksItself?: boolean;
  /** Of a node with a data directory: the position of its log's next record, and what is there of cluster and groups. */
  readonly log?:
    | {
        readonly next: number;
        readonly cluster: ClusterMemory;
        readonly groups: ReadonlyMap<number, Remains>;
        /** Whether all that is needed of it is intact. */
        readonly isWhole: boolean;
      }
    | undefined;
  /** Whether effects that only histories need are recorded. */
  readonly recordsHistory: boolean;
}

type LogMemory = NonNullable<ProcessOptions["log"]>;

/** What a node has said that knows more of the directory than this one. */
interface Deferred extends Arrival {
  readonly message: Message;
  readonly index: number;
}

const NONE_SECURE: ReadonlySet<string> = new Set();

export class Process implements ClusterHost, MemberHost {
  readonly #options: ProcessOptions;
  readonly #effects: Effects;
  readonly #journal: DurableJournal | undefined;
  readonly #cluster: Cluster;
  readonly #members = new Map<number, Member>();
  readonly #remains: Map<number, Remains>;
  readonly #joins = new AwaitedJoins();
  /** Of the groups that this node is in: their keys, as the directory has them. */
  readonly #publicKeys = new Map<number, Uint8Array>();
  /** Names of the secure groups that this node has asked to join. */
  readonly #secure = new Set<string>();
  /** Members that something has happened to in this turn. */
  #turns = 0;
  readonly #touched = new Set<Member>();
  readonly #deferred = new Early<Deferred>();
  #closing = false;
  #queries = 0;
  #raws = 0;
  /** What has come of each node of the cluster. */
  readonly #rawWindows = new Map<NodeId, RawWindow>();

  constructor(options: ProcessOptions, effects: Effects, now: number) {
    this.#options = options;
    this.#effects = effects;
    const { log } = options;
    this.#journal = log === undefined ? undefined : new DurableJournal(effects, log.next, needsOf(log));
    const journal = this.#journal ?? VOLATILE;
    if (log?.next === 0) journal.write({ kind: "minted", disk: options.self.disk });
    this.#remains = new Map(log?.groups);
    this.#cluster = new Cluster({ ...options, journal, memory: log?.cluster }, effects, this, now);
  }

  get self(): NodeRecord {
    return this.#options.self;
  }

  get cluster(): Cluster {
    return this.#cluster;
  }

  get members(): ReadonlyMap<number, Member> {
    return this.#members;
  }

  /** When `tick` must be called next. */
  get deadline(): number {
    let deadline = Math.min(this.#cluster.deadline, this.#journal?.deadline ?? Number.POSITIVE_INFINITY);
    for (const member of this.#members.values()) deadline = Math.min(deadline, member.deadline);
    return deadline;
  }

  // Commands.

  /** Joins several groups in one step, of which those with these names are secure; `joinOutcome` will carry the returned number. */
  join(groups: readonly JoinWish[], secure: ReadonlySet<string> = NONE_SECURE): number {
    for (const { name } of groups) {
      if (secure.has(name)) this.#secure.add(name);
      else this.#secure.delete(name);
    }
    return this.#cluster.request({ kind: "join", groups });
  }

  /** Nobody waits for this join any more. */
  cancelJoin(request: number): void {
    this.#joins.cancel(request);
  }

  /** Whether something has happened that `endTurn` has not taken care of. */
  get hasUnfinished(): boolean {
    return this.#touched.size > 0 || this.#cluster.hasUnordered;
  }

  /** Whether somebody waits for what is on its way to the disk. */
  get awaitsDisk(): boolean {
    return this.#journal?.isAwaited === true;
  }

  /** Counts turns: who was given a membership need not ask for it again in the same turn. */
  get turns(): number {
    return this.#turns;
  }

  /** The membership, for the application's commands; whatever they do is taken care of at the end of the turn. */
  member(group: number): Member | undefined {
    const member = this.#members.get(group);
    if (member !== undefined) this.#touched.add(member);
    return member;
  }

  /** Leaves all groups, then the cluster. */
  close(): void {
    this.#closing = true;
    if (this.#cluster.status !== "primary") {
      this.#cluster.leave();
      return;
    }
    for (const member of this.#members.values()) member.leave();
    this.#touchAll();
    this.#leaveClusterIfDone();
  }

  // Events from the world.

  linkUp(peer: NodeRecord, now: number): void {
    this.#cluster.linkUp(peer, now);
  }

  linkDown(id: NodeId, gone: boolean, now: number): void {
    this.#cluster.linkDown(id, gone, now);
    // What it has said may be of a future that will never come.
    if (gone && this.#isStranger(id)) this.#deferred.take(({ from }) => from === id);
  }

  alive(id: NodeId, stalledMs: number, now: number): void {
    this.#cluster.alive(id, stalledMs, now);
  }

  packet(from: NodeId, packet: Packet, now: number): void {
    this.#cluster.heard(from, now);
    if (packet.flavour === RAW) {
      this.rawPacket(from, packet);
      return;
    }
    if (packet.group === 0) {
      this.#cluster.packet(from, packet);
      return;
    }
    const member = this.#members.get(packet.group);
    if (member === undefined) {
      packet.release();
      return;
    }
    this.#touched.add(member);
    member.packet(from, packet);
  }

  /** A raw packet, perhaps by datagram: who sent it is only what it says. Duplicates and what is not from a member are dropped. */
  rawPacket(from: NodeId, packet: Packet): void {
    const { group, more } = packet;
    const member = this.#members.get(group);
    if (member !== undefined && !more && member.acceptsRaw(from) && this.#rawWindow(from)?.accept(packet.seqno)) {
      member.deliverRaw(from, packet);
    } else if (member !== undefined) this.#effects.perform({ kind: "rawDropped", group, messages: rawCount(packet) });
    packet.release();
  }

  /** `bytes`: of its frame. */
  receive(from: NodeId, message: Message, now: number, bytes = 0): void {
    this.#cluster.heard(from, now);
    if (!("group" in message) || message.group === 0) {
      this.#cluster.receive(from, message, now, bytes);
      return;
    }
    if ("directoryIndex" in message && message.directoryIndex > this.#cluster.directory.index) {
      this.#deferred.keep({ from, message, index: message.directoryIndex, bytes }, this.#isStranger(from));
      return;
    }
    this.member(message.group)?.receive(from, message);
  }

  tick(now: number): void {
    this.#cluster.tick(now);
    for (const member of this.#members.values()) if (member.deadline <= now) this.#touched.add(member);
  }

  /** All records of the log below this position are on disk. */
  persisted(upTo: number): void {
    this.#journal?.persisted(upTo);
    for (const member of this.#members.values()) if (member.journal.durable) this.#touched.add(member);
  }

  /** Records before this position are not on disk any more as they were: what needs them is written anew. */
  damaged(to: number): void {
    this.#cluster.damaged(to);
    for (const member of this.#members.values()) {
      member.journal.damaged(to);
      this.#touched.add(member);
    }
  }

  /** The records that a `recall` has asked for, and the position behind them, or why there is none. */
  recalled(group: number, records: readonly JournalRecord[], next: number | "end" | "damaged"): void {
    this.member(group)?.recalled(records, next);
  }

  /** Closes a turn: batches leave, rows are sent, what became settled is reported. */
  endTurn(now: number, wallTime: number): void {
    this.#cluster.endTurn(now, wallTime);
    for (const member of this.#touched) {
      member.endTurn(now, wallTime);
      if (member.ended) this.#forget(member);
    }
    this.#touched.clear();
    this.#turns++;
    if (this.#closing) this.#leaveClusterIfDone();
    this.#journal?.endTurn(now);
  }

  // What the cluster tells.

  directoryChanged(): void {
    const { directory } = this.#cluster;
    // Others may have more to say to who is out than that it is; it enters nothing any more.
    if (this.#cluster.isOver) return;
    for (const group of directory.groups) {
      if (group.status !== "live" || !group.members.includes(this.self.id) || this.#members.has(group.id)) continue;
      this.#enter(group, group.synced.includes(this.self.id));
    }
    for (const member of this.#members.values()) {
      const group = directory.group(member.group);
      if (group === undefined) member.end("left");
      else if (group.status === "lost") member.lost();
      else {
        this.#noteKey(group);
        member.retarget(Directory.target(group));
        member.directoryMoved();
      }
    }
    this.#touchAll();
    this.#forgetRemains();
    for (const { number, groups } of this.#joins.ready((name) => directory.named(name)?.status !== "lost")) {
      this.#joins.renumber(number, this.#cluster.request({ kind: "join", groups }));
    }
    for (const { from, message } of this.#deferred.take(({ index }) => index <= directory.index)) {
      if ("group" in message) this.member(message.group)?.receive(from, message);
    }
  }

  executed(outcome: DirectoryOutcome): void {
    const { request, refusals } = outcome;
    if (request.command.kind === "join") this.#joinExecuted(request.number, request.command.groups, refusals);
    if (request.command.kind === "refuse") this.#joinExecuted(request.number, [], refusals);
    if (request.command.kind === "exclude") {
      const { group, members } = request.command;
      const present = this.#cluster.directory.group(group)?.members ?? [];
      this.member(group)?.judged(
        members,
        members.filter((member) => present.includes(member)),
      );
    }
    if (request.command.kind !== "leave") return;
    for (const group of request.command.groups) {
      const stays = this.#cluster.directory.group(group)?.members.includes(this.self.id) === true;
      if (stays) this.member(group)?.leaveDeferred();
    }
  }

  clusterInstalled(view: ClusterView): void {
    for (const id of this.#rawWindows.keys()) {
      if (!view.nodes.some((node) => node.id === id)) this.#rawWindows.delete(id);
    }
    this.#effects.perform({ kind: "cluster", view });
  }

  statusChanged(status: ClusterStatus): void {
    for (const member of this.#members.values()) {
      if (status === "blocked" || status === "primary") member.setBlocked(status === "blocked");
      else if (status === "excluded" || status === "closed") member.end(status);
    }
    this.#touchAll();
  }

  // What members ask.

  directoryIndex(): number {
    return this.#cluster.directory.index;
  }

  isSynced(group: number, member: NodeId): boolean {
    return this.#cluster.directory.group(group)?.synced.includes(member) === true;
  }

  hasReserve(group: number): boolean {
    return (this.#cluster.directory.group(group)?.reserve.length ?? 0) > 0;
  }

  reportSynced(group: number, target: number): void {
    this.#cluster.request({ kind: "synced", group, target });
  }

  requestLeave(group: number): void {
    this.#cluster.request({ kind: "leave", groups: [group] });
  }

  unprovenSince(group: number): number {
    const keepers = this.#cluster.directory.group(group)?.keepers;
    return keepers?.find(({ node }) => node === this.self.id)?.since ?? 0;
  }

  reportBegun(group: number, target: number): void {
    this.#cluster.request({ kind: "begun", group, target });
  }

  reportUnrecoverable(group: number, isBehind: boolean): void {
    this.#cluster.request({ kind: "unrecoverable", group, isBehind });
  }

  requestRenewal(group: number, target: number): void {
    this.#cluster.request({ kind: "renew", group, target });
  }

  requestExclusion(group: number, target: number, members: readonly NodeId[]): void {
    this.#cluster.request({ kind: "exclude", group, target, members });
  }

  reportSlow(group: number, target: number, member: NodeId, isSlow: boolean): void {
    this.#cluster.request({ kind: "slow", group, target, member, isSlow });
  }

  nextRaw(): number {
    this.#raws = (this.#raws + 1) >>> 0;
    return this.#raws;
  }

  nextQuery(): number {
    this.#queries = this.#queries === 0xffff_ffff ? 1 : this.#queries + 1;
    return this.#queries;
  }

  #joinExecuted(number: number, groups: readonly JoinWish[], outcome: DirectoryOutcome["refusals"]): void {
    for (const { name } of outcome.length === 0 ? groups : []) {
      // Left and joined again before the others have said goodbye: it is another membership.
      const before = this.#members.get(this.#cluster.directory.named(name)?.id ?? 0);
      before?.end("left");
      if (before !== undefined) this.#forget(before);
    }
    const request = this.#joins.origin(number);
    const awaited: Awaiting[] = [];
    const refusals: JoinRefusal[] = [];
    for (const refusal of outcome) {
      if (refusal.code === "group-awaited") awaited.push(refusal);
      else refusals.push(refusal);
    }
    if (awaited.length === 0 || refusals.length > 0) {
      this.#joins.cancel(request);
      this.#effects.perform({ kind: "joinOutcome", request, refusals });
      return;
    }
    // C10: it is let in once somebody has brought the group back.
    this.#joins.wait(number, groups);
    for (const { name, keepers } of awaited) {
      this.#effects.perform({ kind: "notice", what: "group awaits a keeper", detail: { group: name, keepers } });
    }
  }

  #forget(member: Member): void {
    // Who has left and joined again has another membership in its place.
    if (this.#members.get(member.group) !== member) return;
    this.#members.delete(member.group);
    this.#publicKeys.delete(member.group);
    member.journal.end();
    const { remains } = member.journal;
    if (remains !== undefined) this.#remains.set(member.group, remains);
  }

  /**
   * What the log says of groups that are no more is of no use, nor, when much was written since, of groups that have gone on
   * without this node.
   */
  #forgetRemains(): void {
    const isShort = (this.#journal?.bytes ?? 0) < this.#options.bounds.recordBytesMax;
    for (const group of this.#remains.keys()) {
      const known = this.#cluster.directory.group(group);
      if (known !== undefined && (isShort || isKept(known, this.self.disk))) continue;
      // Who is a member needs the log from where its own records begin, and says so.
      this.#remains.delete(group);
      if (!this.#members.has(group)) this.#journal?.need(group, Number.POSITIVE_INFINITY);
    }
  }

  #noteKey({ id, publicKey }: DirectoryGroup): void {
    const known = this.#publicKeys.get(id);
    if (known === undefined || areEqual(known, publicKey)) return;
    this.#publicKeys.set(id, publicKey);
    this.#effects.perform({ kind: "rekeyed", group: id, publicKey });
  }

  #enter(entered: DirectoryGroup, creates: boolean): void {
    const { id: group, name, number: admitted, durable, since, publicKey } = entered;
    const { bounds, timing, recordsHistory, self } = this.#options;
    const journal: Journal = durable ? (this.#journal ?? VOLATILE) : VOLATILE;
    const mintSecret = this.#secure.has(name) ? this.#options.mintSecret : undefined;
    const left = this.#remains.get(group);
    const found = left?.flaw === undefined ? left : left.before;
    // What this membership writes is not of what was before it.
    const returnsWith =
      creates || !durable || found?.standing === undefined ? undefined : { to: journal.next, ...found };
    const keeping = { journal, mintSecret, returnsWith };
    const member = new Member(
      { group, name, self: self.id, admitted, bounds, timing, recordsSends: recordsHistory, creates, ...keeping },
      this,
      this.#effects,
    );
    this.#members.set(group, member);
    this.#publicKeys.set(group, publicKey);
    this.#effects.perform({ kind: "entered", group, name });
    // Of a log that is whole, nothing is missing: the group ended before it had begun anything.
    const isMissing = durable && since > 1 && this.#options.log?.isWhole === false;
    const nothing = { group, name, from: 0, checkpoint: undefined, flaw: "its records are missing" };
    const remains = left ?? (isMissing ? nothing : undefined);
    if (creates && (remains !== undefined || this.hasReserve(group))) member.recover(remains);
    if (this.#cluster.status === "blocked") member.setBlocked(true);
    if (this.#closing) member.leave();
  }

  #isStranger(id: NodeId): boolean {
    const { view } = this.#cluster;
    return view === undefined || !isNodeOf(view, id);
  }

  #rawWindow(from: NodeId): RawWindow | undefined {
    let window = this.#rawWindows.get(from);
    if (window === undefined && this.#cluster.view?.nodes.some(({ id }) => id === from)) {
      window = new RawWindow();
      this.#rawWindows.set(from, window);
    }
    return window;
  }

  #touchAll(): void {
    for (const member of this.#members.values()) this.#touched.add(member);
  }

  #leaveClusterIfDone(): void {
    for (const member of this.#members.values()) if (!member.ended) return;
    this.#cluster.leave();
  }
}

/** From where on the cluster and each group need the log. */
function needsOf({ cluster, groups }: LogMemory): Map<number, number> {
  const needs = new Map([...groups.values()].map(({ group, from, before }) => [group, before?.from ?? from]));
  if (cluster.from !== undefined) needs.set(0, cluster.from);
  return needs;
}
