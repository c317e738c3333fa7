/**
 * One incarnation's membership in the cluster, from its first contact to its end. The cluster group is an epoch like any
 * other, among the acceptors, with one sender (the acceptor of rank 0) and safe delivery only (rule B1); what is delivered
 * are commands of the directory (`DirectoryReplica`). Its views are agreed by `Agreement`, and follow each other in
 * `Succession`; whether there ought to be another one is for `Reconfiguration` to say. This class hears who is there, takes
 * what comes to where it belongs, and says whether the node may serve.
 */
import { copyOf } from "../../base/arena.ts";
import { Packet } from "../../wire/packet.ts";
import { type Arrival, Early } from "../early.ts";
import type { ClusterStatus, Effects } from "../effects.ts";
import type { Epoch } from "../epoch.ts";
import type { Journal } from "../journal.ts";
import type { DirectoryCommand, Message, Proposal } from "../messages.ts";
import type { Bounds, Timing } from "../timing.ts";
import { type ClusterView, isNodeOf, type NodeId, type NodeRecord, nodeName } from "../view.ts";
import { NO_PLEDGE, type Pledge, proposalDigest } from "./agreement.ts";
import { ClusterJournal } from "./cluster-journal.ts";
import type { Directory } from "./directory.ts";
import { DirectoryReplica, type DirectoryReplicaHost } from "./directory-replica.ts";
import { FailureDetector } from "./failure-detector.ts";
import { Joining } from "./joining.ts";
import { Lease } from "./lease.ts";
import { type ClusterMemory, type Installation, remember } from "./memory.ts";
import type { Verify } from "./proof.ts";
import { Reconfiguration } from "./reconfiguration.ts";
import { RecoveredAcceptor } from "./recovered-acceptor.ts";
import { Seats } from "./seats.ts";
import { Succession, type SuccessionHost } from "./succession.ts";

export interface ClusterOptions {
  readonly self: NodeRecord;
  readonly timing: Timing;
  readonly bounds: Pick<Bounds, "recordBytesMax">;
  /** At most so many nodes agree on views and keep the directory; the oldest. */
  readonly directorySize: number;
  /** Unpredictable in production: cluster ids. */
  readonly mintCluster: () => string;
  readonly recordsHistory: boolean;
  /** How joins of groups with a key are checked. */
  readonly verify: Verify;
  /** Whether this node's directory requests are sent to itself when it leads; else they are ordered at once. */
  readonly asksItself?: boolean;
  readonly journal: Journal;
  /** What this node's disk remembers of the cluster; undefined without one. */
  readonly memory: ClusterMemory | undefined;
}

/** What the cluster tells the process it belongs to. */
export interface ClusterHost extends DirectoryReplicaHost {
  clusterInstalled(view: ClusterView): void;
  statusChanged(status: ClusterStatus): void;
}

/** A message or a packet of a view that is not installed here yet. */
interface Ahead extends Arrival {
  readonly message: Message | undefined;
  readonly packet: Packet | undefined;
}

export class Cluster implements SuccessionHost {
  readonly #options: ClusterOptions;
  readonly #journal: ClusterJournal;
  readonly #self: NodeId;
  readonly #effects: Effects;
  readonly #host: ClusterHost;
  readonly #replica: DirectoryReplica;
  readonly #succession: Succession;
  readonly #detector: FailureDetector;
  readonly #reconfiguration: Reconfiguration;
  readonly #lease: Lease;
  readonly #seats: Seats;
  /** Until the first view, or until this node founds it. */
  #joining: Joining | undefined;
  /** The cluster that this node founds. */
  #founded: string | undefined;
  /** Until then: the acceptor of an earlier view that this node's disk is. */
  #recovered: RecoveredAcceptor | undefined;
  /** The last view that the disk remembers. */
  #left: ClusterView | undefined;
  #status: ClusterStatus = "joining";
  #now: number;
  readonly #linked = new Map<NodeId, NodeRecord>();
  #leaving = false;
  /** The id of this node's disk is on it: an acceptor that comes back is known by it. */
  #isMinted = false;
  /** When to stop waiting for the others to take over. */
  #leaveUntil = 0;
  /** What came for a view that is not installed here yet. */
  readonly #early = new Early<Ahead>();
  #heartbeatAt = 0;

