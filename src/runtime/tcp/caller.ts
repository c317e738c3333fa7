/**
 * A connection that somebody made to us: it must say a whole hello in time, is then answered, and when the answer is a
 * welcome carries our stream from then on. Until then it may cost no more than a few kilobytes and a few seconds.
 */
import type { Socket } from "node:net";
import type { NodeId } from "../../protocol/view.ts";
import type { Guard, Standing } from "../secure/guard.ts";
import { formatAddress } from "./address.ts";
import {
  DETAIL_BYTES_MAX,
  HANDSHAKE_BYTES_MAX,
  type Hello,
  handshakeFrame,
  type Inquiry,
  mayBeHandshake,
  type RefusalCode,
  readHandshake,
} from "./handshake.ts";
import type { ByteSink } from "./outbox.ts";
import type { Surroundings } from "./surroundings.ts";

export interface CallerEvents {
  hello(caller: Caller, hello: Hello): void;
  inquiry(caller: Caller, inquiry: Inquiry): void;
  /** It is in its handshake no more: it streams, or it is gone. Told at least once. */
  settled(caller: Caller): void;
  garbage(caller: Caller, what: string): void;
}

/** Who writes to a connection after its welcome. */
export interface StreamEvents {
  /** Bytes from the receiver. */
  bytes(bytes: Uint8Array): void;
  drained(): void;
  ended(why: string): void;
}

export class Caller {
  /** Where it comes from, for reports. */
  readonly remote: string;
  readonly remoteHost: string;
  readonly #socket: Socket;
  readonly #surroundings: Surroundings;
  readonly #events: CallerEvents;
  #received: Uint8Array = new Uint8Array(0);
  #timer: NodeJS.Timeout | undefined;
  #state: "greeting" | "held" | "streaming" | "ending" | "gone" = "greeting";
  #stream: StreamEvents | undefined;

  constructor(socket: Socket, surroundings: Surroundings, events: CallerEvents) {
    this.#socket = socket;
    this.#surroundings = surroundings;
    this.#events = events;
    this.remoteHost = socket.remoteAddress ?? "";
    this.remote = formatAddress(this.remoteHost, socket.remotePort ?? 0);
    this.#timer = setTimeout(() => {
      surroundings.counters.handshakeTimeouts++;
      this.#gone("no whole hello in time");
    }, surroundings.limits.handshakeMs);
    socket.on("data", (bytes) => this.#take(bytes));
    socket.on("drain", () => this.#stream?.drained());
    socket.on("error", (error: NodeJS.ErrnoException) => this.#gone(error.code ?? error.message));
    socket.on("end", () => this.#gone("the connection was closed by the other side"));
    socket.on("close", () => this.#gone("the connection closed"));
  }

  /** Whether its hello can still be answered. */
  get isWaiting(): boolean {
    return this.#state === "greeting" || this.#state === "held";
  }

  /** Whether what it has proved to the guard lets it be this node. */
  speaksFor(id: NodeId, guard: Guard): boolean {
    return guard.speaksFor(this.#socket, id);
  }

  /** What became of the key that it was made with. */
  standing(guard: Guard | undefined): Standing {
    return guard?.standing(this.#socket) ?? "first";
  }

  /** What only its other side knows, too; undefined without a guard. */
  secret(guard: Guard | undefined): Uint8Array | undefined {
    return guard?.secretOf(this.#socket);
  }

  /** Waits for the answer to its hello at most so long, then is told to try again. */
  hold(delayMs: number): void {
    this.#state = "held";
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refuse("not-linked", ""), delayMs);
  }

  refuse(code: RefusalCode, detail: string): void {
    if (this.#state === "gone" || this.#state === "ending") return;
    this.#surroundings.counters.refusalsSent++;
    this.finish(handshakeFrame({ kind: "refusal", code, detail: detail.slice(0, DETAIL_BYTES_MAX / 4) }));
  }

  /** Writes its last bytes, after those that it has, and closes; no event comes any more but `settled`. */
  finish(last?: Uint8Array): void {
    if (this.#state === "gone" || this.#state === "ending") return;
    this.#state = "ending";
    this.#stream = undefined;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#gone(""), this.#surroundings.limits.lingerMs);
    if (last === undefined) this.#socket.end();
    else this.#socket.end(last);
  }

  /** Sends the welcome; from now on the connection carries a stream. */
  stream(welcome: Uint8Array, events: StreamEvents): ByteSink {
    this.#state = "streaming";
    this.#stream = events;
    clearTimeout(this.#timer);
    this.#events.settled(this);
    this.#socket.write(welcome);
    return this.#socket;
  }

  /** Drops the connection; no event comes any more but `settled`. */
  drop(): void {
    this.#stream = undefined;
    this.#gone("");
  }

  #gone(why: string): void {
    if (this.#state === "gone") return;
    const wasStreaming = this.#state === "streaming";
    this.#state = "gone";
    clearTimeout(this.#timer);
    this.#socket.destroy();
    const stream = this.#stream;
    this.#stream = undefined;
    if (!wasStreaming) this.#events.settled(this);
    stream?.ended(why);
  }

  #take(bytes: Uint8Array): void {
    switch (this.#state) {
      case "streaming":
        this.#stream?.bytes(bytes);
        return;
      case "greeting":
        this.#greet(bytes);
        return;
      case "held":
        this.#reject("bytes before the answer to its hello");
        return;
      case "ending":
      case "gone":
        return;
    }
  }

  #greet(bytes: Uint8Array): void {
    const received = joined(this.#received, bytes);
    this.#received = received;
    if (!mayBeHandshake(received) || received.length > HANDSHAKE_BYTES_MAX) {
      this.#reject("not a hello");
      return;
    }
    if (received.length < 4) return;
    const length = new DataView(received.buffer, received.byteOffset).getUint32(0, true) + 4;
    if (received.length < length) return;
    const said = received.length === length ? readHandshake(received) : undefined;
    if (said?.kind === "hello") this.#events.hello(this, said);
    else if (said?.kind === "inquiry") this.#events.inquiry(this, said);
    else this.#reject("a malformed hello");
  }

  #reject(what: string): void {
    this.#events.garbage(this, what);
    this.drop();
  }
}

function joined(head: Uint8Array, tail: Uint8Array): Uint8Array {
  if (head.length === 0) return tail;
  const whole = new Uint8Array(head.length + tail.length);
  whole.set(head);
  whole.set(tail, head.length);
  return whole;
}
