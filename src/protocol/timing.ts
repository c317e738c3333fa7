/**
 * The times and bounds of the protocols, all derived from one number, the failure time: how long a silent node is
 * tolerated. Safety depends on none of them.
 */
import { LONG_PACKET_BYTES_MAX } from "../wire/packet.ts";

export interface Timing {
  /** A node that is silent for so long is suspected. */
  readonly failureTimeoutMs: number;
  /** Between two heartbeats. */
  readonly heartbeatMs: number;
  /** A node whose event loop makes no progress for so long is suspected although its process lives. */
  readonly stallTimeoutMs: number;
  /** A node that has not heard a quorum of the directory for so long stops serving (rule C10). */
  readonly leaseMs: number;
  /** An attempt at a new cluster view that gets nowhere for so long is started anew. */
  readonly attemptMs: number;
  /** A member's row is sent at the latest so long after it changed. */
  readonly rowDelayMs: number;
}

export function timing(failureTimeoutMs: number): Timing {
  return {
    failureTimeoutMs,
    heartbeatMs: failureTimeoutMs / 12,
    stallTimeoutMs: Math.max(10_000, failureTimeoutMs * 3),
    leaseMs: failureTimeoutMs,
    attemptMs: failureTimeoutMs / 6,
    rowDelayMs: failureTimeoutMs / 6,
  };
}

/** Bounds on memory and traffic, per group and node. */
export interface Bounds {
  /** Bytes in an epoch from one sender that not every member holds. */
  readonly windowBytes: number;
  /** Bytes of messages that wait to enter an epoch. */
  readonly queueBytesMax: number;
  /** Bytes of a packet of one long message; a message that does not fit is cut into several. At least 64 KiB. */
  readonly packetBytesMax: number;
  /** Bytes of deliveries that a joiner keeps until its state is loaded; beyond, it holds the senders back. */
  readonly joinerBytesMax: number;
  /** Chunks of a state that are under way to a joiner. */
  readonly chunksMax: number;
  /** In a view of at most so many members everybody tells everybody what it holds; in a larger one the sequencer relays it. */
  readonly rowsToAllMax: number;
  /** A durable group writes a checkpoint after so many bytes of records, or twice those of its state if that is more. */
  readonly recordBytesMax: number;
}

export const BOUNDS: Bounds = {
  windowBytes: 4 * 1024 * 1024,
  queueBytesMax: 16 * 1024 * 1024,
  packetBytesMax: LONG_PACKET_BYTES_MAX,
  joinerBytesMax: 64 * 1024 * 1024,
  chunksMax: 8,
  rowsToAllMax: 8,
  recordBytesMax: 64 * 1024 * 1024,
};
