/**
 * The doors between the core and the world. The driver is the same in production and in simulation; only what
 * stands behind these interfaces differs.
 */

import type { Slab } from "../base/slabs.ts";
import type { NodeId, NodeRecord } from "../protocol/view.ts";

/** Control frames overtake bulk frames that wait in the same node's outbox; each lane by itself is FIFO. */
export type Lane = "control" | "bulk";

/**
 * Reliable FIFO links between nodes. A link is between two incarnations; it survives lost connections by resuming at
 * exactly the next byte, and when it cannot, it is reported `broken` and never resumes (rule C12).
 */
export interface Network {
  /** Looks at an address whose owner is not known yet, once; the outcome is reported as `met`, `refused` or `unreachable`. */
  seek(address: string): void;
  /** Keeps a link to this node up until `unlink`; idempotent. */
  link(peer: NodeRecord): void;
  /** Forgets the node and what was queued for it. Later attempts of that incarnation are judged by `admit`. */
  unlink(id: NodeId): void;
  /**
   * Queues a whole frame for a linked node; it is written at `flush`. The bytes are not copied and must not change
   * afterwards; if they lie in `memory`, not before the network, which retains it meanwhile, has released it. A frame for a
   * node without a link is dropped.
   */
  send(to: NodeId, lane: Lane, frame: Uint8Array, memory?: Slab): void;
  /**
   * Sends a whole frame to a linked node once, unreliably and in no order; false when it was dropped here. It never waits:
   * where there is a backlog it is dropped first.
   */
  datagram(to: NodeId, frame: Uint8Array): boolean;
  /** Writes what was queued in this turn. */
  flush(): void;
  /** Bytes queued for, or not yet acknowledged by, this node. */
  backlogBytes(to: NodeId): number;
  close(): void;
}

/** Why a link is down: a connection that ended or could not be made, and what that proves. */
export type Evidence =
  /** The connection ended or timed out; the node may well live. */
  | "lost"
  /** Its address refuses connections: nobody listens there any more. */
  | "refused"
  /** Its address is now answered by another incarnation. */
  | "replaced"
  /** The stream cannot resume without a gap. */
  | "broken";

/** Why a node refuses another at the handshake. */
export type Refusal = "foreign-cluster" | "version" | "excluded" | "closing" | "same-id" | "unproven";

/** What a network has turned away since it began, and what it still has to do. */
export interface NetworkReport {
  /** Connections and datagrams that made no sense. */
  readonly garbage: number;
  /** Connections whose other side did not prove that it belongs here. */
  readonly unproven: number;
  /** Connections that were dropped unheard, because there were too many. */
  readonly crowdedOut: number;
  /** Connections that took too long to say who they are. */
  readonly tooSlow: number;
  /** Nodes that were refused: another cluster, another version, a name or an incarnation that is not to be linked. */
  readonly refused: number;
  /** Connections that await to be made anew with the cluster key to use. */
  readonly outdated: number;
}

/** What the network tells the driver. Calls come one at a time, never from within a call of `Network`. */
export interface NetworkSink {
  /** What this node says of itself in every handshake; `cluster` is "" while it is in none. */
  identity(): { readonly record: NodeRecord; readonly cluster: string };
  /** What this node says to whoever asks how it is: JSON. */
  report(network: NetworkReport): string;
  /** Whether to let this node link. */
  admit(peer: NodeRecord, cluster: string): Refusal | undefined;
  /** The owner of an address that was sought; it is not linked yet. */
  met(peer: NodeRecord, cluster: string, address: string): void;
  /** A node that is not linked yet dialled us. */
  called(peer: NodeRecord, cluster: string): void;
  unreachable(address: string, why: string): void;
  refused(address: string, refusal: Refusal, detail: string): void;
  /** Both directions work (again). */
  linkUp(id: NodeId): void;
  linkDown(id: NodeId, evidence: Evidence): void;
  /** A whole frame, as it was passed to `send`, in FIFO order; the bytes are borrowed until the call returns unless the slab is retained. */
  frame(from: NodeId, frame: Uint8Array, slab: Slab | undefined): void;
  /** A frame that came as a datagram; its bytes are the sink's. Anybody can forge one: its sender and all it says are claims. */
  datagram(from: NodeId, frame: Uint8Array): void;
  /** The peer's process is alive although its link may be silent; its event loop has been stalled for so long. */
  alive(id: NodeId, stalledMs: number): void;
  /** Bytes that were not a frame, or not from a member of this protocol, were dropped. */
  garbage(from: string, what: string): void;
}

export interface Clock {
  /** Monotonic milliseconds; safety never depends on it. */
  now(): number;
  /** Milliseconds since 1970, for `context.time`. */
  wallTime(): number;
  /** Asks for one call of the driver's `turn`, after the inputs that are ready now; idempotent until then. */
  requestTurn(): void;
  /** Asks for a call of the driver's `wake` at this time; replaces an earlier request. Infinity asks for none. */
  wakeAt(time: number): void;
}

/** What a node needs of time above its driver. */
export interface Timers {
  /** Monotonic milliseconds. */
  now(): number;
  /** Calls back once after so many milliseconds; the result cancels. */
  after(delayMs: number, callback: () => void): () => void;
}

export interface Entropy {
  /** 32 unpredictable bits. */
  word(): number;
}

/** Why a disk did not do what it was told. After `failed` nothing that was written since the last success may be relied on. */
export interface DiskProblem {
  readonly code: "full" | "failed";
  readonly detail: string;
}

/** A folder of files of fixed length. Callbacks come one at a time, never from within a call. */
export interface Disk {
  names(): readonly string[];
  /** An existing file. Throws when it cannot be opened. */
  open(name: string): DiskFile;
  /** Makes a file of zeros; it is on disk, and so is its name, when `done` is called without a problem. */
  create(name: string, bytes: number, done: (problem: DiskProblem | undefined) => void): void;
  /** Gives the room back; the file is gone when `done` is called, and may still be there after a crash. */
  remove(name: string, done: () => void): void;
}

export interface DiskFile {
  readonly name: string;
  readonly bytes: number;
  /** Fills `into` with what is there; bytes that cannot be read come as zeros. Used while nothing waits: at recovery. */
  read(at: number, into: Uint8Array): void;
  /** The same, in the background. */
  fetch(at: number, into: Uint8Array, done: () => void): void;
  /** On disk when `done` is called without a problem. The bytes must not change until then. */
  write(at: number, bytes: Uint8Array, done: (problem: DiskProblem | undefined) => void): void;
  close(): void;
}
