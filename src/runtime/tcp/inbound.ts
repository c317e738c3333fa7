/**
 * The half of a link that receives: dials the node, again and again until stopped, and resumes the stream after the
 * last whole frame that was consumed. Consumption is acknowledged up the same connection, eight bytes each time.
 */

import type { Slab } from "../../base/slabs.ts";
import type { NodeRecord } from "../../protocol/view.ts";
import type { Evidence } from "../ports.ts";
import { parseAddress } from "./address.ts";
import { Dial, type DialEnd } from "./dial.ts";
import type { Refused, Welcome } from "./handshake.ts";
import type { Surroundings } from "./surroundings.ts";

export const ACKNOWLEDGEMENT_BYTES = 8;

/** A connection that lasted less does not make the next redial immediate. */
const STEADY_MS = 50;

/** The link that an inbound stream is a half of. */
export interface InboundOwner {
  readonly peer: NodeRecord;
  /** The hello of this attempt, to resume at this offset. */
  hello(attempt: number, offset: number): Uint8Array;
  /** Whether the stream goes on as this welcome says. */
  welcomed(welcome: Welcome, offset: number): boolean;
  turnedAway(refusal: Refused): void;
  /** `secret` is what only the other side of the connection knows, too; undefined without a guard. */
  inboundUp(secret: Uint8Array | undefined): void;
  inboundDown(evidence: Evidence): void;
  garbage(what: string): void;
  /** False when the link was cut by this frame's handling. */
  frame(frame: Uint8Array, slab: Slab): boolean;
}

export class Inbound {
  readonly #owner: InboundOwner;
  readonly #surroundings: Surroundings;
  #dial: Dial | undefined;
  #redialTimer: NodeJS.Timeout | undefined;
  #acknowledgeTimer: NodeJS.Timeout | undefined;
  #attempts = 0;
  #failures = 0;
  #consumed = 0;
  #acknowledged = 0;
  #upSince: number | undefined;
  /** What was received by the last pulse, and how many pulses ago anything was. */
  #bytesAtPulse = 0;
  #silentPulses = 0;
  #isStopped = false;

  constructor(owner: InboundOwner, surroundings: Surroundings) {
    this.#owner = owner;
    this.#surroundings = surroundings;
  }

  /** Bytes of whole frames that were consumed in this session. */
  get consumed(): number {
    return this.#consumed;
  }

  get isUp(): boolean {
    return this.#upSince !== undefined;
  }

  start(): void {
    this.#connect();
  }

  /** The node was just heard of: a redial that waits need not wait longer. */
  hurry(): void {
    if (this.#redialTimer === undefined) return;
    clearTimeout(this.#redialTimer);
    this.#connect();
  }

  /** Gives up what is under way and dials anew: the node has begun another session, in which nothing was consumed. */
  restart(): void {
    if (this.#isStopped) return;
    clearTimeout(this.#redialTimer);
    this.#quit();
    this.#connect();
  }

  /**
   * At each pulse of the network: a connection over which nothing came for several pulses is dead, even if no one has
   * closed it. Pulses are counted, not time, so that a stall of this process is not taken for silence of the other.
   */
  pulse(): void {
    const bytesRead = this.#dial?.bytesRead ?? 0;
    const isSilent = this.isUp && bytesRead === this.#bytesAtPulse;
    this.#bytesAtPulse = bytesRead;
    this.#silentPulses = isSilent ? this.#silentPulses + 1 : 0;
    if (this.#silentPulses < this.#surroundings.limits.silentPulsesMax) return;
    this.#dial?.giveUp();
    this.#ended({ kind: "lost", why: "the connection fell silent" });
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#redialTimer);
    this.#quit();
  }

  #quit(): void {
    this.#dial?.giveUp();
    this.#dial = undefined;
    this.#upSince = undefined;
    clearTimeout(this.#acknowledgeTimer);
    this.#acknowledgeTimer = undefined;
  }

  #connect(): void {
    this.#redialTimer = undefined;
    if (this.#isStopped) return;
    const address = parseAddress(this.#owner.peer.address);
    if (address === undefined) {
      this.#ended({ kind: "lost", why: "not an address" });
      return;
    }
    this.#attempts++;
    const hello = () => this.#owner.hello(this.#attempts, this.#consumed);
    this.#dial = new Dial(address, hello, this.#surroundings, {
      answered: (answer) => this.#answered(answer),
      frame: (frame, slab) => this.#frame(frame, slab),
      ended: (end) => this.#ended(end),
    });
  }

  #answered(answer: Welcome | Refused): boolean {
    if (answer.kind === "welcome" && this.#owner.welcomed(answer, this.#consumed)) {
      if (this.#consumed > 0) this.#surroundings.counters.reconnects++;
      this.#acknowledged = this.#consumed;
      this.#upSince = performance.now();
      this.#owner.inboundUp(this.#dial?.secret);
      return true;
    }
    this.#dial = undefined;
    if (answer.kind === "refusal") {
      this.#surroundings.counters.refusalsReceived++;
      this.#owner.turnedAway(answer);
    }
    this.#redialLater();
    return false;
  }

  #ended(end: DialEnd): void {
    const wasSteady = this.#upSince !== undefined && performance.now() - this.#upSince >= STEADY_MS;
    this.#quit();
    if (end.kind === "garbage") {
      this.#surroundings.counters.garbage++;
      this.#owner.garbage(end.why);
    } else if (end.kind === "unproven") {
      this.#owner.garbage(`who answers has not proved that it belongs here: ${end.why}`);
    }
    this.#owner.inboundDown(end.kind === "refused" ? "refused" : "lost");
    if (wasSteady) {
      this.#failures = 0;
      this.#redialAfter(0);
    } else {
      this.#redialLater();
    }
  }

  #redialLater(): void {
    const { redialMsMin, redialMsMax } = this.#surroundings.limits;
    const delayMs = Math.min(redialMsMax, redialMsMin * 2 ** Math.min(this.#failures, 16));
    this.#failures++;
    // Jitter, so that nodes that lost each other at once do not meet in step.
    this.#redialAfter(delayMs * (0.5 + Math.random() / 2));
  }

  #redialAfter(delayMs: number): void {
    if (this.#isStopped || this.#redialTimer !== undefined) return;
    this.#redialTimer = setTimeout(() => this.#connect(), delayMs);
  }

  #frame(frame: Uint8Array, slab: Slab): boolean {
    // Counted first: a frame that was handed on must never come again.
    this.#consumed += frame.length;
    const goOn = this.#owner.frame(frame, slab);
    if (!goOn || this.#isStopped) return false;
    if (this.#consumed - this.#acknowledged >= this.#surroundings.limits.acknowledgeBytes) {
      this.#acknowledge();
    } else if (this.#acknowledgeTimer === undefined) {
      this.#acknowledgeTimer = setTimeout(() => {
        this.#acknowledgeTimer = undefined;
        if (this.#consumed > this.#acknowledged) this.#acknowledge();
      }, this.#surroundings.limits.acknowledgeMs);
    }
    return true;
  }

  #acknowledge(): void {
    this.#acknowledged = this.#consumed;
    const bytes = new Uint8Array(ACKNOWLEDGEMENT_BYTES);
    new DataView(bytes.buffer).setFloat64(0, this.#consumed, true);
    this.#dial?.write(bytes);
  }
}
