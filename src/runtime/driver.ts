/**
 * Runs one incarnation of the core on its ports: the same code in production and in simulation. Inputs are handed to the
 * core as they come; once per turn of the event loop the core closes its batches and the recorded effects take place.
 */

import type { Slab } from "../base/slabs.ts";
import type { ClusterStatus } from "../protocol/effects.ts";
import { type Effect, Effects, type JoinRefusal } from "../protocol/effects.ts";
import type { HistoryEvent, HistorySink } from "../protocol/history.ts";
import type { JoinWish } from "../protocol/joins.ts";
import { groupOf, type JournalRecord, parseRecord, recordFrame } from "../protocol/journal-records.ts";
import { EPOCH_SECRET_BYTES, type Message } from "../protocol/messages.ts";
import { Process } from "../protocol/process.ts";
import type { Bounds, Timing } from "../protocol/timing.ts";
import { type ClusterView, isNodeOf, type NodeId, type NodeRecord, votesOf } from "../protocol/view.ts";
import type { Packet } from "../wire/packet.ts";
import type { JoinRequest } from "./application.ts";
import { type Authorize, Doorkeeper } from "./doorkeeper.ts";
import { Gate, type GateHost } from "./gate.ts";
import type { RecordLog } from "./log/log.ts";
import type { DiskReport } from "./log/storage.ts";
import { Memberships } from "./memberships.ts";
import { Offenders } from "./offenders.ts";
import type { Clock, Entropy, Evidence, Network, NetworkReport, NetworkSink, Refusal } from "./ports.ts";
import { recollect } from "./recollection.ts";
import { Rekeying, type RekeyingHost } from "./rekeying.ts";
import { isSigned } from "./secure/group-key.ts";

export interface DriverOptions {
  readonly self: NodeRecord;
  readonly timing: Timing;
  readonly bounds: Bounds;
  readonly directorySize: number;
  /**
   * Asked once, before this node acts as a member of a cluster that takes it in; it calls `proceed` when that may be.
   * Without it nothing is asked.
   */
  readonly admission?: ((cluster: string, proceed: () => void) => void) | undefined;
  /** Asked while this node leads, before a node, be it this one, joins a group; without it every node may. */
  readonly authorize?: Authorize | undefined;
  readonly history?: HistorySink | undefined;
  /** Where the core's records are kept, on a node with a data directory; its owner tells `persisted`. */
  readonly log?: RecordLog | undefined;
  /** How the disk is that the log is on. */
  readonly disk?: (() => DiskReport) | undefined;
}

/** What a node's owner wants to hear; calls come while effects take place. */
export interface DriverListener {
  statusChanged(status: ClusterStatus, detail: string): void;
  clusterInstalled(view: ClusterView): void;
  /** The cluster does not take this node in. */
  joinRefused(code: "name-taken" | "closing", detail: string): void;
  /** Something that an operator should know. */
  noticed(what: string, detail: Readonly<Record<string, unknown>>): void;
}

/** How a node is, as it says itself: the JSON of `report`. */
export interface NodeReport {
  readonly id: NodeId;
  readonly address: string;
  /** "" while the node is in no cluster. */
  readonly cluster: string;
  readonly status: ClusterStatus;
  readonly detail: string;
  readonly view: {
    readonly number: number;
    readonly nodes: readonly { readonly id: NodeId; readonly address: string }[];
    readonly acceptors: readonly NodeId[];
  } | null;
  /** All groups of the directory; `here`: this node is a member. */
  readonly groups: readonly {
    readonly name: string;
    readonly status: string;
    readonly number: number;
    readonly members: readonly NodeId[];
    readonly synced: readonly NodeId[];
    /** Members that others find too slow. */
    readonly slow: readonly NodeId[];
    /** Of a durable group that is lost until one of them is back: those who have it on their disks. */
    readonly awaited: readonly NodeId[];
    readonly here: boolean;
  }[];
  /** How the node's disk is; null without a data directory. */
  readonly disk: DiskReport | null;
  /** What was turned away; its `garbage` includes frames of linked nodes. `cutOff`: nodes that were, for sending garbage. */
  readonly network: NetworkReport & { readonly cutOff: number };
}

interface PendingJoin {
  readonly requests: readonly JoinRequest[];
  readonly done: (refusal: JoinRefusal | undefined) => void;
}

