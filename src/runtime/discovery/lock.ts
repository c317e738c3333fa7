/**
 * A lock that dies with its process: a listening Unix domain socket. The kernel completes a connection to it even while
 * the process is paused or busy, and refuses one as soon as the process is gone, however it went. The listener is not
 * inherited by child processes, nor handed to the primary of a `node:cluster` worker.
 *
 * A probe keeps its connection and looks whether it is still open, instead of connecting again: the queue of a paused
 * process would fill up with connections, and on BSD systems a full queue refuses exactly as a dead process does.
 */
import { createHash } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import { DiscoveryError, errorCode } from "./discovery.ts";

/** The shortest limit of the systems that we know (macOS); Linux takes 107. */
export const LOCK_PATH_BYTES_MAX = 103;

/** Where the lock of this path listens: a named pipe where there are no socket files. */
function endpoint(path: string): string {
  if (process.platform !== "win32") return path;
  return `\\\\.\\pipe\\coterie-${createHash("sha256").update(path).digest("hex").slice(0, 32)}`;
}

export class Lock {
  readonly #server: Server;
  readonly #visitors = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (visitor) => {
      this.#visitors.add(visitor);
      visitor.unref();
      visitor.on("error", () => visitor.destroy());
      visitor.on("close", () => this.#visitors.delete(visitor));
      visitor.resume();
    });
    server.unref();
  }

  /** Holds the lock until `release` or the end of the process; a path serves one lock, once. */
  static hold(path: string): Promise<Lock> {
    const bytes = Buffer.byteLength(path);
    if (bytes > LOCK_PATH_BYTES_MAX) {
      const problem = `socket path "${path}" has ${bytes} bytes, ${LOCK_PATH_BYTES_MAX} are allowed; use a shorter one`;
      return Promise.reject(new DiscoveryError("directory", problem));
    }
    const server = createServer();
    const lock = new Lock(server);
    return new Promise((resolve, reject) => {
      server.once("error", (cause) => {
        const used = errorCode(cause) === "EADDRINUSE";
        const problem = used
          ? "the id of this node was used here before; ids must be fresh"
          : `cannot listen on ${path}`;
        reject(new DiscoveryError(used ? "id" : "directory", problem, { cause }));
      });
      server.listen({ path: endpoint(path), exclusive: true }, () => {
        // The lock is the listener itself: an error in taking a connection does not release it.
        server.on("error", () => undefined);
        resolve(lock);
      });
    });
  }

  release(): Promise<void> {
    for (const visitor of this.#visitors) visitor.destroy();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}

export class LockProbe {
  readonly #connections = new Map<string, Socket>();

  /**
   * Whether the lock at this path is held. False is final, provided that it was held once: a socket that is bound but
   * does not listen yet refuses too. Any outcome but a refusal counts as held.
   */
  isHeld(path: string): Promise<boolean> {
    if (this.#connections.has(path)) return Promise.resolve(true);
    return new Promise((resolve) => {
      const socket = connect({ path: endpoint(path) });
      socket.once("connect", () => {
        socket.unref();
        socket.resume();
        if (this.#connections.has(path)) socket.destroy();
        else this.#connections.set(path, socket);
        resolve(true);
      });
      socket.on("error", (error) => {
        const code = errorCode(error);
        resolve(code !== "ECONNREFUSED" && code !== "ENOENT");
      });
      socket.on("close", () => {
        if (this.#connections.get(path) === socket) this.#connections.delete(path);
      });
    });
  }

  /** Ends the connections; they are made anew when asked for. */
  disconnect(): void {
    for (const socket of this.#connections.values()) socket.destroy();
    this.#connections.clear();
  }
}
