/**
 * The simulated network: hosts with addresses, and reliable FIFO links between the incarnations that run on them, with
 * the same contract as the real one (`runtime/ports.ts`). What may go wrong is a rule on the direction from one host to
 * another: it may be cut, slow, or shake; a link may lose its connection at any time and resumes at the next frame.
 */
import { wordAt } from "../base/arena.ts";
import { assert } from "../base/assert.ts";
import type { Random } from "../base/random.ts";
import type { Slab } from "../base/slabs.ts";
import type { NodeId, NodeRecord } from "../protocol/view.ts";
import type { Lane, Network, NetworkSink } from "../runtime/ports.ts";
import { Direction, type Frame, LANES, type LinkBetween, type LinkRule } from "./link.ts";

export interface FabricClock {
  readonly now: number;
  /** Runs `action` at `time`; for a node, not while it is paused. */
  at(time: number, action: () => void, host?: string): void;
}

type Link = LinkBetween<Endpoint>;

interface Outward {
  readonly link: Link;
  readonly side: 0 | 1;
}

class Endpoint implements Network {
  readonly record: NodeRecord;
  readonly host: string;
  readonly sink: NetworkSink;
  readonly peers = new Map<NodeId, NodeRecord>();
  readonly dialling = new Set<NodeId>();
  readonly evidence = new Map<NodeId, string>();
  /** This end's links, and which side of each it is. */
  readonly outward = new Map<NodeId, Outward>();
  /** Directions with frames of this turn. */
  readonly unsent: Outward[] = [];
  alive = true;
  readonly #fabric: Fabric;

  constructor(fabric: Fabric, record: NodeRecord, sink: NetworkSink) {
    this.#fabric = fabric;
    this.record = record;
    this.host = record.address;
    this.sink = sink;
  }

  seek(address: string): void {
    this.#fabric.seek(this, address);
  }

  link(peer: NodeRecord): void {
    if (this.peers.has(peer.id)) return;
    this.peers.set(peer.id, peer);
    this.#fabric.dial(this, peer);
  }

  unlink(id: NodeId): void {
    this.evidence.delete(id);
    if (this.peers.delete(id)) this.#fabric.forget(this, id);
  }

  send(to: NodeId, lane: Lane, frame: Uint8Array, memory?: Slab): void {
    const fabric = this.#fabric;
    const { id } = this.record;
    if (!this.peers.has(to) || fabric.muted.has(id)) return;
    assert(lengthOf(frame) === frame.length, "a frame begins with the length of what follows");
    fabric.tap?.(id, to, frame, false);
    if (fabric.muted.has(id)) return;
    memory?.retain();
    fabric.send(this, to, { bytes: frame, lane, memory });
    fabric.tap?.(id, to, frame, true);
  }

  datagram(to: NodeId, frame: Uint8Array): boolean {
    const fabric = this.#fabric;
    if (this.peers.has(to) && !fabric.muted.has(this.record.id)) fabric.datagram(this, to, frame);
    return true;
  }

  flush(): void {
    for (const { link, side } of this.unsent) this.#fabric.depart(link, side);
    this.unsent.length = 0;
  }

  backlogBytes(to: NodeId): number {
    return this.#fabric.backlogBytes(this, to);
  }

  close(): void {
    this.#fabric.crash(this.record.id);
  }
}

/** Some datagrams take so much longer than others that they come when their sender is gone. */
const DATAGRAM_JITTER_MS = 40;
const REDIAL_MS = 20;
const REDIAL_MS_MAX = 400;

export class Fabric {
  readonly #clock: FabricClock;
  readonly #random: Random;
  /** Made for the first datagram, so that runs without any are as they were. */
  #datagrams: Random | undefined;
  readonly #endpoints = new Map<NodeId, Endpoint>();
  readonly #byAddress = new Map<string, Endpoint>();
  readonly #links = new Map<string, Link>();
  readonly #rules = new Map<string, LinkRule>();
  latencyMs = 0.2;
  jitterMs = 0.3;
  framesDelivered = 0;
  /** Sees every frame twice: before it leaves, when its sender may still be muted, and after. */
  tap: ((from: NodeId, to: NodeId, frame: Uint8Array, left: boolean) => void) | undefined;
  /** Nothing more leaves these nodes: they are about to crash. */
  readonly muted = new Set<NodeId>();

