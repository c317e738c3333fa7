/**
 * What stands before every connection of a secured network: TLS 1.3 in both directions of trust, before a byte of this
 * protocol is read. Two nodes prove to each other either that they have the cluster key, or certificates of one authority.
 *
 *     cluster key    an external pre-shared key with an ephemeral X25519 exchange (`psk_dhe_ke`): the keys of a connection
 *                    are derived from both and from the whole handshake, and are worthless to who learns the key later.
 *                    A certificate is never accepted in its place.
 *     certificates   both sides show one that the configured authority has signed, and a node may only bear a name that
 *                    its certificate has.
 *
 * A connection that replaces a lost one is guarded like the first: nothing is resumed below TLS, and no ticket is given.
 *
 * Cluster keys may be replaced at any time. Who dials offers one key, mostly the first; who answers accepts any. What was
 * proved with a key stays proved; `standing` tells what became of the key since.
 */
import { constants, X509Certificate } from "node:crypto";
import type { Socket, TcpNetConnectOpts } from "node:net";
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  createServer,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from "node:tls";
import { assert } from "../../base/assert.ts";
import type { NodeId } from "../../protocol/view.ts";
import type { ClusterKey } from "./cluster-key.ts";

export interface Certificates {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  readonly ca: string | Buffer;
  /** Certificates that are accepted no longer. */
  readonly crl?: string | Buffer | undefined;
}

/** Of the key that a connection was made with: the one to use, another that is accepted, or one that is accepted no longer. */
export type Standing = "first" | "accepted" | "dropped";

export type Credentials =
  | { readonly kind: "cluster-key"; readonly keys: readonly ClusterKey[] }
  | { readonly kind: "certificates"; readonly certificates: Certificates };

/** Pre-shared keys of TLS 1.3 go with a hash, and Node.js offers them with SHA-256 only. */
const PRESHARED_CIPHERS = "TLS_AES_128_GCM_SHA256";
const CERTIFIED_CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

const HANDSHAKE_MS = 5000;

const SECRET_BYTES = 32;
const SECRET_LABEL = "EXPORTER-coterie-liveness";

interface Examined {
  readonly raw: Socket;
  readonly examination: Examination;
}

/** What became of a connection that somebody made to us. */
export interface Examination {
  passed(socket: TLSSocket): void;
  /** It is closed. `why` is for people. */
  failed(why: string): void;
}

export class Guard {
  readonly #kind: Credentials["kind"];
  #keys: readonly ClusterKey[];
  /** The identity of the key that each connection was made with. */
  readonly #provedBy = new WeakMap<Socket, string>();
  readonly #dialOptions: ConnectionOptions;
  /** Never listens: connections are handed to it. */
  readonly #server: Server;
  /** Connections in their handshake, by where they come from. */
  readonly #examined = new Map<string, Examined>();

