/**
 * One episode of the torture: from all members together, through some faults at once or one after the other, until the
 * faults are over and whoever is missing has been started again. What may be lost for good in one episode is bounded: of
 * the nodes that decide, enough stay for a quorum, or nothing could be demanded of them.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../src/base/random.ts";
import type { Cast } from "./cast.ts";
import { flip, tear } from "./damage.ts";
import type { Member } from "./member.ts";

export const FAULTS = [
  "kill",
  "pause",
  "stall",
  "halves",
  "one-way",
  "partial",
  "reset",
  "slow",
  "loss",
  "leave",
  "visit",
] as const;

/** Only of nodes with disks; one of the last two while its process does not run. */
const DISK_FAULTS = ["fall", "flip", "tear"] as const;

export type Fault = (typeof FAULTS)[number] | (typeof DISK_FAULTS)[number];

/** How often each is chosen. */
const WEIGHTS: { readonly [F in (typeof FAULTS)[number]]: number } = {
  kill: 3,
  pause: 3,
  stall: 3,
  halves: 2,
  "one-way": 2,
  partial: 2,
  reset: 2,
  slow: 2,
  loss: 1,
  leave: 1,
  visit: 2,
};

const KILL_CHANCE = 0.8;
/** How often an episode of durable groups is the failure of all. */
const FALL_CHANCE = 0.4;
const DAMAGE_CHANCE = 0.6;
const DECIDING_MAX = 5;
const LEAVE_MS_MAX = 8000;

export class Episode {
  readonly #cast: Cast;
  readonly #random: Random;
  readonly #names: readonly string[];
  readonly #count: (fault: Fault) => void;
  /** How many deciding nodes may still be taken out. */
  #spare: number;
  #killed = false;

  /** `names` are those that should be there; the rest of the cast visits. */
  constructor(cast: Cast, random: Random, names: readonly string[], count: (fault: Fault) => void) {
    this.#cast = cast;
    this.#random = random;
    this.#names = names;
    this.#count = count;
    this.#spare = Math.floor((Math.min(names.length, DECIDING_MAX) - 1) / 2);
  }

