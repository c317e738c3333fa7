/**
 * The baseline of the throughput benches: what this machine carries without any protocol. Members send each other
 * 64 KiB batches of framed messages over plain TCP, receive with reused buffers, and hand a borrowed view of every
 * message, their own too, to a handler.
 */

import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

const BATCH_BYTES = 65_536;
const HEADER_BYTES = 12;
/** How many bytes may wait in a socket before the sender pauses. */
const BACKLOG_BYTES_MAX = 4 * BATCH_BYTES;

export interface RawMember {
  readonly port: number;
  connectTo(ports: readonly number[]): Promise<void>;
  /** Sends for so long; resolves with messages handled here, and bytes. */
  run(
    forMs: number,
    messageBytes: number,
    sends: boolean,
  ): Promise<{ readonly delivered: number; readonly seconds: number }>;
  close(): void;
}

export async function rawMember(): Promise<RawMember> {
  const outgoing: Socket[] = [];
  const incoming: Socket[] = [];
  let delivered = 0;
  let checksum = 0;
  const handle = (message: Uint8Array): void => {
    delivered++;
    checksum = (checksum + (message[0] as number)) | 0;
  };
  // The receiver dials, because only dialled sockets can read into a buffer of their own.
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => {});
    outgoing.push(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };

  return {
    port,
    async connectTo(ports) {
      for (const peer of ports) {
        const socket = connect({ host: "127.0.0.1", port: peer, noDelay: true, onread: reader(handle) });
        socket.on("error", () => {});
        incoming.push(socket);
        await once(socket, "connect");
      }
    },
    async run(forMs, messageBytes, sends) {
      const from = delivered;
      const start = performance.now();
      const batch = makeBatch(messageBytes);
      while (performance.now() - start < forMs) {
        if (sends) {
          for (const socket of outgoing) socket.write(batch.bytes);
          for (let at = 0; at < batch.count; at++) {
            const offset = at * (HEADER_BYTES + messageBytes) + HEADER_BYTES;
            handle(batch.bytes.subarray(offset, offset + messageBytes));
          }
        }
        do await new Promise((resolve) => setImmediate(resolve));
        while (outgoing.some((socket) => socket.writableLength > BACKLOG_BYTES_MAX));
      }
      return { delivered: delivered - from, seconds: (performance.now() - start) / 1000 };
    },
    close() {
      for (const socket of [...outgoing, ...incoming]) socket.destroy();
      server.close();
      if (checksum === -1) console.error("");
    },
  };
}

function makeBatch(messageBytes: number): { readonly bytes: Buffer; readonly count: number } {
  const count = Math.max(1, Math.floor(BATCH_BYTES / (HEADER_BYTES + messageBytes)));
  const bytes = Buffer.alloc(count * (HEADER_BYTES + messageBytes), 7);
  for (let at = 0; at < count; at++) bytes.writeUInt32LE(messageBytes, at * (HEADER_BYTES + messageBytes));
  return { bytes, count };
}

function reader(handle: (message: Uint8Array) => void): {
  buffer: Buffer;
  callback: (length: number, buffer: Uint8Array) => boolean;
} {
  const buffer = Buffer.allocUnsafeSlow(4 * BATCH_BYTES);
  let rest = Buffer.alloc(0);
  return {
    buffer,
    callback(length) {
      let data = buffer.subarray(0, length);
      if (rest.length > 0) data = Buffer.concat([rest, data]);
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      let at = 0;
      while (at + HEADER_BYTES <= data.length) {
        const end = at + HEADER_BYTES + view.getUint32(at, true);
        if (end > data.length) break;
        handle(data.subarray(at + HEADER_BYTES, end));
        at = end;
      }
      rest = at === data.length ? Buffer.alloc(0) : Buffer.from(data.subarray(at));
      return true;
    },
  };
}
