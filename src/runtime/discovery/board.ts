/**
 * The files of a rendezvous directory. A file appears whole and under a name that nobody else took, or not at all, and
 * is never changed or replaced: it is written under another name and linked to its own.
 *
 * That nothing is replaced matters for more than partial reads. A directory listing that runs while a file is replaced
 * may show neither the old nor the new one (tmpfs, btrfs), but it shows every file that is there all the time. What
 * changes is therefore a further file, looked up by its name. The calls are synchronous: files are few and small, and
 * nothing of this process happens between two steps.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { DiscoveryError, errorCode } from "./discovery.ts";

const NAME_LENGTH_MAX = 24;

/** For `publish`. */
export const DURABLE = true;

/** The user's own rendezvous directory for a cluster of this name on this machine; it need not exist yet. */
export function defaultDirectory(clusterName: string): string {
  const owner = process.geteuid?.() ?? userInfo().username;
  const plain = /^[a-z0-9_-]+$/.test(clusterName) && clusterName.length <= NAME_LENGTH_MAX;
  const readable = clusterName.replaceAll(/[^A-Za-z0-9_-]/g, "_").slice(0, NAME_LENGTH_MAX);
  // The suffix keeps names apart that look the same after shortening, and on file systems that ignore case.
  return join(tmpdir(), `coterie-${owner}-${plain ? clusterName : `${readable}.${digest(clusterName).slice(0, 8)}`}`);
}

export function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

export class Board {
  readonly directory: string;
  readonly #writer: string;
  #drafts = 0;

  /** Creates the directory if need be. `writer` is a part of a file name that no other writer uses. */
  constructor(directory: string, writer: string) {
    // The process may change its working directory.
    this.directory = resolve(directory);
    this.#writer = writer;
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw new DiscoveryError("directory", `cannot create "${directory}"`, { cause });
    }
    requireOwn(directory);
  }

  pathOf(name: string): string {
    return join(this.directory, name);
  }

  /** All files that are there from the beginning of the call to its end, and perhaps some others. */
  names(): readonly string[] {
    return readdirSync(this.directory);
  }

  /** The content, or undefined when there is no such file. */
  read(name: string): string | undefined {
    try {
      return readFileSync(this.pathOf(name), "utf8");
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Makes the file; false when there is one of this name. A durable one stays whole if the power fails. */
  publish(name: string, content: string, isDurable = false): boolean {
    const draft = this.pathOf(`${this.#writer}.${this.#drafts++}.draft`);
    const file = openSync(draft, "wx", 0o600);
    try {
      try {
        writeSync(file, content);
        if (isDurable) fsyncSync(file);
      } finally {
        closeSync(file);
      }
      linkSync(draft, this.pathOf(name));
      return true;
    } catch (error) {
      if (errorCode(error) === "EEXIST") return false;
      throw error;
    } finally {
      unlinkSync(draft);
    }
  }

  remove(name: string): void {
    try {
      unlinkSync(this.pathOf(name));
    } catch (error) {
      if (errorCode(error) !== "ENOENT") throw error;
    }
  }

  /** Makes files look used, for those who tidy temporary directories; a missing one is no error. */
  touch(names: readonly string[], at: Date): void {
    for (const path of [this.directory, ...names.map((name) => this.pathOf(name))]) {
      try {
        utimesSync(path, at, at);
      } catch {
        // It is for tidiness only.
      }
    }
  }
}

/** Nobody else may write where this node looks for leave to found, nor lead it elsewhere. */
function requireOwn(directory: string): void {
  const status = lstatSync(directory);
  if (!status.isDirectory()) throw new DiscoveryError("directory", `"${directory}" is not a directory`);
  const user = process.geteuid?.();
  if (user === undefined) return;
  if (status.uid !== user) {
    throw new DiscoveryError("directory", `"${directory}" belongs to user ${status.uid}, this process runs as ${user}`);
  }
  if ((status.mode & 0o022) !== 0) {
    const mode = (status.mode & 0o777).toString(8);
    throw new DiscoveryError("directory", `others may write into "${directory}" (mode ${mode}); use mode 700`);
  }
}
