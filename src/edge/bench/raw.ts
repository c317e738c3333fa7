/**
 * The baselines: what this machine carries without any protocol. Members send each other batches of framed messages over
 * plain TCP, receive with reused buffers, and hand a borrowed view of every message, their own too, to a handler; or, one
 * in flight, the first sends one message and the second sends it back.
 */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { Decoder, Encoder } from "@msgpack/msgpack";
import { during, type Meter } from "./meter.ts";
import { machineMicroseconds, type Task } from "./task.ts";

const BATCH_BYTES = 65_536;
const HEADER_BYTES = 12;
const READ_BYTES = 4 * BATCH_BYTES;
/** How many bytes may wait in a socket before the sender pauses. */
const BACKLOG_BYTES_MAX = 4 * BATCH_BYTES;

export class RawMember {
  readonly #task: Task;
  readonly #meter: Meter;
  readonly #server: Server;
  readonly #outgoing: Socket[] = [];
  readonly #incoming: Socket[] = [];
  readonly #batch: Batch;
  #echoed: (() => void) | undefined;

  private constructor(task: Task, meter: Meter, server: Server) {
    this.#task = task;
    this.#meter = meter;
    this.#server = server;
    this.#batch = new Batch(task);
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
      const onread = this.#task.bytes > BATCH_BYTES ? this.#counter() : this.#reader();
      const socket = connect({ host: "127.0.0.1", port, noDelay: true, onread });
      socket.on("error", () => {});
      this.#incoming.push(socket);
      await once(socket, "connect");
    }
    while (this.#outgoing.length < this.#task.members - 1) await once(this.#server, "connection");
  }

  async run(forMs: number): Promise<void> {
    const { oneInFlight, rank, senders } = this.#task;
    if (oneInFlight) await during(forMs, () => (rank === 0 ? this.#ping() : undefined));
    else await during(forMs, () => (rank < senders ? this.#sendBatch() : undefined));
  }

  close(): void {
    for (const socket of [...this.#outgoing, ...this.#incoming]) socket.destroy();
    this.#server.close();
  }

  async #sendBatch(): Promise<void> {
    const { count, size } = this.#batch;
    const bytes = this.#batch.laid();
    for (const socket of this.#outgoing) socket.write(bytes);
    for (let at = 0; at < count; at++) this.#handle(bytes.subarray(at * size + HEADER_BYTES, (at + 1) * size));
    while (this.#outgoing.some((socket) => socket.writableLength > BACKLOG_BYTES_MAX))
      await new Promise((resolve) => setImmediate(resolve));
  }

  async #ping(): Promise<void> {
    const begun = machineMicroseconds();
    await new Promise<void>((resolve) => {
      this.#echoed = resolve;
      this.#outgoing[0]?.write(this.#batch.laid());
    });
    this.#meter.resulted(machineMicroseconds() - begun);
  }

  #handle(message: Uint8Array): void {
    this.#meter.delivered++;
    if (this.#task.api === "typed") {
      const [name, stamp] = decoder.decode(message) as [string, number];
      this.#meter.checksum = (this.#meter.checksum + name.length + stamp) | 0;
    } else this.#meter.checksum = (this.#meter.checksum + (message[0] as number)) | 0;
    if (!this.#task.oneInFlight) return;
    if (this.#task.rank === 0) this.#echoed?.();
    else this.#outgoing[0]?.write(this.#batch.laid());
  }

  /** Cuts messages out of what is read. */
  #reader(): { buffer: Buffer; callback: (length: number) => boolean } {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    let rest = Buffer.alloc(0);
    return {
      buffer,
      callback: (length) => {
        const read = buffer.subarray(0, length);
        const data = rest.length > 0 ? Buffer.concat([rest, read]) : read;
        const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
        let at = 0;
        while (at + HEADER_BYTES <= data.length) {
          const end = at + HEADER_BYTES + view.getUint32(at, true);
          if (end > data.length) break;
          this.#handle(data.subarray(at + HEADER_BYTES, end));
          at = end;
        }
        rest = at === data.length ? Buffer.alloc(0) : Buffer.from(data.subarray(at));
        return true;
      },
    };
  }

  /** Of messages larger than a read only the bytes are counted: no receiver could do less. */
  #counter(): { buffer: Buffer; callback: (length: number) => boolean } {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const { size } = this.#batch;
    let bytes = 0;
    return {
      buffer,
      callback: (length) => {
        for (bytes += length; bytes >= size; bytes -= size) this.#handle(buffer);
        return true;
      },
    };
  }
}

/** Messages as they are sent together. */
class Batch {
  readonly count: number;
  /** Of one message with its header. */
  readonly size: number;
  readonly #bytes: Buffer;
  readonly #typed: readonly [string, number] | undefined;

  constructor({ api, bytes, oneInFlight }: Task) {
    this.#typed = api === "typed" ? ["n".repeat(bytes), 0] : undefined;
    const body = this.#typed === undefined ? Buffer.alloc(bytes, 7) : Buffer.from(encoder.encode(this.#typed));
    this.size = HEADER_BYTES + body.length;
    this.count = oneInFlight ? 1 : Math.max(1, Math.floor(BATCH_BYTES / this.size));
    this.#bytes = Buffer.alloc(this.count * this.size);
    for (let at = 0; at < this.count; at++) {
      this.#bytes.writeUInt32LE(body.length, at * this.size);
      this.#bytes.set(body, at * this.size + HEADER_BYTES);
    }
  }

  /** The batch; typed messages are encoded one by one, each time. */
  laid(): Buffer {
    if (this.#typed === undefined) return this.#bytes;
    const bytes = Buffer.from(this.#bytes);
    for (let at = 0; at < this.count; at++)
      bytes.set(encoder.encodeSharedRef(this.#typed), at * this.size + HEADER_BYTES);
    return bytes;
  }
}

const encoder = new Encoder();
const decoder = new Decoder();
