/**
 * A cluster in one process without a protocol, for tests of what stands above the driver: every packet is delivered to
 * all members of its group in one order, joins and departures happen between packets, and nothing is ever lost. It keeps
 * the driver's side of `Application` and `NodeRuntime` to the letter: packets are stamped and reused after `deliver`, no
 * upcall is made from within a call, a state is captured before the view that admits the joiner is installed.
 */
import type { JoinFailure, NodeRuntime } from "../../src/group/runtime.ts";
import type { HistorySink } from "../../src/protocol/history.ts";
import { incomparable, lackingIn, type Version, withMember, withOnly } from "../../src/protocol/membership/versions.ts";
import { rawIndex } from "../../src/protocol/raw.ts";
import { type ClusterView, type GroupView, isQuorum, type NodeId } from "../../src/protocol/view.ts";
import type {
  AnswerStatus,
  Application,
  ClusterStatus,
  Ending,
  JoinRefusal,
  JoinRequest,
  Membership,
  RawOutcome,
  RekeyOutcome,
  ReplyStatus,
} from "../../src/runtime/application.ts";
import { historyName } from "../../src/runtime/memberships.ts";
import { fragments, PACKET_BYTES_MAX, type Packet, PacketBuilder, RAW, SAFE, TOTAL } from "../../src/wire/packet.ts";

type Task = () => void | Promise<void>;

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

export class FakeCluster {
  readonly nodes: FakeNode[] = [];
  readonly groups = new Map<string, FakeGroup>();
  /** Milliseconds, moved by `advance`. */
  time = 1_000_000;
  /** Gets what the driver records: views and ends. */
  history: HistorySink | undefined;
  /** How many messages a member may have queued before `send` returns false. */
  roomMax = Number.POSITIVE_INFINITY;
  /** What becomes of raw messages, and whom they do not reach. */
  rawOutcome: RawOutcome = "sent";
  readonly deaf = new Set<NodeId>();
  /** Whether fifo messages overtake total and safe ones. */
  isTotalSlow = false;
  readonly #tasks: Task[] = [];
  readonly #timers = new Set<Timer>();
  #running = false;
  #held = false;
  #nextGroup = 1;

  node(name: string): FakeNode {
    const node = new FakeNode(this, `${name}#${(this.nodes.length + 1).toString(16).padStart(8, "0")}`);
    this.nodes.push(node);
    return node;
  }

  /** Nothing happens until `release`. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.#start();
  }

  /** Something that happens in its turn, after what was scheduled before. */
  schedule(task: Task): void {
    this.#tasks.push(task);
    this.#start();
  }

