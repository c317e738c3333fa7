/**
 * This node's replica of the directory, and its requests. A node numbers its requests, sends them to the acceptor of rank 0
 * and repeats them until they are executed (rule B4). That one, the leader, orders them: what has come in a turn becomes
 * packets of the cluster's epoch, which acceptors execute once they are safe (rule B1). Nodes that are not acceptors are
 * *attached*: the leader feeds them every step that was delivered.
 */
import { allocate } from "../../base/arena.ts";
import { assert } from "../../base/assert.ts";
import { decode, encode, list } from "../../wire/layout.ts";
import { MESSAGE_HEADER_BYTES, PACKET_HEADER_BYTES, type Packet, PacketBuilder, SAFE } from "../../wire/packet.ts";
import type { Effects } from "../effects.ts";
import type { Epoch } from "../epoch.ts";
import { type DirectoryCommand, type DirectoryRequest, directoryRequest } from "../messages.ts";
import { type ClusterView, idsOf, type NodeId } from "../view.ts";
import { Directory, type DirectoryOutcome, type Nodes, nodesOf } from "./directory.ts";
import type { Verify } from "./proof.ts";

export interface DirectoryReplicaOptions {
  readonly self: NodeId;
  readonly leaseMs: number;
  readonly recordsHistory: boolean;
  readonly verify: Verify;
  /** Whether this node's own requests, when it leads, are sent to it, so that they take the way of everybody's. */
  readonly asksItself: boolean;
}

/** Whom the replica tells. */
export interface DirectoryReplicaHost {
  /** The directory has moved on, or is another one. */
  directoryChanged(): void;
  /** One of this node's requests was executed. */
  executed(outcome: DirectoryOutcome): void;
}

const requests = list(directoryRequest, 4096);
const REQUESTS_PER_PACKET = 32;
/** Requests of others that wait at the leader; whoever is not heard repeats what it asks for. */
const TO_ORDER_MAX = 65_536;
/** Directories that differ go on to differ: comparing them at every so manieth step is enough. */
const DIGEST_EVERY = 4;

export class DirectoryReplica {
  readonly #options: DirectoryReplicaOptions;
  readonly #effects: Effects;
  readonly #host: DirectoryReplicaHost;
  #directory = new Directory();
  #view: ClusterView | undefined;
  /** Of the acceptors; undefined when this node is attached. */
  #epoch: Epoch | undefined;
  /** Own requests that were not executed yet, and those of others that wait for the end of the turn at the leader. */
  readonly #outstanding = new Map<number, DirectoryCommand>();
  #nextRequest = 1;
  #toOrder: DirectoryRequest[] = [];
  /** At the leader: the number of each requester's last request that is in the order of this view. */
  readonly #ordered = new Map<NodeId, number>();
  readonly #lostSince = new Map<number, number>();

  constructor(options: DirectoryReplicaOptions, effects: Effects, host: DirectoryReplicaHost) {
    this.#options = options;
    this.#effects = effects;
    this.#host = host;
  }

  get directory(): Directory {
    return this.#directory;
  }

  /** Whether this node orders the requests. */
  get leads(): boolean {
    return this.#view?.acceptors[0] === this.#options.self && this.#epoch !== undefined;
  }

  /** Whether requests wait that could be ordered now. */
  get hasUnordered(): boolean {
    return this.#toOrder.length > 0 && this.#epoch?.hasCredit === true;
  }

  /** A view is in place, with this epoch at an acceptor. */
  begin(view: ClusterView, epoch: Epoch | undefined): void {
    this.#view = view;
    this.#epoch = epoch;
    this.#ordered.clear();
    this.#toOrder = [];
  }

  // Requests.