  constructor(options: ClusterOptions, effects: Effects, host: ClusterHost, now: number) {
    const { self, timing, directorySize, mintCluster, recordsHistory, verify, asksItself = false, memory } = options;
    const { failureTimeoutMs, leaseMs, attemptMs } = timing;
    this.#options = options;
    const journal = new ClusterJournal(options.journal, memory, options.bounds.recordBytesMax);
    this.#journal = journal;
    this.#self = self.id;
    this.#effects = effects;
    this.#host = host;
    this.#now = now;
    this.#replica = new DirectoryReplica({ self: self.id, leaseMs, recordsHistory, verify, asksItself }, effects, host);
    this.#seats = new Seats(this.#linked);
    const succession = { self: self.id, timing, journal, seats: this.#seats };
    this.#succession = new Succession(succession, this.#replica, effects, this);
    this.#detector = new FailureDetector(timing, now);
    const wishes = { self: self.id, failureTimeoutMs, attemptMs, directorySize };
    this.#reconfiguration = new Reconfiguration(wishes, this.#detector, this.#linked, effects);
    this.#lease = new Lease(self.id, leaseMs);
    // A namesake that has just died is found out within the failure time; then the name is free.
    const patienceMs = failureTimeoutMs * 1.5;
    this.#joining = new Joining({ self, patienceMs, mintCluster, journal, memory }, this.#linked, effects);
    // Of a disk with damage in the cluster's records the vote is lost, and with it the view that it could have gone on from.
    this.#left = memory?.isWhole === true ? memory.installed?.decided.view : undefined;
    journal.after(() => {
      this.#isMinted = true;
    });
  }

  /** This node is in no cluster any more, and never will be. */
  get isOver(): boolean {
    return this.#status === "excluded" || this.#status === "closed";
  }

  get status(): ClusterStatus {
    return this.#status;
  }

  get view(): ClusterView | undefined {
    return this.#succession.view;
  }

  get directory(): Directory {
    return this.#replica.directory;
  }

  /** The id of the cluster that this node is in or founds, or that its disk has been in; "" for none. */
  get cluster(): string {
    return this.view?.cluster ?? this.#founded ?? this.#left?.cluster ?? this.#options.memory?.cluster ?? "";
  }

  /** A8: whether this node's disk has taken part in founding a cluster: it founds no other. */
  get isUsed(): boolean {
    return this.#options.memory?.isUsed === true;
  }

  /** Where others of the last view that the disk remembers may be found. */
  get rememberedAddresses(): readonly string[] {
    const view = this.#left ?? this.#options.memory?.installed?.decided.view;
    return view?.nodes.map(({ address }) => address) ?? [];
  }

  /** The view that this node's disk was left in, until the node is in one. */
  get leftView(): ClusterView | undefined {
    return this.#left;
  }

  /** The acceptors without whom the cluster that this node has been in cannot go on. */
  get awaitedAcceptors(): readonly NodeRecord[] {
    return this.#recovered?.awaited ?? [];
  }

  get linked(): ReadonlyMap<NodeId, NodeRecord> {
    return this.#linked;
  }

  /** Whether a cluster knows that this node wants to become one of it, and tells it whom to link with. */
  get hinted(): boolean {
    return this.#joining?.hinted === true;
  }

  get awaitedFounders(): readonly string[] {
    return this.#joining?.awaitedFounders ?? [];
  }

  /** Whether new connections from this incarnation are pointless: the cluster has gone on without it. */
  hasRemoved(id: NodeId): boolean {
    return this.#succession.hasRemoved(id);
  }

  /** Whether requests wait that could be ordered now. */
  get hasUnordered(): boolean {
    return this.#replica.hasUnordered;
  }

  /** Time of the next `tick`. */
  get deadline(): number {
    return Math.min(this.#heartbeatAt, this.#epoch?.deadline ?? Number.POSITIVE_INFINITY);
  }

  // Commands of the node.

  /** Founds a cluster of this node alone. */
  foundAlone(cluster: string): void {
    if (this.#joining === undefined || this.isUsed) return;
    const { self } = this.#options;
    this.#found({ cluster, number: 1, nodes: [self], acceptors: [self.id] });
  }

  /** Founds a cluster with the other founders, as soon as all are there. */
  foundWith(addresses: readonly string[]): void {
    if (this.#left === undefined && this.#isWhole) this.#found(this.#joining?.foundWith(addresses));
  }

  /** Takes up what this node's disk remembers: it votes on the successor of the view that it was left in (E2). */
  recover(): void {
    const { memory } = this.#options;
    if (this.view !== undefined || this.#recovered !== undefined || memory === undefined) return;
    if (!memory.isWhole) {
      // A1: who may have forgotten a promise does not answer for it, and comes in like any other.
      const detail = { consequence: "this node's vote in the cluster's last view is lost" };
      this.#effects.perform({ kind: "notice", what: "the disk is damaged", detail });
    } else if (memory.installed !== undefined) this.#revive(memory.installed, memory.pledge, memory.packets);
  }

  /** Orders a command; it is executed once, wherever the leadership goes meanwhile. Returns the request's number. */
  request(command: DirectoryCommand): number {
    return this.#replica.request(command);
  }

  /** Leaves the cluster in good order; the groups have been left before. */
  leave(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    this.#leaveUntil = this.#now + this.#options.timing.failureTimeoutMs * 2;
    if (this.view === undefined || this.view.nodes.length === 1) this.#end("closed");
    else this.#sayLeaving();
  }

  /** The node cannot keep its promises any more; it goes without a word. */
  fail(why: string): void {
    this.#end("closed", why);
  }

  /** The node was told that the cluster goes on without it. */
  excluded(): void {
    this.#end(this.#leaving ? "closed" : "excluded");
  }

  // Events from the world.

  linkUp(peer: NodeRecord, now: number): void {
    this.#passTime(now);
    this.#linked.set(peer.id, peer);
    this.#detector.linkUp(peer.id, now);
    this.#joining?.linkUp(peer);
    if (this.view === undefined) this.#askToJoin();
    else this.#sendHeartbeat([peer.id]);
  }

  linkDown(id: NodeId, gone: boolean, now: number): void {
    this.#passTime(now);
    this.#detector.linkDown(id, gone, now);
    this.#linked.delete(id);
    this.#joining?.linkDown(id, gone);
    this.#recovered?.linkDown(id);
    if (!gone) return;
    this.#reconfiguration.joinerGone(id);
    // The others count this complaint, and need not wait for the next heartbeat to do so.
    this.#sendHeartbeat(this.#heartbeatTargets());
    this.#considerChange();
  }

  alive(id: NodeId, stalledMs: number, now: number): void {
    this.#passTime(now);
    this.#detector.alive(id, stalledMs, now);
  }

  heard(id: NodeId, now: number): void {
    this.#passTime(now);
    this.#detector.heard(id, now);
  }

  packet(from: NodeId, packet: Packet): void {
    const epoch = this.#epoch;
    const rank = this.#rankOf(from);
    if (packet.epoch === this.#recovered?.view.number) {
      this.#recovered.packet(packet);
      return;
    }
    if (packet.epoch > this.#number) this.#keepEarly(from, packet, packet.bytes.length);
    if (epoch === undefined || rank < 0 || packet.epoch !== epoch.number) return;
    epoch.receive(rank, packet);
    this.#succession.agreement?.packetsCame();
  }

  /** `bytes`: of its frame. */
  receive(from: NodeId, message: Message, now: number, bytes = 0): void {
    this.#passTime(now);
    switch (message.kind) {
      case "joinCluster":
        if (message.node.id === from) this.#joinWanted(message.node, message.linked, message.left);
        break;
      case "joinRefused":
        if (this.#joining?.refused(now) !== true) break;
        this.#effects.perform({ kind: "joinRefused", code: message.code, detail: message.detail });
        this.#end("closed");
        break;
      case "clusterHint":
        if (this.#joining === undefined) break;
        this.#joining.hint(from);
        for (const peer of message.nodes) this.#link(peer);
        break;
      case "leaveCluster":
        this.#reconfiguration.leaveWanted(from);
        this.#considerChange();
        break;
      case "heartbeat":
        this.#heartbeat(from, message);
        break;
      case "excluded": {
        const { view } = this;
        // The view that this node's disk was left in is over: it comes in like any other.
        if (this.#recovered !== undefined && message.view > this.#recovered.view.number) this.#recovered = undefined;
        else if (view === undefined || (view.cluster === message.cluster && message.view > view.number)) {
          if (this.#mayMove(from)) this.excluded();
        }
        break;
      }
      case "foundingCall":
        if (this.#joining === undefined || this.#left !== undefined || !this.#isWhole)
          this.#effects.send(from, { kind: "foundingVote", fresh: false });
        else this.#joining.receive(from, message);
        break;
      case "foundingOffer":
      case "foundingVote":
      case "foundingOver":
        this.#found(this.#joining?.receive(from, message));
        break;
      case "installCluster":
        if (this.#mayMove(from)) this.#install(message.decided, message.snapshot);
        break;
      case "installedCluster":
        this.#succession.peerInstalled(from, message.view);
        break;
      case "directoryRequest":
        // A node asks for itself only.
        if (message.request.requester === from && this.view !== undefined && isNodeOf(this.view, from))
          this.#replica.requested(message.request);
        break;
      case "directoryFeed":
        if (message.view > this.#number) this.#keepEarly(from, message, bytes);
        else if (message.view === this.view?.number && this.#epoch === undefined && from === this.view.acceptors[0])
          this.#replica.feed(message.index, message.requests);
        break;
      case "row":
        if (message.epoch > this.#number) this.#keepEarly(from, message, bytes);
        else if (this.#rankOf(from) >= 0) this.#epochOf(message.epoch)?.receiveRow(this.#rankOf(from), message.row);
        break;
      case "fetch":
        this.#recovered?.receive(from, message, now);
        if (this.#rankOf(from) < 0) break;
        for (const packet of this.#epochOf(message.epoch)?.packets(message.sender, message.from, message.to) ?? []) {
          this.#effects.perform({ kind: "multicast", to: [from], packet });
        }
        break;
      default:
        if (!("view" in message) || typeof message.view !== "number") break;
        if (this.#recovered !== undefined) this.#recovered.receive(from, message, now);
        else if (this.view === undefined) break;
        else if (message.view > this.#number) this.#keepEarly(from, message, bytes);
        else this.#succession.agree(from, message.view, message);
    }
  }

  tick(now: number): void {
    this.#passTime(now);
    if (now < this.#heartbeatAt) return;
    this.#heartbeatAt = now + this.#options.timing.heartbeatMs;
    if (this.view === undefined) {
      this.#askToJoin();
      this.#recovered?.consider(now);
      return;
    }
    this.#sendHeartbeat(this.#heartbeatTargets());
    if (this.#leaving) this.#sayLeaving();
    this.#replica.repeat();
    this.#checkLease();
    this.#replica.forgetLostGroups(now);
    this.#considerChange();
  }

  /** Records of this node's log before this position are not intact. */
  damaged(to: number): void {
    this.#journal.damaged(to);
  }

  endTurn(now: number, wallTime: number): void {
    this.#passTime(now);
    this.#replica.order(wallTime);
    this.#epoch?.endTurn(now, wallTime);
    this.#journal.endTurn();
  }

  // What the succession asks and tells.

  suspects(id: NodeId): boolean {
    return this.#reconfiguration.suspects(id, this.#now);
  }

  compose(): Pick<Proposal, "view" | "leavers"> | undefined {
    return this.view === undefined ? undefined : this.#reconfiguration.compose(this.view, this.#now);
  }

  accepts(view: ClusterView): boolean {
    return this.#joining?.accepts(view) === true;
  }

  departed(id: NodeId, isLeaver: boolean): void {
    this.#reconfiguration.joinerGone(id);
    if (isLeaver) return;
    this.#linked.delete(id);
    this.#effects.perform({ kind: "unlink", id });
  }

  takenOver(): void {
    this.#end("closed");
  }

  entered(view: ClusterView, proposal: string): void {
    this.#joining = undefined;
    this.#recovered = undefined;
    this.#left = undefined;
    this.#lease.begin(view, this.#now, this.#status !== "blocked");
    this.#reconfiguration.begin(view, this.#replica.leads);
    const others = view.nodes.map(({ id }) => id).filter((id) => id !== this.#self);
    const isMonitored = (id: NodeId): boolean => this.#epoch !== undefined || view.acceptors.includes(id);
    this.#detector.watch(others, isMonitored, (id) => this.#linked.has(id), this.#now);
    for (const peer of view.nodes) this.#link(peer);
    this.#effects.perform({ kind: "decided", view, proposal });
    // Who was cut off serves again once the acceptors of this view have answered it.
    if (this.#status !== "blocked") this.#setStatus("primary", `view ${view.number}`);
    this.#host.clusterInstalled(view);
    this.#host.directoryChanged();
    this.#replica.repeat();
    for (const { from, message, packet, bytes } of this.#early.take(() => true)) {
      if (message !== undefined) this.receive(from, message, this.#now, bytes);
      else if (packet !== undefined) this.packet(from, packet);
    }
    this.#sendHeartbeat(this.#heartbeatTargets());
    if (this.#leaving && view.nodes.length === 1) this.#end("closed");
    // What did not fit into this view goes into the next at once.
    else this.#considerChange();
  }

  // Inside.

  get #epoch(): Epoch | undefined {
    return this.#succession.epoch;
  }

  /** Whether the node's disk has all that it was told of the cluster, or there is none. */
  get #isWhole(): boolean {
    return this.#options.memory?.isWhole !== false;
  }

  /** Of the view in place; 0 before the first. */
  get #number(): number {
    return this.view?.number ?? 0;
  }

  #link(peer: NodeRecord): void {
    if (peer.id !== this.#self) this.#effects.perform({ kind: "link", peer });
  }

  /** Of the acceptor that this node is, or speaks for. */
  #rankOf(id: NodeId): number {
    const { view } = this;
    if (view === undefined) return -1;
    return view.acceptors.indexOf(this.#seats.seat(view, id) ?? id);
  }

  /** The epoch, when it is this one; rows and fetches of another mean nothing here. */
  #epochOf(number: number): Epoch | undefined {
    return this.#epoch?.number === number ? this.#epoch : undefined;
  }

  #keepEarly(from: NodeId, what: Message | Packet, bytes: number): void {
    const isStranger = this.view === undefined || !isNodeOf(this.view, from);
    if (!(what instanceof Packet)) {
      this.#early.keep({ from, message: what, packet: undefined, bytes }, isStranger);
      return;
    }
    // What a stranger sends must not hold the memory around it.
    const packet = isStranger ? new Packet(copyOf(what.bytes)) : what;
    if (this.#early.keep({ from, message: undefined, packet, bytes }, isStranger) && !isStranger) return;
    what.release();
  }

  /**
   * Whether the news of another view counts that this node brings. A node that serves hears of it from one that it knows, or
   * stops serving soon if there is such a view: until then it believes nobody else.
   */
  #mayMove(from: NodeId): boolean {
    const { view } = this;
    return view === undefined || this.#status !== "primary" || this.#seats.seat(view, from) !== undefined;
  }

  // Coming and going.

  #found(view: ClusterView | undefined): void {
    if (view === undefined) return;
    // A8: while its disk is waited for it neither founds another cluster nor joins one.
    this.#joining = undefined;
    this.#founded = view.cluster;
    this.#succession.found(view);
  }

  #askToJoin(): void {
    if (this.#isMinted && !this.#leaving && !this.isOver) this.#joining?.ask(this.#left?.number ?? 0);
  }

  #joinWanted(node: NodeRecord, linked: readonly NodeId[], left: number): void {
    const { view } = this;
    if (view === undefined) {
      this.#recovered?.joinWanted(node, linked, left, this.#now);
      return;
    }
    if (isNodeOf(view, node.id)) {
      this.#succession.sendInstalled(node.id);
      return;
    }
    const before = this.#seats.seat(view, node.id);
    if (before !== undefined) {
      // Two processes never run on one disk, so the earlier one, to which there is no link any more, has ended.
      this.#detector.linkDown(before, true, this.#now);
      if (left < view.number && view.acceptors.includes(before)) this.#succession.sendInstalled(node.id);
    }
    this.#reconfiguration.joinWanted({ node, linked: new Set(linked), view: left }, this.#succession, this.#now);
    this.#considerChange();
  }

  /** The news of a view; one with this node's disk as an acceptor, but not with this incarnation, it takes up as its own. */
  #install(decided: Proposal, snapshot: Uint8Array | undefined): void {
    const { view } = decided;
    const { self } = this.#options;
    const journal = this.#journal;
    // What was sent before the cluster went on without it may come after the word that it did.
    if (this.isOver) return;
    const seat = view.nodes.find(({ disk }) => disk !== "" && disk === self.disk);
    if (this.view !== undefined || seat === undefined || isNodeOf(view, self.id)) {
      this.#succession.install(decided, snapshot);
      return;
    }
    if (!this.#isWhole) return;
    const isNew = view.number > (this.#left?.number ?? 0) && (this.cluster === "" || this.cluster === view.cluster);
    if (!isNew || snapshot === undefined || !view.acceptors.includes(seat.id) || !this.accepts(view)) return;
    const installation = { decided, snapshot };
    remember(journal, installation);
    this.#revive(installation, NO_PLEDGE, []);
  }

  #revive(installed: Installation, pledge: Pledge, packets: readonly Packet[]): void {
    const { self, timing, directorySize, verify } = this.#options;
    const journal = this.#journal;
    const decided = ({ decided: proposal, snapshot }: Installation): void => this.#install(proposal, snapshot);
    const options = { self, timing, directorySize, verify, linked: this.#linked, seats: this.#seats, journal, decided };
    this.#left = installed.decided.view;
    this.#recovered = RecoveredAcceptor.revive(options, installed, pledge, packets, this.#effects);
    if (this.#recovered !== undefined) {
      const proposal = proposalDigest(installed.decided);
      this.#effects.perform({ kind: "adopted", view: installed.decided.view, proposal });
    }
    this.#askToJoin();
  }

  #considerChange(isNews = false): void {
    this.#reconfiguration.consider(this.#succession, this.#now, isNews);
  }

  #sayLeaving(): void {
    this.#reconfiguration.leaveWanted(this.#self);
    if (this.#now >= this.#leaveUntil) this.#end("closed");
    if (this.#succession.handsOver) return;
    const acceptors = this.view?.acceptors.filter((id) => id !== this.#self) ?? [];
    this.#effects.broadcast(acceptors, { kind: "leaveCluster" });
    this.#considerChange();
  }

  #end(status: "excluded" | "closed", why?: string): void {
    if (this.isOver) return;
    this.#succession.stop();
    this.#recovered = undefined;
    const detail = status === "closed" ? "left the cluster" : "the cluster goes on without this node";
    this.#setStatus(status, why ?? detail);
  }

  // Hearing each other.

  #heartbeatTargets(): NodeId[] {
    const { view } = this;
    if (view === undefined) return [];
    // Who is cut off may find those that have gone on among nodes that it was never in a view with.
    const isBlocked = this.#status === "blocked";
    const isAcceptor = this.#succession.agreement !== undefined;
    const members = isBlocked || isAcceptor ? view.nodes.map(({ id }) => id) : view.acceptors;
    const targets = isBlocked ? new Set([...members, ...this.#linked.keys()]) : members;
    return [...targets].filter((id) => id !== this.#self);
  }

  #sendHeartbeat(to: readonly NodeId[]): void {
    const { view } = this;
    if (view === undefined) return;
    const suspects = this.#detector.suspected(this.#now);
    const frozen = this.#epoch?.frozen === true;
    const number = this.#lease.number(this.#now);
    const heard = this.#succession.agreement === undefined ? [] : this.#lease.heard(view);
    this.#effects.broadcast(to, { kind: "heartbeat", view: view.number, number, heard, suspects, frozen });
  }

  #heartbeat(from: NodeId, heartbeat: Extract<Message, { kind: "heartbeat" }>): void {
    const { view } = this;
    if (view === undefined) {
      // Somebody who has lived on may be in an earlier view.
      this.#recovered?.receive(from, heartbeat, this.#now);
      return;
    }
    if (heartbeat.view < view.number) {
      this.#succession.sendInstalled(from);
      return;
    }
    if (heartbeat.view > view.number) {
      // It answers with the view, which all others that know it may have taken with them.
      this.#sendHeartbeat([from]);
      return;
    }
    if (!isNodeOf(view, from)) return;
    // It has missed the view that goes on without this node, and may know nobody else who could tell it.
    if (this.#succession.handsOver) this.#succession.agree(from, heartbeat.view, heartbeat);
    this.#lease.receive(view, from, heartbeat.number, heartbeat.heard);
    if (this.#status === "blocked") this.#checkLease();
    const { suspects, frozen } = heartbeat;
    if (this.#reconfiguration.heard(from, suspects, frozen, this.#now)) this.#considerChange(true);
  }

  /** C10: who has not been answered by a quorum of the directory for the lease time stops serving. */
  #checkLease(): void {
    const { view } = this;
    if (view === undefined || this.isOver) return;
    if (this.#lease.holds(view, this.#now)) {
      if (this.#status === "blocked") this.#setStatus("primary", `view ${view.number}`);
    } else if (this.#status === "primary") {
      const missing = this.#lease.silent(this.#now).map(nodeName);
      this.#setStatus("blocked", `no quorum of the directory: ${missing.join(", ")} cannot be heard`);
    }
  }

  /**
   * Time goes on with every event. After an own pause others have not been silent, and the lease may have run out: both are
   * looked at before anything else happens.
   */
  #passTime(now: number): void {
    const isPause = now - this.#now > this.#options.timing.heartbeatMs * 2;
    this.#now = now;
    this.#detector.tick(now);
    if (isPause) this.#checkLease();
  }

  #setStatus(status: ClusterStatus, detail: string): void {
    if (this.#status === status) return;
    this.#status = status;
    this.#effects.perform({ kind: "status", status, detail });
    this.#host.statusChanged(status);
  }
}
