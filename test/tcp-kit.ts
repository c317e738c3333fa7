/**
 * What tests of the real network need: a sink that records and lets a test wait for what it has recorded, and a proxy
 * that cuts connections.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Slab } from "../src/base/slabs.ts";
import type { NodeId, NodeRecord } from "../src/protocol/view.ts";
import type { Evidence, NetworkSink, Refusal } from "../src/runtime/ports.ts";
import { TcpNetwork, type TcpOptions } from "../src/runtime/tcp/network.ts";

export type Told =
  | { readonly kind: "met"; readonly id: NodeId; readonly cluster: string; readonly address: string }
  | { readonly kind: "called"; readonly id: NodeId }
  | { readonly kind: "unreachable"; readonly address: string; readonly why: string }
  | { readonly kind: "refused"; readonly address: string; readonly refusal: Refusal; readonly detail: string }
  | { readonly kind: "up"; readonly id: NodeId }
  | { readonly kind: "down"; readonly id: NodeId; readonly evidence: Evidence }
  | { readonly kind: "alive"; readonly id: NodeId; readonly stalledMs: number }
  | { readonly kind: "garbage"; readonly from: string; readonly what: string };

/** Records what a network tells; frames go to `onFrame`. */
export class RecordingSink implements NetworkSink {
  readonly told: Told[] = [];
  readonly frames: { readonly from: NodeId; readonly bytes: Uint8Array }[] = [];
  cluster = "";
  record: NodeRecord;
  /** Links whoever calls. */
  linksCallers = true;
  refuses: Refusal | undefined;
  onFrame: (from: NodeId, frame: Uint8Array, slab: Slab | undefined) => void;
  onTold: (told: Told) => void = () => {};
  network: TcpNetwork | undefined;
  /** Calls that came from within a call of the network: there must be none. */
  reentrant: string[] = [];
  #depth = 0;
  readonly #waiting = new Set<() => void>();

  constructor(id: NodeId) {
    this.record = { id, address: "", livenessPort: 0, features: 0, disk: "", weight: 1 };
    this.onFrame = (from, frame) => this.frames.push({ from, bytes: frame.slice() });
  }

  /** Resolves as soon as `condition` holds; it is asked after everything that is told. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve) => {
      const check = () => {
        if (!condition()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
    });
  }

  /** Resolves with the first thing told that is like this, from the past too. */
  async first<K extends Told["kind"]>(
    kind: K,
    matches: (told: Extract<Told, { kind: K }>) => boolean = () => true,
  ): Promise<Extract<Told, { kind: K }>> {
    const found = () =>
      this.told.find((told): told is Extract<Told, { kind: K }> => told.kind === kind && matches(told as never));
    await this.until(() => found() !== undefined);
    return found() as Extract<Told, { kind: K }>;
  }

  count(kind: Told["kind"]): number {
    return this.told.filter((told) => told.kind === kind).length;
  }

  /** Calls the network, and notes whether it calls back. */
  call<T>(action: (network: TcpNetwork) => T): T {
    if (this.network === undefined) throw new Error("there is no network yet");
    this.#depth++;
    try {
      return action(this.network);
    } finally {
      this.#depth--;
    }
  }

  report(): string {
    return JSON.stringify({ id: "recorded" });
  }

  identity() {
    return { record: this.record, cluster: this.cluster };
  }

  admit(): Refusal | undefined {
    return this.refuses;
  }

  met(peer: NodeRecord, cluster: string, address: string): void {
    this.#tell({ kind: "met", id: peer.id, cluster, address });
  }

  called(peer: NodeRecord): void {
    this.#tell({ kind: "called", id: peer.id });
    if (this.linksCallers) this.call((network) => network.link(peer));
  }

  unreachable(address: string, why: string): void {
    this.#tell({ kind: "unreachable", address, why });
  }

  refused(address: string, refusal: Refusal, detail: string): void {
    this.#tell({ kind: "refused", address, refusal, detail });
  }

  linkUp(id: NodeId): void {
    this.#tell({ kind: "up", id });
  }

  linkDown(id: NodeId, evidence: Evidence): void {
    this.#tell({ kind: "down", id, evidence });
  }

