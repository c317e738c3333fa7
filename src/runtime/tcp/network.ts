/**
 * The real network: reliable FIFO links over TCP, as `ports.ts` promises them. Each link is two connections, each made
 * by the side that receives on it. This file owns the listening socket and decides who is answered; links, connections,
 * queues and datagrams have their own files.
 */
import { randomInt } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import { assert } from "../../base/assert.ts";
import { type Slab, SlabPool } from "../../base/slabs.ts";
import type { NodeId, NodeRecord } from "../../protocol/view.ts";
import { FRAME_BYTES_MAX } from "../../wire/packet.ts";
import type { Liveness } from "../liveness.ts";
import type { Lane, Network, NetworkReport, NetworkSink } from "../ports.ts";
import type { Guard } from "../secure/guard.ts";
import { formatAddress, ListenError, parseAddress } from "./address.ts";
import { Anteroom } from "./anteroom.ts";
import { Caller, type CallerEvents } from "./caller.ts";
import { Complaints } from "./complaints.ts";
import { type Counters, newCounters } from "./counters.ts";
import { Datagrams, FEATURE_DATAGRAMS } from "./datagrams.ts";
import { Dial, type DialEvents, KEEP_ALIVE_MS } from "./dial.ts";
import {
  commonVersion,
  type Hello,
  handshakeFrame,
  type Inquiry,
  type RefusalCode,
  type Refused,
  type Welcome,
} from "./handshake.ts";
import { Link } from "./link.ts";
import { DEFAULT_LIMITS, type Limits, Notices, type Surroundings } from "./surroundings.ts";

export interface TcpOptions {
  /** Where to listen; 127.0.0.1 unless told. */
  readonly host?: string;
  /** 0, the default, takes any free port. */
  readonly port?: number;
  /** What the network tells; or see `start`. */
  readonly sink?: NetworkSink;
  /** Watches the processes of linked nodes; the network then owns it and closes it. */
  readonly liveness?: Liveness;
  /** Stands before every connection; without it whoever reaches this node is believed. */
  readonly guard?: Guard | undefined;
  readonly limits?: Partial<Limits>;
}

/** So much is written to one node before the next one has its turn: a packet that is full. */
const TURN_BYTES = 64 * 1024;

/** Sessions are 32 bits long, and a process makes fewer than half of them. */
const SESSION_FIRST_MAX = 2 ** 31;

/** What has to go by a link instead of a datagram is dropped when so much waits for the node already. */
const DATAGRAM_BACKLOG_MAX = 256 * 1024;