  constructor(clock: FabricClock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  attach(record: NodeRecord, sink: NetworkSink): Network {
    const endpoint = new Endpoint(this, record, sink);
    this.#endpoints.set(record.id, endpoint);
    this.#byAddress.set(record.address, endpoint);
    return endpoint;
  }

  /** The rule for frames from one host to another; it may be changed at any time. */
  rule(from: string, to: string): LinkRule {
    const key = `${from}>${to}`;
    const known = this.#rules.get(key);
    if (known !== undefined) return known;
    const rule = { ...NO_RULE };
    this.#rules.set(key, rule);
    return rule;
  }

  /** Cuts one direction between two hosts, or mends it. */
  setCut(from: string, to: string, cut: boolean): void {
    this.rule(from, to).cut = cut;
    if (!cut) for (const link of this.#links.values()) for (const side of SIDES) this.#pump(link, side);
  }

  /** Ends all cuts, delays and shaking. */
  heal(): void {
    for (const rule of this.#rules.values()) Object.assign(rule, NO_RULE);
    for (const link of this.#links.values()) for (const side of SIDES) this.#pump(link, side);
  }

  /** The incarnation is gone: its connections end, and its address refuses others until the next one listens there. */
  crash(id: NodeId): void {
    const endpoint = this.#endpoints.get(id);
    if (endpoint === undefined || !endpoint.alive) return;
    endpoint.alive = false;
    if (this.#byAddress.get(endpoint.host) === endpoint) this.#byAddress.delete(endpoint.host);
    this.#endpoints.delete(id);
    for (const [key, link] of this.#links) {
      const side = link.ends[0] === endpoint ? 0 : link.ends[1] === endpoint ? 1 : undefined;
      if (side === undefined) continue;
      this.#links.delete(key);
      link.ends[side === 0 ? 1 : 0].outward.delete(id);
      this.#endWithLastWords(link, side);
    }
  }

  /** What a crashed end had under way still arrives, or is lost with it. */
  #endWithLastWords(link: Link, side: 0 | 1): void {
    const [endpoint, peer] = [link.ends[side], link.ends[side === 0 ? 1 : 0]];
    const { inFlight, freeAt } = link.directions[side];
    const arrives = link.up && inFlight.control.length + inFlight.bulk.length > 0 && this.#random.chance(0.5);
    if (arrives) link.lastWordsOf = side;
    const end = arrives ? Math.max(this.#clock.now, freeAt.control, freeAt.bulk) : this.#clock.now;
    const wasUp = link.up;
    link.up = false;
    this.#clock.at(
      end + 0.01,
      () => {
        const isHeard = wasUp && peer.alive && !this.rule(endpoint.host, peer.host).cut;
        if (isHeard) peer.sink.linkDown(endpoint.record.id, "lost");
        this.#redial(peer, endpoint.record);
      },
      peer.host,
    );
  }

  /** Loses the connection of a link, if there is one; it is made again soon. */
  disconnect(a: NodeId, b: NodeId): boolean {
    const link = this.#links.get(linkKey(a, b));
    if (link === undefined || !link.up) return false;
    this.#down(link, "lost");
    this.#redial(link.ends[0], link.ends[1].record);
    return true;
  }

  /** Loses the connection between them, and tells one that the other is dead, though it lives. The link comes up again. */
  defame(accuser: NodeId, accused: NodeId): boolean {
    const from = this.#endpoints.get(accuser);
    if (from === undefined || !this.disconnect(accuser, accused)) return false;
    this.#prove(from, accused, "refused");
    return true;
  }

  seek(from: Endpoint, address: string): void {
    this.#later(from, () => {
      const found = this.#byAddress.get(address);
      if (found === undefined || !this.#reach(from, found)) {
        from.sink.unreachable(address, found === undefined ? "refused" : "time-out");
        return;
      }
      const identity = from.sink.identity();
      const refusal = found.sink.admit(from.record, identity.cluster);
      if (refusal !== undefined) from.sink.refused(address, refusal, "");
      else from.sink.met(found.record, found.sink.identity().cluster, address);
    });
  }

  dial(from: Endpoint, peer: NodeRecord): void {
    from.dialling.add(peer.id);
    this.#later(from, () => this.#handshake(from, peer, 0));
  }

  forget(from: Endpoint, id: NodeId): void {
    const key = linkKey(from.record.id, id);
    const link = this.#links.get(key);
    if (link === undefined) return;
    this.#links.delete(key);
    const wasUp = link.up;
    link.up = false;
    const peer = link.ends[0] === from ? link.ends[1] : link.ends[0];
    from.outward.delete(id);
    peer.outward.delete(from.record.id);
    if (wasUp && this.#reach(from, peer)) this.#tell(peer, () => peer.sink.linkDown(from.record.id, "lost"));
    this.#redial(peer, from.record);
  }

  send(from: Endpoint, to: NodeId, frame: Frame): void {
    let outward = from.outward.get(to);
    if (outward === undefined) {
      const peer = this.#endpoints.get(to);
      if (peer === undefined) return;
      this.#make(from, peer);
      outward = from.outward.get(to) as Outward;
    }
    const direction = outward.link.directions[outward.side];
    if (direction.waiting.length === 0) from.unsent.push(outward);
    direction.waiting.push(frame);
    direction.backlogBytes += frame.bytes.length;
  }

  /** A datagram arrives once, twice or never, whatever is under way already. */
  datagram(from: Endpoint, to: NodeId, frame: Uint8Array): void {
    const peer = this.#endpoints.get(to);
    if (peer === undefined) return;
    const rule = this.rule(from.host, peer.host);
    this.#datagrams ??= this.#random.fork();
    const random = this.#datagrams;
    for (let copies = random.pick([0, 1, 1, 1, 1, 1, 1, 2]); copies > 0; copies--) {
      const delay =
        this.latencyMs + rule.delayMs + random.fraction() * (this.jitterMs + rule.jitterMs + DATAGRAM_JITTER_MS);
      const arrive = (): void => {
        if (peer.alive && !rule.cut) peer.sink.datagram(from.record.id, frame);
      };
      this.#clock.at(this.#clock.now + delay, arrive, peer.host);
    }
  }

  depart(link: Link, side: 0 | 1): void {
    this.#pump(link, side);
  }

  backlogBytes(from: Endpoint, to: NodeId): number {
    const outward = from.outward.get(to);
    return outward?.link.directions[outward.side].backlogBytes ?? 0;
  }

  #handshake(from: Endpoint, peer: NodeRecord, attempt: number): void {
    from.dialling.delete(peer.id);
    if (!from.alive || !from.peers.has(peer.id)) return;
    const listening = this.#byAddress.get(peer.address);
    if (listening === undefined) {
      // Nobody listens: the host answers at once, if it can be reached.
      if (!this.rule(from.host, peer.address).cut && !this.rule(peer.address, from.host).cut) {
        this.#prove(from, peer.id, "refused");
      }
      this.#redial(from, peer, attempt + 1);
      return;
    }
    if (!this.#reach(from, listening)) {
      this.#redial(from, peer, attempt + 1);
      return;
    }
    if (listening.record.id !== peer.id) {
      this.#prove(from, peer.id, "replaced");
      this.#redial(from, peer, attempt + 1);
      return;
    }
    const existing = this.#links.get(linkKey(from.record.id, peer.id));
    if (existing?.up) return;
    const refusal = listening.sink.admit(from.record, from.sink.identity().cluster);
    if (refusal !== undefined) {
      this.#tell(from, () => from.sink.refused(peer.address, refusal, ""));
      this.#redial(from, peer, attempt + 1);
      return;
    }
    if (!listening.peers.has(from.record.id)) {
      this.#tell(listening, () => listening.sink.called(from.record, from.sink.identity().cluster));
      this.#redial(from, peer, attempt + 1);
      return;
    }
    const link = existing ?? this.#make(from, listening);
    link.up = true;
    for (const end of SIDES) {
      const [own, other] = [link.ends[end], link.ends[end === 0 ? 1 : 0]];
      own.evidence.delete(other.record.id);
      this.#tell(own, () => {
        if (link.up) own.sink.linkUp(other.record.id);
      });
      this.#pump(link, end);
    }
  }

