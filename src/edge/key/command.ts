/**
 * `coterie key new`: makes a cluster key. It goes into a file that only its owner can read, or to where the output goes.
 */
import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { CoterieError } from "../../group/errors.ts";
import { newClusterKey } from "../../runtime/secure/cluster-key.ts";

export function addKey(program: Command): void {
  program
    .command("key")
    .description("Make keys for clusters.")
    .command("new")
    .argument("[file]", "where to write it; the file must not exist. Default: the output")
    .description("Make a random cluster key.")
    .action((file?: string) => {
      const text = `${newClusterKey()}\n`;
      if (file === undefined) process.stdout.write(text);
      else write(file, text);
    });
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: "wx", mode: 0o600 });
  } catch (cause) {
    throw new CoterieError("invalid-option", `a key cannot be written to ${file}: ${(cause as Error).message}`, {
      cause,
      remedy: "Name a file that does not exist, in a directory that does.",
    });
  }
}