  /** A connection that has not proved anything by `handshakeMs` is given up. Throws when the certificates cannot be used. */
  constructor(credentials: Credentials, handshakeMs = HANDSHAKE_MS) {
    this.#kind = credentials.kind;
    this.#keys = credentials.kind === "cluster-key" ? credentials.keys : [];
    const options = contextOptions(credentials);
    this.#dialOptions = {
      secureContext: createSecureContext(options),
      // Nodes are known by their names, which `speaksFor` checks, not by the addresses at which they are reached.
      checkServerIdentity: () => undefined,
      rejectUnauthorized: true,
    };
    this.#server = createServer({
      ...options,
      handshakeTimeout: handshakeMs,
      requestCert: credentials.kind === "certificates",
      rejectUnauthorized: true,
      ...(credentials.kind === "cluster-key"
        ? { pskCallback: (socket: TLSSocket, identity: string) => this.#accepted(socket, identity) }
        : {}),
    });
    this.#server.on("secureConnection", (socket) => this.#settle(socket)?.passed(socket));
    this.#server.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
      const found = this.#settle(socket);
      socket.destroy();
      found?.failed(error.code ?? error.message);
    });
  }

  /** How many ways there are to prove oneself; one dial shows one of them. */
  get ways(): number {
    return this.#kind === "cluster-key" ? this.#keys.length : 1;
  }

  /** From now on the first of these keys is the one to use, and all are accepted. */
  rekey(keys: readonly ClusterKey[]): void {
    assert(this.#kind === "cluster-key", "only what has cluster keys gets others");
    this.#keys = keys;
  }

  /**
   * Dials; the socket emits `secureConnect` when both have proved themselves, or `error`. `way`: who was not believed the
   * first time, 0, goes on counting, and so offers the other keys in turn.
   */
  dial(options: TcpNetConnectOpts, way = 0): TLSSocket {
    const key = this.#keys[way % this.ways];
    if (key === undefined) return connect({ ...options, ...this.#dialOptions });
    const offered = { identity: key.identity, psk: key.presharedKey };
    const socket = connect({ ...options, ...this.#dialOptions, pskCallback: () => offered });
    this.#provedBy.set(socket, key.identity);
    return socket;
  }

  /** Of the key that a guarded connection was made with; a certificate is always the first. */
  standing(socket: Socket): Standing {
    const identity = this.#provedBy.get(socket);
    if (identity === undefined || identity === this.#keys[0]?.identity) return "first";
    return this.#keys.some((key) => key.identity === identity) ? "accepted" : "dropped";
  }

  /** Examines who has made this connection; exactly one of the examination's calls follows. */
  examine(raw: Socket, examination: Examination): void {
    raw.on("error", () => {});
    if (raw.remoteAddress === undefined) {
      raw.destroy();
      examination.failed("the connection closed");
      return;
    }
    const key = origin(raw);
    // One from the same port has ended, though its end has not been told yet.
    this.#examined.get(key)?.examination.failed("the connection closed");
    this.#examined.set(key, { raw, examination });
    raw.on("close", () => {
      if (this.#examined.get(key)?.raw !== raw) return;
      this.#examined.delete(key);
      examination.failed("the connection closed");
    });
    this.#server.emit("connection", raw);
  }

  /** Whether the other side of the connection may be this node. */
  speaksFor(socket: Socket, id: NodeId): boolean {
    const secured = socket as TLSSocket;
    // With the cluster key nobody shows a certificate, and TLS reports the key as a session that goes on.
    if (this.#kind === "cluster-key") return secured.isSessionReused();
    const certificate = secured.getPeerX509Certificate();
    return secured.authorized && certificate !== undefined && certifies(certificate, nameOf(id));
  }

  /** What both sides of a guarded connection know and nobody else, for what is said beside it; undefined once it is closed. */
  secretOf(socket: Socket): Uint8Array | undefined {
    if (socket.destroyed) return undefined;
    return (socket as TLSSocket).exportKeyingMaterial(SECRET_BYTES, SECRET_LABEL, Buffer.alloc(0));
  }

  /** Closes the connections that are in their handshake. */
  close(): void {
    for (const { raw } of this.#examined.values()) raw.destroy();
    this.#examined.clear();
  }

  #accepted(socket: Socket, identity: string): Uint8Array | null {
    const key = this.#keys.find((each) => each.identity === identity);
    if (key === undefined) return null;
    this.#provedBy.set(socket, identity);
    return key.presharedKey;
  }

  #settle(socket: Socket): Examination | undefined {
    const key = origin(socket);
    const found = this.#examined.get(key);
    this.#examined.delete(key);
    return found?.examination;
  }
}

/** Whether a certificate, PEM, has this name of a node. Throws when it is none. */
export function isCertified(cert: string | Buffer, name: string): boolean {
  return certifies(new X509Certificate(cert), name);
}

function certifies(certificate: X509Certificate, name: string): boolean {
  return certificate.checkHost(name, { subject: "always", wildcards: false }) !== undefined;
}

function nameOf(id: NodeId): string {
  const end = id.lastIndexOf("#");
  return end < 0 ? id : id.slice(0, end);
}

function origin(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

function contextOptions(credentials: Credentials): SecureContextOptions {
  const common = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3", secureOptions: constants.SSL_OP_NO_TICKET } as const;
  // Without an authority no certificate is good, so the key is the only way.
  if (credentials.kind === "cluster-key") return { ...common, ciphers: PRESHARED_CIPHERS, ca: [] };
  const { cert, key, ca, crl } = credentials.certificates;
  return { ...common, ciphers: CERTIFIED_CIPHERS, cert, key, ca, ...(crl === undefined ? {} : { crl }) };
}
