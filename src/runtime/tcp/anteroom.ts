/**
 * Where connections are that somebody made and that have said nothing yet that is believed. What they may cost is bounded
 * here, and whoever floods a node keeps himself out, not others:
 *
 * - Only so many are *inside*, in their handshake. Who comes when all places are taken gets that of the oldest connection
 *   from the address that has most. An honest handshake is over long before it is the oldest.
 * - Only so many come in per second, because a handshake costs much more than a connection. The others wait, unread;
 *   addresses take turns, and who waits longest at an address is its next.
 * - Addresses from which somebody has proved before that he belongs here go first, with an allowance of their own.
 * - Where too many wait, the newest connection from the address with most of them is dropped.
 */
import { assert } from "../../base/assert.ts";
import { Deque } from "../../base/deque.ts";

export interface AnteroomLimits {
  /** Connections inside, in all … */
  readonly halfOpenMax: number;
  /** … and from one remote address. */
  readonly halfOpenPerRemoteMax: number;
  /** Connections that wait, in all … */
  readonly waitingMax: number;
  /** … and from one remote address. */
  readonly waitingPerRemoteMax: number;
  /** So many come in per second, from addresses that are not known … */
  readonly strangersPerSecond: number;
  /** … and from those that are. */
  readonly knownPerSecond: number;
}

/** A connection that can be dropped. */
export interface Droppable {
  destroy(): unknown;
}

/** Addresses that are remembered as known. */
const KNOWN_MAX = 1024;
/** An allowance that is not used adds up to that of so long. */
const BURST_MS = 250;

/** What has come from one address. */
interface Remote<T> {
  readonly host: string;
  readonly waiting: Deque<T>;
  /** The oldest first. */
  readonly inside: Set<T>;
}

/** So many a second, and a few at once. */
class Allowance {
  readonly #perMs: number;
  readonly #most: number;
  #left: number;
  #countedAt = 0;

  constructor(perSecond: number) {
    this.#perMs = perSecond / 1000;
    this.#most = Math.max(1, this.#perMs * BURST_MS);
    this.#left = this.#most;
  }