/** A turn that keeps making work for itself is cut here; the rest is done in the next. */
const ROUNDS_MAX = 8;
/** Of the log that is read at once. */
const RECALL_BYTES = 1024 * 1024;
/** So many are linked that have called and are no nodes of the view. */
const CALLERS_MAX = 256;
/** First views that wait for the admission: each of the nodes that take this one in may send one, and they are repeated. */
const HELD_MAX = 16;

export class Driver implements NetworkSink, GateHost {
  readonly #options: DriverOptions;
  readonly #effects = new Effects();
  readonly #process: Process;
  readonly #memberships: Memberships;
  readonly #gate: Gate;
  readonly #rekeying: Rekeying;
  readonly #doorkeeper: Doorkeeper | undefined;
  readonly #clock: Clock;
  readonly #listener: DriverListener;
  #network: Network | undefined;
  readonly #linked = new Set<NodeId>();
  /** Linked because they have called, the first of them first; some are nodes of the view by now. */
  readonly #callers = new Set<NodeId>();
  readonly #offenders = new Offenders();
  /** Offenders whose links end with the next turn. */
  readonly #condemned = new Set<NodeId>();
  readonly #records = new Map<NodeId, NodeRecord>();
  readonly #joins = new Map<number, PendingJoin>();
  /** Joins that are asked for once this node is in a cluster. */
  readonly #postponed = new Set<() => void>();
  #isTurning = false;
  #status: ClusterStatus = "joining";
  #statusDetail = "";
  #closing = false;
  /** The cluster that this node tries to join. */
  #wooed: { readonly cluster: string; readonly since: number } | undefined;
  #admission: "none" | "asked" | "given" = "none";
  readonly #held: { readonly from: NodeId; readonly message: Message }[] = [];
  /** Frames that were garbage. */
  garbageCount = 0;

