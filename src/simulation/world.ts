/**
 * A simulated world: nodes that run the production core and driver on a simulated clock, network and entropy. Everything
 * that happens is an event at a time; the same seed makes the same world, event by event.
 */
import { DueHeap } from "../base/heap.ts";
import { hashString, mix, Random } from "../base/random.ts";
import type { ClusterStatus } from "../protocol/effects.ts";
import type { HistoryEvent } from "../protocol/history.ts";
import type { DirectoryGroup } from "../protocol/membership/directory.ts";
import { BOUNDS, type Bounds, timing } from "../protocol/timing.ts";
import { type ClusterView, type NodeId, type NodeRecord, nodeName } from "../protocol/view.ts";
import { Driver, type DriverListener } from "../runtime/driver.ts";
import { logName } from "../runtime/log/batch.ts";
import type { RecordLog } from "../runtime/log/log.ts";
import { Storage } from "../runtime/log/storage.ts";
import type { Clock, Timers } from "../runtime/ports.ts";
import { GroupKey } from "../runtime/secure/group-key.ts";
import { RecordSeal, SALT_BYTES, SealedLog } from "../runtime/secure/sealed-log.ts";
import { PACKET_BYTES_MAX } from "../wire/packet.ts";
import { Counter, MessageNames } from "./counter.ts";
import { SimulatedDisk } from "./disk.ts";
import { Fabric } from "./fabric.ts";

export interface WorldOptions {
  readonly seed: number;
  readonly failureTimeoutMs?: number;
  readonly directorySize?: number;
  /** What a host counts as an acceptor; 1 by default. */
  readonly weightOf?: (name: string) => number;
  readonly bounds?: Partial<Bounds>;
  /** Nodes have disks, which outlive their incarnations. */
  readonly durable?: boolean;
  /** Of durable groups; all members by default. */
  readonly acceptors?: number | undefined;
  /** Members accuse those who have held senders back for so long; default: never. */
  readonly slowAfterMs?: number;
  /** All groups are secure ones. Default false. */
  readonly secure?: boolean;
}

interface Event {
  readonly action: () => void;
  readonly host: string | undefined;
}

/** Between two looks for the others. */
const SEEK_MS = 200;
const TURN_MS = 0.1;
const SEGMENT_BYTES = 64 * 1024;
const WAITING_BYTES_MAX = 1024 * 1024;
const DISK_MS_PER_BYTE = 1e-6;
const EVENTS_MAX = 3_000_000;
const EVENTS_PER_MS_MAX = 10;
/** How long a process goes on after it has left or was excluded. */
const GOING_MS = 200;
/** How long the last frames of a host that crashes in the midst of a turn may take. */
const LAST_WORDS_MS = 5;

/** A host runs one incarnation of a node at a time. */
export class Host {
  readonly name: string;
  readonly groups = new Map<string, Counter>();
  driver: Driver | undefined;
  id: NodeId = "";
  status: ClusterStatus = "closed";
  view: ClusterView | undefined;
  /** Until when the process is stopped, or its event loop blocked. */
  pausedUntil = 0;
  closing = false;
  /** What is left of one incarnation for the next, in a world of durable nodes. */
  readonly disk: SimulatedDisk | undefined;
  storage: Storage | undefined;
  /** Where its log ended when the view was installed. */
  viewEnd = 0;
  /** How its next incarnation finds the others. */
  how: "found" | "join" | readonly string[] = "join";

  constructor(name: string, disk?: SimulatedDisk) {
    this.name = name;
    this.disk = disk;
  }

  get running(): boolean {
    return this.driver !== undefined;
  }

  counter(group: string): Counter | undefined {
    return this.groups.get(group);
  }

  /** Whether it would be in its view again after a crash. */
  get remembersView(): boolean {
    return this.view !== undefined && (this.storage?.log.durable ?? 0) >= this.viewEnd;
  }

