/**
 * What all connections of one network share: its limits, memory, counters, and the way to its sink.
 */
import type { SlabPool } from "../../base/slabs.ts";
import type { Liveness } from "../liveness.ts";
import type { NetworkSink } from "../ports.ts";
import type { Guard } from "../secure/guard.ts";
import type { AnteroomLimits } from "./anteroom.ts";
import type { Counters } from "./counters.ts";
import { VERSION_NEWEST, VERSION_OLDEST } from "./handshake.ts";

export interface Limits extends AnteroomLimits {
  /** A connection that is not made by then is given up. */
  readonly connectMs: number;
  /** A handshake that is not complete by then is given up. */
  readonly handshakeMs: number;
  /** How long the hello of a node that is not linked (yet) waits for `link`. */
  readonly holdMs: number;
  /** The first redial after a lost connection is immediate; then they wait from this … */
  readonly redialMsMin: number;
  /** … up to this. */
  readonly redialMsMax: number;
  /** Consumption is acknowledged after so many bytes … */
  readonly acknowledgeBytes: number;
  /** … and at the latest after this time. */
  readonly acknowledgeMs: number;
  /** A stream that carries nothing else carries a pulse this often. */
  readonly pulseMs: number;
  /** A stream that stays silent for so many pulses is lost, whatever its connection says. */
  readonly silentPulsesMax: number;
  /** So much is handed to a socket at a time. */
  readonly handedBytesMax: number;
  /** So much is written ahead of the receiver's acknowledgements; control frames may have to wait behind it. */
  readonly windowBytes: number;
  /** So long after an answered probe datagrams are trusted to get through; a third of it later the next probe is due … */
  readonly datagramPathMs: number;
  /** … and is repeated this often while nobody answers, and something is to be sent. */
  readonly datagramProbeMs: number;
  /** A node that leaves more than this waiting is reported `broken`. */
  readonly backlogBytesMax: number;
  /** How long a connection may take to write what it was given after its link or its network was closed. */
  readonly lingerMs: number;
  readonly versionOldest: number;
  readonly versionNewest: number;
}

export const DEFAULT_LIMITS: Limits = {
  connectMs: 2000,
  handshakeMs: 5000,
  holdMs: 1000,
  redialMsMin: 20,
  redialMsMax: 500,
  acknowledgeBytes: 256 * 1024,
  acknowledgeMs: 1000,
  pulseMs: 1000,
  silentPulsesMax: 3,
  handedBytesMax: 256 * 1024,
  windowBytes: 4 * 1024 * 1024,
  datagramPathMs: 15_000,
  datagramProbeMs: 1000,
  backlogBytesMax: 256 * 1024 * 1024,
  halfOpenMax: 256,
  halfOpenPerRemoteMax: 128,
  waitingMax: 256,
  waitingPerRemoteMax: 32,
  strangersPerSecond: 128,
  knownPerSecond: 1024,
  lingerMs: 250,
  versionOldest: VERSION_OLDEST,
  versionNewest: VERSION_NEWEST,
};

export interface Surroundings {
  readonly limits: Limits;
  readonly counters: Counters;
  readonly slabs: SlabPool;
  readonly sink: NetworkSink;
  readonly notices: Notices;
  /** Stands before every connection; undefined in a network that trusts whoever reaches it. */
  readonly guard: Guard | undefined;
  readonly liveness: Liveness | undefined;
}

/**
 * Calls to the sink that wait until no call of the network is on the stack. They are made in the order in which they
 * were posted, and before any frame that is read after them.
 */
export class Notices {
  #waiting: (() => void)[] = [];
  #isScheduled = false;
  #isDraining = false;
  #isClosed = false;

  post(notice: () => void): void {
    if (this.#isClosed) return;
    this.#waiting.push(notice);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.drain();
    });
  }

  /** Only from the bottom of the stack: the callback of a timer, a socket or the event loop. */
  drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      while (this.#waiting.length > 0 && !this.#isClosed) {
        const notices = this.#waiting;
        this.#waiting = [];
        for (const notice of notices) if (!this.#isClosed) notice();
      }
    } finally {
      this.#isDraining = false;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting = [];
  }
}
