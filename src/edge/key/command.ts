/**
 * `coterie key new` makes a cluster key, in a file that only its owner can read, or where the output goes. `coterie key rotate`
 * replaces the key in a file by another while nodes use it: first both are there, the new one in front; then only that.
 */
import type { Command } from "commander";
import { newClusterKey } from "../../runtime/secure/cluster-key.ts";
import { Output } from "../output.ts";
import { beginRotation, createFile, finishRotation, ROTATION_MS } from "./files.ts";

const ROTATE_HELP = `
How a key is replaced while the cluster runs:

  1. coterie key rotate FILE            makes a new key, in front of the old one
  2. copy FILE to every machine         within a second the nodes read it again, accept both keys, and go over to the new one
  3. coterie key rotate --finish FILE   takes the old key out, not before ${ROTATION_MS / 1000} s have gone by
  4. copy FILE to every machine         from now on who has only the old key is refused, and cut off

No node is restarted, no view changes, and the order in which machines get the file does not matter; but all must have
that of step 1 before any gets that of step 3. A node that was down meanwhile only needs the file of step 4.
`;

interface RotateOptions {
  readonly finish?: boolean;
  readonly json?: boolean;
}

export function addKey(program: Command): void {
  const key = program.command("key").description("Make keys for clusters and groups, and replace those of clusters.");
  key
    .command("new")
    .argument("[file]", "where to write it; the file must not exist. Default: the output")
    .description("Make a random key.")
    .action((file?: string) => {
      const text = `${newClusterKey()}\n`;
      if (file === undefined) process.stdout.write(text);
      else createFile(file, text);
    });
  key
    .command("rotate")
    .argument("<file>", "the file that the nodes have as `secure.clusterKey` or `dataKey`")
    .option("--finish", "take the old key out of the file")
    .option("--json", "print one JSON object")
    .description("Replace a key by a new one while nodes use it.")
    .addHelpText("after", ROTATE_HELP)
    .action((file: string, { finish = false, json = false }: RotateOptions) => {
      const output = new Output(json);
      const keys = finish ? finishRotation(file, Date.now()) : beginRotation(file);
      output.record({ file, keys });
      output.line(
        finish
          ? `\n  ${file} holds the new key alone. Copy it to every machine: who has only the old one is refused from then on.`
          : `\n  ${file} holds a new key, and the old one behind it. Copy it to every machine; the nodes read it again by\n` +
              `  themselves. After ${ROTATION_MS / 1000} s or more: coterie key rotate --finish ${file}`,
      );
    });
}