  take(nowMs: number): boolean {
    this.#left = Math.min(this.#most, this.#left + (nowMs - this.#countedAt) * this.#perMs);
    this.#countedAt = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }

  get waitMs(): number {
    return (1 - this.#left) / this.#perMs;
  }
}

/** Those who wait, address by address in turn. */
class Line<T> {
  readonly allowance: Allowance;
  /** Each address from which somebody waits, once. */
  readonly turns = new Deque<Remote<T>>();
  /** Runs while the allowance is used up. */
  timer: NodeJS.Timeout | undefined;

  constructor(perSecond: number) {
    this.allowance = new Allowance(perSecond);
  }
}

export class Anteroom<T extends Droppable> {
  readonly #limits: AnteroomLimits;
  readonly #enter: (connection: T, host: string) => void;
  readonly #dropped: () => void;
  readonly #now: () => number;
  readonly #remotes = new Map<string, Remote<T>>();
  readonly #known = new Set<string>();
  readonly #knownLine: Line<T>;
  readonly #strangers: Line<T>;
  #waitingCount = 0;
  #insideCount = 0;
  #isOpen = false;

  /** `enter` begins the handshake of a connection; `dropped` is told of each that was dropped here. */
  constructor(
    limits: AnteroomLimits,
    enter: (connection: T, host: string) => void,
    dropped: () => void,
    now = () => performance.now(),
  ) {
    this.#limits = limits;
    this.#enter = enter;
    this.#dropped = dropped;
    this.#now = now;
    this.#knownLine = new Line(limits.knownPerSecond);
    this.#strangers = new Line(limits.strangersPerSecond);
  }

  get insideCount(): number {
    return this.#insideCount;
  }

  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** From now on connections come in; until then they wait. */
  open(): void {
    this.#isOpen = true;
    this.#admit(this.#knownLine);
    this.#admit(this.#strangers);
  }

  arrived(connection: T, host: string): void {
    const remote = this.#remote(host);
    const { waitingMax, waitingPerRemoteMax } = this.#limits;
    if (remote.waiting.length >= waitingPerRemoteMax || (this.#waitingCount >= waitingMax && !this.#makeRoom(remote))) {
      this.#drop(connection);
      this.#forgetIfGone(remote);
      return;
    }
    remote.waiting.push(connection);
    this.#waitingCount++;
    const line = this.#lineOf(host);
    if (remote.waiting.length === 1) line.turns.push(remote);
    if (this.#isOpen && line.timer === undefined) this.#admit(line);
  }

  /** A connection that came in is in its handshake no more. False when it had lost its place before. */
  left(connection: T, host: string): boolean {
    const remote = this.#remotes.get(host);
    if (remote === undefined || !remote.inside.delete(connection)) return false;
    this.#insideCount--;
    this.#forgetIfGone(remote);
    return true;
  }

  /** Somebody at this address belongs here. */
  know(host: string): void {
    // The last named is the last to be forgotten.
    this.#known.delete(host);
    this.#known.add(host);
    if (this.#known.size <= KNOWN_MAX) return;
    const [oldest] = this.#known;
    this.#known.delete(oldest as string);
  }

  /** Drops all, and whoever comes. */
  close(): void {
    for (const { timer, turns } of [this.#knownLine, this.#strangers]) {
      clearTimeout(timer);
      turns.clear();
    }
    this.#isOpen = false;
    for (const { waiting, inside } of [...this.#remotes.values()]) {
      for (const connection of inside) connection.destroy();
      for (const connection of waiting) connection.destroy();
    }
    this.#remotes.clear();
    this.#waitingCount = 0;
    this.#insideCount = 0;
  }

  /** Lets in as many as may now, and the others later. */
  #admit(line: Line<T>): void {
    line.timer = undefined;
    const now = this.#now();
    for (let remote = line.turns.first(); remote !== undefined; remote = line.turns.first()) {
      if (!line.allowance.take(now)) {
        line.timer = setTimeout(() => this.#admit(line), Math.ceil(line.allowance.waitMs));
        return;
      }
      line.turns.shift();
      const connection = remote.waiting.shift();
      assert(connection !== undefined, "an address has its turn because somebody there waits");
      if (remote.waiting.length > 0) this.#lineOf(remote.host).turns.push(remote);
      this.#waitingCount--;
      this.#givePlace(remote, connection);
    }
  }

  #givePlace(remote: Remote<T>, connection: T): void {
    const { halfOpenMax, halfOpenPerRemoteMax } = this.#limits;
    if (remote.inside.size >= halfOpenPerRemoteMax) this.#evict(remote);
    else if (this.#insideCount >= halfOpenMax) this.#evict(this.#most(({ inside }) => inside.size));
    // What is dropped may have been the last of its address.
    this.#remotes.set(remote.host, remote);
    remote.inside.add(connection);
    this.#insideCount++;
    this.#enter(connection, remote.host);
  }

  #evict(remote: Remote<T>): void {
    const [oldest] = remote.inside;
    assert(oldest !== undefined, "who has most connections has one");
    this.left(oldest, remote.host);
    this.#drop(oldest);
  }

  /** Drops the newest of those that wait from where most do, unless that is where the newcomer is from. */
  #makeRoom(newcomer: Remote<T>): boolean {
    const crowd = this.#most(({ waiting }) => waiting.length);
    // So at least one is left there, and the address keeps its turn.
    if (crowd.waiting.length <= newcomer.waiting.length + 1) return false;
    const newest = crowd.waiting.pop();
    assert(newest !== undefined, "who has most that wait has one");
    this.#waitingCount--;
    this.#drop(newest);
    return true;
  }

  #most(count: (remote: Remote<T>) => number): Remote<T> {
    let most: Remote<T> | undefined;
    for (const remote of this.#remotes.values()) if (most === undefined || count(remote) > count(most)) most = remote;
    assert(most !== undefined, "there is somebody");
    return most;
  }

  #drop(connection: T): void {
    connection.destroy();
    this.#dropped();
  }

  #remote(host: string): Remote<T> {
    const known = this.#remotes.get(host);
    if (known !== undefined) return known;
    const remote = { host, waiting: new Deque<T>(), inside: new Set<T>() };
    this.#remotes.set(host, remote);
    return remote;
  }

  #forgetIfGone({ host, waiting, inside }: Remote<T>): void {
    if (waiting.length === 0 && inside.size === 0) this.#remotes.delete(host);
  }

  #lineOf(host: string): Line<T> {
    return this.#known.has(host) ? this.#knownLine : this.#strangers;
  }
}
