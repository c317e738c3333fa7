/**
 * A node's data directory: one log, and a lock that dies with its process, so that two nodes never write to one log. It
 * outlives the node's incarnations in this process: the next one begins when what the one before has written is on disk.
 *
 * Who takes the lock puts its own lock next to those that are there, and only then looks whether any of them is held: of two
 * that come at the same time at least one sees the other. What a dead process has left is cleared away.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, realpathSync, unlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { DiscoveryError } from "./discovery/discovery.ts";
import { Lock, LockProbe } from "./discovery/lock.ts";
import { logName } from "./log/batch.ts";
import { Folder } from "./log/folder.ts";
import type { Log } from "./log/log.ts";
import { type DiskCondition, type DiskReport, Storage } from "./log/storage.ts";
import { realTimers } from "./real-clock.ts";

/** Why a data directory cannot be used. */
export class DataDirectoryError extends Error {
  override readonly name = "DataDirectoryError";
  readonly code: "in-use" | "damaged" | "unusable";

  constructor(code: "in-use" | "damaged" | "unusable", message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The incarnation that uses the directory. */
export interface DataUser {
  /** Records below this position are on disk. */
  persisted(upTo: number): void;
  /** After `failed` nothing more will be persisted; `damaged`: what was on disk is not intact any more. */
  diskChanged(condition: DiskCondition | "damaged", detail: string): void;
}

const SEGMENT_BYTES = 16 * 1024 * 1024;
const WAITING_BYTES_MAX = 64 * 1024 * 1024;
const LOCK_NAME = /^lock-[0-9a-f]{8}$/;

export class DataDirectory {
  readonly path: string;
  readonly #storage: Storage;
  readonly #lock: Lock;
  #user: DataUser | undefined;
  #waiting: (() => void) | undefined;

  private constructor(path: string, lock: Lock) {
    this.path = path;
    this.#lock = lock;
    const words = randomBytes(8);
    const id = [words.readUInt32LE(0), words.readUInt32LE(4)] as const;
    const options = { segmentBytes: SEGMENT_BYTES, waitingBytesMax: WAITING_BYTES_MAX, id };
    this.#storage = new Storage(new Folder(path), realTimers, options, {
      persisted: (upTo) => {
        this.#user?.persisted(upTo);
        this.#wake();
      },
      room: () => {},
      conditionChanged: (condition, detail) => {
        this.#user?.diskChanged(condition, detail);
        this.#wake();
      },
      damaged: ({ from, to }) => this.#user?.diskChanged("damaged", `records ${from} to ${to - 1}`),
    });
  }

  /** Makes the directory if need be, takes its lock and reads its log. Rejects with a `DataDirectoryError`. */
  static async open(path: string): Promise<DataDirectory> {
    const real = realPath(path);
    const lock = await takeLock(real);
    let directory: DataDirectory;
    try {
      directory = new DataDirectory(real, lock);
    } catch (cause) {
      await lock.release();
      throw new DataDirectoryError("unusable", `${real} cannot be read`, { cause });
    }
    const [damage] = directory.log.damage;
    if (damage === undefined) return directory;
    await directory.close();
    // A1: who may have forgotten a promise does not answer for it.
    const range = `records ${damage.from} to ${damage.to - 1} of its log are not intact`;
    throw new DataDirectoryError("damaged", `${real}: ${range}`);
  }

  /** Whether anything was ever recorded here. */
  get isUsed(): boolean {
    return this.log.next > 0;
  }

  get log(): Log {
    return this.#storage.log;
  }

  report(): DiskReport {
    return this.#storage.report();
  }

  /** Names the disk. */
  get id(): string {
    return logName(this.log.id);
  }

  /** Resolves when nothing of an earlier user is on its way to the disk any more. */
  async vacate(): Promise<void> {
    this.#user = undefined;
    const { log } = this;
    while (log.durable < log.next) {
      if (log.status === "failed") throw new DataDirectoryError("unusable", `the disk of ${this.path} has failed`);
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
        log.flush();
      });
    }
  }

  /** Who is told from now on. */
  serve(user: DataUser): void {
    this.#user = user;
  }

  async close(): Promise<void> {
    this.#user = undefined;
    this.#storage.close();
    await this.#lock.release();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }
}

function realPath(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return realpathSync(path);
  } catch (cause) {
    throw new DataDirectoryError("unusable", `${path} cannot be made`, { cause });
  }
}

async function takeLock(directory: string): Promise<Lock> {
  const probe = new LockProbe();
  // Where locks are no files, one name serves all: it is free again when its process is gone.
  const own = process.platform === "win32" ? "lock" : `lock-${randomBytes(4).toString("hex")}`;
  let lock: Lock;
  try {
    lock = await Lock.hold(socketPath(join(directory, own)));
  } catch (cause) {
    const isHeld = cause instanceof DiscoveryError && cause.field === "id";
    if (isHeld) throw new DataDirectoryError("in-use", `another process uses ${directory}`, { cause });
    throw new DataDirectoryError("unusable", (cause as Error).message, { cause });
  }
  try {
    for (const name of readdirSync(directory)) {
      if (!LOCK_NAME.test(name) || name === own) continue;
      const path = join(directory, name);
      if (await probe.isHeld(socketPath(path)))
        throw new DataDirectoryError("in-use", `another process uses ${directory}`);
      unlinkSync(path);
    }
    return lock;
  } catch (problem) {
    await lock.release();
    throw problem;
  } finally {
    probe.disconnect();
  }
}

/** Paths of sockets are short; what is below the working directory need not say all of it. */
function socketPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short !== "" && Buffer.byteLength(short) < Buffer.byteLength(path) ? short : path;
}
