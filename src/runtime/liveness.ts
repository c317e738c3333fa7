/**
 * Tells a process whose event loop is stalled from one that is dead. While the main thread does not come round, a worker
 * thread with a UDP socket of its own sends every watched node a small datagram several times a second, which says for how
 * long. As long as the main thread runs, its own frames show that it lives, and the worker is silent. Received datagrams are reported to the main thread in batches, with their age, so
 * that a node that was itself stalled does not take old news for new.
 *
 *     0  u32 stalled for, ms            12  u32 magic, "COTL"
 *     4  f64 a number, always larger    16  the sender's id, then the receiver's: each its length and its UTF-8
 *
 * A datagram counts only when it names a watched incarnation as its sender and this one as its receiver. In a secured
 * network a seal follows, half an HMAC-SHA256 with a key that both sides take from the connection over which the sender
 * streams to the receiver; then nobody else can say it, and it cannot be repeated. It is a hint, never a proof: nothing safe
 * depends on it, and forging one where there are no seals can at most delay an exclusion.
 */
import { Worker } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import type { NodeId, NodeRecord } from "../protocol/view.ts";
import { Writer } from "../wire/writer.ts";
import { LIVENESS_WORKER_SOURCE } from "./liveness-worker.ts";
import { ListenError, parseAddress } from "./tcp/address.ts";

const MAGIC = 0x4c_54_4f_43;

export interface LivenessOptions {
  /** Where the worker's socket is bound; the host that the node listens at. */
  readonly host?: string;
  /** 0, the default, takes any free port. */
  readonly port?: number;
  /** How often each watched node gets a datagram. */
  readonly periodMs?: number;
  /** Whether datagrams are sealed, with the keys that `sealWith` and `openWith` tell. */
  readonly sealed?: boolean;
  /** A main thread that came round within this time needs nobody to speak for it. */
  readonly quietMs?: number;
}

/** How often the main thread shows that it runs, and how late it may be before it counts as stalled. */
const PROGRESS_MS = 50;
const STALL_MS = 150;
const QUIET_MS = 300;
/** The most that a datagram waits in the worker before it is reported. */
const REPORT_MS = 100;
/** A report that reached the main thread later than this says nothing about now. */
const FRESH_MS = 500;
/** A worker that did not run for so long was stopped together with its process. */
const PAUSE_MS = 300;

const PROGRESS = 0;
const REPORT_IS_OUT = 1;

export interface LivenessCounters {
  readonly sent: number;
  readonly received: number;
  /** Datagrams that were not from a watched node, or not for this one. */
  readonly dropped: number;
  /** Reports that came too late to mean anything. */
  readonly stale: number;
}

type FromWorker =
  | { readonly kind: "bound"; readonly port: number }
  | { readonly kind: "failed"; readonly message: string; readonly code?: string }
  | {
      readonly kind: "heard";
      readonly heard: readonly { readonly id: NodeId; readonly stalledMs: number; readonly at: number }[];
      readonly counts: { readonly sent: number; readonly received: number; readonly dropped: number };
    };

/** A node is alive; its event loop has been stalled for so long, 0 when it runs. */
export type Alive = (id: NodeId, stalledMs: number) => void;

export class Liveness {
  readonly port: number;
  readonly #worker: Worker;
  readonly #state: Int32Array;
  readonly #timer: NodeJS.Timeout;
  #announced: { readonly id: NodeId; readonly alive: Alive } | undefined;
  /** Nodes that were watched before `announce`. */
  #early: NodeRecord[] = [];
  #counters: LivenessCounters = { sent: 0, received: 0, dropped: 0, stale: 0 };

  private constructor(worker: Worker, state: Int32Array, port: number) {
    this.#worker = worker;
    this.#state = state;
    this.port = port;
    this.#timer = setInterval(() => this.#progress(), PROGRESS_MS).unref();
    worker.on("message", (message: FromWorker) => {
      if (message.kind === "heard") this.#heard(message);
    });
    // Without its worker a node is only slower to be believed alive.
    worker.on("error", () => {});
    worker.unref();
  }