  /** Whether this is the node and a member of the group, and is not about to leave it. */
  staysIn({ name, number }: DirectoryGroup, node: NodeId): boolean {
    const counter = this.groups.get(name);
    // Who has not begun the newest target may not have on its disk what it is an acceptor of.
    const isMember = counter?.membership !== undefined && !counter.isLeaving && counter.view.number === number;
    return this.id === node && this.running && this.status === "primary" && !this.closing && isMember;
  }
}

export class World {
  readonly random: Random;
  readonly fabric: Fabric;
  /** What nodes have dropped as garbage: they never say any to each other. */
  readonly garbage: string[] = [];
  readonly history: HistoryEvent[] = [];
  readonly hosts = new Map<string, Host>();
  /** Incarnations of which nothing is left, or not all: their disks were lost or damaged. */
  readonly forgotten = new Set<NodeId>();
  readonly #options: WorldOptions;
  readonly #events = new DueHeap<Event>();
  /** Sees every event of the history when it happens. */
  observer: ((event: HistoryEvent) => void) | undefined;
  now = 0;
  eventCount = 0;
  #salts = 0;
  #sessions = 0;
  readonly #trace = new Trace();
  readonly #names = new MessageNames();
  readonly #keys = new Map<string, GroupKey>();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.random = new Random(options.seed);
    this.fabric = new Fabric(this, this.random.fork());
  }

  /** Of everything recorded so far: equal for equal seeds. */
  get traceHash(): string {
    return this.#trace.hash.toString(16).padStart(8, "0");
  }

  get durable(): boolean {
    return this.#options.durable === true;
  }

  /** Milliseconds since 1970, as nodes see it. */
  get wallTime(): number {
    return 1_700_000_000_000 + this.now;
  }

  at(time: number, action: () => void, host?: string): void {
    this.#events.push(Math.max(time, this.now), { action, host });
  }

  after(delayMs: number, action: () => void): void {
    this.at(this.now + delayMs, action);
  }

  /** Runs what is due until `time`. */
  runUntil(time: number): void {
    while (this.step(time));
    this.now = time;
  }

  /** Runs the next event, if it is due until `time`; false when it is not. */
  step(time: number): boolean {
    while (this.#events.nextTime <= time) {
      this.now = this.#events.nextTime;
      const event = this.#events.pop() as Event;
      const host = event.host === undefined ? undefined : this.hosts.get(event.host);
      if (host !== undefined && host.pausedUntil > this.now) {
        this.#events.push(host.pausedUntil, event);
        continue;
      }
      this.eventCount++;
      if (this.eventCount > EVENTS_MAX + this.now * EVENTS_PER_MS_MAX)
        throw new Error(`${this.eventCount} events: the run does not settle`);
      event.action();
      return true;
    }
    return false;
  }

  run(forMs: number): void {
    this.runUntil(this.now + forMs);
  }

  /** Runs until `condition` holds, checked every `stepMs`; false when it does not within `forMs`. */
  runUntilTrue(condition: () => boolean, forMs: number, stepMs = 50): boolean {
    const end = this.now + forMs;
    while (this.now < end) {
      if (condition()) return true;
      this.run(stepMs);
    }
    return condition();
  }

  record = (event: HistoryEvent): void => {
    this.history.push(event);
    this.#trace.add(event);
    this.observer?.(event);
  };

  /**
   * Starts a new incarnation on a host; it seeks the others, and founds alone if it is to. A durable one goes about it like
   * the one before, unless it is told otherwise. Its `owner`, if it has one, is told what becomes of it, and stops it when
   * it has left or was excluded; without one it stops by itself.
   */
  start(name: string, asked?: "found" | "join" | readonly string[], owner?: DriverListener): Host {
    const host = this.hosts.get(name) ?? new Host(name, this.durable ? this.#diskOf(name) : undefined);
    this.hosts.set(name, host);
    if (host.running) return host;
    const how = asked ?? (this.durable ? host.how : "join");
    host.how = how;
    const id = `${name}#${this.random.word().toString(16).padStart(8, "0")}`;
    const { failureTimeoutMs = 3000, directorySize = 5, bounds, weightOf = () => 1 } = this.#options;
    host.storage = this.#storageOf(host, id);
    const log = this.#logOf(host);
    const disk = log === undefined ? "" : logName(log.id);
    const self: NodeRecord = { id, address: name, livenessPort: 0, features: 0, disk, weight: weightOf(name) };
    host.id = id;
    host.view = undefined;
    host.status = "joining";
    host.pausedUntil = 0;
    host.closing = false;
    const isCurrent = (): boolean => host.id === id && host.running;
    const options = {
      self,
      timing: timing(failureTimeoutMs),
      // Messages are cut that would travel whole in production: fragments are to be seen, and a megabyte takes time here.
      bounds: { ...BOUNDS, packetBytesMax: PACKET_BYTES_MAX, ...bounds },
      directorySize,
      history: this.record,
      log,
    };
    const entropy = this.random.fork();
    const driver: Driver = new Driver(
      options,
      this.#clockOf(host, isCurrent, () => driver),
      entropy,
      {
        statusChanged: (status, detail) => {
          host.status = status;
          const isOver = status === "closed" || status === "excluded";
          if (isOver && owner === undefined) this.after(GOING_MS, () => isCurrent() && this.#stop(host));
          owner?.statusChanged(status, detail);
        },
        clusterInstalled: (view) => {
          host.view = view;
          host.viewEnd = host.storage?.log.next ?? 0;
          owner?.clusterInstalled(view);
        },
        joinRefused: (code, detail) => owner?.joinRefused(code, detail),
        noticed: (what, detail) => {
          if (what === "garbage dropped") this.garbage.push(`${id} from ${detail["from"]}: ${detail["what"]}`);
          owner?.noticed(what, detail);
        },
      },
    );
    host.driver = driver;
    driver.attach(this.fabric.attach(self, driver));
    driver.recover();
    if (how === "found" && !driver.process.cluster.isUsed) {
      driver.foundAlone(this.random.word().toString(16));
      // The others may all be others by the time that it is cut off.
      this.at(this.now + SEEK_MS, () => this.#seek(host, isCurrent, undefined), name);
    } else this.#seek(host, isCurrent, Array.isArray(how) ? how : undefined);
    return host;
  }

  /** Joins a group on a running host; `key`: if not with the one that the group was made with. */
  join(name: string, group: string, key?: GroupKey): Counter {
    const host = this.hosts.get(name) as Host;
    const node = host.id;
    const counter = new Counter({
      node,
      session: this.#sessions++,
      now: () => this.now,
      history: this.record,
      names: this.#names,
      durable: this.durable,
      isOlder: hashString(name) % 3 === 0,
      ...(this.#options.slowAfterMs === undefined ? {} : { slowAfterMs: this.#options.slowAfterMs }),
      joined: () => {},
      ended: () => {
        if (host.groups.get(group) === counter) host.groups.delete(group);
      },
    });
    host.groups.set(group, counter);
    const { durable = false, acceptors, secure = false } = this.#options;
    const security = secure ? { key: key ?? this.#keyOf(group) } : undefined;
    const { operations } = counter;
    host.driver?.join(
      [{ name: group, digest: "d", durable, acceptors, operations, application: counter, security }],
      (refusal) => {
        if (refusal !== undefined && host.groups.get(group) === counter) host.groups.delete(group);
      },
    );
    return counter;
  }

  /** In half of the worlds groups have keys of their own. */
  #keyOf(group: string): GroupKey | undefined {
    if (this.#options.seed % 2 === 1) return undefined;
    const key = this.#keys.get(group) ?? new GroupKey(new Uint8Array(32).fill(this.#options.seed), group);
    this.#keys.set(group, key);
    return key;
  }

  crash(name: string): void {
    const host = this.hosts.get(name);
    if (host?.driver === undefined) return;
    this.record({ kind: "crash", at: this.now, node: host.id });
    this.#stop(host);
  }

  /** Crashes a host whose disk is replaced by an empty one, or damaged: what it has promised is not remembered. */
  spoil(name: string, how: "wipe" | "decay"): void {
    const host = this.hosts.get(name);
    if (host?.disk === undefined) return;
    const ids = this.running.flatMap(({ view }) => view?.nodes.map(({ id }) => id) ?? []);
    for (const id of [...ids, host.id]) if (nodeName(id) === name) this.forgotten.add(id);
    this.crash(name);
    if (how === "decay") host.disk.decay();
    else {
      host.disk.wipe();
      // A8: whoever has nothing any more must not be told to found.
      host.how = "join";
    }
  }

  /** Ends an incarnation that has left or was excluded, if it is still there. */
  stop(id: NodeId): void {
    for (const host of this.running) if (host.id === id) this.#stop(host);
  }

  /** Crashes a host in the midst of its turn: what it has sent arrives, nothing more leaves it. */
  cutShort(name: string): void {
    const host = this.hosts.get(name);
    if (host?.driver === undefined) return;
    const { id } = host;
    this.fabric.muted.add(id);
    host.pausedUntil = Number.POSITIVE_INFINITY;
    this.after(LAST_WORDS_MS, () => host.id === id && this.crash(name));
  }

  close(name: string): void {
    const host = this.hosts.get(name);
    if (host?.driver === undefined) return;
    host.closing = true;
    host.driver.close();
  }

  /** Stops the process for a while: it neither runs nor answers. A stalled one only blocks its event loop. */
  pause(name: string, forMs: number, how: "stop" | "stall" = "stop"): void {
    const host = this.hosts.get(name);
    if (host?.driver === undefined) return;
    host.pausedUntil = Math.max(host.pausedUntil, this.now + forMs);
    if (how === "stall") this.#reportStall(host, this.now, this.now + forMs);
  }

  /** Cuts the hosts into sides that do not reach each other. */
  partition(sides: readonly (readonly string[])[]): void {
    for (const side of sides) {
      for (const other of sides) {
        if (side === other) continue;
        for (const from of side) for (const to of other) this.fabric.rule(from, to).cut = true;
      }
    }
  }

  heal(): void {
    this.fabric.heal();
  }

  /** Whether a disk was spoilt, and the others still count on what was on it. Nobody may go in good order meanwhile. */
  get isMending(): boolean {
    return this.running.some(({ view }) => view?.nodes.some(({ id }) => this.forgotten.has(id)));
  }

  /** All running hosts. */
  get running(): Host[] {
    return [...this.hosts.values()].filter((host) => host.running);
  }

  #stop(host: Host): void {
    host.driver?.abandon();
    host.driver = undefined;
    // What it has not been told to be on disk may be there or not, also when it ends in good order.
    host.storage?.close();
    host.storage = undefined;
    host.disk?.crash();
    host.status = "closed";
    host.groups.clear();
    this.fabric.crash(host.id);
  }

  #diskOf(name: string): SimulatedDisk {
    const random = this.random.fork();
    const later = (bytes: number, action: () => void, delayMs: number): void => {
      const latencyMs = random.chance(0.02) ? random.between(10, 60) : 0.1 + random.fraction() * 2;
      this.at(this.now + latencyMs + delayMs + bytes * DISK_MS_PER_BYTE, action, name);
    };
    return new SimulatedDisk({ later, random });
  }

  /** The host's disk, as this incarnation finds it. */
  #storageOf(host: Host, id: NodeId): Storage | undefined {
    if (host.disk === undefined) return undefined;
    const words = [this.random.word(), this.random.word()] as const;
    const options = { segmentBytes: SEGMENT_BYTES, waitingBytesMax: WAITING_BYTES_MAX, id: words };
    const user = (): Driver | undefined => (host.id === id ? host.driver : undefined);
    return new Storage(host.disk, this.#timersOf(host), options, {
      persisted: (upTo) => user()?.persisted(upTo),
      room: () => {},
      conditionChanged: (condition, detail) => {
        if (condition === "failed") user()?.diskFailed(detail);
      },
      damaged: ({ to }) => user()?.damaged(to),
    });
  }

  /** In worlds with secure groups disks are sealed. */
  #logOf({ storage, name }: Host): RecordLog | undefined {
    if (storage === undefined || this.#options.secure !== true) return storage?.log;
    const salt = new Uint8Array(SALT_BYTES);
    new DataView(salt.buffer).setUint32(0, ++this.#salts);
    return new SealedLog(storage.log, new RecordSeal(new Uint8Array(32).fill(hashString(name)), salt));
  }

  #timersOf(host: Host): Timers {
    return {
      now: () => this.now,
      after: (delayMs, action) => {
        let isWanted = true;
        this.at(this.now + delayMs, () => isWanted && action(), host.name);
        return () => {
          isWanted = false;
        };
      },
    };
  }

  #clockOf(host: Host, isCurrent: () => boolean, driver: () => Driver): Clock {
    let turnRequested = false;
    /** When the driver wants to be woken, and the event that will look at it: at that time or before. */
    let wanted = Number.POSITIVE_INFINITY;
    let scheduled = Number.POSITIVE_INFINITY;
    const turn = (): void => {
      turnRequested = false;
      if (isCurrent()) driver().turn();
    };
    const schedule = (): void => {
      if (wanted >= scheduled) return;
      scheduled = Math.max(wanted, this.now);
      const due = scheduled;
      this.at(due, () => look(due), host.name);
    };
    const look = (due: number): void => {
      if (due !== scheduled || !isCurrent()) return;
      scheduled = Number.POSITIVE_INFINITY;
      if (wanted > this.now) schedule();
      else {
        wanted = Number.POSITIVE_INFINITY;
        driver().wake();
      }
    };
    return {
      now: () => this.now,
      wallTime: () => this.wallTime,
      requestTurn: () => {
        if (turnRequested) return;
        turnRequested = true;
        this.at(this.now + TURN_MS, turn, host.name);
      },
      wakeAt: (time) => {
        wanted = time;
        schedule();
      },
    };
  }

  #seek(host: Host, isCurrent: () => boolean, founders: readonly string[] | undefined): void {
    if (!isCurrent()) return;
    this.at(this.now + SEEK_MS, () => this.#seek(host, isCurrent, founders), host.name);
    if (host.status === "primary") return;
    const network = host.driver?.network;
    for (const other of this.hosts.values()) if (other !== host) network?.seek(other.name);
    if (founders !== undefined) host.driver?.foundWith(founders);
  }

  #reportStall(host: Host, since: number, until: number): void {
    const step = 250;
    for (let time = since + step; time < until; time += step) {
      const stalledMs = time - since;
      const { id } = host;
      this.at(time, () => {
        for (const other of this.running) {
          if (other.id === id || host.id !== id || !host.running) continue;
          if (this.fabric.rule(host.name, other.name).cut) continue;
          this.at(this.now + 0.5, () => other.driver?.alive(id, stalledMs), other.name);
        }
      });
    }
  }
}

/** A running hash of events, which differs whenever events differ in kind, time, place or subject. */
class Trace {
  hash = 0x811c9dc5;
  /** Hashes of words that were met before. */
  readonly #known = new Map<string, number>();
  readonly #time = new Float64Array(1);
  readonly #timeWords = new Uint32Array(this.#time.buffer);

  add(event: HistoryEvent): void {
    this.#time[0] = event.at;
    let hash = mix(this.hash, this.#wordOf(event.kind));
    hash = mix(hash, this.#timeWords[0] as number);
    hash = mix(hash, this.#timeWords[1] as number);
    hash = mix(hash, this.#wordOf(event.node));
    if ("view" in event) hash = mix(hash, event.view);
    else if ("number" in event) hash = mix(hash, event.number);
    if ("message" in event) hash = mix(hash, this.#wordOf(event.message));
    else if ("digest" in event) hash = mix(hash, hashString(event.digest));
    else if ("query" in event) hash = mix(hash, this.#wordOf(event.query));
    this.hash = hash;
  }

  #wordOf(text: string): number {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const word = hashString(text);
    this.#known.set(text, word);
    return word;
  }
}
