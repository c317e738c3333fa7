/**
 * What the applications of a simulated run do: every member of every group sends in all flavours, flushes, queries, and
 * now and then leaves and comes back; hosts that fell out of the cluster come back as new incarnations. One group may be
 * handed from host to host: its only member leaves while the next one joins.
 */
import type { Random } from "../base/random.ts";
import { CAUSAL, FIFO, RAW, SAFE, TOTAL } from "../wire/packet.ts";
import type { Counter } from "./counter.ts";
import type { Host, World } from "./world.ts";

export interface Relayed {
  readonly group: string;
  readonly everyMs: number;
}

export interface TrafficOptions {
  readonly groups: readonly string[];
  /** A group that is handed from host to host, and how often. */
  readonly relayed?: Relayed | undefined;
  /** Updates that each member sends in a second, on average. */
  readonly updatesPerSecond: number;
}

const FLAVOURS = [FIFO, CAUSAL, CAUSAL, TOTAL, TOTAL, SAFE] as const;
const CARE_MS = 250;
/** When the only member leaves after another has begun to join; at once, most often. */
const RELAY_LEAVES_MS = [0, 0, 0.3, 0.6, 1, 2, 20];
/** Who has not left a group by then comes back when it is looked after. */
const OUT_WITHIN_MS = 200;

export class Traffic {
  readonly #world: World;
  readonly #random: Random;
  readonly #options: TrafficOptions;
  #sending = true;
  /** Hosts that are to run; the others are down on purpose. */
  readonly #wanted = new Set<string>();
  readonly #absent = new Set<string>();

  constructor(world: World, options: TrafficOptions) {
    this.#world = world;
    this.#random = world.random.fork();
    this.#options = options;
  }

