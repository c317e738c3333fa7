/**
 * A node as long as it runs: a succession of incarnations. One that the cluster has excluded ends, and the node enters
 * again as a new one, under the same name and address; its groups do not come back by themselves. What an incarnation
 * runs on, real sockets or a simulated world, is not known here.
 */
import type { ClusterStatus, JoinRefusal } from "../protocol/effects.ts";
import type { ClusterView, NodeId, NodeRecord } from "../protocol/view.ts";
import type { JoinRequest } from "./application.ts";
import type { Driver } from "./driver.ts";
import type { Timers } from "./ports.ts";

/** One incarnation of the node. */
export interface Embodiment {
  readonly record: NodeRecord;
  readonly driver: Driver;
  /** Why it is in no cluster yet, for people. */
  readonly waitingFor: string;
  /** Stops at once, without a word to the others. */
  end(): Promise<void>;
}

export interface IncarnationListener {
  statusChanged(status: ClusterStatus, detail: string): void;
  clusterInstalled(view: ClusterView): void;
  failed(problem: unknown): void;
  noticed(what: string, detail: Readonly<Record<string, unknown>>): void;
}

export interface RunningNodeOptions {
  readonly name: string;
  readonly failureTimeoutMs: number;
  readonly timers: Timers;
  /** Begins the next incarnation. */
  readonly incarnate: (listener: IncarnationListener) => Promise<Embodiment>;
  readonly noticed: (what: string, detail: Readonly<Record<string, unknown>>) => void;
  /** Gives back what all its incarnations ran on, once the last one has ended. Default: nothing. */
  readonly release?: () => Promise<void>;
}

/** The node has ended before it was in a cluster, as when its disk fails. */
export class EndedError extends Error {
  override readonly name = "EndedError";
}

/** Why a join came to nothing, other than by the directory's word. */
export interface JoinEnd {
  readonly code: "excluded" | "closed";
  readonly detail: string;
}

interface PendingJoin {
  readonly requests: readonly JoinRequest[];
  readonly done: (why: JoinRefusal | JoinEnd) => void;
  cancel: () => void;
}

const REENTRY_MS = 100;

export class RunningNode {
  readonly #options: RunningNodeOptions;
  readonly #statusListeners = new Set<(status: ClusterStatus) => void>();
  readonly #viewListeners = new Set<(view: ClusterView) => void>();
  readonly #joins = new Set<PendingJoin>();
  #incarnation: Embodiment | undefined;
  #status: ClusterStatus = "joining";
  #statusDetail = "";
  #clusterView: ClusterView | undefined;
  #closing: Promise<void> | undefined;
  #entered: { readonly resolve: () => void; readonly reject: (problem: unknown) => void } | undefined;

  private constructor(options: RunningNodeOptions) {
    this.#options = options;
  }

