/**
 * The half of a link that sends: an outbox, and at most one connection that its receiver has made. A new connection of
 * the same session takes the place of an older one.
 */
import type { Slab } from "../../base/slabs.ts";
import type { Lane } from "../ports.ts";
import type { Caller } from "./caller.ts";
import { PULSE } from "./frame-reader.ts";
import { isOffset } from "./handshake.ts";
import { ACKNOWLEDGEMENT_BYTES } from "./inbound.ts";
import { type ByteSink, Outbox } from "./outbox.ts";
import type { Surroundings } from "./surroundings.ts";

export interface OutboundOwner {
  outboundDown(): void;
  garbage(what: string): void;
}

export class Outbound {
  readonly #owner: OutboundOwner;
  readonly #surroundings: Surroundings;
  readonly #outbox: Outbox;
  #caller: Caller | undefined;
  #socket: ByteSink | undefined;
  #placedAtPulse = 0;
  /** The beginning of an acknowledgement whose rest is still to come. */
  readonly #partial = new Uint8Array(ACKNOWLEDGEMENT_BYTES);
  readonly #partialView = new DataView(this.#partial.buffer);
  #partialBytes = 0;

  constructor(owner: OutboundOwner, surroundings: Surroundings) {
    this.#owner = owner;
    this.#surroundings = surroundings;
    this.#outbox = new Outbox(surroundings.limits, surroundings.counters);
  }

  get isUp(): boolean {
    return this.#caller !== undefined;
  }

  /** Whether the connection was made with a key that has given way to another. */
  get isOutdated(): boolean {
    return this.#caller !== undefined && this.#caller.standing(this.#surroundings.guard) !== "first";
  }

  /** Whether nothing was ever written: such a stream may as well begin anew. */
  get isUnused(): boolean {
    return this.#outbox.placedBytes === 0;
  }

  get backlogBytes(): number {
    return this.#outbox.backlogBytes;
  }

  push(lane: Lane, frame: Uint8Array, memory: Slab | undefined): void {
    this.#outbox.push(lane, frame, memory);
  }

  pump(bytesMax: number): boolean {
    return this.#outbox.pump(bytesMax);
  }

  /**
   * At each pulse of the network: sends one when nothing else was sent since the last. Pulses are never sent again. A
   * connection whose key is accepted no longer ends here.
   */
  pulse(): void {
    if (this.#caller?.standing(this.#surroundings.guard) === "dropped") {
      this.#caller.drop();
      this.#ended();
      return;
    }
    const { placedBytes } = this.#outbox;
    const isIdle = placedBytes === this.#placedAtPulse && this.#socket?.writableLength === 0;
    // The socket was given whole frames only, so a pulse falls between two of them.
    if (isIdle) this.#socket?.write(PULSE);
    this.#placedAtPulse = placedBytes;
  }

  /** Streams to this connection from `offset`, after the welcome. False when the stream cannot resume there. */
  stream(caller: Caller, welcome: Uint8Array, offset: number): boolean {
    if (!this.#outbox.canResume(offset)) return false;
    this.#caller?.drop();
    if (offset > 0) this.#surroundings.counters.reconnects++;
    this.#caller = caller;
    this.#partialBytes = 0;
    const socket = caller.stream(welcome, {
      bytes: (bytes) => this.#acknowledged(bytes),
      drained: () => this.#outbox.pump(),
      ended: () => this.#ended(),
    });
    this.#socket = socket;
    this.#outbox.resume(socket, offset);
    this.#outbox.pump();
    return true;
  }

  /** Forgets everything that waits; what the connection already has is still written. */
  stop(): void {
    this.#caller?.finish();
    this.#caller = undefined;
    this.#socket = undefined;
    this.#outbox.clear();
  }

  #ended(): void {
    this.#caller = undefined;
    this.#socket = undefined;
    this.#outbox.detach();
    this.#owner.outboundDown();
  }

  /** Acknowledgements are cumulative, so only the last whole one of a read counts. */
  #acknowledged(bytes: Uint8Array): void {
    let offset: number | undefined;
    for (let at = 0; at < bytes.length; at++) {
      this.#partial[this.#partialBytes++] = bytes[at] as number;
      if (this.#partialBytes < ACKNOWLEDGEMENT_BYTES) continue;
      this.#partialBytes = 0;
      offset = this.#partialView.getFloat64(0, true);
    }
    if (offset === undefined) return;
    if (isOffset(offset) && this.#outbox.consumed(offset)) {
      this.#outbox.pump();
      return;
    }
    this.#surroundings.counters.garbage++;
    this.#owner.garbage("an acknowledgement of what was not sent");
    this.#caller?.drop();
    this.#ended();
  }
}
