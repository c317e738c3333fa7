/**
 * What this member has sent and not yet had delivered. The protocol delivers a member's own messages in the order in
 * which it took them, per flavour, so a queue per flavour finds the call that a delivery answers. When the protocol has
 * no room, calls wait here, in order, up to a hard bound; beyond it they fail with `overloaded`. A flush, or leaving,
 * takes its turn among the calls that wait.
 */
import { Deque } from "../base/deque.ts";
import type { Membership } from "../runtime/application.ts";
import { FLAVOURS } from "../wire/packet.ts";
import { copyOf } from "./bytes.ts";
import type { Diagnostics } from "./diagnostics.ts";
import { CoterieError, OutcomeUnknownError } from "./errors.ts";
import type { Pending } from "./pending.ts";

export interface OutboxLimits {
  readonly callsMax: number;
  readonly bytesMax: number;
}

export const OUTBOX_LIMITS: OutboxLimits = { callsMax: 100_000, bytesMax: 64 * 1024 * 1024 };

/** A call that waits for room, or something to be done when all calls before it are out. */
export interface Waiting {
  readonly flavour: number;
  readonly tag: number;
  payload: Uint8Array;
  readonly call: Pending<unknown> | undefined;
  readonly action: ((membership: Membership) => void) | undefined;
  state: "waiting" | "cancelled" | "sent";
}

const NOTHING = new Uint8Array(0);

export class Outbox {
  readonly #diagnostics: Diagnostics;
  readonly #limits: OutboxLimits;
  /** By flavour: calls that the protocol took and has not delivered here yet; undefined for a query. */
  readonly #underway: readonly Deque<Pending<unknown> | undefined>[] = FLAVOURS.map(() => new Deque());
  readonly #waiting = new Deque<Waiting>();
  #waitingCalls = 0;
  #waitingBytes = 0;
  #membership: Membership | undefined;
  #refusal: CoterieError | undefined;

  constructor(diagnostics: Diagnostics, limits: OutboxLimits = OUTBOX_LIMITS) {
    this.#diagnostics = diagnostics;
    this.#limits = limits;
  }

  open(membership: Membership): void {
    this.#membership = membership;
  }

  /** Why calls are not taken any more. */
  get refusal(): CoterieError | undefined {
    return this.#refusal;
  }

  /** From now on calls fail with this error; those that wait still go out. */
  refuse(error: CoterieError): void {
    this.#refusal = error;
  }

  /**
   * Sends one message: at once, or when there is room. `call` is what its delivery here settles, undefined for a query.
   * Returns the place in the queue if the message has to wait (the payload is then copied), or the error if it cannot.
   */
  send(
    flavour: number,
    tag: number,
    payload: Uint8Array,
    call: Pending<unknown> | undefined,
  ): Waiting | CoterieError | undefined {
    const membership = this.#membership;
    if (membership === undefined || this.#refusal !== undefined) return this.#refusal ?? notOpen();
    if (this.#waiting.length === 0 && membership.send(flavour, tag, payload)) {
      this.#diagnostics.counters.sent++;
      this.#underwayOf(flavour).push(call);
      return undefined;
    }
    if (this.#waitingCalls >= this.#limits.callsMax || this.#waitingBytes + payload.length > this.#limits.bytesMax) {
      this.#diagnostics.counters.overloaded++;
      const problem = `${this.#waitingCalls} calls with ${this.#waitingBytes} bytes wait for room already`;
      return new CoterieError("overloaded", problem, { group: membership.name, view: membership.view.number });
    }
    const waiting: Waiting = { flavour, tag, payload: copyOf(payload), call, action: undefined, state: "waiting" };
    this.#waiting.push(waiting);
    this.#waitingCalls++;
    this.#waitingBytes += payload.length;
    this.#diagnostics.counters.queued++;
    return waiting;
  }

  /** Does something once all calls made so far are with the protocol; never, if the membership ends before. */
  afterThese(action: (membership: Membership) => void): void {
    if (this.#membership !== undefined && this.#waiting.length === 0) action(this.#membership);
    else {
      this.#waiting.push({ flavour: 0, tag: 0, payload: NOTHING, call: undefined, action, state: "waiting" });
    }
  }

  /** Takes a call out of the queue. False when it is no longer there, because it was sent. */
  cancel(waiting: Waiting): boolean {
    if (waiting.state !== "waiting") return false;
    waiting.state = "cancelled";
    this.#waitingBytes -= waiting.payload.length;
    waiting.payload = NOTHING;
    return true;
  }

  /** There is room in the protocol again. */
  room(): void {
    const membership = this.#membership;
    if (membership === undefined) return;
    for (;;) {
      const first = this.#waiting.first();
      if (first === undefined) return;
      if (first.action !== undefined) {
        this.#waiting.shift();
        first.action(membership);
      } else if (first.state === "cancelled") {
        this.#waiting.shift();
        this.#waitingCalls--;
      } else {
        if (!membership.send(first.flavour, first.tag, first.payload)) return;
        this.#waiting.shift();
        this.#waitingCalls--;
        this.#waitingBytes -= first.payload.length;
        first.payload = NOTHING;
        first.state = "sent";
        this.#diagnostics.counters.sent++;
        this.#underwayOf(first.flavour).push(first.call);
      }
    }
  }

  /** So many of this member's own updates of this flavour are delivered, and had no result. */
  deliveredMany(flavour: number, count: number): void {
    const underway = this.#underwayOf(flavour);
    for (let left = count; left > 0; left--) underway.shift()?.fulfil(undefined);
  }

  /** One of this member's own messages of this flavour is delivered: the call that sent it, if it is not a query. */
  delivered(flavour: number): Pending<unknown> | undefined {
    return this.#underwayOf(flavour).shift();
  }

  /** The membership ended: calls that wait fail with `error`, and of those that were sent the outcome is unknown. */
  end(error: CoterieError): void {
    this.#refusal = error;
    this.#membership = undefined;
    for (const waiting of this.#waiting) {
      if (waiting.state === "waiting") waiting.call?.fail(error, this.#diagnostics);
    }
    this.#waiting.clear();
    const { group, view } = error;
    for (const underway of this.#underway) {
      for (const call of underway) {
        if (call === undefined || call.settled) continue;
        const problem = "the membership ended after the message was sent and before it was delivered here";
        call.fail(new OutcomeUnknownError(problem, { group, view, cause: error }), this.#diagnostics);
      }
      underway.clear();
    }
  }

  #underwayOf(flavour: number): Deque<Pending<unknown> | undefined> {
    return this.#underway[flavour] as Deque<Pending<unknown> | undefined>;
  }
}

function notOpen(): CoterieError {
  return new CoterieError("closed", "the group is not joined");
}
