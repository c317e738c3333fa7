/**
 * One attempt to receive from a node: connect, say hello, take the answer, then frames until the connection ends. The
 * receiver dials because only a socket that dials can have its reads land in memory of our choice (`onread`).
 */
import { connect, type Socket, type TcpNetConnectOpts } from "node:net";
import type { Slab } from "../../base/slabs.ts";
import { FRAME_BYTES_MAX } from "../../wire/packet.ts";
import type { Standing } from "../secure/guard.ts";
import type { Address } from "./address.ts";
import { FrameReader, PULSE } from "./frame-reader.ts";
import { HANDSHAKE_BYTES_MAX, type Refused, readHandshake, type Welcome } from "./handshake.ts";
import type { Surroundings } from "./surroundings.ts";

/** A silent connection is probed after this, so that a host that vanished is noticed without traffic. */
export const KEEP_ALIVE_MS = 1000;

/** How a dial ended that was not given up by us. */
export interface DialEnd {
  /**
   * `refused`: nobody listens there. `unproven`: who listens there has not proved that it belongs here, or was not
   * convinced that we do. `garbage`: it does not speak this protocol.
   */
  readonly kind: "refused" | "unproven" | "garbage" | "lost";
  readonly why: string;
}

export interface DialEvents {
  /** The only answer to the hello; false gives the dial up. */
  answered(answer: Welcome | Refused): boolean;
  /** False gives the dial up. */
  frame(frame: Uint8Array, slab: Slab): boolean;
  ended(end: DialEnd): void;
}

export class Dial {
  readonly #surroundings: Surroundings;
  readonly #events: DialEvents;
  readonly #reader: FrameReader;
  readonly #socket: Socket;
  #timer: NodeJS.Timeout;
  #isConnected = false;
  /** Whether there is nothing left to prove before the hello. */
  #isProven: boolean;
  #hasAnswer = false;
  #isOver = false;

  /** `hello` is asked for once, when there is a connection to write it to. `way`: of proving who we are, see `Guard.dial`. */
  constructor(address: Address, hello: () => Uint8Array, surroundings: Surroundings, events: DialEvents, way = 0) {
    this.#surroundings = surroundings;
    this.#events = events;
    this.#reader = new FrameReader(surroundings.slabs, HANDSHAKE_BYTES_MAX, (frame, slab) => this.#take(frame, slab));
    surroundings.counters.dials++;
    const options: TcpNetConnectOpts = {
      host: address.host,
      port: address.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      onread: { buffer: () => this.#reader.space(), callback: (count) => this.#read(count) },
    };
    const { guard } = surroundings;
    const socket = guard === undefined ? connect(options) : guard.dial(options, way);
    this.#socket = socket;
    this.#isProven = guard === undefined;
    this.#timer = this.#expectWithin(surroundings.limits.connectMs, "no connection");
    socket.on("connect", () => {
      if (this.#isOver) return;
      this.#isConnected = true;
      clearTimeout(this.#timer);
      this.#timer = this.#expectWithin(surroundings.limits.handshakeMs, "no answer to the hello");
      if (guard === undefined) socket.write(hello());
    });
    socket.on("secureConnect", () => {
      if (this.#isOver) return;
      this.#isProven = true;
      socket.write(hello());
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (isRefusedConnection(error)) this.#end({ kind: "refused", why: "ECONNREFUSED" });
      else this.#lost(error.code ?? error.message);
    });
    socket.on("end", () => this.#lost("the connection was closed by the other side"));
    socket.on("close", () => this.#lost("the connection closed"));
  }

  /** Bytes that were received, pulses too. */
  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  /** What became of the key that it was made with. */
  get standing(): Standing {
    return this.#surroundings.guard?.standing(this.#socket) ?? "first";
  }

  /** What only its other side knows, too; undefined without a guard. */
  get secret(): Uint8Array | undefined {
    return this.#surroundings.guard?.secretOf(this.#socket);
  }

  /** Sends bytes to the node that is received from; dropped when the dial is over. */
  write(bytes: Uint8Array): void {
    if (!this.#isOver) this.#socket.write(bytes);
  }

  /** No event comes any more. */
  giveUp(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#socket.destroy();
    this.#reader.close();
  }

  #expectWithin(delayMs: number, why: string): NodeJS.Timeout {
    return setTimeout(() => {
      if (this.#isConnected) this.#surroundings.counters.handshakeTimeouts++;
      this.#end({ kind: "lost", why: `${why} within ${delayMs} ms` });
    }, delayMs);
  }

  #lost(why: string): void {
    const kind = this.#isConnected && !this.#isProven ? "unproven" : "lost";
    if (kind === "unproven" && !this.#isOver) this.#surroundings.counters.unproven++;
    this.#end({ kind, why });
  }

  #end(end: DialEnd): void {
    if (this.#isOver) return;
    this.giveUp();
    this.#events.ended(end);
  }

  #read(count: number): boolean {
    // What was posted before this read is told before its frames; it may give this dial up.
    this.#surroundings.notices.drain();
    if (this.#isOver) return false;
    this.#surroundings.counters.bytesIn += count;
    if (this.#reader.filled(count) === "garbage") {
      this.#end({ kind: "garbage", why: "a length that no frame has" });
    }
    return true;
  }

  #take(frame: Uint8Array, slab: Slab): boolean {
    if (this.#hasAnswer) {
      if (frame.length === PULSE.length) return true;
      this.#surroundings.counters.framesIn++;
      if (this.#events.frame(frame, slab)) return true;
      this.giveUp();
      return false;
    }
    const answer = readHandshake(frame);
    if (answer?.kind !== "welcome" && answer?.kind !== "refusal") {
      this.#end({ kind: "garbage", why: "an answer that is not of this protocol" });
      return false;
    }
    const { guard } = this.#surroundings;
    if (answer.kind === "welcome" && guard?.speaksFor(this.#socket, answer.record.id) === false) {
      this.#surroundings.counters.unproven++;
      this.#end({ kind: "unproven", why: `its certificate is not that of ${answer.record.id}` });
      return false;
    }
    this.#hasAnswer = true;
    clearTimeout(this.#timer);
    this.#reader.frameBytesMax = FRAME_BYTES_MAX;
    if (this.#events.answered(answer)) return !this.#isOver;
    this.giveUp();
    return false;
  }
}

/** All attempts of a name with several addresses are reported as one error that holds the others. */
function isRefusedConnection(error: NodeJS.ErrnoException): boolean {
  if (error.code !== "ECONNREFUSED") return false;
  if (!(error instanceof AggregateError)) return true;
  return error.errors.every((each: NodeJS.ErrnoException) => each.code === "ECONNREFUSED");
}