  /** Keeps a host running and in the groups from now on. */
  employ(name: string): void {
    if (this.#wanted.has(name)) return;
    this.#wanted.add(name);
    this.#care(name);
    this.#send(name);
  }

  /** The host may stay down, once it is. */
  dismiss(name: string): void {
    this.#wanted.delete(name);
  }

  isEmployed(name: string): boolean {
    return this.#wanted.has(name);
  }

  stop(): void {
    this.#sending = false;
    this.#absent.clear();
  }

  /** Hands the relayed group from host to host until the traffic stops; then all are to join it. */
  relay(): void {
    const { relayed } = this.#options;
    if (!this.#sending || relayed === undefined) return;
    const { group, everyMs } = relayed;
    const fit = this.#world.running.filter(({ status, closing }) => status === "primary" && !closing);
    const outside = fit.filter((host) => !host.groups.has(group));
    for (const { groups } of fit) groups.get(group)?.send(TOTAL);
    if (outside.length > 0) {
      const leavesAfterMs = this.#random.pick(RELAY_LEAVES_MS);
      const holders = fit.filter((host) => host.groups.has(group));
      this.#world.join(this.#random.pick(outside).name, group);
      this.#world.after(leavesAfterMs, () => {
        if (!this.#world.isMending) for (const { groups } of holders) groups.get(group)?.leave();
      });
    }
    this.#world.after(everyMs * (0.5 + this.#random.fraction()), () => this.relay());
  }

  /** Every member sends a few messages at once, and some ask something. */
  burst(): void {
    for (const host of this.#world.running) {
      for (const group of this.#options.groups) {
        for (let count = this.#random.between(0, 5); count > 0; count--) {
          host.counter(group)?.send(this.#random.pick(FLAVOURS));
        }
        if (this.#random.chance(0.2))
          host.counter(group)?.query({ flavour: this.#random.pick(FLAVOURS), wanted: 1000 });
      }
    }
  }

  /** Starts what is to run, and joins what is to be joined. */
  #care(name: string): void {
    if (!this.#wanted.has(name)) return;
    const host = this.#world.hosts.get(name);
    if (host === undefined || !host.running) this.#world.start(name);
    else if (host.status === "primary" && !host.closing) this.#join(host);
    this.#world.after(CARE_MS * (0.5 + this.#random.fraction()), () => this.#care(name));
  }

  #join(host: Host): void {
    // What was handed on is for all in the end.
    const { groups, relayed } = this.#options;
    const wanted = this.#sending || relayed === undefined ? groups : [...groups, relayed.group];
    for (const group of wanted) {
      if (host.groups.has(group) || this.#absent.has(`${host.name} ${group}`)) continue;
      this.#world.join(host.name, group).isTalkative = true;
    }
  }

  #send(name: string): void {
    if (!this.#wanted.has(name)) return;
    const gap = 1000 / this.#options.updatesPerSecond / this.#options.groups.length;
    this.#world.after(gap * 2 * this.#random.fraction(), () => this.#send(name));
    if (this.#sending) this.#act(name, this.#random.pick(this.#options.groups));
  }

  #act(name: string, group: string): void {
    const host = this.#world.hosts.get(name);
    const counter = host?.counter(group);
    if (host === undefined || counter?.membership === undefined || host.pausedUntil > this.#world.now) return;
    const die = this.#random.below(1000);
    if (die < 40) this.#flush(host, group);
    else if (die < 100) this.#ask(host, group);
    else if (die < 120) this.#askRaw(host, group);
    else if (die < 123) this.#leaveForAWhile(name, group);
    else if (die < 130) counter.send(this.#random.pick(FLAVOURS), 150_000);
    else if (die < 230) for (let count = this.#random.pick([1, 1, 5]); count > 0; count--) counter.sendRaw();
    else
      for (let count = this.#random.pick([1, 1, 1, 4]); count > 0; count--) counter.send(this.#random.pick(FLAVOURS));
  }

  /** One flush or several; some are given up. */
  #flush(host: Host, group: string): void {
    for (let count = this.#random.pick([1, 1, 3]); count > 0; count--) {
      const counter = host.counter(group);
      const abandon = counter?.flush(this.#random.chance(0.3) ? this.#random.between(1, 3) : undefined);
      if (abandon === undefined || !this.#random.chance(0.2)) continue;
      const isMember = (): boolean => host.counter(group) === counter;
      this.#world.at(this.#world.now + this.#random.pick([0, 1, 30]), () => isMember() && abandon(), host.name);
    }
  }

  /** Asks all members or some; of a few questions it is known that not all will answer, and those who do not are accused. */
  #ask(host: Host, group: string): void {
    const counter = host.counter(group);
    const members = counter?.view.members ?? [];
    const audience = this.#random.chance(0.25) ? members.filter(() => this.#random.chance(0.5)) : undefined;
    const hopeless = this.#random.chance(0.1);
    const question = { flavour: this.#random.pick(FLAVOURS), wanted: this.#random.pick([1, 2, 1000]), hopeless };
    const query = counter?.query(audience === undefined ? question : { ...question, audience });
    if (query === undefined || !hopeless) return;
    const patienceMs = this.#random.pick([1, 50, 1000]);
    const accuse = (): void => {
      if (host.counter(group) === counter && counter?.accuse(query))
        this.#world.at(this.#world.now + patienceMs, accuse, host.name);
    };
    this.#world.at(this.#world.now + patienceMs, accuse, host.name);
  }

  /** A question that may get lost on its way: nobody is accused, and its caller gives up in the end. */
  #askRaw(host: Host, group: string): void {
    const counter = host.counter(group);
    const hopeless = this.#random.chance(0.1);
    const query = counter?.query({ flavour: RAW, wanted: this.#random.pick([1, 2, 1000]), hopeless });
    const patienceMs = this.#random.pick([1, 50, 1000]);
    const giveUp = (): void => {
      if (host.counter(group) === counter) counter?.giveUp(query ?? 0);
    };
    if (query !== undefined) this.#world.at(this.#world.now + patienceMs, giveUp, host.name);
  }

  /** It comes back later, or the moment it is out, before the others have said goodbye to it. */
  #leaveForAWhile(name: string, group: string): void {
    if (this.#world.isMending) return;
    const host = this.#world.hosts.get(name) as Host;
    const leaver = host.counter(group);
    this.#absent.add(`${name} ${group}`);
    leaver?.leave();
    const awayMs = this.#random.pick([1, 300, 3000]);
    this.#world.after(awayMs, () => this.#absent.delete(`${name} ${group}`));
    if (awayMs === 1 && leaver !== undefined) this.#comeBack(host, leaver, group, OUT_WITHIN_MS);
  }

  /** Once, even if it was told to leave again while it was leaving. */
  #comeBack(host: Host, leaver: Counter, group: string, triesMax: number): void {
    if (triesMax === 0 || host.counter(group) !== leaver || host.status !== "primary" || host.closing) return;
    const members = host.driver?.process.cluster.directory.named(group)?.members ?? [];
    if (members.includes(host.id)) this.#world.after(1, () => this.#comeBack(host, leaver, group, triesMax - 1));
    else this.#world.join(host.name, group).isTalkative = true;
  }
}
