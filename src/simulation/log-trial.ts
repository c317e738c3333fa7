/**
 * A log on a simulated disk, through several lives: a crash between any two steps, torn writes, flipped bits, disks that are
 * full, slow or fail. Whatever happens, three promises hold:
 *
 * - `kept`: what was acknowledged and not given up is there, in each later life; what a flipped bit has damaged is known to be
 *   damaged. Only the last batch, once damaged, cannot be told from one that was torn.
 * - `true`: what is served is what was appended at that position, and nothing is damaged that no bit was flipped in.
 * - `alive`: a disk that is well again takes everything that waits, in a bounded number of steps.
 */
import { Random } from "../base/random.ts";
import { Log } from "../runtime/log/log.ts";
import { SimulatedDisk } from "./disk.ts";

export type LogPromise = "kept" | "true" | "alive";

export interface BrokenPromise {
  readonly promise: LogPromise;
  readonly message: string;
}

const SEGMENT_BYTES = 64 * 1024;
const OPTIONS = { segmentBytes: SEGMENT_BYTES, waitingBytesMax: 256 * 1024, id: [7, 9] as const };
const LIVES = 5;
const ACTIONS_MAX = 60;
const STEPS_MAX = 10_000;

/** The promises that this seed breaks; none, if the log is sound. */
export function tryLog(seed: number): readonly BrokenPromise[] {
  const trial = new Trial(seed);
  for (let life = 1; life <= LIVES && trial.broken.length === 0; life++) trial.live(life);
  return trial.broken;
}

class Trial {
  readonly broken: BrokenPromise[] = [];
  readonly #random: Random;
  readonly #disk: SimulatedDisk;
  #queue: (() => void)[] = [];
  #life = 0;
  /** What was appended, by position; cut off at the end of what a new life finds. */
  #appended: Uint8Array[] = [];
  #acknowledged = 0;
  /** Where batches begin, as far as they were acknowledged. */
  #begins: number[] = [];
  /** Up to here records were given up in any life. */
  #floor = 0;
  /** Each damages one batch at most. */
  #flips = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#disk = new SimulatedDisk({ later: (_, action) => this.#queue.push(action), random: this.#random });
  }

  live(life: number): void {
    this.#life = life;
    const log = this.#open();
    this.#begin(log);
    // Bits flip in some lives only, so that in the others nothing may be damaged that was not before.
    const mayFlip = this.#random.chance(0.3);
    for (let actions = this.#random.between(0, ACTIONS_MAX); actions > 0; actions--) this.#act(log, mayFlip);
    if (this.#random.chance(0.3)) this.#recovers(log);
    if (this.#random.chance(0.5)) this.#check(log);
    log.close();
    this.#disk.crash();
    this.#queue = [];
  }

  #open(): Log {
    return new Log(this.#disk, OPTIONS, {
      persisted: (upTo) => {
        this.#begins.push(this.#acknowledged);
        this.#acknowledged = upTo;
      },
      statusChanged: () => {},
      room: () => {},
      damaged: () => {},
    });
  }

  /** A new life may find more than was acknowledged, but no less; unless the last batch was damaged. */
  #begin(log: Log): void {
    const least = this.#flips > 0 ? (this.#begins.at(-this.#flips) ?? 0) : this.#acknowledged;
    if (log.next < least) {
      this.#breaks("kept", `${log.next} records of ${this.#acknowledged} that were acknowledged are there`);
      return;
    }
    if (log.next > this.#appended.length) this.#breaks("true", `it has records up to ${log.next} that nobody appended`);
    if (log.floor > this.#floor) this.#breaks("kept", `what lies below ${log.floor} was given up by nobody`);
    while ((this.#begins.at(-1) ?? 0) >= log.next && this.#begins.length > 0) this.#begins.pop();
    if (log.next > this.#acknowledged) this.#begins.push(this.#acknowledged);
    this.#appended.length = log.next;
    this.#acknowledged = log.next;
    this.#check(log);
  }

  #act(log: Log, mayFlip: boolean): void {
    const random = this.#random;
    const die = random.below(20);
    if (die < 8) this.#append(log);
    else if (die < 11) log.flush();
    else if (die < 17) this.#step();
    else if (die === 17 && random.chance(0.4)) {
      log.truncate(random.between(log.floor, log.durable));
      this.#floor = Math.max(this.#floor, log.floor);
    } else if (die === 18) this.#trouble(log, mayFlip);
    else if (random.chance(0.2)) log.scrub(() => {});
  }

  #append(log: Log): void {
    const record = new Uint8Array(this.#random.pick([0, 1, 30, 100, 3000, 9000, 20_000, 70_000]));
    record.fill(log.next % 251);
    record.set([log.next, this.#life].slice(0, record.length));
    this.#appended[log.append(record)] = record.slice();
    // The log has a copy.
    record.fill(0xee);
  }

  #trouble(log: Log, mayFlip: boolean): void {
    const random = this.#random;
    const disk = this.#disk;
    switch (random.below(mayFlip ? 4 : 3)) {
      case 0:
        if (random.chance(0.5)) disk.isThin = true;
        else disk.capacityBytes = SEGMENT_BYTES * random.between(2, 5);
        break;
      case 1:
        disk.capacityBytes = Number.POSITIVE_INFINITY;
        disk.isThin = false;
        log.retry();
        break;
      case 2:
        disk.failing = random.chance(0.3);
        break;
      default:
        disk.flip(random.pick(disk.names()) ?? "", random.below(SEGMENT_BYTES));
        this.#flips++;
    }
  }

  #step(): void {
    this.#queue.shift()?.();
  }

  /** The disk is well: what waits comes to it. */
  #recovers(log: Log): void {
    this.#disk.heal();
    log.retry();
    log.flush();
    for (let steps = 0; this.#queue.length > 0 && steps < STEPS_MAX; steps++) this.#step();
    if (log.status === "failed") return;
    if (log.durable < log.next) this.#breaks("alive", `${log.next - log.durable} records are left waiting`);
    if (!log.hasRoom) this.#breaks("alive", "it takes no more");
  }

  #check(log: Log): void {
    const damaged = new Set<number>();
    for (let position = log.floor; position < log.durable; position++) {
      for (const record of log.read(position)) {
        const appended = this.#appended[position];
        if (!isSame(record, appended)) {
          this.#breaks("true", `the record at ${position} is not the one that was appended`);
        }
        position++;
      }
      if (position < log.durable) damaged.add(position);
    }
    for (const position of damaged) {
      const isKnown = log.damage.some(({ from, to }) => from <= position && position < to);
      if (!isKnown) this.#breaks("kept", `the record at ${position} is not there, and not known to be damaged`);
    }
    const batches = new Set([...damaged].map((position) => this.#begins.findLastIndex((begin) => begin <= position)));
    if (batches.size > this.#flips) {
      this.#breaks("true", `${batches.size} batches are damaged, and ${this.#flips} bits were flipped`);
    }
  }

  #breaks(promise: LogPromise, message: string): void {
    this.broken.push({ promise, message: `life ${this.#life}: ${message}` });
  }
}

function isSame(a: Uint8Array, b: Uint8Array | undefined): boolean {
  if (a.length !== b?.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
