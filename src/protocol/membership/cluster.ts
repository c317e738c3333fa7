/**
 * One incarnation's membership in the cluster, from its first contact to its end. The cluster group is an epoch like any
 * other, among the acceptors, with one sender (the acceptor of rank 0) and safe delivery only (rule B1); what is delivered
 * are commands of the directory. Its views are agreed by `Agreement`. Nodes that are not acceptors are *attached*: the
 * leader feeds them every step that was delivered, and a view brings them the directory as it stands.
 */
import { allocate } from "../../base/arena.ts";
import { assert } from "../../base/assert.ts";
import { decode, encode, list } from "../../wire/layout.ts";
import { MESSAGE_HEADER_BYTES, PACKET_HEADER_BYTES, type Packet, PacketBuilder, SAFE } from "../../wire/packet.ts";
import type { ClusterStatus, Effects } from "../effects.ts";
import { Epoch } from "../epoch.ts";
import {
  type DirectoryCommand,
  type DirectoryRequest,
  directoryRequest,
  type Message,
  type Proposal,
} from "../messages.ts";
import { BOUNDS, type Timing } from "../timing.ts";
import { type ClusterView, isQuorum, NODES_MAX, type NodeId, type NodeRecord, nodeName } from "../view.ts";
import { Agreement, type AgreementHost, proposalDigest } from "./agreement.ts";
import { Directory, type DirectoryOutcome } from "./directory.ts";
import { FailureDetector } from "./failure-detector.ts";
import { Founding } from "./founding.ts";
import { Lease } from "./lease.ts";

export interface ClusterOptions {
  readonly self: NodeRecord;
  readonly timing: Timing;
  /** At most so many nodes agree on views and keep the directory; the oldest. */
  readonly directorySize: number;
  /** Unpredictable in production: cluster ids. */
  readonly mintCluster: () => string;
  readonly recordsHistory: boolean;
}

/** What the cluster tells the process it belongs to. */
export interface ClusterHost {
  /** The directory has moved on, or is another one. */
  directoryChanged(): void;
  /** One of this node's requests was executed. */
  executed(outcome: DirectoryOutcome): void;
  clusterInstalled(view: ClusterView): void;
  statusChanged(status: ClusterStatus): void;
}

/** A node that wants to become one of the cluster, and whom it is linked with. */
interface Joiner {
  readonly node: NodeRecord;
  readonly linked: ReadonlySet<NodeId>;
}

const requests = list(directoryRequest, 4096);
const REMOVED_MAX = 4096;
const EARLY_MAX = 4096;
const REQUESTS_PER_PACKET = 32;
/** Directories that differ go on to differ: comparing them at every so manieth step is enough. */
const DIGEST_EVERY = 4;

export class Cluster implements AgreementHost {
  readonly #options: ClusterOptions;
  readonly #self: NodeRecord;
  readonly #effects: Effects;
  readonly #host: ClusterHost;
  readonly #detector: FailureDetector;
  readonly #lease: Lease;
  #status: ClusterStatus = "joining";
  #view: ClusterView | undefined;
  #directory = new Directory();
  #epoch: Epoch | undefined;
  #agreement: Agreement | undefined;
  #founding: Founding | undefined;
  #now = 0;
  #wallTime = 0;
  /** Whom others suspect, as their last heartbeat said, and since when. */
  readonly #complaints = new Map<NodeId, ReadonlyMap<NodeId, number>>();
  readonly #linked = new Map<NodeId, NodeRecord>();
  readonly #joiners = new Map<NodeId, Joiner>();
  /** As a joiner: the nodes of a cluster that have told whom to link with. */
  readonly #hintedBy = new Set<NodeId>();
  readonly #leavers = new Set<NodeId>();
  /** Incarnations that a view has left out; they are told so when they come back. */
  readonly #removed = new Set<NodeId>();
  readonly #lostSince = new Map<number, number>();
  /** Own requests that were not executed yet, and those of others that wait for the end of the turn at the leader. */
  readonly #outstanding = new Map<number, DirectoryCommand>();
  #nextRequest = 1;
  #toOrder: DirectoryRequest[] = [];
  #leaving = false;
  /** The successor view that goes on without this node, while it waits for a quorum of it to be in place (A5). */
  #handover: { readonly decided: Proposal; readonly snapshot: Uint8Array } | undefined;
  /** Who has said to be in a view that goes on without this node. */
  readonly #installedBy = new Map<NodeId, number>();
  /** When to stop waiting for the others to take over. */
  #leaveUntil = 0;
  /** How this view was installed, for those that are late. */
  #installed: { readonly decided: Proposal; readonly snapshot: Uint8Array } | undefined;
  /** What came for a view that is not installed here yet. */
  #early: { readonly from: NodeId; readonly message: Message | undefined; readonly packet: Packet | undefined }[] = [];
  readonly #frozenPeers = new Set<NodeId>();
  /** At the leader: the number of each requester's last request that is in the order of this view. */
  readonly #ordered = new Map<NodeId, number>();
  #refusedSince: { readonly at: number; readonly detail: string } | undefined;
  #heartbeatAt = 0;
  #attemptAt = 0;
  #attempts = 0;