  #make(from: Endpoint, to: Endpoint): Link {
    const ends: [Endpoint, Endpoint] = from.record.id < to.record.id ? [from, to] : [to, from];
    const link: Link = {
      ends,
      directions: [
        new Direction(this.rule(ends[0].host, ends[1].host)),
        new Direction(this.rule(ends[1].host, ends[0].host)),
      ],
      up: false,
      broken: false,
      lastWordsOf: undefined,
    };
    this.#links.set(linkKey(from.record.id, to.record.id), link);
    for (const side of SIDES) ends[side].outward.set(ends[side === 0 ? 1 : 0].record.id, { link, side });
    return link;
  }

  #down(link: Link, evidence: "lost"): void {
    link.up = false;
    for (const end of SIDES) {
      const direction = link.directions[end];
      direction.recall();
      const [own, other] = [link.ends[end], link.ends[end === 0 ? 1 : 0]];
      this.#tell(own, () => own.sink.linkDown(other.record.id, evidence));
    }
  }

  /** Puts what waits under way, as far as the link and its rule allow: all of a lane that leaves together arrives together. */
  #pump(link: Link, side: 0 | 1): void {
    const direction = link.directions[side];
    const { connection, inFlight, rule, waiting } = direction;
    if (!link.up || rule.cut || waiting.length === 0) return;
    const { host } = link.ends[side === 0 ? 1 : 0];
    const controlBefore = inFlight.control.length;
    const bulkBefore = inFlight.bulk.length;
    for (let frame = waiting.shift(); frame !== undefined; frame = waiting.shift()) inFlight[frame.lane].push(frame);
    for (const lane of LANES) {
      const count = inFlight[lane].length - (lane === "bulk" ? bulkBefore : controlBefore);
      if (count === 0) continue;
      const delay = this.#latency(rule) + (lane === "bulk" ? rule.bulkDelayMs : 0);
      const time = Math.max(direction.freeAt[lane], this.#clock.now + delay);
      direction.freeAt[lane] = time;
      this.#clock.at(time, () => this.#arrive(link, side, lane, count, connection), host);
    }
  }

  #arrive(link: Link, side: 0 | 1, lane: Lane, count: number, connection: number): void {
    const direction = link.directions[side];
    const from = link.ends[side];
    const to = link.ends[side === 0 ? 1 : 0];
    const isEnding = link.lastWordsOf === side && to.alive && to.peers.has(from.record.id);
    if (direction.connection !== connection || !(link.up || isEnding)) return;
    if (direction.rule.cut) {
      // Cut while under way: it will be sent again when the cut heals, in its place.
      direction.recall();
      return;
    }
    for (let left = count; left > 0; left--) {
      const frame = direction.inFlight[lane].shift();
      // What a frame does may end the connection, and then the rest is under way no more.
      if (frame === undefined || direction.connection !== connection || !(link.up || isEnding)) return;
      direction.backlogBytes -= frame.bytes.length;
      this.framesDelivered++;
      to.sink.frame(from.record.id, frame.bytes, frame.memory);
      frame.memory?.release();
    }
  }

  #reach(a: Endpoint, b: Endpoint): boolean {
    return a.alive && b.alive && !this.rule(a.host, b.host).cut && !this.rule(b.host, a.host).cut;
  }

  /** Dials again after a while, ever more seldom. */
  #redial(from: Endpoint, peer: NodeRecord, attempt = 0): void {
    if (!from.alive || from.dialling.has(peer.id)) return;
    from.dialling.add(peer.id);
    const time = this.#clock.now + Math.min(REDIAL_MS_MAX, REDIAL_MS * 2 ** attempt) * (0.5 + this.#random.fraction());
    this.#clock.at(time, () => this.#handshake(from, peer, attempt), from.host);
  }

  /** Evidence against a node is told once, until its link is up again. */
  #prove(from: Endpoint, id: NodeId, evidence: "refused" | "replaced"): void {
    if (from.evidence.get(id) === evidence) return;
    from.evidence.set(id, evidence);
    this.#tell(from, () => from.sink.linkDown(id, evidence));
  }

  #later(from: Endpoint, action: () => void): void {
    const time = this.#clock.now + this.#latency(undefined) * 2;
    this.#clock.at(time, () => from.alive && action(), from.host);
  }

  /** An upcall, outside of the call that caused it. */
  #tell(endpoint: Endpoint, upcall: () => void): void {
    this.#clock.at(this.#clock.now + 0.01, () => endpoint.alive && upcall(), endpoint.host);
  }

  #latency(rule: LinkRule | undefined): number {
    const jitter = this.jitterMs + (rule?.jitterMs ?? 0);
    return this.latencyMs + (rule?.delayMs ?? 0) + this.#random.fraction() * jitter;
  }
}

const SIDES = [0, 1] as const;
const NO_RULE: Readonly<LinkRule> = { cut: false, delayMs: 0, bulkDelayMs: 0, jitterMs: 0 };

/** As its first four bytes say. */
function lengthOf(frame: Uint8Array): number {
  return 4 + wordAt(frame, 0);
}

function linkKey(a: NodeId, b: NodeId): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