  async play(signal: AbortSignal): Promise<void> {
    const random = this.#random;
    if (this.#cast.isDurable && random.chance(FALL_CHANCE)) {
      await this.#fall();
      return;
    }
    const faults = Array.from({ length: random.between(1, 3) }, () => this.#choose());
    // The deaths of processes are what this is about.
    if (random.chance(KILL_CHANCE)) faults.splice(random.below(faults.length + 1), 0, "kill");
    const begun: Promise<void>[] = [];
    for (const fault of faults) {
      begun.push(this.#strike(fault));
      // Mostly one meets what the other has left.
      if (random.chance(0.7)) await sleep(random.between(0, 700));
      signal.throwIfAborted();
    }
    await Promise.all(begun);
    await sleep(random.between(0, 500));
    for (const member of this.#cast.running) if (member.isPaused) member.resume();
    this.#cast.network.heal();
    this.#cast.lossPercent = 0;
    const missing = this.#names.filter((name) => this.#cast.absent.includes(name));
    await Promise.all(missing.map((name) => this.#cast.enter(name)));
  }

  /** All die, at once or one after the other, one disk may suffer, and all come back, in any order. */
  async #fall(): Promise<void> {
    const random = this.#random;
    this.#count("fall");
    const fallen = shuffled(this.#cast.running, random);
    const apartMs = random.chance(0.5) ? 0 : random.between(1, 1000);
    const dying = fallen.map(async (member, index) => {
      await sleep(index * apartMs);
      await this.#cast.kill(member);
    });
    await Promise.all(dying);
    const [first] = fallen;
    // Those that fall later may have gone on without it, and the last be the only one that has everything.
    if (first !== undefined && random.chance(DAMAGE_CHANCE)) this.#damage(first.name);
    const names = shuffled(fallen.map(nameOf), random);
    for (const name of new Set([...names, ...this.#names])) {
      await this.#cast.enter(name);
      if (random.chance(0.3)) await sleep(random.between(0, 2000));
    }
  }

  /** Harms the log of a node that does not run. */
  #damage(name: string): void {
    const kind = this.#random.chance(0.6) ? "flip" : "tear";
    if ((kind === "flip" ? flip : tear)(this.#cast.dataOf(name), this.#random)) this.#count(kind);
  }

  #choose(): Fault {
    let number = this.#random.below(FAULTS.reduce((sum, fault) => sum + WEIGHTS[fault], 0));
    for (const fault of FAULTS) {
      number -= WEIGHTS[fault];
      if (number < 0) return fault;
    }
    return "kill";
  }

  async #strike(fault: Fault): Promise<void> {
    const random = this.#random;
    const { network } = this.#cast;
    const { running } = this.#cast;
    const victim = random.pick(running);
    switch (fault) {
      case "kill":
        if (!this.#mayKill()) return;
        this.#count(fault);
        await this.#cast.kill(victim);
        if (this.#cast.isDurable && random.chance(DAMAGE_CHANCE / 2)) this.#damage(victim.name);
        // Some come back at once, in the midst of the others' view change.
        if (this.#names.includes(victim.name) && random.chance(0.5)) await this.#cast.enter(victim.name);
        return;
      case "pause":
        if (victim.isPaused || !this.#take(1)) return;
        this.#count(fault);
        victim.pause();
        await sleep(random.between(50, 3000));
        if (victim.isRunning) victim.resume();
        return;
      case "stall":
        this.#count(fault);
        victim.tell({ kind: "stall", ms: random.between(20, 1200) });
        return;
      case "halves":
      case "one-way": {
        const few = this.#take(2) ? 2 : 1;
        if (few === 1 && !this.#take(1)) return;
        this.#count(fault);
        const side = shuffled(running, random).slice(0, few).map(nameOf);
        const others = running.map(nameOf).filter((name) => !side.includes(name));
        const [from, to] = random.chance(0.5) ? [side, others] : [others, side];
        network.cut(from, to, fault === "halves" ? "both" : "one-way");
        await this.#whileCut();
        return;
      }
      case "partial": {
        const [one, other] = shuffled(running, random);
        if (one === undefined || other === undefined || !this.#take(1)) return;
        this.#count(fault);
        network.cut([one.name], [other.name]);
        await this.#whileCut();
        return;
      }
      case "reset":
        this.#count(fault);
        network.dropConnections();
        return;
      case "slow":
        this.#count(fault);
        network.slow(victim.name, random.between(5, 300));
        return;
      case "loss":
        this.#count(fault);
        this.#cast.lossPercent = random.between(5, 100);
        return;
      case "leave":
        if (victim.isPaused || !this.#take(1)) return;
        this.#count(fault);
        await this.#cast.leave(victim, LEAVE_MS_MAX);
        return;
      case "visit":
        await this.#visit();
        return;
      default:
    }
  }

  /** Somebody comes, and somebody who is too many goes: in good order, or not. */
  async #visit(): Promise<void> {
    const visitor = this.#cast.running.find(({ name }) => !this.#names.includes(name));
    const guest = this.#cast.absent.find((name) => !this.#names.includes(name));
    if (visitor !== undefined && this.#take(1)) {
      this.#count("visit");
      if (this.#random.chance(0.5)) await this.#cast.leave(visitor, LEAVE_MS_MAX);
      else await this.#cast.kill(visitor);
    } else if (guest !== undefined) {
      this.#count("visit");
      await this.#cast.enter(guest);
    }
  }

  async #whileCut(): Promise<void> {
    const random = this.#random;
    await sleep(random.chance(0.3) ? random.between(50, 1000) : random.between(1000, 3000));
  }

  /** One kill goes together with anything: those who are only out of reach come back. */
  #mayKill(): boolean {
    if (this.#take(1)) {
      this.#killed = true;
      return true;
    }
    if (this.#killed || this.#names.length < DECIDING_MAX) return false;
    this.#killed = true;
    return true;
  }

  #take(nodes: number): boolean {
    if (nodes > this.#spare) return false;
    this.#spare -= nodes;
    return true;
  }
}

function nameOf({ name }: Member): string {
  return name;
}

function shuffled<T>(values: readonly T[], random: Random): T[] {
  const left = [...values];
  return values.map(() => left.splice(random.below(left.length), 1)[0] as T);
}
