/**
 * Who seems to have failed, as one node sees it. Two kinds of evidence: silence, which takes the failure time, and the
 * network's word that nobody listens at the node's address any more, which takes no time at all. A blocked event loop is
 * told apart from a dead process by the liveness reports, which come from the process although its loop is stalled.
 *
 * Local health: a node that was paused itself has heard nobody, and would suspect everybody. After its own pause it
 * discards its suspicions of silence and measures anew from the moment it resumed.
 */
import type { Timing } from "../timing.ts";
import type { NodeId } from "../view.ts";

interface Peer {
  /** When the node, or its process, was last heard. */
  heardAt: number;
  /** When its event loop was last known to run. */
  ranAt: number;
  linked: boolean;
  gone: boolean;
  /** Whether silence alone counts: it sends heartbeats to us. */
  readonly monitored: boolean;
}

export class FailureDetector {
  readonly #timing: Timing;
  #peers = new Map<NodeId, Peer>();
  #ranAt: number;
  /** How many own pauses were noticed. */
  pauses = 0;

  constructor(timing: Timing, now: number) {
    this.#timing = timing;
    this.#ranAt = now;
  }

  /** The nodes to watch from now on; those that were watched already keep their record, their silence above all. */
  watch(
    ids: readonly NodeId[],
    isMonitored: (id: NodeId) => boolean,
    isLinked: (id: NodeId) => boolean,
    now: number,
  ): void {
    const known = this.#peers;
    this.#peers = new Map();
    for (const id of ids) {
      const before = known.get(id);
      const monitored = isMonitored(id);
      // Whose heartbeats only begin to come has not been silent.
      const isWatchedAnew = monitored && before?.monitored !== true;
      this.#peers.set(id, {
        heardAt: isWatchedAnew ? now : (before?.heardAt ?? now),
        ranAt: isWatchedAnew ? now : (before?.ranAt ?? now),
        linked: isLinked(id),
        gone: before?.gone ?? false,
        monitored,
      });
    }
  }

  /** The node said something: its event loop runs. */
  heard(id: NodeId, now: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    peer.heardAt = now;
    peer.ranAt = now;
  }

  /** Its process lives; its event loop has made no progress for `stalledMs`. */
  alive(id: NodeId, stalledMs: number, now: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    peer.heardAt = now;
    peer.ranAt = Math.max(peer.ranAt, now - stalledMs);
  }

  linkUp(id: NodeId, now: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    peer.linked = true;
    peer.gone = false;
    peer.heardAt = now;
  }

  /** The link is down; `gone` when that proves that the incarnation does not live or cannot be resumed with. */
  linkDown(id: NodeId, gone: boolean, now: number): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    // Nothing was expected of it as long as the link was up.
    if (peer.linked && !peer.monitored) peer.heardAt = now;
    peer.linked = false;
    if (gone) peer.gone = true;
  }

  /** To be called at least every heartbeat; a longer gap is this node's own pause. */
  tick(now: number): void {
    const gap = now - this.#ranAt;
    this.#ranAt = now;
    if (gap < this.#timing.failureTimeoutMs / 3) return;
    this.pauses++;
    for (const peer of this.#peers.values()) {
      peer.heardAt = now;
      peer.ranAt = now;
    }
  }

  suspects(id: NodeId, now: number): boolean {
    const peer = this.#peers.get(id);
    if (peer === undefined) return false;
    if (peer.gone) return true;
    if (peer.linked && !peer.monitored) return false;
    const { failureTimeoutMs, stallTimeoutMs } = this.#timing;
    return now - peer.heardAt >= failureTimeoutMs || (peer.monitored && now - peer.ranAt >= stallTimeoutMs);
  }

  /** When the node, or its process, was last heard. */
  heardAt(id: NodeId): number {
    return this.#peers.get(id)?.heardAt ?? Number.NEGATIVE_INFINITY;
  }

  suspected(now: number): NodeId[] {
    const suspected: NodeId[] = [];
    for (const id of this.#peers.keys()) if (this.suspects(id, now)) suspected.push(id);
    return suspected;
  }
}