  /** Resolves when the node is in a cluster; rejects when that cannot be. */
  static async open(options: RunningNodeOptions, signal?: AbortSignal): Promise<RunningNode> {
    const node = new RunningNode(options);
    const entered = new Promise<void>((resolve, reject) => {
      node.#entered = { resolve, reject };
    });
    // It may be rejected before anybody awaits it; who awaits it then still learns why.
    entered.catch(() => {});
    const abort = (): void => node.#entered?.reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      signal?.throwIfAborted();
      await node.#open();
      await entered;
      return node;
    } catch (problem) {
      await node.#incarnation?.end();
      throw problem;
    } finally {
      signal?.removeEventListener("abort", abort);
      node.#entered = undefined;
    }
  }

  get self(): NodeId {
    return this.#incarnation?.record.id ?? this.#options.name;
  }

  get address(): string {
    return this.#incarnation?.record.address ?? "";
  }

  get status(): ClusterStatus {
    return this.#status;
  }

  /** More about the status, for people. */
  get statusDetail(): string {
    return this.#status === "joining"
      ? `waiting for ${this.#incarnation?.waitingFor ?? "a new start"}`
      : this.#statusDetail;
  }

  get clusterView(): ClusterView | undefined {
    return this.#clusterView;
  }

  join(requests: readonly JoinRequest[], done: (why: JoinRefusal | JoinEnd) => void): () => void {
    const incarnation = this.#incarnation;
    if (incarnation === undefined || this.#closing !== undefined) {
      const detail = this.#closing === undefined ? "the node is entering the cluster again" : "the node is closed";
      done({ code: this.#closing === undefined ? "excluded" : "closed", detail });
      return () => {};
    }
    const join: PendingJoin = { requests, done, cancel: () => {} };
    this.#joins.add(join);
    join.cancel = incarnation.driver.join(requests, (refusal) => {
      this.#joins.delete(join);
      if (refusal !== undefined) done(refusal);
    });
    return () => {
      this.#joins.delete(join);
      join.cancel();
    };
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
    return this.#options.timers.now();
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#options.timers.after(delayMs, callback);
  }

  /** Leaves in good order, within a bounded time; never fails. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const incarnation = this.#incarnation;
    if (incarnation !== undefined && this.#status !== "closed" && this.#status !== "excluded") {
      const left = new Promise<void>((resolve) => {
        const cancel = this.after(this.#options.failureTimeoutMs * 3, resolve);
        this.onStatus((status) => {
          if (status !== "closed" && status !== "excluded") return;
          cancel();
          resolve();
        });
      });
      incarnation.driver.close();
      await left;
    }
    await incarnation?.end();
    await this.#release();
    if (this.#status !== "closed") this.#setStatus("closed", "closed");
  }

  /** A disk may never answer; who closes the node does not wait for it for ever. */
  async #release(): Promise<void> {
    const { release, failureTimeoutMs } = this.#options;
    if (release === undefined) return;
    await new Promise<void>((resolve) => {
      const cancel = this.after(failureTimeoutMs * 3, resolve);
      void release().then(() => {
        cancel();
        resolve();
      });
    });
  }

  async #open(): Promise<void> {
    this.#incarnation = await this.#options.incarnate({
      statusChanged: (status, detail) => this.#statusChanged(status, detail),
      clusterInstalled: (view) => this.#clusterInstalled(view),
      failed: (problem) => this.#failed(problem),
      noticed: (what, detail) => this.#options.noticed(what, detail),
    });
  }

  #statusChanged(status: ClusterStatus, detail: string): void {
    this.#setStatus(status, detail);
    if (status === "primary") this.#entered?.resolve();
    if (status === "closed") this.#entered?.reject(new EndedError(detail));
    if (status !== "excluded") return;
    for (const join of [...this.#joins]) {
      this.#joins.delete(join);
      join.done({ code: "excluded", detail });
    }
    if (this.#entered !== undefined || this.#closing === undefined) this.after(0, () => this.#enterAgain());
  }

  #clusterInstalled(view: ClusterView): void {
    this.#clusterView = view;
    for (const listener of this.#viewListeners) listener(view);
  }

  #setStatus(status: ClusterStatus, detail: string): void {
    this.#status = status;
    this.#statusDetail = detail;
    for (const listener of [...this.#statusListeners]) listener(status);
  }

  #failed(problem: unknown): void {
    if (this.#entered !== undefined) this.#entered.reject(problem);
    else {
      this.#options.noticed("cannot enter the cluster", { problem: String(problem) });
      this.after(0, () => this.#enterAgain());
    }
  }

  #enterAgain(): void {
    const before = this.#incarnation;
    this.#incarnation = undefined;
    const retry = async (): Promise<void> => {
      await before?.end();
      while (this.#closing === undefined) {
        try {
          this.#setStatus("joining", "entering again as a new incarnation");
          await this.#open();
          return;
        } catch (problem) {
          this.#options.noticed("cannot enter the cluster again yet", { problem: String(problem) });
          await new Promise<void>((resolve) => this.after(REENTRY_MS, resolve));
        }
      }
    };
    void retry();
  }
}
