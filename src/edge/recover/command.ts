/**
 * `coterie recover DIR`: for the day on which a quorum of the nodes is gone for good, with its disks. Without `--force` it
 * only says what would be done, and what may be lost.
 */
import { randomBytes } from "node:crypto";
import { constants, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { CLUSTER_KEY_VARIABLE, DATA_KEY_VARIABLE, dataKeysOf } from "../../group/credentials.ts";
import { CoterieError } from "../../group/errors.ts";
import { recordFrame } from "../../protocol/journal-records.ts";
import { Directory, keepersOf } from "../../protocol/membership/directory.ts";
import { forced } from "../../protocol/membership/forced.ts";
import { DataDirectory, DataDirectoryError } from "../../runtime/data-directory.ts";
import { intact } from "../../runtime/log/intact.ts";
import { SEGMENT_NAME } from "../../runtime/log/recovery.ts";
import { recollect } from "../../runtime/recollection.ts";
import { DATA_KEY_FILE } from "../../runtime/secure/data-key.ts";
import { EXIT, type Exit, exitHelp } from "../exit.ts";
import { Output } from "../output.ts";

interface Options {
  readonly force?: boolean;
  readonly dataKey?: string;
  readonly json?: boolean;
}

export function addRecover(program: Command): void {
  program
    .command("recover <directory>")
    .description("Let a cluster go on from one data directory when most others are gone for good.")
    .option("--force", "do it; without this nothing is changed")
    .option(
      "--data-key <file>",
      `what the directory is sealed with; default: ${DATA_KEY_VARIABLE} or ${CLUSTER_KEY_VARIABLE}`,
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", exitHelp("nothing was changed, because --force was not given"))
    .action(async (directory: string, options: Options) => {
      process.exitCode = await recoverFrom(resolve(directory), options);
    });
}

async function recoverFrom(path: string, { force = false, json = false, dataKey }: Options): Promise<Exit> {
  const output = new Output(json);
  const { keys } = dataKeysOf(dataKey === undefined ? {} : { dataKey });
  let data = await open(path, keys);
  try {
    const memory = recollect(data.log).cluster;
    const cluster = randomBytes(8).toString("hex");
    const records = forced(memory, data.id, cluster);
    const { installed } = memory;
    if (records === undefined || installed === undefined) {
      throw new CoterieError("invalid-option", `${path} is of a node that was never in a cluster`, {
        remedy: "Start the node: it needs no recovery.",
      });
    }
    const { view } = installed.decided;
    const own = view.nodes.find(({ disk }) => disk === data.id)?.id ?? "";
    const groups = [...(Directory.restore(installed.snapshot)?.groups ?? [])].map((group) => ({
      name: group.name,
      here: group.durable && keepersOf(group).some(({ disk }) => disk === data.id),
    }));
    const backup = force ? backUp(path) : undefined;
    if (force) {
      if (data.log.damage.length > 0) data = await rewritten(path, data, keys);
      for (const record of records) data.log.append(recordFrame(record));
      await data.vacate();
    }
    const before = { id: view.cluster, view: view.number, nodes: view.nodes.map(({ id }) => id) };
    output.record({ directory: path, node: own, done: force, before, cluster, groups, backup });
    tell(output, path, own, before, groups, backup);
    return force ? EXIT.ok : EXIT.wrong;
  } finally {
    await data.close();
  }
}

function tell(
  output: Output,
  path: string,
  own: string,
  { id, view, nodes }: { readonly id: string; readonly view: number; readonly nodes: readonly string[] },
  groups: readonly { readonly name: string; readonly here: boolean }[],
  backup: string | undefined,
): void {
  const { bold, dim, red } = output.colours;
  const others = nodes.filter((each) => each !== own);
  const names = (here: boolean): string =>
    groups
      .filter((group) => group.here === here)
      .map(({ name }) => name)
      .join(", ");
  output.line(`\n${bold("coterie recover")}  ${dim(path)}\n`);
  output.paragraph(
    `${own} was last in view ${view} of the cluster ${id}, with ${others.join(" and ") || "nobody else"}.`,
  );
  output.line("");
  output.line(red("  What may be lost, for good:"));
  output.paragraph(
    "- every message that others have delivered since this disk was last written to, also safe ones;",
    4,
  );
  output.paragraph("- every view and every group that came after that;", 4);
  const gone = names(false);
  if (gone !== "") output.paragraph(`- the state of groups that this disk does not keep: ${gone}.`, 4);
  const here = names(true);
  if (here !== "") {
    output.line("");
    output.paragraph(`What goes on from here, as far as this disk has it: ${here}.`);
  }
  output.line("");
  if (backup === undefined) {
    output.paragraph("Do this only if a quorum of these nodes will never come back: otherwise start them, and wait.");
    output.line("");
    output.paragraph("Nothing was changed. Run it again with --force to go on from this directory alone.");
  } else {
    output.paragraph(
      "Done: this directory alone is the cluster now, under a new id. Start its node, and then others on new directories; " +
        "nodes on the old ones are refused.",
    );
    output.line(`  ${dim(`as it was before: ${backup}`)}`);
  }
}

async function open(path: string, keys: readonly Uint8Array[]): Promise<DataDirectory> {
  const hasLog = existsSync(path) && readdirSync(path).some((name) => SEGMENT_NAME.test(name));
  if (!hasLog) {
    throw new CoterieError("invalid-option", `${path} is no data directory`, {
      remedy: "Name the `dataDir` of a node.",
    });
  }
  try {
    return await DataDirectory.openAsItIs(path, { keys });
  } catch (cause) {
    if (!(cause instanceof DataDirectoryError)) throw cause;
    throw new CoterieError("invalid-option", cause.message, {
      cause,
      remedy: cause.code === "sealed" ? "Give its `--data-key`." : "Close the node, or choose another one.",
    });
  }
}

/** Writes what is intact of a damaged log as a new one with the same id. */
async function rewritten(path: string, data: DataDirectory, keys: readonly Uint8Array[]): Promise<DataDirectory> {
  const { id } = data.log;
  const records = [...intact(data.log)];
  await data.close();
  for (const name of readdirSync(path)) if (SEGMENT_NAME.test(name)) rmSync(join(path, name));
  const fresh = await DataDirectory.openAsItIs(path, { id, keys });
  for (const [, record] of records) fresh.log.append(record);
  await fresh.vacate();
  return fresh;
}

/** Copies the log to a new folder beside it. */
function backUp(path: string): string {
  let number = 1;
  while (existsSync(`${path}.before-${number}`)) number++;
  const backup = `${path}.before-${number}`;
  mkdirSync(backup, { mode: 0o700 });
  for (const name of readdirSync(path)) {
    if (SEGMENT_NAME.test(name) || name === DATA_KEY_FILE)
      copyFileSync(join(path, name), join(backup, name), constants.COPYFILE_FICLONE);
  }
  return backup;
}