  frame(from: NodeId, frame: Uint8Array, slab: Slab | undefined): void {
    if (this.#depth > 0) this.reentrant.push("frame");
    this.onFrame(from, frame, slab);
    this.#check();
  }

  datagram(from: NodeId, frame: Uint8Array): void {
    this.frame(from, frame, undefined);
  }

  alive(id: NodeId, stalledMs: number): void {
    this.#tell({ kind: "alive", id, stalledMs });
  }

  garbage(from: string, what: string): void {
    this.#tell({ kind: "garbage", from, what });
  }

  #tell(told: Told): void {
    if (this.#depth > 0) this.reentrant.push(told.kind);
    this.told.push(told);
    this.onTold(told);
    this.#check();
  }

  #check(): void {
    for (const check of [...this.#waiting]) check();
  }
}

export interface TestNode {
  readonly sink: RecordingSink;
  readonly network: TcpNetwork;
}

/** A network on a free port, with its recording sink. */
export async function startNode(id: NodeId, options: TcpOptions = {}): Promise<TestNode> {
  const sink = new RecordingSink(id);
  const network = await TcpNetwork.listen(options);
  sink.network = network;
  sink.record = {
    ...sink.record,
    address: network.address,
    livenessPort: options.liveness?.port ?? 0,
    features: network.features,
  };
  network.start(sink);
  return { sink, network };
}

/** Links both ways and waits for both ends. */
export async function linkUp(one: TestNode, other: TestNode): Promise<void> {
  one.sink.call((network) => network.link(other.sink.record));
  other.sink.call((network) => network.link(one.sink.record));
  await one.sink.first("up", ({ id }) => id === other.sink.record.id);
  await other.sink.first("up", ({ id }) => id === one.sink.record.id);
}

/** A frame of this many bytes in all, at least 9, that carries a number and a pattern that follows from it. */
export function numberedFrame(number: number, length: number): Uint8Array {
  const frame = new Uint8Array(length).fill(number & 0xff);
  const view = new DataView(frame.buffer);
  view.setUint32(0, length - 4, true);
  view.setUint8(4, 1);
  view.setUint32(5, number, true);
  return frame;
}

export function frameNumber(frame: Uint8Array): number {
  return new DataView(frame.buffer, frame.byteOffset, frame.byteLength).getUint32(5, true);
}

/** Whether a frame is what `numberedFrame` made. */
export function isIntact(frame: Uint8Array): boolean {
  const pattern = frameNumber(frame) & 0xff;
  return frame.subarray(9).every((byte) => byte === pattern);
}

/** Stands before a node and forwards connections to it until told to cut them. */
export class CuttingProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly address: string;
  cuts = 0;
  /** Sees all that passes. */
  onBytes: (bytes: Buffer) => void = () => {};

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    const bound = server.address();
    this.address = `127.0.0.1:${typeof bound === "object" && bound !== null ? bound.port : 0}`;
    server.on("connection", (inner) => {
      const outer = connect({ port: targetPort, host: "127.0.0.1", noDelay: true });
      for (const [from, to] of [
        [inner, outer],
        [outer, inner],
      ] as const) {
        this.#sockets.add(from);
        from.on("data", (bytes: Buffer) => this.onBytes(bytes));
        from.pipe(to);
        from.on("error", () => {});
        from.on("close", () => {
          this.#sockets.delete(from);
          to.destroy();
        });
      }
    });
  }

  static start(targetPort: number): Promise<CuttingProxy> {
    const server = createServer({ noDelay: true });
    return new Promise((resolve) => {
      server.listen(0, "127.0.0.1", () => resolve(new CuttingProxy(server, targetPort)));
    });
  }

  /** Destroys all connections, or each with this chance. */
  cut(chance: () => boolean = () => true): void {
    this.cuts++;
    for (const socket of [...this.#sockets]) if (chance()) socket.resetAndDestroy();
  }

  /** Forwards nothing more over the connections that there are, and closes none. */
  silence(): void {
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  close(): void {
    this.#server.close();
    this.cut();
  }
}
