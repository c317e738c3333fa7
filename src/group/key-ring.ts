/**
 * The keys of a node that runs. When a file that holds some of them changes, or the application says so, they are read again,
 * and the node's connections and its data directory go over to them. Keys that cannot be read change nothing.
 */
import { unwatchFile, watchFile } from "node:fs";
import { type DataDirectory, DataDirectoryError } from "../runtime/data-directory.ts";
import { keyFiles } from "../runtime/secure/cluster-key.ts";
import type { Guard } from "../runtime/secure/guard.ts";
import { clusterKeysOf, dataKeysOf } from "./credentials.ts";
import type { Log } from "./diagnostics.ts";
import { CoterieError } from "./errors.ts";
import { type KeySetting, keyProblem, type StartOptions } from "./options.ts";

/** Keys to take in the place of those that `start` was given. */
export interface NodeKeys {
  /** As `secure.clusterKey` of `start`. */
  readonly clusterKey?: KeySetting;
  /** As `dataKey` of `start`. */
  readonly dataKey?: KeySetting;
}

type Settings = Pick<StartOptions, "secure" | "dataKey">;

/** How often files are looked at. */
const WATCH_MS = 1000;

export class KeyRing {
  readonly #guard: Guard | undefined;
  readonly #data: DataDirectory | undefined;
  readonly #log: Log;
  #settings: Settings;
  #files: readonly string[] = [];
  readonly #changed = (): void => {
    const files = this.#files.join(", ");
    try {
      this.rekey();
      this.#log({ level: "info", code: "rekeyed", message: `took the keys that are in ${files} now` });
    } catch (error) {
      this.#log({ level: "error", code: "keys-not-taken", message: `the keys in ${files} were not taken`, error });
    }
  };

  /** The keys that `settings` name are those that the guard and the directory have already. */
  constructor(settings: Settings, guard: Guard | undefined, data: DataDirectory | undefined, log: Log) {
    this.#settings = settings;
    this.#guard = guard;
    this.#data = data;
    this.#log = log;
    this.#watch();
  }

  /** Takes these keys, and for what is not given those that the settings so far name now. Throws `invalid-option`. */
  rekey(keys: NodeKeys = {}): void {
    const settings = this.#with(keys);
    const clusterKeys = clusterKeysOf(settings);
    const dataKeys = dataKeysOf(settings);
    this.#settings = settings;
    this.#watch();
    if (clusterKeys !== undefined) this.#guard?.rekey(clusterKeys.keys);
    try {
      this.#data?.rekey(dataKeys.keys);
    } catch (cause) {
      if (!(cause instanceof DataDirectoryError)) throw cause;
      throw new CoterieError("invalid-option", `${dataKeys.setting}: ${cause.message}`, { cause });
    }
  }

  close(): void {
    for (const file of this.#files) unwatchFile(file, this.#changed);
    this.#files = [];
  }

  #with(keys: NodeKeys): Settings {
    const problem = (why: string): CoterieError => new CoterieError("invalid-option", `rekey: ${why}`);
    for (const [field, value] of Object.entries(keys)) {
      if (field !== "clusterKey" && field !== "dataKey") throw problem(`\`${field}\` is not a key of a node`);
      const wrong = value === undefined ? undefined : keyProblem(value);
      if (wrong !== undefined) throw problem(`\`${field}\` ${wrong}`);
    }
    const { clusterKey, dataKey } = keys;
    if (clusterKey !== undefined && clusterKeysOf(this.#settings) === undefined)
      throw problem("`clusterKey` is given, and the node was started without one");
    if (dataKey !== undefined && this.#data?.isSealed !== true)
      throw problem("`dataKey` is given, and the node has no sealed data directory");
    return {
      ...this.#settings,
      ...(clusterKey === undefined ? {} : { secure: { clusterKey } }),
      ...(dataKey === undefined ? {} : { dataKey }),
    };
  }

  #watch(): void {
    const named = [clusterKeysOf(this.#settings)?.value, dataKeysOf(this.#settings).value];
    const files = [...new Set(named.flatMap((value) => (value === undefined ? [] : keyFiles(value))))];
    for (const file of this.#files) if (!files.includes(file)) unwatchFile(file, this.#changed);
    const fresh = files.filter((file) => !this.#files.includes(file));
    this.#files = files;
    for (const file of fresh) watchFile(file, { interval: WATCH_MS, persistent: false }, this.#changed);
  }
}
