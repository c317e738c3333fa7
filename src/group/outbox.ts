/**
 * What this member has sent and not yet had delivered. The protocol delivers a member's own messages in the order in
 * which it took them, per flavour, so counting finds the call that a delivery answers, and a message that nobody waits for
 * costs nothing here. When the protocol has
 * no room, calls wait here, in order, up to a hard bound; beyond it they fail with `overloaded`. A flush, or leaving,
 * takes its turn among the calls that wait. Raw messages never wait: they go at once, past those that do, or are dropped.
 */
import { Deque } from "../base/deque.ts";
import type { Membership } from "../runtime/application.ts";
import { FLAVOURS, RAW } from "../wire/packet.ts";
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

/** The messages of one flavour that the protocol took, and the calls among them that are not delivered here yet. */
class Underway {
  readonly #calls = new Deque<Pending<unknown>>();
  #taken = 0;
  #delivered = 0;

  taken(call: Pending<unknown> | undefined): void {
    if (call !== undefined) {
      call.place = this.#taken;
      this.#calls.push(call);
    }
    this.#taken++;
  }

  delivered(): Pending<unknown> | undefined {
    this.#delivered++;
    return this.#upTo(this.#delivered);
  }

  deliveredMany(count: number): void {
    this.#delivered += count;
    for (let call = this.#upTo(this.#delivered); call !== undefined; call = this.#upTo(this.#delivered)) {
      call.fulfil(undefined);
    }
  }

  /** All that are left. */
  end(): readonly Pending<unknown>[] {
    const calls = [...this.#calls];
    this.#calls.clear();
    return calls;
  }

  #upTo(count: number): Pending<unknown> | undefined {
    const first = this.#calls.first();
    return first !== undefined && first.place < count ? this.#calls.shift() : undefined;
  }
}

export class Outbox {
  readonly #diagnostics: Diagnostics;
  readonly #limits: OutboxLimits;
  readonly #underway: readonly Underway[] = FLAVOURS.map(() => new Underway());
  readonly #waiting = new Deque<Waiting>();
  #waitingCalls = 0;
  #waitingBytes = 0;
  #roomy: Promise<void> | undefined;
  #onRoom: (() => void) | undefined;
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
   * Sends one message: at once, or when there is room. `call` is what its delivery here settles, undefined for a query and
   * for an update that nobody waits for.
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
      this.#underwayOf(flavour).taken(call);
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

  /** Sends one raw message now, or returns why it was dropped. */
  sendRaw(tag: number, payload: Uint8Array, call: Pending<unknown> | undefined): CoterieError | undefined {
    const membership = this.#membership;
    if (membership === undefined || this.#refusal !== undefined) return this.#refusal ?? notOpen();
    const outcome = membership.sendRaw(tag, payload);
    const { counters } = this.#diagnostics;
    if (outcome === "sent") {
      counters.sent++;
      counters.rawSent++;
      this.#underwayOf(RAW).taken(call);
      return undefined;
    }
    counters.rawDropped++;
    if (outcome === "full") counters.overloaded++;
    const place = { group: membership.name, view: membership.view.number };
    if (outcome === "blocked")
      return new CoterieError("blocked", "a raw message does not wait, and was dropped", place);
    if (outcome === "over") return new CoterieError("left", "the membership ends", place);
    return new CoterieError("overloaded", "more raw messages than may leave in one turn of the event loop", place);
  }

  /** The first raw messages that are under way, so many, were dropped before anybody got them. */
  rawUnsent(messages: number, error: CoterieError): void {
    this.#diagnostics.counters.rawDropped += messages;
    for (let count = messages; count > 0; count--) this.#underwayOf(RAW).delivered()?.fail(error, this.#diagnostics);
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

  /** Resolves when nothing waits any more, or the membership has ended. */
  whenRoom(): Promise<void> {
    this.#roomy ??= new Promise((resolve) => {
      this.#onRoom = resolve;
    });
    return this.#roomy;
  }

  /** There is room in the protocol again. */
  room(): void {
    const membership = this.#membership;
    if (membership === undefined) return;
    for (;;) {
      const first = this.#waiting.first();
      if (first === undefined) {
        this.#tellOfRoom();
        return;
      }
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
        this.#underwayOf(first.flavour).taken(first.call);
      }
    }
  }

  /** So many of this member's own updates of this flavour are delivered, and had no result. */
  deliveredMany(flavour: number, count: number): void {
    this.#underwayOf(flavour).deliveredMany(count);
  }

  /** One of this member's own messages of this flavour is delivered: the update's call, if somebody made one. */
  delivered(flavour: number): Pending<unknown> | undefined {
    return this.#underwayOf(flavour).delivered();
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
      for (const call of underway.end()) {
        if (call.settled) continue;
        const problem = "the membership ended after the message was sent and before it was delivered here";
        call.fail(new OutcomeUnknownError(problem, { group, view, cause: error }), this.#diagnostics);
      }
    }
    this.#tellOfRoom();
  }

  #tellOfRoom(): void {
    this.#onRoom?.();
    this.#onRoom = undefined;
    this.#roomy = undefined;
  }

  #underwayOf(flavour: number): Underway {
    return this.#underway[flavour] as Underway;
  }
}

function notOpen(): CoterieError {
  return new CoterieError("closed", "the group is not joined");
}
