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
import { hasQuorum } from "../protocol/view.ts";
import { DiscoveryError } from "./discovery/discovery.ts";
import { Lock, LockProbe } from "./discovery/lock.ts";
import { type LogId, logName } from "./log/batch.ts";
import { Folder } from "./log/folder.ts";
import { intact } from "./log/intact.ts";
import type { Log, RecordLog } from "./log/log.ts";
import type { Range } from "./log/recovery.ts";
import { type DiskCondition, type DiskReport, Storage } from "./log/storage.ts";
import { realTimers } from "./real-clock.ts";
import { recollect } from "./recollection.ts";
import { DATA_KEY_FILE, hasDataKey, makeDataKey, openDataKey } from "./secure/data-key.ts";
import { isSealedRecord, RecordSeal, SALT_BYTES, SealedLog } from "./secure/sealed-log.ts";

/** Why a data directory cannot be used. */
export class DataDirectoryError extends Error {
  override readonly name = "DataDirectoryError";
  readonly code: "in-use" | "damaged" | "unusable" | "sealed";

  /** `sealed`: the keys that were given do not open it. */
  constructor(code: DataDirectoryError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface DataDirectoryOptions {
  /** Of a log that is made; default: a random one. */
  readonly id?: LogId;
  readonly keys?: readonly Uint8Array[];
}

/** The incarnation that uses the directory. */
export interface DataUser {
  /** Records below this position are on disk. */
  persisted(upTo: number): void;
  /** After `failed` nothing more will be persisted. */
  diskChanged(condition: DiskCondition, detail: string): void;
  /** These records were on disk, and are not intact any more. */
  damaged(range: Range): void;
}

const SEGMENT_BYTES = 16 * 1024 * 1024;
const WAITING_BYTES_MAX = 64 * 1024 * 1024;
const LOCK_NAME = /^lock-[0-9a-f]{8}$/;

export class DataDirectory {
  readonly path: string;
  readonly #storage: Storage;
  readonly #lock: Lock;
  #sealed: SealedLog | undefined;
  #keys: readonly Uint8Array[];
  #user: DataUser | undefined;
  #waiting: (() => void) | undefined;

  private constructor(path: string, lock: Lock, { id = freshId(), keys = [] }: DataDirectoryOptions) {
    this.path = path;
    this.#lock = lock;
    this.#keys = keys;
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
      damaged: (range) => this.#user?.damaged(range),
    });
  }

  /**
   * Makes the directory if need be, takes its lock and reads its log. With keys a new one is sealed, and one that is sealed
   * is opened by any of them, from then on by the first. Rejects with a `DataDirectoryError`.
   */
  static async open(path: string, keys: readonly Uint8Array[] = []): Promise<DataDirectory> {
    const directory = await DataDirectory.openAsItIs(path, { keys });
    const problem = obstacle(directory);
    if (problem === undefined) return directory;
    await directory.close();
    throw new DataDirectoryError("damaged", `${directory.path}: ${problem}`);
  }

  /** The same, whatever is damaged; an empty log gets this id. */
  static async openAsItIs(path: string, options: DataDirectoryOptions = {}): Promise<DataDirectory> {
    const real = realPath(path);
    const lock = await takeLock(real);
    let directory: DataDirectory | undefined;
    try {
      const stored = storedKey(real, options.keys ?? []);
      directory = new DataDirectory(real, lock, options);
      directory.#open(stored);
      return directory;
    } catch (cause) {
      await (directory?.close() ?? lock.release());
      if (cause instanceof DataDirectoryError) throw cause;
      throw new DataDirectoryError("unusable", `${real} cannot be read`, { cause });
    }
  }

  /** Its records are in clear to those who have the key. */
  get log(): RecordLog {
    return this.#sealed ?? this.#storage.log;
  }

  /** Whether nothing that is recorded can be read on the disk without a key. */
  get isSealed(): boolean {
    return this.#sealed !== undefined;
  }

  /** Whether anything was ever recorded here. */
  get isUsed(): boolean {
    return this.log.next > 0;
  }

  /**
   * From now on the first of these keys opens the directory, if it is sealed; until now one of these did, or of those that it
   * had. Throws a `DataDirectoryError`.
   */
  rekey(keys: readonly Uint8Array[]): void {
    if (!this.isSealed) return;
    try {
      if (openDataKey(this.path, [...keys, ...this.#keys]) === undefined)
        throw new DataDirectoryError("sealed", `${this.path} is sealed with another key`);
    } catch (cause) {
      if (cause instanceof DataDirectoryError) throw cause;
      throw new DataDirectoryError("unusable", `the key of ${this.path} cannot be written anew`, { cause });
    }
    this.#keys = keys;
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

  /** Who is told from now on; at once, if the disk is not well. */
  serve(user: DataUser): void {
    this.#user = user;
    const { condition, detail } = this.report();
    if (condition !== "ok") user.diskChanged(condition, detail);
  }

  /** The lock is held until nothing is on its way to the disk: who opens the directory next finds it at rest. */
  async close(): Promise<void> {
    this.#user = undefined;
    await this.#storage.close();
    await this.#lock.release();
  }

  /** With the key that was stored in it, if there is one. */
  #open(stored: Uint8Array | undefined): void {
    const { log } = this.#storage;
    const dataKey = stored ?? firstKey(this.path, log, this.#keys);
    if (dataKey !== undefined) this.#sealed = new SealedLog(log, new RecordSeal(dataKey, randomBytes(SALT_BYTES)));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }
}

/**
 * Why the node cannot start, if its log is damaged: a promise may have been forgotten, so that its vote in the last view is void
 * (A1), and there is no quorum without it. Otherwise it comes in as others do, and gets from them what is missing.
 */
function obstacle({ log, id, isSealed }: DataDirectory): string | undefined {
  const [damage] = log.damage;
  if (damage === undefined && !isSealed) return undefined;
  const { cluster } = recollect(log);
  const view = cluster.installed?.decided.view;
  const seat = view?.nodes.find(({ disk }) => disk === id)?.id;
  if (cluster.isWhole || view === undefined || hasQuorum(view, (other) => other !== seat)) return undefined;
  const records = damage === undefined ? "some records" : `records ${damage.from} to ${damage.to - 1}`;
  const range = `${records} of its log are not intact`;
  return `${range}, and without this disk there is no quorum of the last view`;
}

/** The key that is in the directory; undefined when there is none. */
function storedKey(path: string, keys: readonly Uint8Array[]): Uint8Array | undefined {
  if (!hasDataKey(path)) return undefined;
  if (keys.length === 0) throw new DataDirectoryError("sealed", `${path} is sealed, and no key was given`);
  const dataKey = openDataKey(path, keys);
  if (dataKey === undefined) throw new DataDirectoryError("sealed", `${path} is sealed with another key`);
  return dataKey;
}

/** The key of a directory that has none in it: a new one if nothing was written there, else none, for that is in clear. */
function firstKey(path: string, log: Log, [key]: readonly Uint8Array[]): Uint8Array | undefined {
  for (const [, record] of intact(log)) {
    if (isSealedRecord(record))
      throw new DataDirectoryError("sealed", `${path} is sealed, and its file ${DATA_KEY_FILE} is missing`);
    break;
  }
  return key === undefined || log.next > 0 ? undefined : makeDataKey(path, key);
}

function freshId(): LogId {
  const words = randomBytes(8);
  return [words.readUInt32LE(0), words.readUInt32LE(4)];
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