export class TcpNetwork implements Network {
  readonly counters: Readonly<Counters>;
  /** Where it listens. */
  readonly host: string;
  readonly port: number;
  readonly #server: Server;
  #datagrams: Datagrams | undefined;
  readonly #limits: Limits;
  readonly #counters: Counters;
  readonly #notices = new Notices();
  readonly #complaints = new Complaints<"socket" | "crowd" | "unproven" | "refused" | "garbage">((from, what) =>
    this.#notices.post(() => this.#surroundings?.sink.garbage(from, what)),
  );
  readonly #liveness: Liveness | undefined;
  readonly #guard: Guard | undefined;
  #surroundings: Surroundings | undefined;
  /** All that others have made, until it streams or is gone. */
  readonly #anteroom: Anteroom<Socket>;
  readonly #links = new Map<NodeId, Link>();
  readonly #dirty: Link[] = [];
  /** Sessions are counted from where nobody can guess: who knows the number of one is a side of it. */
  #sessions = randomInt(1, SESSION_FIRST_MAX);
  readonly #probes = new Set<Dial>();
  /** Those who have passed the guard and are in their handshake, by the connection that they made. */
  readonly #callers = new Map<Caller, { readonly made: Socket; readonly host: string }>();
  /** Hellos of nodes that are not linked, for a moment. */
  readonly #held = new Map<NodeId, { readonly caller: Caller; readonly hello: Hello; readonly version: number }>();
  readonly #pulseTimer: NodeJS.Timeout;
  /** Whether a connection is being made anew with another key. */
  #isRenewing = false;
  #closing: Promise<void> | undefined;

  private constructor(server: Server, options: TcpOptions) {
    const bound = server.address();
    assert(bound !== null && typeof bound === "object", "a network is made on a server that listens");
    this.host = bound.address;
    this.port = bound.port;
    this.#server = server;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#liveness = options.liveness;
    this.#guard = options.guard;
    this.#counters = newCounters();
    this.counters = this.#counters;
    this.#anteroom = new Anteroom(
      this.#limits,
      (socket, host) => this.#answer(socket, host),
      () => this.#crowdedOut(),
    );
    server.on("connection", (socket) => this.#arrived(socket));
    // For example too many open files: the connection is lost, its dialler tries again.
    server.on("error", (error) => this.#complaints.complain("socket", "the listening socket", error.message));
    this.#pulseTimer = setInterval(() => {
      for (const link of this.#links.values()) link.pulse();
      if (!this.#isRenewing) this.#renew();
    }, this.#limits.pulseMs).unref();
  }

  /** Rejects with a `ListenError` when the port is taken. */
  static async listen(options: TcpOptions = {}): Promise<TcpNetwork> {
    const host = options.host ?? "127.0.0.1";
    const port = options.port ?? 0;
    const server = createServer({
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      pauseOnConnect: true,
    });
    const network = await new Promise<TcpNetwork>((resolve, reject) => {
      server.once("error", (error) => reject(ListenError.from(error, host, port)));
      server.listen({ host, port }, () => {
        server.removeAllListeners("error");
        resolve(new TcpNetwork(server, options));
      });
    });
    // Datagrams have no seal yet, so there are none behind a guard.
    if (options.guard === undefined) network.#datagrams = await Datagrams.bind(network.host, network.port);
    if (options.sink !== undefined) network.start(options.sink);
    return network;
  }

  /** `host:port`, as it listens; what others should dial is for the sink's `identity` to say. */
  get address(): string {
    return formatAddress(this.host, this.port);
  }

  /** The bits of this node's record that say what it can do. */
  get features(): number {
    return this.#datagrams === undefined ? 0 : FEATURE_DATAGRAMS;
  }

  /** Answers from now on; connections that were made before have waited. Not needed when `listen` was given the sink. */
  start(sink: NetworkSink): void {
    assert(this.#surroundings === undefined, "a network is started once");
    this.#surroundings = {
      limits: this.#limits,
      counters: this.#counters,
      slabs: new SlabPool(),
      sink,
      notices: this.#notices,
      guard: this.#guard,
      liveness: this.#liveness,
    };
    this.#datagrams?.start(this.#surroundings, (id) => this.#links.get(id)?.peer);
    setImmediate(() => {
      if (this.#closing === undefined) this.#anteroom.open();
    });
    this.#notices.post(() => {
      this.#liveness?.announce(sink.identity().record.id, (id, stalledMs) => {
        if (this.#links.has(id)) sink.alive(id, stalledMs);
      });
    });
  }

  seek(address: string): void {
    if (this.#closing !== undefined) return;
    const surroundings = this.#started();
    const { sink } = surroundings;
    const target = parseAddress(address);
    if (target === undefined) {
      this.#notices.post(() => sink.unreachable(address, "not an address: expected host:port"));
      return;
    }
    const { versionOldest, versionNewest } = this.#limits;
    const hello = () =>
      handshakeFrame({
        kind: "hello",
        versionOldest,
        versionNewest,
        ...sink.identity(),
        expects: "",
        probe: true,
        session: 0,
        peerSession: 0,
        attempt: 0,
        offset: 0,
      });
    const probeBy = (way: number): void => {
      const events: DialEvents = {
        answered: (answer) => {
          this.#probes.delete(probe);
          this.#found(sink, address, answer);
          return false;
        },
        frame: () => false,
        ended: (end) => {
          this.#probes.delete(probe);
          if (end.kind === "garbage") this.#counters.garbage++;
          if (end.kind === "unproven" && way + 1 < (this.#guard?.ways ?? 1)) {
            probeBy(way + 1);
            return;
          }
          this.#notices.post(() => {
            if (end.kind === "unproven") sink.refused(address, "unproven", end.why);
            else sink.unreachable(address, end.why);
          });
        },
      };
      const probe = new Dial(target, hello, surroundings, events, way);
      this.#probes.add(probe);
    };
    probeBy(0);
  }

  link(peer: NodeRecord): void {
    if (this.#closing !== undefined) return;
    const known = this.#links.get(peer.id);
    if (known !== undefined) {
      if (known.peer.address !== peer.address || known.peer.livenessPort !== peer.livenessPort) {
        known.peer = peer;
        this.#liveness?.watch(peer);
      }
      return;
    }
    const link = new Link(peer, ++this.#sessions, this.#started());
    this.#links.set(peer.id, link);
    this.#liveness?.watch(peer);
    link.start();
    const held = this.#held.get(peer.id);
    if (held === undefined) return;
    this.#held.delete(peer.id);
    const { caller, hello, version } = held;
    this.#notices.post(() => {
      if (caller.isWaiting && this.#links.get(peer.id) === link) link.accept(caller, hello, version);
    });
  }

  unlink(id: NodeId): void {
    this.#liveness?.unwatch(id);
    this.#datagrams?.forget(id);
    this.#links.get(id)?.cut();
    this.#links.delete(id);
  }

  send(to: NodeId, lane: Lane, frame: Uint8Array, memory?: Slab): void {
    assert(frame.length > 4 && frame.length <= FRAME_BYTES_MAX, "a frame is neither empty nor longer than its maximum");
    const link = this.#links.get(to);
    if (link === undefined) {
      this.#counters.framesUnlinked++;
      return;
    }
    link.send(lane, frame, memory);
    if (link.isDirty) return;
    link.isDirty = true;
    this.#dirty.push(link);
  }

  /** Nodes are written to in turns: what goes to several of them goes out while it is in the cache. */
  flush(): void {
    const dirty = this.#dirty;
    for (let isMore = dirty.length > 0; isMore; ) {
      isMore = false;
      for (const link of dirty) if (link.pump(TURN_BYTES)) isMore = true;
    }
    for (const link of dirty) link.isDirty = false;
    dirty.length = 0;
  }

  datagram(to: NodeId, frame: Uint8Array): boolean {
    const link = this.#links.get(to);
    if (link === undefined) return false;
    const outcome = this.#datagrams?.send(link.peer, frame) ?? "unusable";
    if (outcome === "sent") return true;
    if (outcome === "dropped" || link.backlogBytes > DATAGRAM_BACKLOG_MAX) {
      this.#counters.datagramsUnsent++;
      return false;
    }
    this.send(to, "bulk", frame);
    return true;
  }

  backlogBytes(to: NodeId): number {
    return this.#links.get(to)?.backlogBytes ?? 0;
  }

  /** Nothing is told any more. Resolves when every connection is closed; what was flushed is still written if it can be. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#notices.close();
    clearInterval(this.#pulseTimer);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const probe of this.#probes) probe.giveUp();
    for (const caller of [...this.#callers.keys()]) caller.drop();
    this.#anteroom.close();
    this.#guard?.close();
    for (const link of this.#links.values()) link.cut();
    this.#links.clear();
    this.#dirty.length = 0;
    await this.#liveness?.close();
    await this.#datagrams?.close();
    await closed;
  }

  #started(): Surroundings {
    assert(this.#surroundings !== undefined, "a network is started before it is used");
    return this.#surroundings;
  }

  /** Connections that were made with a key that has given way to another are made anew, one at a time. */
  #renew(): void {
    this.#isRenewing = false;
    if (this.#closing !== undefined) return;
    for (const link of this.#links.values()) {
      if (!link.isRenewable) continue;
      this.#isRenewing = true;
      link.renew(() => this.#renew());
      return;
    }
  }

  /** Somebody has made a connection; nothing of it is read before its turn. */
  #arrived(socket: Socket): void {
    socket.on("error", () => {});
    if (this.#closing === undefined) this.#anteroom.arrived(socket, socket.remoteAddress ?? "");
    else socket.destroy();
  }

  /** It is the turn of a connection. Who has not proved that it belongs here is not listened to. */
  #answer(socket: Socket, host: string): void {
    const remote = formatAddress(host, socket.remotePort ?? 0);
    if (this.#guard === undefined) {
      this.#hear(socket, socket, host);
      socket.resume();
      return;
    }
    this.#guard.examine(socket, {
      passed: (proven) => {
        this.#anteroom.know(host);
        if (this.#closing === undefined) this.#hear(proven, socket, host);
        else proven.destroy();
      },
      failed: (why) => {
        // Unless it has lost its place, and was counted then.
        if (!this.#anteroom.left(socket, host)) return;
        this.#counters.unproven++;
        this.#complaints.complain("unproven", remote, `has not proved that it belongs here: ${why}`);
      },
    });
  }

  #hear(socket: Socket, made: Socket, host: string): void {
    this.#callers.set(new Caller(socket, this.#started(), this.#callerEvents), { made, host });
  }

  #crowdedOut(): void {
    this.#counters.crowdedOut++;
    this.#complaints.complain("crowd", "the listening socket", "dropped a connection, as there are too many");
  }

  readonly #callerEvents: CallerEvents = {
    hello: (caller, hello) => this.#greeted(caller, hello),
    inquiry: (caller, inquiry) => this.#inquired(caller, inquiry),
    settled: (caller) => this.#settled(caller),
    garbage: (caller, what) => {
      this.#counters.garbage++;
      this.#complaints.complain("garbage", caller.remote, what);
    },
  };

  #settled(caller: Caller): void {
    const known = this.#callers.get(caller);
    if (known === undefined) return;
    this.#callers.delete(caller);
    this.#anteroom.left(known.made, known.host);
    for (const [id, held] of this.#held) if (held.caller === caller) this.#held.delete(id);
  }

  #inquired(caller: Caller, inquiry: Inquiry): void {
    const { versionOldest, versionNewest } = this.#limits;
    const version = commonVersion(versionOldest, versionNewest, inquiry.versionOldest, inquiry.versionNewest);
    if (version === undefined)
      caller.refuse("version", `this node speaks versions ${versionOldest} to ${versionNewest}`);
    else
      caller.finish(handshakeFrame({ kind: "report", version, report: this.#started().sink.report(this.#report()) }));
  }

  #report(): NetworkReport {
    const { garbage, datagramsDropped, unproven, crowdedOut, handshakeTimeouts, refusalsSent } = this.#counters;
    let outdated = 0;
    for (const link of this.#links.values()) outdated += link.outdated;
    return {
      garbage: garbage + datagramsDropped,
      unproven,
      crowdedOut,
      tooSlow: handshakeTimeouts,
      refused: refusalsSent,
      outdated,
    };
  }

  #greeted(caller: Caller, hello: Hello): void {
    this.#notices.drain();
    const { sink } = this.#started();
    const { record, cluster } = sink.identity();
    if (this.#guard !== undefined && !caller.speaksFor(hello.record.id, this.#guard)) {
      this.#counters.unproven++;
      this.#turnAway(caller, hello, "unproven", "its certificate does not have this name");
      return;
    }
    const { versionOldest, versionNewest } = this.#limits;
    const version = commonVersion(versionOldest, versionNewest, hello.versionOldest, hello.versionNewest);
    if (version === undefined) {
      this.#turnAway(caller, hello, "version", `this node speaks versions ${versionOldest} to ${versionNewest}`);
      return;
    }
    if (hello.record.id === record.id) {
      this.#turnAway(caller, hello, "same-id", record.id);
      return;
    }
    if (hello.expects !== "" && hello.expects !== record.id) {
      this.#turnAway(caller, hello, "replaced", record.id);
      return;
    }
    if (hello.cluster !== "" && cluster !== "" && hello.cluster !== cluster) {
      this.#turnAway(caller, hello, "foreign-cluster", cluster);
      return;
    }
    this.#anteroom.know(caller.remoteHost);
    const link = this.#links.get(hello.record.id);
    const refusal = link === undefined ? sink.admit(hello.record, hello.cluster) : undefined;
    if (refusal !== undefined) this.#turnAway(caller, hello, refusal, "");
    else if (hello.probe)
      caller.finish(handshakeFrame({ kind: "welcome", version, cluster, record, session: 0, offset: 0 }));
    else if (link !== undefined) link.accept(caller, hello, version);
    else this.#hold(caller, hello, version);
  }

  /** The sink may link the node now or soon; its dialler tries again if that takes longer. */
  #hold(caller: Caller, hello: Hello, version: number): void {
    const { id } = hello.record;
    const { sink } = this.#started();
    this.#held.get(id)?.caller.refuse("not-linked", "");
    this.#held.set(id, { caller, hello, version });
    caller.hold(this.#limits.holdMs);
    this.#notices.post(() => {
      if (!this.#links.has(id)) sink.called(hello.record, hello.cluster);
    });
  }

  #turnAway(caller: Caller, hello: Hello, code: RefusalCode, detail: string): void {
    caller.refuse(code, detail);
    this.#complaints.complain(
      "refused",
      caller.remote,
      `refused ${hello.record.id} of cluster "${hello.cluster}": ${code}`,
    );
  }

  #found(sink: NetworkSink, address: string, answer: Welcome | Refused): void {
    if (answer.kind === "welcome") {
      this.#notices.post(() => sink.met(answer.record, answer.cluster, address));
      return;
    }
    this.#counters.refusalsReceived++;
    const { code, detail } = answer;
    if (code === "replaced" || code === "not-linked" || code === "broken") {
      this.#notices.post(() => sink.unreachable(address, `unexpected refusal: ${code}`));
    } else {
      this.#notices.post(() => sink.refused(address, code, detail));
    }
  }
}
