/**
 * `coterie log inspect DIR` and `coterie log verify DIR`: what a node's log on disk holds, and whether all of it is intact.
 * Both only read; the node need not run, and should not.
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { CoterieError } from "../../group/errors.ts";
import { blocksBytes } from "../../runtime/log/batch.ts";
import { Folder } from "../../runtime/log/folder.ts";
import { type Recovered, recover } from "../../runtime/log/recovery.ts";
import { EXIT, type Exit, exitHelp } from "../exit.ts";
import { count, figure, Output } from "../output.ts";

interface Options {
  readonly json?: boolean;
}

export function addLog(program: Command): void {
  const log = program.command("log").description("Look at a node's log on disk.");
  const wrong = exitHelp("acknowledged records are damaged");
  log
    .command("inspect <directory>")
    .description("Show the segments of a log, and what each holds.")
    .option("--json", "print one JSON object")
    .addHelpText("after", wrong)
    .action((directory: string, options: Options) => {
      process.exitCode = show(directory, options, true);
    });
  log
    .command("verify <directory>")
    .description("Read all of a log, and say whether every acknowledged record is intact.")
    .option("--json", "print one JSON object")
    .addHelpText("after", wrong)
    .action((directory: string, options: Options) => {
      process.exitCode = show(directory, options, false);
    });
}

function show(directory: string, { json = false }: Options, isWhole: boolean): Exit {
  const output = new Output(json);
  const path = resolve(directory);
  const recovered = read(path);
  const { segments, spares, damage, floor, nextPosition, id } = recovered;
  if (id === undefined) {
    throw new CoterieError("invalid-option", `${path} holds no log`, { remedy: "Name the folder of a node's log." });
  }
  const used = segments.map(({ file, number, first, next, end, batches }) => {
    const bytes = batches.reduce((sum, { bodyBytes }) => sum + blocksBytes(bodyBytes), 0);
    return { number, file: file.name, first, next, batches: batches.length, bytes, end, fileBytes: file.bytes };
  });
  const lost = damage.map(({ from, to, segment, at }) => ({ from, to, segment, at }));
  const ok = lost.length === 0;
  const summary = { directory: path, id: idText(id), ok, floor, next: nextPosition, damage: lost };
  output.record(isWhole ? { ...summary, segments: used, spares: spares.length } : summary);
  const { bold, dim, red, green } = output.colours;
  output.line(`\n${bold(`coterie log ${isWhole ? "inspect" : "verify"}`)}  ${dim(path)}\n`);
  output.line(
    `  log ${idText(id)}: records ${figure(floor)} to ${figure(nextPosition - 1)} in ${count(used.length, "segment")}`,
  );
  if (isWhole) {
    for (const { number, file, first, next, batches, bytes } of used) {
      const records = next === 0 ? "empty" : `records ${figure(first)} to ${figure(next - 1)}`;
      output.line(
        `  ${bold(String(number).padStart(6))}  ${records} in ${figure(batches)} batches, ${figure(bytes)} bytes  ${dim(file)}`,
      );
    }
    output.line(`  ${dim(count(spares.length, "spare segment"))}`);
  }
  for (const { from, to, segment, at } of lost) {
    output.line(
      red(`  records ${figure(from)} to ${figure(to - 1)} are damaged: segment ${segment}, from byte ${figure(at)} on`),
    );
  }
  output.line(
    ok
      ? green("\n  All acknowledged records are intact.")
      : "\n  The node will get these records from a peer when it starts.",
  );
  return ok ? EXIT.ok : EXIT.wrong;
}

function read(path: string): Recovered {
  try {
    return recover(new Folder(path, "read"));
  } catch (error) {
    throw new CoterieError("invalid-option", `${path} cannot be read: ${(error as Error).message}`, {
      remedy: "Name the folder of a node's log.",
    });
  }
}

function idText([high, low]: readonly [number, number]): string {
  return `${high.toString(16).padStart(8, "0")}${low.toString(16).padStart(8, "0")}`;
}
