/**
 * A network between processes of this machine that can be cut and healed, without any rights that tests may not have.
 * Every node advertises an address of this network and listens at another. What arrives for it is passed on when the path
 * from its sender is open; the sender's name is in the first bytes of a connection, and in every datagram of the
 * liveness workers. What a cut stops is kept, as TCP keeps and repeats what was lost, and goes on when the cut is
 * healed; datagrams are lost. So a cut looks like a network that has become silent, not like a process that died.
 */
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { connect, createServer, type Server, type Socket } from "node:net";
import { nodeName } from "../../src/protocol/view.ts";
import { type Hello, readHandshake } from "../../src/runtime/tcp/handshake.ts";
import { Reader } from "../../src/wire/reader.ts";
import { freePort } from "./ports.ts";

/** Where the nodes listen. */
const INSIDE = "127.0.0.1";
/**
 * Where this network listens: another host than the nodes', because a node's record has one port for liveness, which the
 * node itself has. Outside Linux the machine has no second address of this family; then liveness is silent everywhere.
 */
const OUTSIDE = process.platform === "linux" ? "127.0.0.2" : "::1";

interface Site {
  readonly server: Server;
  readonly port: number;
  /** By the port that the node's record names; a new incarnation has a new one. */
  readonly liveness: Map<number, DatagramSocket>;
}

export class Partitions {
  readonly #sites = new Map<string, Site>();
  /** "from to": the paths on which nothing passes. */
  readonly #cuts = new Set<string>();
  /** How much longer everything from or to a node takes, in milliseconds. */
  readonly #delays = new Map<string, number>();
  readonly #passages = new Set<Passage>();
  readonly #loses: () => boolean;

  /** `loses` is asked for every datagram. */
  constructor(loses: () => boolean = () => false) {
    this.#loses = loses;
  }

