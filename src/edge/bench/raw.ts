/**
 * The baselines: what this machine carries without any protocol. Members frame messages into batches, send these over
 * plain TCP, read into memory that is used again, and hand every message, their own too, to a handler: as a borrowed view,
 * by its place in the bytes, or decoded. Or, one in flight, the first sends a message and the second sends it back.
 */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { during, type Meter, nextTurn, pause } from "./meter.ts";
import { RawBatches } from "./raw-batches.ts";
import { RawReader } from "./raw-reader.ts";
import { machineMicroseconds, type Task } from "./task.ts";

/** How many bytes may wait in a socket before the sender pauses. */
const BACKLOG_BYTES_MAX = 256 * 1024;

export class RawMember {
  readonly #task: Task;
  readonly #meter: Meter;
  readonly #server: Server;
  readonly #outgoing: Socket[] = [];
  readonly #incoming: Socket[] = [];
  readonly #batches: RawBatches;
  /** For what this member sends itself. */
  readonly #own: RawReader;
  #echoed: (() => void) | undefined;

  private constructor(task: Task, meter: Meter, server: Server) {
    this.#task = task;
    this.#meter = meter;
    this.#server = server;
    this.#batches = new RawBatches(task);
    this.#own = this.#reader();
    // The receiver dials, because only a socket that was dialled can read into a buffer of its own.
    server.on("connection", (socket) => {
      socket.setNoDelay(true);
      socket.on("error", () => {});
      this.#outgoing.push(socket);
    });
  }

  static async listen(task: Task, meter: Meter): Promise<RawMember> {
    const server = createServer();
    const member = new RawMember(task, meter, server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return member;
  }

  get port(): number {
    return (this.#server.address() as { readonly port: number }).port;
  }

  async connect(ports: readonly number[]): Promise<void> {
    for (const port of ports) {
      if (port === this.port) continue;
      const { onread } = this.#reader();
      const socket = connect({ host: "127.0.0.1", port, noDelay: true, onread });
      socket.on("error", () => {});
      this.#incoming.push(socket);
      await once(socket, "connect");
    }
    while (this.#outgoing.length < this.#task.members - 1) await once(this.#server, "connection");
  }

  async run(forMs: number): Promise<void> {
    const { oneInFlight, rank, senders } = this.#task;
    if (rank >= (oneInFlight ? 1 : senders)) await pause(forMs);
    else await during(forMs, oneInFlight ? () => this.#ping() : () => this.#sendBatch());
  }

  close(): void {
    for (const socket of [...this.#outgoing, ...this.#incoming]) socket.destroy();
    this.#server.close();
  }

  async #sendBatch(): Promise<void> {
    const batch = this.#batches.next();
    for (const socket of this.#outgoing) socket.write(batch.bytes, batch.release);
    this.#own.take(batch.bytes);
    batch.release();
    while (this.#outgoing.some((socket) => socket.writableLength > BACKLOG_BYTES_MAX)) await nextTurn();
  }

  async #ping(): Promise<void> {
    const begun = machineMicroseconds();
    await new Promise<void>((resolve) => {
      this.#echoed = resolve;
      this.#write();
    });
    this.#meter.resulted(machineMicroseconds() - begun);
  }

  #write(): void {
    const batch = this.#batches.next();
    this.#outgoing[0]?.write(batch.bytes, batch.release);
  }

  #reader(): RawReader {
    const { api, oneInFlight, rank } = this.#task;
    const echo = rank === 0 ? () => this.#echoed?.() : () => this.#write();
    return new RawReader(api, this.#meter, this.#batches.messageBytes, oneInFlight ? echo : undefined);
  }
}