  /** Orders a command; it is executed once, wherever the leadership goes meanwhile. Returns the request's number. */
  request(command: DirectoryCommand): number {
    const number = this.#nextRequest++;
    const request = { requester: this.#options.self, number, command };
    assert(decode(directoryRequest, encode(directoryRequest, request)) !== undefined, "a request can be understood");
    this.#outstanding.set(number, command);
    this.#submit(number, command);
    return number;
  }

  /** Requests that were not executed yet are sent again: they may be lost, or the leader be another. */
  repeat(): void {
    for (const [number, command] of this.#outstanding) this.#submit(number, command);
  }

  /** Another node's request has come. */
  requested(request: DirectoryRequest): void {
    if (this.leads && this.#toOrder.length < TO_ORDER_MAX) this.#toOrder.push(request);
  }

  /** At the leader: what has come in this turn becomes packets of the cluster's epoch. */
  order(wallTime: number): void {
    const epoch = this.#epoch;
    if (epoch === undefined || this.#toOrder.length === 0 || !epoch.hasCredit) return;
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
      epoch.send(builder.finish(), wallTime);
    }
  }

  #submit(number: number, command: DirectoryCommand): void {
    const leader = this.#view?.acceptors[0];
    if (leader === undefined) return;
    const { self, asksItself } = this.#options;
    const request: DirectoryRequest = { requester: self, number, command };
    if (leader === self && !asksItself) this.#toOrder.push(request);
    else this.#effects.send(leader, { kind: "directoryRequest", request });
  }

  // Steps.

  /** A packet of the cluster's epoch is safe. */
  deliver(packet: Packet): void {
    const delivered = requestsOf(packet);
    if (delivered.length === 0) return;
    const attached = this.leads ? this.#attached() : [];
    if (attached.length > 0) {
      const view = this.#view?.number ?? 0;
      const { index } = this.#directory;
      this.#effects.broadcast(attached, { kind: "directoryFeed", view, index, requests: delivered });
    }
    this.#executeAll(delivered);
  }

  /** The leader feeds this node, which is attached. */
  feed(index: number, delivered: readonly DirectoryRequest[]): void {
    if (index === this.#directory.index) this.#executeAll(delivered);
  }

  /** The next step is a view of the cluster. */
  clusterInstalled(view: ClusterView): void {
    this.#directory.clusterInstalled(idsOf(view));
    this.#noteDirectory();
  }

  /** The directory as it stands elsewhere before this view takes the place of this one; false, and nothing, when it is malformed. */
  restore(snapshot: Uint8Array, view: ClusterView): boolean {
    const restored = Directory.restore(snapshot);
    if (restored === undefined) return false;
    this.#directory = restored;
    this.#noteDirectory();
    this.#settleRequests(restored, nodesOf(view, this.#options.verify));
    return true;
  }

  #attached(): NodeId[] {
    const view = this.#view;
    if (view === undefined) return [];
    return view.nodes.map(({ id }) => id).filter((id) => !view.acceptors.includes(id));
  }

  #executeAll(delivered: readonly DirectoryRequest[]): void {
    const view = this.#view as ClusterView;
    const nodes = nodesOf(view, this.#options.verify);
    for (const request of delivered) {
      const outcome = this.#directory.execute(request, nodes);
      this.#noteDirectory();
      if (outcome === undefined || request.requester !== this.#options.self) continue;
      this.#outstanding.delete(request.number);
      this.#host.executed(outcome);
      // Who has joined enters before the next step, which may be the end of the group.
      this.#host.directoryChanged();
    }
    this.#host.directoryChanged();
  }

  /** Requests that were executed while this node was behind: what they came to can be read off the directory. */
  #settleRequests(restored: Directory, nodes: Nodes): void {
    const { self } = this.#options;
    const executed = restored.executed(self);
    for (const [number, command] of this.#outstanding) {
      if (number > executed) continue;
      this.#outstanding.delete(number);
      const request = { requester: self, number, command };
      this.#host.executed({ request, refusals: restored.refusalsInRetrospect(self, command, nodes) });
    }
  }

  #noteDirectory(): void {
    if (!this.#options.recordsHistory || this.#directory.index % DIGEST_EVERY !== 0) return;
    this.#effects.perform({ kind: "directory", index: this.#directory.index, digest: this.#directory.digest() });
  }

  /** C10: a lost name is free again once every node that has not heard of the loss has stopped serving. */
  forgetLostGroups(now: number): void {
    if (!this.leads) return;
    const lost = new Set<number>();
    for (const group of this.#directory.groups) {
      if (group.status !== "lost" || group.durable) continue;
      lost.add(group.id);
      const since = this.#lostSince.get(group.id);
      if (since === undefined) this.#lostSince.set(group.id, now);
      else if (now - since >= this.#options.leaseMs * 1.5) {
        this.#lostSince.set(group.id, now);
        this.request({ kind: "forget", name: group.name, group: group.id });
      }
    }
    for (const id of this.#lostSince.keys()) if (!lost.has(id)) this.#lostSince.delete(id);
  }
}

/** The requests in a packet of the cluster's epoch. */
export function requestsOf(packet: Packet): readonly DirectoryRequest[] {
  return decode(requests, packet.bytes.subarray(PACKET_HEADER_BYTES + MESSAGE_HEADER_BYTES)) ?? [];
}