  /** Options of `start` for nodes of these names; the addresses by which they are known ascend in the same order. */
  async attach(names: readonly string[]): Promise<{ readonly listen: string; readonly advertise: string }[]> {
    const ports = await Promise.all(names.map(() => freePort(OUTSIDE)));
    ports.sort((left, right) => left - right);
    return await Promise.all(names.map((name, index) => this.#attach(name, ports[index] ?? 0)));
  }

  async #attach(name: string, outsidePort: number): Promise<{ readonly listen: string; readonly advertise: string }> {
    const port = await freePort(INSIDE);
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#arrived(name, port, socket));
    this.#sites.set(name, { server, port: outsidePort, liveness: new Map() });
    await this.plug(name);
    const host = OUTSIDE.includes(":") ? `[${OUTSIDE}]` : OUTSIDE;
    return { listen: `${INSIDE}:${port}`, advertise: `${host}:${outsidePort}` };
  }

  /** From now on the node's address answers, if it does. */
  async plug(name: string): Promise<void> {
    const site = this.#sites.get(name);
    if (site === undefined || site.server.listening) return;
    await new Promise<void>((resolve) => site.server.listen({ host: OUTSIDE, port: site.port }, resolve));
  }

  /** The node's process has ended: its address refuses connections, as that of a process would. */
  unplug(name: string): void {
    this.#sites.get(name)?.server.close();
  }

  /** Cuts all paths between these nodes and those, or only those from these to those. */
  cut(these: readonly string[], those: readonly string[], directions: "both" | "one-way" = "both"): void {
    for (const one of these) {
      for (const other of those) {
        this.#cuts.add(pathOf(one, other));
        if (directions === "both") this.#cuts.add(pathOf(other, one));
      }
    }
  }

  /** What is on its way from or to the node takes so much longer, until the network is healed. */
  slow(name: string, delayMs: number): void {
    this.#delays.set(name, delayMs);
  }

  heal(): void {
    this.#cuts.clear();
    this.#delays.clear();
    for (const passage of this.#passages) passage.advance();
  }

  /** Ends all connections of this moment, and returns how many there were; they can be made anew at once. */
  dropConnections(): number {
    const passages = [...this.#passages];
    for (const passage of passages) passage.drop();
    return passages.length;
  }

  close(): void {
    this.dropConnections();
    for (const { server, liveness } of this.#sites.values()) {
      server.close();
      for (const socket of liveness.values()) socket.close();
    }
    this.#sites.clear();
  }

  #isOpen(from: string, to: string): boolean {
    return !this.#cuts.has(pathOf(from, to));
  }

  #pathsBetween(caller: string, callee: string): Paths {
    return {
      isOpen: (direction) => (direction === "there" ? this.#isOpen(caller, callee) : this.#isOpen(callee, caller)),
      delayMs: () => (this.#delays.get(caller) ?? 0) + (this.#delays.get(callee) ?? 0),
    };
  }

  #arrived(to: string, port: number, caller: Socket): void {
    let received = Buffer.alloc(0);
    const drop = (): void => void caller.destroy();
    const read = (): void => {
      const bytes: unknown = caller.read();
      if (bytes instanceof Buffer) received = Buffer.concat([received, bytes]);
      const hello = helloIn(received);
      if (hello === undefined) return;
      caller.off("readable", read).off("error", drop).off("end", drop);
      const from = nodeName(hello.record.id);
      this.#watchLiveness(from, hello.record.livenessPort);
      const passage: Passage = new Passage(caller, received, port, this.#pathsBetween(from, to));
      this.#passages.add(passage);
      passage.whenOver(() => this.#passages.delete(passage));
      passage.advance();
    };
    caller.on("error", drop).on("end", drop).on("readable", read);
  }

  /** Passes on what comes for the liveness worker of this node. */
  #watchLiveness(to: string, port: number): void {
    const site = this.#sites.get(to);
    if (site === undefined || site.liveness.has(port) || OUTSIDE.includes(":")) return;
    const socket = createSocket("udp4");
    site.liveness.set(port, socket);
    socket.on("error", () => {});
    socket.on("message", (datagram) => {
      const from = senderOf(datagram);
      if (from !== undefined && this.#isOpen(from, to) && !this.#loses()) socket.send(datagram, port, INSIDE);
    });
    socket.bind({ address: OUTSIDE, port });
  }
}

interface Paths {
  isOpen(direction: "there" | "back"): boolean;
  delayMs(): number;
}

/** One connection through the network, from a node that calls to the one that answers. */
class Passage {
  readonly #caller: Socket;
  /** The bytes that the caller began with. */
  readonly #greeting: Buffer;
  readonly #port: number;
  readonly #paths: Paths;
  #delayed: NodeJS.Timeout | undefined;
  #callee: Socket | undefined;
  #over: () => void = () => {};

  constructor(caller: Socket, greeting: Buffer, port: number, paths: Paths) {
    this.#caller = caller;
    this.#greeting = greeting;
    this.#port = port;
    this.#paths = paths;
    this.#follow(caller);
  }

  whenOver(over: () => void): void {
    this.#over = over;
  }

  /** Passes on what has come, where the path is open. */
  advance(): void {
    const there = this.#paths.isOpen("there");
    const back = this.#paths.isOpen("back");
    if ((there && this.#caller.destroyed) || (back && this.#callee?.destroyed === true)) {
      this.drop();
      return;
    }
    if (there && back) this.#callee ??= this.#connect();
    if (this.#callee === undefined) return;
    if (there) move(this.#caller, this.#callee);
    if (back) move(this.#callee, this.#caller);
  }

  drop(): void {
    clearTimeout(this.#delayed);
    this.#caller.destroy();
    this.#callee?.destroy();
    this.#over();
  }

  #connect(): Socket {
    const callee = connect({ host: INSIDE, port: this.#port, noDelay: true, allowHalfOpen: true });
    callee.write(this.#greeting);
    this.#follow(callee);
    return callee;
  }

  /** Ends come to light only when all bytes before them were read, so a cut keeps them back as well. */
  #follow(socket: Socket): void {
    const advance = (): void => {
      const delayMs = this.#paths.delayMs();
      if (delayMs === 0) {
        this.advance();
      } else {
        this.#delayed ??= setTimeout(() => {
          this.#delayed = undefined;
          this.advance();
        }, delayMs);
      }
    };
    const end = (): void => {
      const other = socket === this.#caller ? this.#callee : this.#caller;
      other?.end();
    };
    socket.on("readable", advance).on("drain", advance).on("end", end).on("error", advance).on("close", advance);
  }
}

function move(from: Socket, to: Socket): void {
  while (!to.writableNeedDrain) {
    const bytes: unknown = from.read();
    if (!(bytes instanceof Buffer)) return;
    to.write(bytes);
  }
}

function pathOf(from: string, to: string): string {
  return `${from} ${to}`;
}

function helloIn(bytes: Buffer): Hello | undefined {
  if (bytes.length < 4 || bytes.length < bytes.readUInt32LE(0) + 4) return undefined;
  const message = readHandshake(bytes.subarray(0, bytes.readUInt32LE(0) + 4));
  return message?.kind === "hello" ? message : undefined;
}

function senderOf(datagram: Uint8Array): string | undefined {
  const reader = new Reader(datagram, 8);
  const id = reader.text(96);
  return reader.failed ? undefined : nodeName(id);
}
