/**
 * Raw frames by UDP, beside the links: a socket at the host and port number of the listening TCP socket, if that port is
 * free. Who has one says so in its record. Whether datagrams get through to a node is not known but found out: a probe that
 * it answers opens the path to it for a while; without an open path a frame goes by the link. Nothing waits here.
 *
 * Datagrams are not authenticated: what they say of themselves is compared with who is linked, no more. So nothing but
 * raw frames is taken from them, and in a secured cluster they are not used. A seal would go around what follows the
 * envelope's version (`envelope.ts`), with a key that the link has carried.
 */
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { lookup, V4MAPPED } from "node:dns";
import { isIP } from "node:net";
import type { NodeId, NodeRecord } from "../../protocol/view.ts";
import { parseAddress } from "./address.ts";
import { DATAGRAM_BYTES_MAX, type Envelope, envelopeFor, numberBody, numberIn, openEnvelope } from "./envelope.ts";
import type { Surroundings } from "./surroundings.ts";

/** The bit in `features` of a record that says that the node takes datagrams at its address. */
export const FEATURE_DATAGRAMS = 1;

/** More than this is not left to the socket to send later. */
const QUEUE_BYTES_MAX = 256 * 1024;

interface Path {
  readonly address: string;
  readonly port: number;
  /** Undefined until the name is resolved. */
  host: string | undefined;
  /** The number of the newest probe, which nobody else can know. */
  probe: number;
  probedAt: number;
  answeredAt: number;
}

/** `unusable`: the frame has to go by the link. */
export type DatagramOutcome = "sent" | "dropped" | "unusable";

export class Datagrams {
  readonly #socket: Socket;
  readonly #family: 4 | 6;
  readonly #paths = new Map<NodeId, Path>();
  #surroundings: Surroundings | undefined;
  #peer: (id: NodeId) => NodeRecord | undefined = () => undefined;

  private constructor(socket: Socket, family: 4 | 6) {
    this.#socket = socket;
    this.#family = family;
    socket.on("message", (datagram) => this.#received(datagram));
    // What a socket may complain about later concerns single datagrams.
    socket.on("error", () => {});
  }

  /** Undefined when the port is taken. */
  static bind(host: string, port: number): Promise<Datagrams | undefined> {
    const family = isIP(host) === 6 ? 6 : 4;
    const socket = createSocket(family === 6 ? "udp6" : "udp4");
    return new Promise((resolve) => {
      socket.once("error", () => {
        socket.close();
        resolve(undefined);
      });
      socket.bind({ address: host, port, exclusive: true }, () => {
        socket.removeAllListeners("error");
        resolve(new Datagrams(socket, family));
      });
    });
  }

  /** From now on datagrams of those that `peer` knows are taken. */
  start(surroundings: Surroundings, peer: (id: NodeId) => NodeRecord | undefined): void {
    this.#surroundings = surroundings;
    this.#peer = peer;
  }

  send(peer: NodeRecord, frame: Uint8Array): DatagramOutcome {
    const surroundings = this.#surroundings;
    if (surroundings === undefined || (peer.features & FEATURE_DATAGRAMS) === 0) return "unusable";
    const path = this.#pathTo(peer);
    if (path?.host === undefined) return "unusable";
    const { limits, counters } = surroundings;
    const now = performance.now();
    const isDue = now - path.answeredAt > limits.datagramPathMs / 3 && now - path.probedAt > limits.datagramProbeMs;
    if (isDue) {
      path.probe = randomBytes(4).readUInt32LE(0);
      path.probedAt = now;
      this.#give(path, peer.id, "probe", numberBody(path.probe));
    }
    if (now - path.answeredAt > limits.datagramPathMs) return "unusable";
    const envelope = this.#envelope(peer.id, "frame");
    if (envelope.length + frame.length > DATAGRAM_BYTES_MAX) return "unusable";
    if (this.#socket.getSendQueueSize() > QUEUE_BYTES_MAX) return "dropped";
    counters.datagramsOut++;
    this.#socket.send([envelope, frame], path.port, path.host, this.#sent);
    return "sent";
  }

  forget(id: NodeId): void {
    this.#paths.delete(id);
  }

  close(): Promise<void> {
    this.#surroundings = undefined;
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }

  readonly #sent = (error: Error | null): void => {
    if (error !== null && this.#surroundings !== undefined) this.#surroundings.counters.datagramsUnsent++;
  };

  #received(datagram: Uint8Array): void {
    const surroundings = this.#surroundings;
    if (surroundings === undefined) return;
    const { counters, notices, sink } = surroundings;
    notices.drain();
    const opened = openEnvelope(datagram);
    const { record, cluster } = sink.identity();
    const isOurs =
      opened !== undefined && opened.receiver === record.id && opened.cluster === cluster && cluster !== "";
    const peer = isOurs ? this.#peer(opened.sender) : undefined;
    if (opened === undefined || peer === undefined || !this.#take(opened, peer)) counters.datagramsDropped++;
    else counters.datagramsIn++;
  }

  /** False when it is garbage. */
  #take({ kind, body }: Envelope, peer: NodeRecord): boolean {
    if (kind === "frame") {
      if (body.length < 5 || numberIn(body) !== body.length - 4) return false;
      this.#surroundings?.sink.datagram(peer.id, body);
      return true;
    }
    const path = this.#pathTo(peer);
    if (path === undefined || body.length !== 4) return false;
    if (kind === "probe") {
      // To where the peer says that it is, not to where this came from: nobody else gets anything out of it.
      this.#give(path, peer.id, "answer", body);
      return true;
    }
    if (numberIn(body) !== path.probe || path.probedAt === Number.NEGATIVE_INFINITY) return false;
    path.answeredAt = performance.now();
    return true;
  }

  #give(path: Path, to: NodeId, kind: "probe" | "answer", body: Uint8Array): void {
    if (path.host === undefined || this.#socket.getSendQueueSize() > QUEUE_BYTES_MAX) return;
    this.#socket.send([this.#envelope(to, kind), body], path.port, path.host, this.#sent);
  }

  #envelope(to: NodeId, kind: Envelope["kind"]): Uint8Array {
    const { record, cluster } = (this.#surroundings as Surroundings).sink.identity();
    return envelopeFor(kind, cluster, record.id, to);
  }

  #pathTo(peer: NodeRecord): Path | undefined {
    const known = this.#paths.get(peer.id);
    if (known?.address === peer.address) return known;
    const target = parseAddress(peer.address);
    if (target === undefined) return undefined;
    const never = Number.NEGATIVE_INFINITY;
    const path: Path = {
      address: peer.address,
      port: target.port,
      host: isIP(target.host) === this.#family ? target.host : undefined,
      probe: 0,
      probedAt: never,
      answeredAt: never,
    };
    this.#paths.set(peer.id, path);
    if (path.host === undefined) this.#resolve(path, target.host);
    return path;
  }

  #resolve(path: Path, host: string): void {
    const options = this.#family === 6 ? { family: 6, hints: V4MAPPED } : { family: 4 };
    lookup(host, options, (error, address) => {
      if (error === null) path.host = address;
    });
  }
}
