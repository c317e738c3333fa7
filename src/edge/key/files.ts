/** Files of keys, one a line, as `coterie key` makes and changes them. A change is there as a whole or not at all. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { CoterieError } from "../../group/errors.ts";
import { ClusterKeyError, keysIn, newClusterKey } from "../../runtime/secure/cluster-key.ts";

/** Nodes look at their files every second; in this time they have gone over to a new key. */
export const ROTATION_MS = 10_000;

/** Writes a file that does not exist yet, for its owner's eyes only. Throws `invalid-option`. */
export function createFile(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: "wx", mode: 0o600 });
  } catch (cause) {
    throw problem(`a key cannot be written to ${file}: ${(cause as Error).message}`, {
      cause,
      remedy: "Name a file that does not exist, in a directory that does.",
    });
  }
}

/** Puts a new key in front of the one in the file. Returns how many there are. Throws `invalid-option`. */
export function beginRotation(file: string): number {
  const keys = keysOf(file);
  if (keys.length > 1)
    throw problem(`${file} holds ${keys.length} keys already`, {
      remedy: `Finish the rotation that was begun: coterie key rotate --finish ${file}`,
    });
  return replace(file, [newClusterKey(), ...keys]);
}

/** Leaves only the first key in the file. Returns how many there are. Throws `invalid-option`. */
export function finishRotation(file: string, now: number): number {
  const keys = keysOf(file);
  if (keys.length === 1)
    throw problem(`${file} holds one key only`, { remedy: `Begin with: coterie key rotate ${file}` });
  const sinceMs = now - statSync(file).mtimeMs;
  if (sinceMs >= 0 && sinceMs < ROTATION_MS)
    throw problem(`${file} was changed ${Math.floor(sinceMs / 1000)} s ago, and nodes may not have gone over yet`, {
      remedy: `Wait until all machines have had the file for ${ROTATION_MS / 1000} s.`,
    });
  return replace(file, keys.slice(0, 1));
}

/** The keys in a file, as they are written there. */
function keysOf(file: string): readonly string[] {
  try {
    const text = readFileSync(file, "utf8");
    // Checked: what is no key is not to be copied.
    if (text.trim() === "" || keysIn(text).length === 0) throw new ClusterKeyError("holds no key");
    return text.split(/[\s,]+/).filter((word) => word !== "");
  } catch (cause) {
    throw problem(`${file} is no file of keys: ${(cause as Error).message}`, {
      cause,
      remedy: "Name a file that `coterie key new` has made.",
    });
  }
}

function replace(file: string, keys: readonly string[]): number {
  const draft = `${file}.new`;
  try {
    writeFileSync(draft, `${keys.join("\n")}\n`, { mode: 0o600 });
    const written = openSync(draft, "r");
    fsyncSync(written);
    closeSync(written);
    renameSync(draft, file);
  } catch (cause) {
    rmSync(draft, { force: true });
    throw problem(`${file} cannot be replaced: ${(cause as Error).message}`, { cause, remedy: "Nothing was changed." });
  }
  return keys.length;
}

function problem(text: string, details: { readonly cause?: unknown; readonly remedy: string }): CoterieError {
  return new CoterieError("invalid-option", text, details);
}