  /** Waits until everything that was scheduled has happened. */
  async settle(): Promise<void> {
    for (let round = 0; round < 3; round++) {
      while (this.#running || (this.#tasks.length > 0 && !this.#held)) await new Promise((done) => setImmediate(done));
      await new Promise((done) => setImmediate(done));
    }
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.time + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  advance(ms: number): void {
    this.time += ms;
    for (const timer of [...this.#timers].sort((a, b) => a.at - b.at)) {
      if (timer.at <= this.time && this.#timers.delete(timer)) timer.callback();
    }
  }

  group(name: string, digest: string): FakeGroup {
    const known = this.groups.get(name);
    if (known !== undefined && known.members.length > 0) return known;
    const group = new FakeGroup(name, digest, this.#nextGroup++, this);
    this.groups.set(name, group);
    return group;
  }

  #start(): void {
    if (this.#running || this.#held) return;
    this.#running = true;
    queueMicrotask(() => void this.#run());
  }

  async #run(): Promise<void> {
    while (!this.#held) {
      const task = this.#tasks.shift();
      if (task === undefined) break;
      const waits = task();
      if (waits !== undefined) await waits;
    }
    this.#running = false;
  }
}

export class FakeNode implements NodeRuntime {
  readonly self: NodeId;
  readonly cluster: FakeCluster;
  status: ClusterStatus = "primary";
  /** How the members of a node that is closed end. */
  closesAs: Ending = "closed";
  clusterView: ClusterView | undefined = undefined;
  readonly #memberships = new Set<FakeMember>();
  readonly #statusListeners = new Set<(status: ClusterStatus) => void>();
  readonly #viewListeners = new Set<(view: ClusterView) => void>();

  constructor(cluster: FakeCluster, self: NodeId) {
    this.cluster = cluster;
    this.self = self;
  }

  join(requests: readonly JoinRequest[], done: (why: JoinRefusal | JoinFailure) => void): () => void {
    let cancelled = false;
    this.cluster.schedule(async () => {
      if (cancelled) return;
      for (const { name, digest, operations } of requests) {
        const group = this.cluster.group(name, digest);
        if (group.digest !== digest) return done({ code: "definition-mismatch", name, expected: group.digest });
        if (group.member(this.self) !== undefined) return done({ code: "already-member", name });
        const other = incomparable(group.versions, operations);
        if (other !== undefined) {
          return done({ code: "definition-mismatch", name, expected: digest, operations: other.operations });
        }
      }
      for (const { name, digest, operations, application } of requests) {
        const group = this.cluster.group(name, digest);
        const member = new FakeMember(group, this.self, application);
        group.versions = withMember(group.versions, this.self, operations);
        this.#memberships.add(member);
        await member.enter();
      }
    });
    return () => {
      cancelled = true;
    };
  }

  /** The other members go on without this node. */
  exclude(): void {
    this.cluster.schedule(() => this.#end("excluded"));
  }

  lose(): void {
    this.cluster.schedule(() => this.#end("lost"));
  }

  block(blocked: boolean): void {
    this.status = blocked ? "blocked" : "primary";
    for (const member of this.#memberships) member.application.blocked(blocked);
    for (const listener of this.#statusListeners) listener(this.status);
  }

  /** The first raw messages that are under way, so many, are dropped before anybody gets them. */
  dropRaw(messages: number): void {
    for (const member of this.#memberships) member.dropRaw(messages);
  }

  show(view: ClusterView): void {
    this.clusterView = view;
    for (const listener of this.#viewListeners) listener(view);
  }

  onStatus(listener: (status: ClusterStatus) => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  onClusterView(listener: (view: ClusterView) => void): () => void {
    this.#viewListeners.add(listener);
    return () => this.#viewListeners.delete(listener);
  }

  now(): number {
    return this.cluster.time;
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.cluster.after(delayMs, callback);
  }

  close(): Promise<void> {
    return new Promise((resolve) =>
      this.cluster.schedule(() => {
        this.#end(this.closesAs);
        resolve();
      }),
    );
  }

  #end(how: Ending): void {
    for (const member of this.#memberships) member.end(how);
    this.#memberships.clear();
  }
}

export class FakeGroup {
  readonly name: string;
  readonly digest: string;
  readonly id: number;
  readonly cluster: FakeCluster;
  members: FakeMember[] = [];
  versions: readonly Version[] = [];
  view: GroupView = { number: 0, members: [], synced: [], acceptors: [], lacking: [] };
  /** The index of the next message in the view's total order. */
  ordered = 0;

  constructor(name: string, digest: string, id: number, cluster: FakeCluster) {
    this.name = name;
    this.digest = digest;
    this.id = id;
    this.cluster = cluster;
  }

  get historyName(): string {
    return historyName(this.name, this.id);
  }

  member(id: NodeId): FakeMember | undefined {
    return this.members.find((member) => member.self === id);
  }

  /** Installs the view of the present members, at all of them. */
  install(): void {
    const ids = this.members.map((member) => member.self);
    this.versions = withOnly(this.versions, ids);
    this.view = {
      number: this.view.number + 1,
      members: ids,
      synced: ids,
      acceptors: [],
      lacking: lackingIn(this.versions),
    };
    this.ordered = 0;
    const { history, time: at } = this.cluster;
    for (const member of [...this.members]) {
      member.begin();
      history?.({
        kind: "install",
        at,
        node: member.self,
        group: this.historyName,
        number: this.view.number,
        members: ids,
      });
      member.application.install(this.view);
    }
    for (const member of [...this.members]) member.departed(ids);
  }

  /** Delivers a packet, made of bytes that are overwritten afterwards, to all members. */
  deliver(packet: Packet, sender: FakeMember): void {
    if (packet.flavour === RAW) {
      for (const member of [...this.members]) {
        if (this.cluster.deaf.has(member.self)) continue;
        const point = { view: this.view, sender: sender.self, own: member === sender, index: rawIndex(packet) };
        member.application.deliver(packet, point);
      }
      packet.bytes.fill(0xee);
      return;
    }
    const total = packet.flavour === TOTAL || packet.flavour === SAFE;
    const ofFlavour = sender.sentMessages[packet.flavour] ?? 0;
    const index = total ? this.ordered : ofFlavour;
    if (total) this.ordered += packet.count;
    else sender.sentMessages[packet.flavour] = ofFlavour + packet.count;
    for (const member of [...this.members]) {
      member.application.deliver(packet, { view: this.view, sender: sender.self, own: member === sender, index });
    }
    packet.bytes.fill(0xee);
  }
}

interface OpenQuery {
  awaited: Set<NodeId> | undefined;
  readonly early: Set<NodeId>;
}

export class FakeMember implements Membership {
  readonly self: NodeId;
  readonly application: Application;
  readonly #group: FakeGroup;
  readonly #queries = new Map<number, OpenQuery>();
  /** By flavour. */
  readonly sentMessages: number[] = [];
  #seqno = 0;
  #raws = 0;
  #rawsDropped = 0;
  #builder: PacketBuilder | undefined;
  #queued = 0;
  #refused = false;
  #ended = false;
  #nextQuery = 1;

  constructor(group: FakeGroup, self: NodeId, application: Application) {
    this.#group = group;
    this.self = self;
    this.application = application;
  }

  get name(): string {
    return this.#group.name;
  }

  get group(): number {
    return this.#group.id;
  }

  get view(): GroupView {
    return this.#group.view;
  }

  get queued(): number {
    return this.#queued;
  }

  send(flavour: number, tag: number, payload: Uint8Array): boolean {
    if (this.#queued >= this.#group.cluster.roomMax) {
      this.#refused = true;
      return false;
    }
    this.#queued++;
    if (this.#builder !== undefined && (this.#builder.flavour !== flavour || !this.#builder.fits(payload.length))) {
      this.#close();
    }
    const builder = this.#builder ?? new PacketBuilder(flavour);
    if (builder.fits(payload.length)) {
      builder.append(tag, payload);
      if (this.#builder === undefined) this.#group.cluster.schedule(() => this.#closeAndDeliver(builder));
      this.#builder = builder;
    } else {
      for (const packet of fragments(flavour, tag, payload, PACKET_BYTES_MAX)) {
        this.#group.cluster.schedule(() => this.#deliver(packet));
      }
    }
    return true;
  }

  findSlow(): void {}

  rekey(_key: Uint8Array, done: (outcome: RekeyOutcome) => void): () => void {
    this.#group.cluster.schedule(() => done(this.name.startsWith("keyless") ? "keyless" : "rekeyed"));
    return () => {};
  }

  /** One packet for each message, delivered to all in its turn. */
  sendRaw(tag: number, payload: Uint8Array): RawOutcome {
    const { rawOutcome } = this.#group.cluster;
    if (rawOutcome !== "sent") return rawOutcome;
    const builder = new PacketBuilder(RAW, new Uint8Array(64 + payload.length));
    builder.append(tag, payload);
    this.#queued++;
    this.#group.cluster.schedule(() => {
      if (this.#rawsDropped > 0) this.#rawsDropped--;
      else this.#deliver(builder.finish());
    });
    return "sent";
  }

  dropRaw(messages: number): void {
    this.#rawsDropped += messages;
    this.#queued -= messages;
    this.application.rawUnsent(messages);
  }

  flush(_copies: number | undefined, done: (ending: Ending | undefined) => void): () => void {
    this.#close();
    let cancelled = false;
    this.#group.cluster.schedule(() => {
      if (!cancelled) done(this.#ended ? "closed" : undefined);
    });
    return () => {
      cancelled = true;
    };
  }

  openQuery(): number {
    const query = this.#nextQuery++;
    this.#queries.set(query, { awaited: undefined, early: new Set() });
    return query;
  }

  queryDelivered(query: number, members: readonly NodeId[]): void {
    const open = this.#queries.get(query);
    if (open === undefined) return;
    open.awaited = new Set(members.filter((member) => !open.early.has(member)));
    this.#completeLater(query, open);
  }

  closeQuery(query: number): void {
    this.#queries.delete(query);
  }

  get openQueries(): number {
    return this.#queries.size;
  }

  answer(to: NodeId, query: number, status: AnswerStatus, value: Uint8Array): void {
    const bytes = value.slice();
    this.#group.cluster.schedule(() => this.#group.member(to)?.answered(this.self, query, status, bytes));
  }

  answered(from: NodeId, query: number, status: ReplyStatus, value: Uint8Array): void {
    const open = this.#queries.get(query);
    if (open === undefined || open.early.has(from)) return;
    open.early.add(from);
    open.awaited?.delete(from);
    this.application.reply(query, from, status, value);
    this.#completeLater(query, open);
  }

  /** As the directory judges it: a quorum of the members must stay. */
  accuse(query: number, members: readonly NodeId[]): void {
    this.#group.cluster.schedule(() => {
      const { view } = this.#group;
      const goes = isQuorum(view.members, (id) => !members.includes(id));
      for (const id of members) {
        if (goes) this.#group.member(id)?.end("excluded");
        else this.answered(id, query, "timeout", new Uint8Array(0));
      }
    });
  }

  leave(): void {
    this.#close();
    this.#group.cluster.schedule(() => this.end("left"));
  }

  /** Takes the state and installs the view with this member; leaves if the state cannot be loaded. */
  async enter(): Promise<void> {
    const donor = this.#group.members[0];
    if (donor !== undefined) {
      const reader = donor.application.capture();
      const loader = this.application.load();
      for (;;) {
        const chunk = await new Promise<Uint8Array | undefined>((resolve) => reader.read(resolve));
        if (chunk === undefined) break;
        loader.chunk(chunk);
        chunk.fill(0xee);
      }
      reader.close();
      const problem = await new Promise<Error | undefined>((resolve) => loader.end(resolve));
      if (problem !== undefined) {
        this.end("left");
        return;
      }
    }
    this.#group.members.push(this);
    this.application.joined(this, donor === undefined);
    this.#group.install();
  }

  begin(): void {
    this.sentMessages.length = 0;
    this.#seqno = 0;
  }

  end(how: Ending): void {
    if (this.#ended) return;
    this.#ended = true;
    const { members } = this.#group;
    this.#group.members = members.filter((member) => member !== this);
    const { history, time: at } = this.#group.cluster;
    if (how !== "closed") history?.({ kind: "end", at, node: this.self, group: this.#group.historyName, why: how });
    this.application.ended(how);
    if (members.includes(this) && this.#group.members.length > 0) this.#group.install();
  }

  /** Members that are not among these will not answer. */
  departed(ids: readonly NodeId[]): void {
    for (const [query, open] of this.#queries) {
      for (const member of [...(open.awaited ?? [])]) {
        if (!ids.includes(member)) this.answered(member, query, "left", new Uint8Array(0));
      }
    }
  }

  #completeLater(query: number, open: OpenQuery): void {
    if (open.awaited?.size !== 0) return;
    this.#group.cluster.schedule(() => {
      if (this.#queries.delete(query)) this.application.queryComplete(query);
    });
  }

  #close(): void {
    this.#builder = undefined;
  }

  #closeAndDeliver(builder: PacketBuilder): void {
    if (this.#builder === builder) this.#builder = undefined;
    const packet = builder.finish();
    const { cluster } = this.#group;
    if (cluster.isTotalSlow && packet.flavour >= TOTAL) cluster.schedule(() => this.#deliver(packet));
    else this.#deliver(packet);
  }

  #deliver(packet: Packet): void {
    if (this.#ended) return;
    const { view, id } = this.#group;
    const seqno = packet.flavour === RAW ? this.#raws++ : this.#seqno++;
    packet.stamp(id, view.number, view.members.indexOf(this.self), seqno, this.#group.cluster.time);
    if (this.application.recordsSends) this.application.sent(packet, view);
    this.#queued -= packet.count;
    this.#group.deliver(packet, this);
    if (!this.#refused || this.#queued >= this.#group.cluster.roomMax) return;
    this.#refused = false;
    this.#group.cluster.schedule(() => this.application.room());
  }
}