  /** Resolves when the worker listens; its port belongs into this node's record. Rejects with a `ListenError`. */
  static start(options: LivenessOptions = {}): Promise<Liveness> {
    const host = options.host ?? "127.0.0.1";
    const port = options.port ?? 0;
    const state = new Int32Array(new SharedArrayBuffer(8));
    state[PROGRESS] = monotonicMs();
    const worker = new Worker(LIVENESS_WORKER_SOURCE, {
      eval: true,
      name: "coterie-liveness",
      // The flags of this process (a loader, `--input-type`) are not for a script that needs none.
      execArgv: [],
      workerData: {
        host,
        port,
        periodMs: options.periodMs ?? 250,
        quietMs: options.quietMs ?? QUIET_MS,
        reportMs: REPORT_MS,
        stallMs: STALL_MS,
        pauseMs: PAUSE_MS,
        sealed: options.sealed === true,
        state,
      },
    });
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown) => {
        void worker.terminate();
        reject(ListenError.from(cause, host, port));
      };
      worker.once("error", fail);
      worker.once("message", (message: FromWorker) => {
        worker.off("error", fail);
        if (message.kind === "bound") resolve(new Liveness(worker, state, message.port));
        else fail(Object.assign(new Error("the liveness worker cannot listen"), message));
      });
    });
  }

  get counters(): LivenessCounters {
    return this.#counters;
  }

  /** Begins: says which incarnation this is, and takes the reports. They are never made from within a call of this. */
  announce(id: NodeId, alive: Alive): void {
    assert(this.#announced === undefined, "liveness is announced once");
    this.#announced = { id, alive };
    const early = this.#early;
    this.#early = [];
    for (const peer of early) this.watch(peer);
  }

  /** Sends this node datagrams, and reports those that come from it. A node without a liveness port is left out. */
  watch(peer: NodeRecord): void {
    if (this.#announced === undefined) {
      this.#early.push(peer);
      return;
    }
    const address = parseAddress(peer.address);
    if (address === undefined || peer.livenessPort < 1 || peer.livenessPort > 65_535) return;
    const own = this.#announced.id;
    this.#worker.postMessage({
      id: peer.id,
      watch: {
        host: address.host,
        port: peer.livenessPort,
        datagram: livenessDatagram(0, own, peer.id),
        expected: livenessDatagram(0, peer.id, own),
      },
    });
  }

  /** What this watched node is sent is sealed with this key from now on. */
  sealWith(id: NodeId, key: Uint8Array): void {
    this.#worker.postMessage({ id, outgoing: key });
  }

  /** What comes from this watched node is sealed with this key, in which it has said nothing yet. */
  openWith(id: NodeId, key: Uint8Array): void {
    this.#worker.postMessage({ id, incoming: key });
  }

  unwatch(id: NodeId): void {
    this.#early = this.#early.filter((peer) => peer.id !== id);
    this.#worker.postMessage({ id });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#announced = undefined;
    await this.#worker.terminate();
  }

  #progress(): void {
    Atomics.store(this.#state, PROGRESS, monotonicMs());
  }

  #heard(message: Extract<FromWorker, { kind: "heard" }>): void {
    this.#progress();
    Atomics.store(this.#state, REPORT_IS_OUT, 0);
    let stale = this.#counters.stale;
    const now = monotonicMs();
    for (const { id, stalledMs, at } of message.heard) {
      if (((now - at) | 0) > FRESH_MS) stale++;
      else this.#announced?.alive(id, stalledMs);
    }
    this.#counters = { ...message.counts, stale };
  }
}

/** The datagram that says: this sender lives. Its number is for who sends it. */
export function livenessDatagram(stalledMs: number, sender: NodeId, receiver: NodeId): Uint8Array {
  const writer = new Writer();
  writer.u32(stalledMs);
  writer.f64(0);
  writer.u32(MAGIC);
  writer.text(sender);
  writer.text(receiver);
  return writer.finish();
}

/** The clock that both threads share; it wraps, so only differences mean anything. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n) | 0;
}
