/**
 * The half of a link that receives: dials the node, again and again until stopped, and resumes the stream after the
 * last whole frame that was consumed. Consumption is acknowledged up the same connection, eight bytes each time.
 */

import type { Slab } from "../../base/slabs.ts";
import type { NodeRecord } from "../../protocol/view.ts";
import type { Evidence } from "../ports.ts";
import { type Address, parseAddress } from "./address.ts";
import { Dial, type DialEnd } from "./dial.ts";
import type { Refused, Welcome } from "./handshake.ts";
import type { Surroundings } from "./surroundings.ts";

export const ACKNOWLEDGEMENT_BYTES = 8;

/** A connection could not be made anew with the key to use; this many pulses later it is tried again. */
const RENEWAL_PULSES = 10;

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
  /** Takes the place of `dial` as soon as it has an answer. */
  #renewal: { readonly dial: Dial; readonly done: () => void } | undefined;
  #renewalPulses = 0;
  #attempts = 0;
  /** Grows while we are not believed, so that each of our keys is shown. */
  #way = 0;
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

  /** Whether the connection was made with a key that has given way to another. */
  get isOutdated(): boolean {
    return this.isUp && this.#dial?.standing !== "first";
  }

  /** Whether it may be made anew now. */
  get isRenewable(): boolean {
    return this.isOutdated && this.#renewalPulses === 0;
  }

  /**
   * Makes the connection anew with the key to use, beside the one that there is: nothing is lost, and nobody takes anybody
   * for gone. If that fails all is as it was. `done`: when it has come to an end.
   */
  renew(done: () => void): void {
    this.#renewalPulses = RENEWAL_PULSES;
    const address = parseAddress(this.#owner.peer.address);
    if (address === undefined) {
      done();
      return;
    }
    const former = this.#dial;
    const dial = this.#dialled(address, 0, () => {
      // From here on the stream is this one's: what the former one still brings comes again.
      this.#dial = dial;
      clearTimeout(this.#acknowledgeTimer);
      this.#acknowledgeTimer = undefined;
    });
    this.#renewal = {
      dial,
      done: () => {
        this.#renewal = undefined;
        (this.#dial === dial ? former : dial)?.giveUp();
        done();
      },
    };
  }

  /** The node was just heard of: what waits for it need not wait longer. */
  hurry(): void {
    this.#renewalPulses = 0;
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
    if (this.#renewalPulses > 0) this.#renewalPulses--;
    if (this.isUp && this.#dial?.standing === "dropped") {
      this.#ended({ kind: "lost", why: "its key is accepted no longer" });
      return;
    }
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
    this.#renewal?.done();
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
    this.#dial = this.#dialled(address, this.#way, () => {});
  }

  #dialled(address: Address, way: number, ready: () => void): Dial {
    const hello = () => {
      ready();
      return this.#owner.hello(++this.#attempts, this.#consumed);
    };
    const dial: Dial = new Dial(
      address,
      hello,
      this.#surroundings,
      {
        answered: (answer) => this.#answered(answer),
        frame: (frame, slab) => (dial === this.#dial ? this.#frame(frame, slab) : true),
        ended: (end) => {
          if (dial === this.#dial) this.#ended(end);
          else if (dial === this.#renewal?.dial) this.#renewal.done();
        },
      },
      way,
    );
    return dial;
  }

  #answered(answer: Welcome | Refused): boolean {
    this.#renewal?.done();
    if (answer.kind === "welcome" && this.#owner.welcomed(answer, this.#consumed)) {
      if (this.#consumed > 0) this.#surroundings.counters.reconnects++;
      this.#acknowledged = this.#consumed;
      this.#upSince = performance.now();
      this.#owner.inboundUp(this.#dial?.secret);
      return true;
    }
    const wasUp = this.isUp;
    this.#quit();
    if (answer.kind === "refusal") {
      this.#surroundings.counters.refusalsReceived++;
      this.#owner.turnedAway(answer);
    }
    if (wasUp) this.#owner.inboundDown("lost");
    this.#redialLater();
    return false;
  }

  #ended(end: DialEnd): void {
    if (end.kind === "unproven") this.#way++;
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