  constructor(options: ClusterOptions, effects: Effects, host: ClusterHost, now: number) {
    this.#options = options;
    this.#self = options.self;
    this.#effects = effects;
    this.#host = host;
    this.#detector = new FailureDetector(options.timing, now);
    this.#lease = new Lease(options.self.id, options.timing.leaseMs);
    this.#now = now;
  }

  get status(): ClusterStatus {
    return this.#status;
  }

  get view(): ClusterView | undefined {
    return this.#view;
  }

  get directory(): Directory {
    return this.#directory;
  }

  get linked(): ReadonlyMap<NodeId, NodeRecord> {
    return this.#linked;
  }

  /** Whether a cluster knows that this node wants to become one of it, and tells it whom to link with. */
  get hinted(): boolean {
    return this.#view === undefined && this.#hintedBy.size > 0;
  }

  /** Whether new connections from this incarnation are pointless: the cluster has gone on without it. */
  hasRemoved(id: NodeId): boolean {
    return this.#removed.has(id);
  }

  /** Whether requests wait that could be ordered now. */
  get hasUnordered(): boolean {
    return this.#toOrder.length > 0 && this.#epoch?.hasCredit === true;
  }

  /** Time of the next `tick`. */
  get deadline(): number {
    return Math.min(this.#heartbeatAt, this.#epoch?.deadline ?? Number.POSITIVE_INFINITY);
  }

  // Commands of the node.

  /** Founds a cluster of this node alone. */
  foundAlone(cluster: string): void {
    if (this.#view !== undefined) return;
    const { self } = this.#options;
    this.#foundWith({ cluster, number: 1, nodes: [self], acceptors: [self.id] });
  }

  /** Founds a cluster with the other founders, as soon as all are there. */
  foundWith(addresses: readonly string[]): void {
    if (this.#view !== undefined || this.#founding !== undefined) return;
    this.#founding = new Founding(this.#self, addresses, this.#effects);
    for (const peer of this.#linked.values()) this.#founding.linked(peer);
    const view = this.#founding.complete(this.#options.mintCluster);
    if (view !== undefined) this.#foundWith(view);
  }

  get awaitedFounders(): readonly string[] {
    return this.#founding?.awaited ?? [];
  }

  /** Orders a command; it is executed once, wherever the leadership goes meanwhile. Returns the request's number. */
  request(command: DirectoryCommand): number {
    const number = this.#nextRequest++;
    const request = { requester: this.#self.id, number, command };
    assert(decode(directoryRequest, encode(directoryRequest, request)) !== undefined, "a request can be understood");
    this.#outstanding.set(number, command);
    this.#submit(number, command);
    return number;
  }

  /** Leaves the cluster in good order; the groups have been left before. */
  leave(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    this.#leaveUntil = this.#now + this.#options.timing.failureTimeoutMs * 2;
    if (this.#view === undefined || this.#view.nodes.length === 1) this.#end("closed");
    else this.#sayLeaving();
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
    this.#founding?.linked(peer);
    if (this.#view === undefined) this.#askToJoin();
    else this.#sendHeartbeat([peer.id]);
  }

  linkDown(id: NodeId, gone: boolean, now: number): void {
    this.#passTime(now);
    this.#detector.linkDown(id, gone, now);
    this.#linked.delete(id);
    this.#hintedBy.delete(id);
    this.#founding?.linkDown(id, gone);
    if (!gone) return;
    this.#joiners.delete(id);
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
    const rank = this.#view?.acceptors.indexOf(from) ?? -1;
    if (packet.epoch > (this.#view?.number ?? 0)) this.#keepEarly(from, undefined, packet);
    if (epoch === undefined || rank < 0 || packet.epoch !== epoch.number) return;
    epoch.receive(rank, packet);
    this.#agreement?.packetsCame();
  }

  receive(from: NodeId, message: Message, now: number): void {
    this.#passTime(now);
    switch (message.kind) {
      case "joinCluster":
        this.#joinWanted(from, message.node, message.linked);
        break;
      case "joinRefused":
        this.#joinRefused(message.code, message.detail);
        break;
      case "clusterHint":
        if (this.#view !== undefined) break;
        this.#hintedBy.add(from);
        for (const peer of message.nodes) this.#link(peer);
        break;
      case "leaveCluster":
        this.#leavers.add(from);
        this.#considerChange();
        break;
      case "heartbeat":
        this.#heartbeat(from, message);
        break;
      case "excluded": {
        const view = this.#view;
        if (view === undefined || (view.cluster === message.cluster && message.view > view.number)) this.excluded();
        break;
      }
      case "foundingOffer":
        if (this.#view === undefined) this.#founding?.offered(message.node, message.digest);
        break;
      case "foundingCall":
        if (this.#view !== undefined) this.#effects.send(from, { kind: "foundingVote", fresh: false });
        else this.#founding?.called(from);
        break;
      case "foundingVote": {
        if (this.#view !== undefined) break;
        const view = this.#founding?.voted(from, message.fresh, this.#options.mintCluster);
        if (view !== undefined) this.#foundWith(view);
        break;
      }
      case "foundingOver":
        this.#founding?.released(from);
        break;
      case "installCluster":
        this.#installOrdered(message.decided, message.snapshot);
        break;
      case "installedCluster":
        this.#peerInstalled(from, message.view);
        break;
      case "directoryRequest":
        if (this.#leads) this.#toOrder.push(message.request);
        break;
      case "directoryFeed":
        if (message.view > (this.#view?.number ?? 0)) this.#keepEarly(from, message);
        else if (message.view === this.#view?.number && this.#epoch === undefined)
          this.#feed(message.index, message.requests);
        break;
      case "row":
        if (message.epoch > (this.#view?.number ?? 0)) this.#keepEarly(from, message);
        else if (this.#rankOf(from) >= 0) this.#epochOf(message.epoch)?.receiveRow(this.#rankOf(from), message.row);
        break;
      case "fetch":
        for (const packet of this.#epochOf(message.epoch)?.packets(message.sender, message.from, message.to) ?? []) {
          this.#effects.perform({ kind: "multicast", to: [from], packet });
        }
        break;
      default:
        if ("view" in message && typeof message.view === "number") this.#agree(from, message.view, message);
    }
  }

  tick(now: number): void {
    this.#passTime(now);
    if (now < this.#heartbeatAt) return;
    this.#heartbeatAt = now + this.#options.timing.heartbeatMs;
    if (this.#view === undefined) {
      this.#askToJoin();
      return;
    }
    this.#sendHeartbeat(this.#heartbeatTargets());
    if (this.#leaving) this.#sayLeaving();
    for (const [number, command] of this.#outstanding) this.#submit(number, command);
    this.#checkLease();
    this.#forgetLostGroups();
    this.#considerChange();
  }

  endTurn(now: number, wallTime: number): void {
    this.#passTime(now);
    this.#wallTime = wallTime;
    const epoch = this.#epoch;
    if (epoch === undefined) return;
    if (this.#toOrder.length > 0 && epoch.hasCredit) this.#order(epoch);
    epoch.endTurn(now, wallTime);
  }

  // The agreement's questions.

  suspects(id: NodeId): boolean {
    return this.#detector.suspects(id, this.#now) || this.#isCutOff(id);
  }

  compose(): Pick<Proposal, "view" | "leavers"> | undefined {
    const view = this.#view;
    if (view === undefined) return undefined;
    const condemned = this.#condemned(view);
    // A view that keeps a silent senior would be led by it, and its newcomers, who have not missed it yet, refuse the next.
    const seniors = view.acceptors.slice(0, this.#rankOf(this.#self.id));
    if (!seniors.every((id) => condemned.has(id))) return undefined;
    // A3, A5: those that are not given up form a quorum; leavers are among them and vote.
    if (!isQuorum(view.acceptors, (id) => !condemned.has(id))) return undefined;
    const staying = view.nodes.map(({ id }) => id).filter((id) => !condemned.has(id));
    const joiners = this.#readyJoiners(view.acceptors.filter((id) => !condemned.has(id) && !this.#leavers.has(id)));
    const isLast = staying.every((id) => this.#leavers.has(id)) && joiners.length === 0;
    // When all leave, the last to go is the one that lets the others go.
    const leavers = staying.filter((id) => this.#leavers.has(id) && !(isLast && id === this.#self.id));
    const nodes = view.nodes.filter(({ id }) => !condemned.has(id) && !leavers.includes(id));
    const names = new Set(nodes.map(({ id }) => nodeName(id)));
    for (const joiner of joiners) {
      if (names.has(nodeName(joiner.id))) continue;
      names.add(nodeName(joiner.id));
      nodes.push(joiner);
    }
    if (nodes.length === 0) return undefined;
    const continuing = nodes.filter(({ id }) => view.acceptors.includes(id)).length;
    // A3: no more acceptors are added in one view than continue.
    const size = Math.min(this.#options.directorySize, Math.max(1, continuing * 2));
    const added = nodes.filter(({ id }) => !view.acceptors.includes(id)).slice(0, Math.max(0, size - continuing));
    const acceptors = nodes
      .filter((node) => view.acceptors.includes(node.id) || added.includes(node))
      .map(({ id }) => id);
    return { view: { cluster: view.cluster, number: view.number + 1, nodes, acceptors }, leavers };
  }

  /** A3, C12: who is linked with all these acceptors; who lacks one would be left out again for missing it. */
  #readyJoiners(acceptors: readonly NodeId[]): NodeRecord[] {
    const ready: NodeRecord[] = [];
    for (const { node, linked } of this.#joiners.values()) {
      if (this.#linked.has(node.id) && acceptors.every((id) => linked.has(id))) ready.push(node);
    }
    return ready;
  }

  decided(proposal: Proposal, acceptedBy: ReadonlySet<NodeId>): void {
    const before = this.#view as ClusterView;
    this.#drainDirectory(proposal);
    const snapshot = this.#directory.snapshot();
    for (const id of new Set([...before.nodes, ...proposal.view.nodes].map((node) => node.id))) {
      if (id === this.#self.id) continue;
      if (!isNodeOf(proposal.view, id) && !proposal.leavers.includes(id)) {
        const { cluster, number: view } = proposal.view;
        this.#effects.send(id, { kind: "excluded", cluster, view });
        continue;
      }
      const held = acceptedBy.has(id) ? undefined : snapshot;
      this.#effects.send(id, { kind: "installCluster", decided: proposal, snapshot: held });
    }
    this.#goOn(proposal);
  }

  // Inside.

  get #leads(): boolean {
    return this.#view?.acceptors[0] === this.#self.id && this.#epoch !== undefined;
  }

  #link(peer: NodeRecord): void {
    if (peer.id !== this.#self.id) this.#effects.perform({ kind: "link", peer });
  }

  #rankOf(id: NodeId): number {
    return this.#view?.acceptors.indexOf(id) ?? -1;
  }

  // Becoming a member.

  #askToJoin(): void {
    if (this.#leaving) return;
    const linked = [...this.#linked.keys()].slice(0, NODES_MAX);
    this.#effects.broadcast(linked, { kind: "joinCluster", node: this.#self, linked });
  }

  /** Tells a joiner whom it needs to be linked with; the view will tell it of all the others. */
  #hint(to: NodeId, view: ClusterView): void {
    const nodes = view.nodes.filter(({ id }) => view.acceptors.includes(id));
    this.#effects.send(to, { kind: "clusterHint", nodes });
  }

  #joinWanted(from: NodeId, node: NodeRecord, linked: readonly NodeId[]): void {
    const view = this.#view;
    if (view === undefined || node.id !== from) return;
    const helped = isNodeOf(view, from);
    if (helped) {
      this.#sendInstalled(from);
      return;
    }
    this.#hint(from, view);
    this.#joiners.set(node.id, { node, linked: new Set(linked) });
    const namesake = view.nodes.find(({ id }) => nodeName(id) === nodeName(node.id));
    if (namesake !== undefined && this.#proposes && !this.suspects(namesake.id)) {
      const detail = `${nodeName(namesake.id)} is the name of a node at ${namesake.address}`;
      this.#effects.send(from, { kind: "joinRefused", code: "name-taken", detail });
    }
    this.#considerChange();
  }

  #joinRefused(code: "name-taken" | "closing", detail: string): void {
    if (this.#view !== undefined) return;
    this.#refusedSince ??= { at: this.#now, detail };
    // A namesake that has just died is found out within the failure time; then the name is free.
    if (this.#now - this.#refusedSince.at < this.#options.timing.failureTimeoutMs * 1.5) return;
    this.#effects.perform({ kind: "joinRefused", code, detail });
    this.#end("closed");
  }

  #foundWith(view: ClusterView): void {
    this.#directory.clusterInstalled(idsOf(view));
    const decided: Proposal = { view, cut: [], leavers: [], holders: [] };
    const snapshot = this.#directory.snapshot();
    for (const { id } of view.nodes) {
      this.#link(view.nodes.find((node) => node.id === id) as NodeRecord);
      if (id !== this.#self.id) this.#effects.send(id, { kind: "installCluster", decided, snapshot });
    }
    this.#enter(decided);
  }

  // Views.

  #agree(from: NodeId, number: number, message: Message): void {
    const view = this.#view;
    if (view === undefined) return;
    const handover = this.#handover;
    if (number > view.number) this.#keepEarly(from, message);
    else if (handover !== undefined) {
      this.#effects.send(from, { kind: "installCluster", decided: handover.decided, snapshot: handover.snapshot });
    } else if (number < view.number) this.#sendInstalled(from);
    else this.#agreement?.receive(from, message);
  }

  /** To a node of the view that is still in an earlier one. */
  #sendInstalled(to: NodeId): void {
    const installed = this.#installed;
    if (installed === undefined) return;
    if (!isNodeOf(installed.decided.view, to) && !installed.decided.leavers.includes(to)) {
      // It was a member of an earlier view and is none of this one, so some view in between has left it out for good.
      const { cluster, number: view } = installed.decided.view;
      this.#effects.send(to, { kind: "excluded", cluster, view });
      return;
    }
    this.#effects.send(to, { kind: "installCluster", ...installed });
  }

  #installOrdered(decided: Proposal, snapshot: Uint8Array | undefined): void {
    const { view } = decided;
    if (view.number <= (this.#view?.number ?? 0) || this.#handover !== undefined) return;
    if (this.#view === undefined) {
      if (snapshot === undefined || !isNodeOf(view, this.#self.id) || this.#founding?.accepts(view) === false) return;
    } else if (view.cluster !== this.#view.cluster) return;
    if (!isNodeOf(view, this.#self.id)) {
      if (decided.leavers.includes(this.#self.id)) this.#goOn(decided);
      else this.excluded();
      return;
    }
    const epoch = this.#epoch;
    if (epoch !== undefined && view.number === epoch.number + 1 && epoch.gaps(decided.cut).length === 0) {
      this.#drainDirectory(decided);
    } else {
      const restored = snapshot === undefined ? undefined : Directory.restore(snapshot);
      if (restored === undefined) return;
      this.#directory = restored;
      this.#noteDirectory();
      this.#settleRequests(restored);
    }
    this.#goOn(decided);
  }

  /** The last steps of this view's directory, up to the cut, and the new view as the step after them. */
  #drainDirectory(decided: Proposal): void {
    this.#epoch?.freeze();
    this.#epoch?.drain(decided.cut);
    this.#directory.clusterInstalled(idsOf(decided.view));
    this.#noteDirectory();
  }

  /** The view is in place here; a node that leaves by it hands over. */
  #goOn(decided: Proposal): void {
    const before = this.#view;
    const { view } = decided;
    for (const { id } of before?.nodes ?? []) {
      if (isNodeOf(view, id) || id === this.#self.id) continue;
      this.#removed.add(id);
      if (decided.leavers.includes(id)) this.#effects.send(id, { kind: "installedCluster", view: view.number });
      else {
        this.#linked.delete(id);
        this.#effects.perform({ kind: "unlink", id });
      }
      this.#joiners.delete(id);
    }
    while (this.#removed.size > REMOVED_MAX) this.#removed.delete(this.#removed.values().next().value as NodeId);
    if (isNodeOf(view, this.#self.id)) this.#enter(decided);
    else if (!decided.leavers.includes(this.#self.id)) this.excluded();
    else {
      this.#epoch?.freeze();
      this.#handover = { decided, snapshot: this.#directory.snapshot() };
      this.#endIfTakenOver();
    }
  }

  #enter(decided: Proposal): void {
    const { view } = decided;
    const self = this.#self.id;
    this.#view = view;
    this.#installed = { decided, snapshot: this.#directory.snapshot() };
    this.#founding = undefined;
    this.#attempts = 0;
    this.#attemptAt = 0;
    this.#lease.begin(view, this.#now, this.#status !== "blocked");
    this.#ordered.clear();
    this.#toOrder = [];
    this.#complaints.clear();
    this.#frozenPeers.clear();
    this.#epoch = undefined;
    this.#agreement = undefined;
    const members = view.acceptors;
    if (members.includes(self)) {
      const { timing } = this.#options;
      const options = {
        group: 0,
        view: { number: view.number, members, synced: members },
        self,
        safety: "quorum" as const,
        relaysRows: false,
        windowBytes: BOUNDS.windowBytes,
        rowDelayMs: timing.rowDelayMs,
        deliver: (packet: Packet): void => this.#deliver(packet),
      };
      this.#epoch = new Epoch(options, this.#effects);
      this.#agreement = new Agreement(view, self, this.#epoch, this.#effects, this);
    }
    for (const id of idsOf(view)) this.#joiners.delete(id);
    if (this.#leads) for (const id of this.#joiners.keys()) this.#hint(id, view);
    for (const id of this.#leavers) if (!isNodeOf(view, id)) this.#leavers.delete(id);
    const others = view.nodes.map(({ id }) => id).filter((id) => id !== self);
    const isMonitored = (id: NodeId): boolean => members.includes(self) || members.includes(id);
    this.#detector.watch(others, isMonitored, (id) => this.#linked.has(id), this.#now);
    for (const peer of view.nodes) this.#link(peer);
    this.#effects.perform({ kind: "decided", view, proposal: proposalDigest(decided) });
    // Who was cut off serves again once the acceptors of this view have answered it.
    if (this.#status !== "blocked") this.#setStatus("primary", `view ${view.number}`);
    this.#host.clusterInstalled(view);
    this.#host.directoryChanged();
    for (const [number, command] of this.#outstanding) this.#submit(number, command);
    const early = this.#early;
    this.#early = [];
    for (const { from, message, packet } of early) {
      if (message !== undefined) this.receive(from, message, this.#now);
      else if (packet !== undefined) this.packet(from, packet);
    }
    this.#sendHeartbeat(this.#heartbeatTargets());
    if (this.#leaving && view.nodes.length === 1) this.#end("closed");
    // What did not fit into this view goes into the next at once.
    else this.#considerChange();
  }

  #peerInstalled(from: NodeId, number: number): void {
    this.#installedBy.set(from, number);
    this.#endIfTakenOver();
  }

  /** A5: a leaver stays until a quorum of the view that goes on without it is in it. */
  #endIfTakenOver(): void {
    const view = this.#handover?.decided.view;
    if (view === undefined) return;
    if (isQuorum(view.acceptors, (id) => (this.#installedBy.get(id) ?? 0) >= view.number)) this.#end("closed");
  }

  #keepEarly(from: NodeId, message: Message | undefined, packet?: Packet): void {
    if (this.#early.length < EARLY_MAX) this.#early.push({ from, message, packet });
  }

  /** The epoch, when it is this one; rows and fetches of another mean nothing here. */
  #epochOf(number: number): Epoch | undefined {
    return this.#epoch?.number === number ? this.#epoch : undefined;
  }

  // Wanting another view.

  /** Whether this acceptor is the one to propose: it suspects all its seniors. */
  get #proposes(): boolean {
    const view = this.#view;
    if (view === undefined || this.#agreement === undefined) return false;
    return view.acceptors.slice(0, this.#rankOf(this.#self.id)).every((id) => this.suspects(id));
  }

  /** The nodes to leave out: those that a quorum gives up, and the younger of any two that cannot reach each other (C12). */
  #condemned(view: ClusterView): Set<NodeId> {
    const age = new Map(view.nodes.map(({ id }, index) => [id, index] as const));
    const condemned = new Set<NodeId>();
    const self = this.#self.id;
    const voices = view.acceptors.filter((id) => id === self || !this.suspects(id));
    for (const { id } of view.nodes) {
      if (id === self || !this.suspects(id)) continue;
      const agreeing = voices.filter((by) => by === self || this.#complaints.get(by)?.has(id)).length;
      // An older node that only this one misses stays: this one is the younger of the two (C12).
      const isYounger = (age.get(id) as number) > (age.get(self) as number);
      if (isYounger || this.#isCutOff(id) || agreeing * 2 > voices.length) condemned.add(id);
    }
    const isYounger = (a: NodeId, b: NodeId): boolean => (age.get(a) as number) > (age.get(b) as number);
    for (const by of this.#complaints.keys()) {
      if (condemned.has(by) || !age.has(by) || this.suspects(by)) continue;
      const missed = this.#missedBy(by).filter((id) => age.has(id) && !condemned.has(id));
      // Of two that cannot reach each other the younger goes (C12): the complainer, if it misses anybody older.
      if (missed.some((id) => isYounger(by, id))) condemned.add(by);
      else for (const id of missed) if (id !== self) condemned.add(id);
    }
    return condemned;
  }

  /** Whom a node has long been missing although this one hears them. */
  #missedBy(by: NodeId): NodeId[] {
    const missed: NodeId[] = [];
    for (const [id, since] of this.#complaints.get(by) ?? []) if (this.#livesDespite(id, since)) missed.push(id);
    return missed;
  }

  /** Whether an acceptor says itself that it hears no quorum: it is deaf, and what it leads stands still. */
  #isCutOff(id: NodeId): boolean {
    const acceptors = this.#view?.acceptors ?? [];
    if (!this.#complaints.has(id) || !acceptors.includes(id)) return false;
    const missed = this.#missedBy(id);
    return missed.length > 0 && !isQuorum(acceptors, (acceptor) => !missed.includes(acceptor));
  }

  /** Whether this node has heard that one while another has long been missing it: not all notice a death at once. */
  #livesDespite(id: NodeId, complainedSince: number): boolean {
    const { failureTimeoutMs } = this.#options.timing;
    const heardAt = id === this.#self.id ? this.#now : this.#detector.heardAt(id);
    return !this.#detector.suspects(id, this.#now) && heardAt > complainedSince + failureTimeoutMs / 4;
  }

  #considerChange(): void {
    const view = this.#view;
    const agreement = this.#agreement;
    if (view === undefined || agreement === undefined || this.#handover !== undefined) return;
    if (!this.#proposes || this.#now < this.#attemptAt) return;
    const composed = this.compose();
    if (composed === undefined) return;
    const frozen = this.#epoch?.frozen === true || this.#othersFrozen;
    const isSame =
      composed.view.nodes.length === view.nodes.length &&
      composed.view.acceptors.length === view.acceptors.length &&
      composed.view.nodes.every(({ id }) => isNodeOf(view, id));
    if (isSame && !frozen) {
      agreement.abandon();
      return;
    }
    this.#attempts++;
    this.#attemptAt = this.#now + this.#options.timing.attemptMs * Math.min(4, this.#attempts);
    agreement.propose();
  }

  #sayLeaving(): void {
    this.#leavers.add(this.#self.id);
    if (this.#now >= this.#leaveUntil) this.#end("closed");
    if (this.#handover !== undefined) return;
    const acceptors = this.#view?.acceptors.filter((id) => id !== this.#self.id) ?? [];
    this.#effects.broadcast(acceptors, { kind: "leaveCluster" });
    this.#considerChange();
  }

  // Hearing each other.

  #heartbeatTargets(): NodeId[] {
    const view = this.#view;
    if (view === undefined) return [];
    const isAcceptor = this.#agreement !== undefined;
    const targets = isAcceptor ? view.nodes.map(({ id }) => id) : view.acceptors;
    return targets.filter((id) => id !== this.#self.id);
  }

  #sendHeartbeat(to: readonly NodeId[]): void {
    const view = this.#view;
    if (view === undefined) return;
    const suspects = this.#detector.suspected(this.#now);
    const frozen = this.#epoch?.frozen === true;
    const number = this.#lease.number(this.#now);
    const heard = this.#agreement === undefined ? [] : this.#lease.heard(view);
    this.#effects.broadcast(to, { kind: "heartbeat", view: view.number, number, heard, suspects, frozen });
  }

  #heartbeat(from: NodeId, heartbeat: Extract<Message, { kind: "heartbeat" }>): void {
    const view = this.#view;
    if (view === undefined) return;
    if (heartbeat.view < view.number) {
      this.#sendInstalled(from);
      return;
    }
    if (heartbeat.view > view.number) {
      // It answers with the view, which all others that know it may have taken with them.
      this.#sendHeartbeat([from]);
      return;
    }
    if (!isNodeOf(view, from)) return;
    this.#lease.receive(view, from, heartbeat.number, heartbeat.heard);
    if (this.#status === "blocked") this.#checkLease();
    const before = this.#complaints.get(from);
    this.#complaints.set(from, new Map(heartbeat.suspects.map((id) => [id, before?.get(id) ?? this.#now])));
    if (heartbeat.frozen) this.#frozenPeers.add(from);
    else this.#frozenPeers.delete(from);
    if (heartbeat.suspects.every((id) => before?.has(id) === true)) return;
    // Whoever has refused this node's pre-vote until now may have suspected nobody yet.
    if (this.#agreement?.asking === true) this.#attemptAt = this.#now;
    this.#considerChange();
  }

  get #othersFrozen(): boolean {
    for (const id of this.#frozenPeers) if (this.#rankOf(id) >= 0) return true;
    return false;
  }

  /** C10: who has not been answered by a quorum of the directory for the lease time stops serving. */
  #checkLease(): void {
    const view = this.#view;
    if (view === undefined || this.#status === "excluded" || this.#status === "closed") return;
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

  #end(status: "excluded" | "closed"): void {
    if (this.#status === "excluded" || this.#status === "closed") return;
    this.#agreement = undefined;
    this.#epoch?.freeze();
    const detail = status === "closed" ? "left the cluster" : "the cluster goes on without this node";
    this.#setStatus(status, detail);
  }

  // The directory.

  #submit(number: number, command: DirectoryCommand): void {
    const leader = this.#view?.acceptors[0];
    if (leader === undefined) return;
    const request: DirectoryRequest = { requester: this.#self.id, number, command };
    if (leader === this.#self.id) this.#toOrder.push(request);
    else this.#effects.send(leader, { kind: "directoryRequest", request });
  }

  /** At the leader: what has come in this turn becomes packets of the cluster's epoch. */
  #order(epoch: Epoch): void {
    const arrived = this.#toOrder;
    this.#toOrder = [];
    const fresh: DirectoryRequest[] = [];
    for (const request of arrived) {
      const { requester, number } = request;
      const last = this.#ordered.get(requester) ?? this.#directory.executed(requester);
      if (number !== last + 1) continue;
      this.#ordered.set(requester, number);
      fresh.push(request);
    }
    for (let from = 0; from < fresh.length; from += REQUESTS_PER_PACKET) {
      const payload = encode(requests, fresh.slice(from, from + REQUESTS_PER_PACKET));
      const bytes = allocate(PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES + payload.length);
      const builder = new PacketBuilder(SAFE, bytes);
      builder.append(0, payload);
      epoch.send(builder.finish(), this.#wallTime);
    }
  }

  #deliver(packet: Packet): void {
    const body = packet.bytes.subarray(PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES);
    const delivered = decode(requests, body);
    if (delivered === undefined) return;
    const attached = this.#leads ? this.#attached() : [];
    if (attached.length > 0) {
      const view = this.#view?.number ?? 0;
      this.#effects.broadcast(attached, {
        kind: "directoryFeed",
        view,
        index: this.#directory.index,
        requests: delivered,
      });
    }
    this.#executeAll(delivered);
  }

  #feed(index: number, delivered: readonly DirectoryRequest[]): void {
    if (index === this.#directory.index) this.#executeAll(delivered);
  }

  #attached(): NodeId[] {
    const view = this.#view;
    if (view === undefined) return [];
    return view.nodes.map(({ id }) => id).filter((id) => !view.acceptors.includes(id));
  }

  #executeAll(delivered: readonly DirectoryRequest[]): void {
    const view = this.#view as ClusterView;
    for (const request of delivered) {
      const outcome = this.#directory.execute(request, (id) => isNodeOf(view, id));
      this.#noteDirectory();
      if (outcome === undefined || request.requester !== this.#self.id) continue;
      this.#outstanding.delete(request.number);
      this.#host.executed(outcome);
    }
    this.#host.directoryChanged();
  }

  /** Requests that were executed while this node was behind: what they came to can be read off the directory. */
  #settleRequests(restored: Directory): void {
    const executed = restored.executed(this.#self.id);
    for (const [number, command] of this.#outstanding) {
      if (number > executed) continue;
      this.#outstanding.delete(number);
      const request = { requester: this.#self.id, number, command };
      this.#host.executed({ request, refusals: restored.refusalsInRetrospect(this.#self.id, command) });
    }
  }

  #noteDirectory(): void {
    if (!this.#options.recordsHistory || this.#directory.index % DIGEST_EVERY !== 0) return;
    this.#effects.perform({ kind: "directory", index: this.#directory.index, digest: this.#directory.digest() });
  }

  /** C10: a lost name is free again once every node that has not heard of the loss has stopped serving. */
  #forgetLostGroups(): void {
    if (!this.#leads) return;
    const lost = new Set<number>();
    for (const group of this.#directory.groups) {
      if (group.status !== "lost") continue;
      lost.add(group.id);
      const since = this.#lostSince.get(group.id);
      if (since === undefined) this.#lostSince.set(group.id, this.#now);
      else if (this.#now - since >= this.#options.timing.leaseMs * 1.5) {
        this.#lostSince.set(group.id, this.#now);
        this.request({ kind: "forget", name: group.name, group: group.id });
      }
    }
    for (const id of this.#lostSince.keys()) if (!lost.has(id)) this.#lostSince.delete(id);
  }
}

function isNodeOf(view: ClusterView, id: NodeId): boolean {
  return view.nodes.some((node) => node.id === id);
}

function idsOf(view: ClusterView): Set<NodeId> {
  return new Set(view.nodes.map(({ id }) => id));
}