  constructor(options: DriverOptions, clock: Clock, entropy: Entropy, listener: DriverListener) {
    this.#options = options;
    this.#clock = clock;
    this.#listener = listener;
    const { self, timing, bounds, directorySize, history, log } = options;
    this.#gate = new Gate(self.id, this);
    const pass = (from: NodeId, message: Message): void => {
      this.#process.receive(from, message, clock.now());
      clock.requestTurn();
    };
    this.#doorkeeper = options.authorize && new Doorkeeper(options.authorize, pass);
    const mintSecret = (): Uint8Array => {
      const words = Uint32Array.from({ length: EPOCH_SECRET_BYTES / 4 }, () => entropy.word());
      return new Uint8Array(words.buffer);
    };
    const mintCluster = (): string => `${hex(entropy.word())}${hex(entropy.word())}`;
    const recordsHistory = history !== undefined;
    const now = clock.now();
    this.#process = new Process(
      {
        self,
        timing,
        bounds,
        directorySize,
        mintCluster,
        mintSecret,
        verify: isSigned,
        asksItself: options.authorize !== undefined,
        recordsHistory,
        log: log && recollect(log),
      },
      this.#effects,
      now,
    );
    this.#rekeying = new Rekeying(this.#rekeyingHost(self.id));
    this.#memberships = new Memberships(
      this.#process,
      () => {
        // What an application asks for within a turn is done before it ends.
        if (!this.#isTurning) clock.requestTurn();
      },
      () => clock.now(),
      history,
      this.#rekeying,
    );
    const start = { kind: "start", at: now, node: self.id } as const;
    this.#record(self.disk === "" ? start : { ...start, disk: self.disk });
    clock.wakeAt(now);
  }

  /** The network, which needs this sink to be made, and is needed before the first turn. */
  attach(network: Network): void {
    this.#network = network;
  }

  get network(): Network | undefined {
    return this.#network;
  }

  get process(): Process {
    return this.#process;
  }

  get status(): ClusterStatus {
    return this.#status;
  }

  // Commands of the node's owner.

  foundAlone(cluster: string): void {
    this.#admission = "given";
    this.#process.cluster.foundAlone(cluster);
    this.#clock.requestTurn();
  }

  foundWith(addresses: readonly string[]): void {
    this.#process.cluster.foundWith(addresses);
    this.#clock.requestTurn();
  }

  /** Takes up what the node's disk remembers of its cluster; whoever admits nodes to it has been asked. */
  recover(): void {
    this.#admission = "given";
    this.#process.cluster.recover();
    this.#clock.requestTurn();
  }

  /**
   * Joins several groups in one atomic step. `done` tells of a refusal, or that the directory has let the node in; each
   * application hears `joined` once its state is there. The returned function gives the joins up.
   */
  join(requests: readonly JoinRequest[], done: (refusal: JoinRefusal | undefined) => void): () => void {
    if (this.#closing) return () => {};
    // A proof names the cluster.
    if (this.#process.cluster.cluster === "" && requests.some(({ security }) => security?.key !== undefined)) {
      let cancel = (): void => void this.#postponed.delete(ask);
      const ask = (): void => {
        cancel = this.join(requests, done);
      };
      this.#postponed.add(ask);
      return () => cancel();
    }
    const twice = requests.find(({ name }) => this.#memberships.isExpected(name));
    if (twice !== undefined) {
      done({ code: "already-member", name: twice.name });
      return () => {};
    }
    for (const { name, application, security } of requests) {
      this.#memberships.expect(name, application);
      if (security !== undefined) this.#gate.expect(name, security);
    }
    const wishes = requests.map((request) => this.#wishOf(request));
    const secure = requests.filter(({ security }) => security !== undefined).map(({ name }) => name);
    const number = this.#process.join(wishes, new Set(secure));
    this.#joins.set(number, { requests, done });
    this.#clock.requestTurn();
    return () => {
      for (const { name } of requests) this.#memberships.forget(name);
      this.#joins.delete(number);
      this.#process.cancelJoin(number);
    };
  }

  /** Leaves all groups and the cluster in good order; the status becomes `closed`. */
  close(): void {
    this.#closing = true;
    this.#process.close();
    this.#clock.requestTurn();
  }

  /** Ends without a word to anybody, as a crash would. */
  abandon(): void {
    this.#closing = true;
    this.#clock.wakeAt(Number.POSITIVE_INFINITY);
  }

  // What the clock calls.

  wake(): void {
    this.#process.tick(this.#clock.now());
    this.turn();
  }

  turn(): void {
    const network = this.#network as Network;
    const wallTime = this.#clock.wallTime();
    for (const id of this.#condemned) this.#cut(id);
    this.#condemned.clear();
    this.#isTurning = true;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      this.#rekeying.turn();
      this.#process.endTurn(this.#clock.now(), wallTime);
      for (const effect of this.#effects.take()) this.#perform(effect, network);
      if (this.#effects.empty && !this.#process.hasUnfinished) break;
    }
    this.#isTurning = false;
    this.#options.history?.flush?.();
    // Others have farther to go than the disk.
    network.flush();
    if (this.#process.awaitsDisk) this.#options.log?.flush();
    if (!this.#effects.empty || this.#process.hasUnfinished) this.#clock.requestTurn();
    if (this.#status !== "closed" && this.#status !== "excluded") this.#clock.wakeAt(this.#process.deadline);
  }

  // What the log tells.

  persisted(upTo: number): void {
    this.#process.persisted(upTo);
    this.#clock.requestTurn();
  }

  /** Records before this position are not intact any more. */
  damaged(to: number): void {
    this.#process.damaged(to);
    this.#clock.requestTurn();
  }

  /** Nothing more can be promised: this node takes part in nothing any more, as if it had crashed. */
  diskFailed(detail: string): void {
    this.#closing = true;
    this.#process.cluster.fail(`the disk failed: ${detail}`);
    this.#clock.requestTurn();
  }

  // What the network tells.

  identity(): { readonly record: NodeRecord; readonly cluster: string } {
    return { record: this.#options.self, cluster: this.#process.cluster.cluster };
  }

  report(network: NetworkReport): string {
    const { view, directory } = this.#process.cluster;
    const self = this.#options.self.id;
    const report: NodeReport = {
      id: self,
      address: this.#options.self.address,
      cluster: this.#process.cluster.cluster,
      status: this.#status,
      detail: this.#statusDetail,
      view:
        view === undefined
          ? null
          : {
              number: view.number,
              nodes: view.nodes.map(({ id, address }) => ({ id, address })),
              acceptors: view.acceptors,
            },
      groups: [...directory.groups].map(({ name, status, number, members, synced, slow: found, durable, keepers }) => {
        const slow = found.map(({ member }) => member);
        const awaited = durable && status === "lost" ? keepers.map(({ node }) => node) : [];
        return { name, status, number, members, synced, slow, awaited, here: members.includes(self) };
      }),
      disk: this.#options.disk?.() ?? null,
      network: { ...network, garbage: network.garbage + this.#gate.dropped, cutOff: this.#offenders.cutOff },
    };
    return JSON.stringify(report);
  }

  admit(peer: NodeRecord, cluster: string): Refusal | undefined {
    const own = this.#process.cluster.cluster;
    if (peer.id === this.#options.self.id) return "same-id";
    if (own !== "" && cluster !== "" && cluster !== own) return "foreign-cluster";
    if (this.#process.cluster.hasRemoved(peer.id) || this.#offenders.isCutOff(peer.id)) return "excluded";
    if (this.#status === "closed") return "closing";
    return undefined;
  }

  met(peer: NodeRecord, cluster: string, address: string): void {
    // A node that is cut off may find those who have gone on without it only by seeking.
    if (peer.id === this.#options.self.id || this.#status === "primary") return;
    if (this.#isOurs(cluster)) this.#link(peer);
    else this.refused(address, "foreign-cluster", cluster);
  }

  called(peer: NodeRecord, cluster: string): void {
    if (this.#closing || this.#status === "excluded" || !this.#isOurs(cluster)) return;
    this.#link(peer);
    if (!this.#isNode(peer.id)) this.#noteCaller(peer.id);
  }

  /** Nodes are always welcome; of those that are none yet, and may never be, only so many are linked. */
  #noteCaller(id: NodeId): void {
    this.#callers.add(id);
    if (this.#callers.size <= CALLERS_MAX) return;
    for (const caller of this.#callers) {
      this.#callers.delete(caller);
      if (this.#isNode(caller)) continue;
      this.#cut(caller);
      return;
    }
  }

  /** A node joins one cluster: the first that it meets, or, if that does not take it in, another after a while. */
  #isOurs(cluster: string): boolean {
    const own = this.#process.cluster.cluster;
    if (cluster === "" || own !== "") return cluster === "" || cluster === own;
    const now = this.#clock.now();
    const { failureTimeoutMs } = this.#options.timing;
    if (this.#wooed === undefined || now - this.#wooed.since > failureTimeoutMs * 2)
      this.#wooed = { cluster, since: now };
    return this.#wooed.cluster === cluster;
  }

  unreachable(address: string, why: string): void {
    this.#listener.noticed("address does not answer", { address, why });
  }

  refused(address: string, refusal: Refusal, detail: string): void {
    this.#listener.noticed("handshake refused", { address, refusal, detail });
    if (refusal !== "excluded") return;
    this.#process.cluster.excluded();
    this.#clock.requestTurn();
  }

  linkUp(id: NodeId): void {
    const peer = this.#records.get(id);
    if (peer === undefined) return;
    this.#linked.add(id);
    this.#process.linkUp(peer, this.#clock.now());
    this.#clock.requestTurn();
  }

  linkDown(id: NodeId, evidence: Evidence): void {
    this.#linked.delete(id);
    this.#doorkeeper?.gone(id);
    this.#process.linkDown(id, evidence !== "lost", this.#clock.now());
    if (evidence !== "lost" && !this.#isNode(id)) this.#unlink(id);
    this.#clock.requestTurn();
  }

  #isNode(id: NodeId): boolean {
    const { view } = this.#process.cluster;
    return view !== undefined && isNodeOf(view, id);
  }

  /** The link is given up here, as if it could not go on. */
  #cut(id: NodeId): void {
    this.linkDown(id, "broken");
    this.#unlink(id);
  }

  frame(from: NodeId, frame: Uint8Array, slab: Slab | undefined): void {
    if (this.#condemned.has(from)) return;
    this.#gate.frame(from, frame, slab);
    this.#clock.requestTurn();
  }

  datagram(from: NodeId, frame: Uint8Array): void {
    this.#clock.requestTurn();
    this.#gate.datagram(from, frame);
  }

  alive(id: NodeId, stalledMs: number): void {
    this.#process.alive(id, stalledMs, this.#clock.now());
  }

  garbage(from: string, what: string): void {
    this.garbageCount++;
    this.#listener.noticed("garbage dropped", { from, what });
  }

  // What has passed the gate, and what has not.

  /**
   * Where something was dropped of a stream that has no gaps, something is missing (C12): who sends garbage again and again
   * is cut off.
   */
  offence(from: NodeId, what: string): void {
    this.garbage(from, what);
    if (!this.#offenders.offended(from)) return;
    this.#listener.noticed("node cut off", { from, what });
    this.#condemned.add(from);
  }

  packet(from: NodeId, packet: Packet): void {
    this.#process.packet(from, packet, this.#clock.now());
  }

  rawPacket(from: NodeId, packet: Packet): void {
    this.#process.rawPacket(from, packet);
  }

  message(from: NodeId, message: Message, bytes: number): void {
    if (message.kind === "installCluster" && this.#admission !== "given") this.#awaitAdmission(from, message);
    else if (message.kind === "directoryRequest" && this.#doorkeeper !== undefined)
      this.#doorkeeper.requested(from, message);
    else if (message.kind === "keyOffer" || message.kind === "keyTaken") this.#rekeying.receive(from, message);
    else this.#process.receive(from, message, this.#clock.now(), bytes);
  }

  /** The first view waits for the admission; what belongs to it is kept by the core. */
  #awaitAdmission(from: NodeId, message: Extract<Message, { kind: "installCluster" }>): void {
    if (this.#held.length < HELD_MAX) this.#held.push({ from, message });
    if (this.#admission === "asked") return;
    this.#admission = "asked";
    const proceed = (): void => {
      this.#admission = "given";
      for (const held of this.#held.splice(0)) this.#process.receive(held.from, held.message, this.#clock.now());
      this.#clock.requestTurn();
    };
    const { admission } = this.#options;
    if (admission === undefined) proceed();
    else admission(message.decided.view.cluster, proceed);
  }

  // Effects.

  #perform(effect: Effect, network: Network): void {
    switch (effect.kind) {
      case "link":
        this.#link(effect.peer);
        break;
      case "unlink":
        this.#unlink(effect.id);
        break;
      case "send":
        if (effect.message.kind === "directoryRequest" && effect.to[0] === this.#options.self.id)
          this.message(this.#options.self.id, effect.message, 0);
        else this.#gate.send(effect.to, effect.message, network);
        break;
      case "multicast":
        this.#gate.multicast(effect.to, effect.packet, network);
        effect.packet.release();
        break;
      case "learnKey":
        this.#gate.learnKey(effect.group, effect.view, effect.secret);
        break;
      case "useKey":
        this.#gate.useKey(effect.group, effect.number);
        break;
      case "rekeyed":
        this.#rekeying.changed(effect.group, effect.publicKey);
        break;
      case "entered": {
        const key = this.#gate.enter(effect.name, effect.group);
        if (key !== undefined) this.#rekeying.enter(effect.group, effect.name, key);
        this.#memberships.perform(effect);
        break;
      }
      case "ended":
        this.#gate.leave(effect.group);
        this.#rekeying.leave(effect.group);
        this.#memberships.perform(effect);
        break;
      case "persist":
        this.#options.log?.append(recordFrame(effect.record));
        break;
      case "forget":
        this.#options.log?.truncate(effect.below);
        break;
      case "recall":
        this.#recall(effect.group, effect.from, effect.to);
        break;
      case "datagram": {
        const { group, packet, to } = effect;
        const dropped = this.#gate.sendRaw(to, packet, network);
        if (dropped > 0) this.#memberships.perform({ kind: "rawDropped", group, messages: dropped * packet.count });
        break;
      }
      case "status":
        this.#statusChanged(effect.status, effect.detail);
        break;
      case "cluster":
        for (const ask of this.#postponed) ask();
        this.#postponed.clear();
        this.#listener.clusterInstalled(effect.view);
        break;
      case "notice":
        this.#listener.noticed(effect.what, effect.detail);
        break;
      case "joinRefused":
        this.#listener.joinRefused(effect.code, effect.detail);
        break;
      case "joinOutcome":
        this.#joinOutcome(effect.request, effect.refusals);
        break;
      case "accepted": {
        const { number, proposal } = effect;
        this.#record({ kind: "accept", at: this.#clock.now(), node: this.#options.self.id, number, proposal });
        break;
      }
      case "decided":
      case "adopted":
        this.#recordView(effect.kind, effect.view, effect.proposal);
        break;
      case "directory": {
        const { index, digest } = effect;
        this.#record({ kind: "directory", at: this.#clock.now(), node: this.#options.self.id, index, digest });
        break;
      }
      default:
        this.#memberships.perform(effect);
    }
  }

  /** The next records of the log that are about this group. */
  #recall(group: number, from: number, to: number): void {
    const { log } = this.#options;
    const end = Math.min(to, log?.durable ?? 0);
    const records: JournalRecord[] = [];
    let bytes = 0;
    let next = from;
    for (const frame of log?.read(from, end) ?? []) {
      next++;
      bytes += frame.length;
      const record = parseRecord(frame);
      if (record !== undefined && groupOf(record) === group) records.push(record);
      if (bytes >= RECALL_BYTES) break;
    }
    const isEnd = next >= end;
    // What was intact when the log was opened may not be any more.
    this.#process.recalled(group, records, isEnd ? "end" : next === from ? "damaged" : next);
  }

  #link(peer: NodeRecord): void {
    if (peer.id === this.#options.self.id) return;
    this.#records.set(peer.id, peer);
    this.#network?.link(peer);
  }

  #unlink(id: NodeId): void {
    this.#records.delete(id);
    this.#callers.delete(id);
    this.#linked.delete(id);
    this.#network?.unlink(id);
  }

  #statusChanged(status: ClusterStatus, detail: string): void {
    const at = this.#clock.now();
    const node = this.#options.self.id;
    if (status === "blocked") this.#record({ kind: "blocked", at, node });
    else if (status === "primary" && this.#status === "blocked") this.#record({ kind: "unblocked", at, node });
    else if (status === "excluded") this.#record({ kind: "exclude", at, node });
    else if (status === "closed") this.#record({ kind: "close", at, node });
    this.#status = status;
    this.#statusDetail = detail;
    this.#listener.statusChanged(status, detail);
  }

  #rekeyingHost(self: NodeId): RekeyingHost {
    const cluster = (): string => this.#process.cluster.cluster;
    return {
      self,
      get cluster() {
        return cluster();
      },
      now: () => this.#clock.now(),
      settledView: (group) => {
        const member = this.#process.members.get(group);
        const view = member?.epoch?.view;
        return member?.ended === false && view?.number === member.target.number ? view : undefined;
      },
      send: (to, message) => this.#gate.send(to, message, this.#network as Network),
      request: (command) => {
        this.#process.cluster.request(command);
        this.#clock.requestTurn();
      },
      mixIn: (group, secret) => this.#gate.mixIn(group, secret),
    };
  }

  #wishOf({ name, digest, durable, acceptors: acceptorsMax = 0, operations, security }: JoinRequest): JoinWish {
    const key = security?.key;
    const cluster = this.#process.cluster.cluster;
    const proof = key && { publicKey: key.publicKey, signature: key.prove(cluster, this.#options.self.id) };
    return { name, digest, durable, acceptorsMax, operations, proof };
  }

  #joinOutcome(request: number, refusals: readonly JoinRefusal[]): void {
    const join = this.#joins.get(request);
    if (join === undefined) return;
    this.#joins.delete(request);
    if (refusals.length > 0) for (const { name } of join.requests) this.#memberships.forget(name);
    join.done(refusals[0]);
  }

  #recordView(kind: "decided" | "adopted", view: ClusterView, proposal: string): void {
    const nodes = view.nodes.map(({ id }) => id);
    const { number, acceptors: members } = view;
    const votes = votesOf(view);
    const what = { at: this.#clock.now(), node: this.#options.self.id, number, members, nodes, proposal };
    const weighed = votes.every((vote) => vote === 1) ? what : { ...what, votes };
    this.#record(kind === "adopted" ? { kind: "adopt", ...weighed } : { kind: "install", group: "", ...weighed });
  }

  #record(event: HistoryEvent): void {
    this.#options.history?.(event);
  }
}

function hex(word: number): string {
  return word.toString(16).padStart(8, "0");
}
