/**
 * A log, and whoever looks after it. A beat finds out whether a write takes too long, looks for room while the disk is
 * full, and, while nobody writes, reads what is on disk a little at a time, so that damage is found while others still have
 * what was there. Whatever an operator should know is told when it begins and when it is over.
 */
import type { Disk, Timers } from "../ports.ts";
import { Log, type LogOptions, type LogStatus } from "./log.ts";
import type { Range } from "./recovery.ts";

/**
 * `slow`: a write takes longer than `SLOW_WRITE_MS`; `full`: there is no room, and writing goes on by itself once there is;
 * `failed`: nothing more is written, until the node starts anew.
 */
export type DiskCondition = LogStatus | "slow";

export interface StorageListener {
  /** Records below this position are on disk. */
  persisted(upTo: number): void;
  /** The log's `hasRoom` holds again. */
  room(): void;
  conditionChanged(condition: DiskCondition, detail: string): void;
  /** Records that were on disk are not intact any more. */
  damaged(range: Range): void;
}

/** How the disk is. */
export interface DiskReport {
  readonly condition: DiskCondition;
  /** "" while it is well. */
  readonly detail: string;
  /** Records from `floor` up to, but not including, `next` are kept. */
  readonly floor: number;
  readonly next: number;
  /** Of the log's files, and of records that are not on disk. */
  readonly bytes: number;
  readonly waitingBytes: number;
  /** Records that are kept and are not intact. */
  readonly damagedRecords: number;
  /** How often all of the log was read through since the start. */
  readonly scrubs: number;
}

const BEAT_MS = 500;
export const SLOW_WRITE_MS = 1000;
/** The disk is not slow any more once it was not for so long. */
const WELL_AGAIN_MS = 10_000;
/** While the disk is full, how often to look for room. */
const RETRY_MS = 5000;
const SCRUB_BYTES_PER_BEAT = 512 * 1024;
const SCRUB_PAUSE_MS = 3_600_000;

export class Storage {
  readonly log: Log;
  readonly #timers: Timers;
  readonly #listener: StorageListener;
  #condition: DiskCondition = "ok";
  #detail = "";
  #cancelBeat: () => void;
  /** What the log had on disk at the last beat, and since when that, and all the time a write, has been so. */
  #durable: number;
  #stuckSince: number | undefined;
  #slowAt = Number.NEGATIVE_INFINITY;
  #retryAt = 0;
  #isScrubbing = false;
  /** What may be read now; less than nothing after a large batch. */
  #scrubBytes = 0;
  #scrubAgainAt = Number.NEGATIVE_INFINITY;
  #scrubs = 0;

  /** Reads the log that is on the disk; throws when it cannot. */
  constructor(disk: Disk, timers: Timers, options: LogOptions, listener: StorageListener) {
    this.#timers = timers;
    this.#listener = listener;
    this.log = new Log(disk, options, {
      persisted: (upTo) => listener.persisted(upTo),
      room: () => listener.room(),
      statusChanged: (status, detail) => this.#change(status, detail),
      damaged: (damage) => listener.damaged(damage),
    });
    this.#durable = this.log.durable;
    this.#cancelBeat = timers.after(BEAT_MS, this.#beat);
  }

  report(): DiskReport {
    const { floor, next, waitingBytes, damage, diskBytes: bytes } = this.log;
    const damagedRecords = damage.reduce((sum, { from, to }) => sum + to - from, 0);
    const scrubs = this.#scrubs;
    return {
      condition: this.#condition,
      detail: this.#detail,
      floor,
      next,
      bytes,
      waitingBytes,
      damagedRecords,
      scrubs,
    };
  }

  /** What waits is not written any more; resolves when nothing is under way. */
  close(): Promise<void> {
    this.#cancelBeat();
    return new Promise((resolve) => this.log.close(resolve));
  }

  #beat = (): void => {
    this.#cancelBeat = this.#timers.after(BEAT_MS, this.#beat);
    const { log } = this;
    const now = this.#timers.now();
    const isIdle = !log.isWriting && log.durable === this.#durable && log.waitingBytes === 0;
    if (!log.isWriting || log.durable !== this.#durable) this.#stuckSince = log.isWriting ? now : undefined;
    else this.#stuckSince ??= now;
    this.#durable = log.durable;
    this.#judgeSpeed(now);
    if (log.status === "full" && now >= this.#retryAt) {
      this.#retryAt = now + RETRY_MS;
      log.retry();
    }
    if (isIdle && log.status === "ok" && now >= this.#scrubAgainAt) this.#scrub();
  };

  #judgeSpeed(now: number): void {
    const stuckMs = now - (this.#stuckSince ?? now);
    if (stuckMs >= SLOW_WRITE_MS) this.#slowAt = now;
    if (this.#condition === "ok" && stuckMs >= SLOW_WRITE_MS) {
      this.#change("slow", `a write has been under way for more than ${SLOW_WRITE_MS} ms`);
    } else if (this.#condition === "slow" && now - this.#slowAt >= WELL_AGAIN_MS) this.#change("ok", "");
  }

  /** So many batches as the allowance of this beat permits, one at a time. */
  #scrub(): void {
    this.#scrubBytes = Math.min(this.#scrubBytes + SCRUB_BYTES_PER_BEAT, SCRUB_BYTES_PER_BEAT);
    const step = (): void => {
      if (this.#scrubBytes <= 0 || this.#isScrubbing) return;
      this.#isScrubbing = true;
      this.log.scrub((bytes) => {
        this.#isScrubbing = false;
        this.#scrubBytes -= bytes;
        if (bytes > 0) step();
        else {
          this.#scrubs++;
          this.#scrubAgainAt = this.#timers.now() + SCRUB_PAUSE_MS;
        }
      });
    };
    step();
  }

  #change(condition: DiskCondition, detail: string): void {
    if (this.#condition === condition) return;
    this.#condition = condition;
    this.#detail = detail;
    this.#listener.conditionChanged(condition, detail);
  }
}
