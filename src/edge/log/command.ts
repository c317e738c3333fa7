/**
 * `coterie log inspect DIR` and `coterie log verify DIR`: what a node's log on disk holds, and whether all of it is intact.
 * Both only read; the node need not run, and should not.
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { CLUSTER_KEY_VARIABLE, DATA_KEY_VARIABLE, dataKeysOf } from "../../group/credentials.ts";
import { CoterieError } from "../../group/errors.ts";
import { blocksBytes, logName } from "../../runtime/log/batch.ts";
import { Folder } from "../../runtime/log/folder.ts";
import { type Recovered, recover } from "../../runtime/log/recovery.ts";
import { hasDataKey, readDataKey } from "../../runtime/secure/data-key.ts";
import { RecordSeal, SALT_BYTES } from "../../runtime/secure/sealed-log.ts";
import { EXIT, type Exit, exitHelp } from "../exit.ts";
import { count, figure, Output, wrap } from "../output.ts";
import { type Contents, contentsOf } from "./contents.ts";

/** So many positions are shown. */
const UNOPENED_SHOWN = 10;

interface Options {
  readonly dataKey?: string;
  readonly json?: boolean;
}

export function addLog(program: Command): void {
  const log = program.command("log").description("Look at a node's log on disk.");
  const wrong = exitHelp("acknowledged records are damaged");
  const dataKey = [
    "--data-key <file>",
    `what a sealed log is sealed with; default: ${DATA_KEY_VARIABLE} or ${CLUSTER_KEY_VARIABLE}`,
  ] as const;
  log
    .command("inspect <directory>")
    .description("Show what a log holds: which records of which groups, and where they are.")
    .option(...dataKey)
    .option("--json", "print one JSON object")
    .addHelpText("after", wrong)
    .action((directory: string, options: Options) => {
      process.exitCode = show(directory, options, true);
    });
  log
    .command("verify <directory>")
    .description("Read all of a log, and say whether every acknowledged record is intact.")
    .option(...dataKey)
    .option("--json", "print one JSON object")
    .addHelpText("after", wrong)
    .action((directory: string, options: Options) => {
      process.exitCode = show(directory, options, false);
    });
}

function show(directory: string, { json = false, dataKey }: Options, isWhole: boolean): Exit {
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
  const lost = damage.map(({ from, to }) => ({ from, to }));
  const isSealed = hasDataKey(path);
  const seal = isSealed ? sealOf(path, dataKey) : undefined;
  const contents = isWhole || seal !== undefined ? contentsOf(segments, floor, seal) : undefined;
  const unopened = contents?.unopened ?? [];
  const ok = lost.length === 0 && unopened.length === 0;
  const opened = isSealed ? { sealed: true, opened: seal !== undefined, unopened } : { sealed: false };
  const summary = { directory: path, id: logName(id), ok, floor, next: nextPosition, damage: lost, ...opened };
  output.record(isWhole ? { ...contents, ...summary, segments: used, spares: spares.length } : summary);
  const { bold, dim, red, green } = output.colours;
  output.line(`\n${bold(`coterie log ${isWhole ? "inspect" : "verify"}`)}  ${dim(path)}\n`);
  output.line(
    `  log ${logName(id)}: records ${figure(floor)} to ${figure(nextPosition - 1)} in ${count(used.length, "segment")}`,
  );
  if (isSealed && seal === undefined) output.line("  It is sealed: with --data-key its records are opened, too.");
  if (isWhole && contents !== undefined) {
    tell(output, contents, logName(id));
    output.line(dim("\n  segments"));
    for (const { number, file, first, next, batches, bytes } of used) {
      const records = next === 0 ? "empty" : `records ${figure(first)} to ${figure(next - 1)}`;
      output.line(
        `  ${bold(String(number).padStart(6))}  ${records} in ${figure(batches)} batches, ${figure(bytes)} bytes  ${dim(file)}`,
      );
    }
    output.line(`  ${dim(count(spares.length, "spare segment"))}`);
  }
  for (const { from, to } of lost) output.line(red(`  records ${figure(from)} to ${figure(to - 1)} are damaged`));
  if (unopened.length > 0) {
    const some = unopened.slice(0, UNOPENED_SHOWN).map(figure).join(", ");
    output.line(red(`  ${count(unopened.length, "record")} cannot be opened with the key: ${some}`));
  }
  output.line(
    ok
      ? green("\n  All acknowledged records are intact.")
      : "\n  What is damaged is never served; the node gets what it lacks from other nodes.",
  );
  return ok ? EXIT.ok : EXIT.wrong;
}

function tell(output: Output, { kinds, groups, view }: Contents, disk: string): void {
  const { bold, dim } = output.colours;
  if (view !== undefined) {
    const names = view.nodes.map((node) => (node.disk === disk ? bold(node.id) : node.id));
    output.line(`\n  The last view of the cluster ${view.cluster} is number ${view.number}:`);
    for (const line of wrap(names.join(", "), output.columns - 4)) output.line(`    ${line}`);
    const own = view.nodes.find((node) => node.disk === disk);
    if (own !== undefined) output.line(dim(`    this disk is that of ${own.id}`));
  }
  table(output, [
    ["records", "number", "bytes"],
    ...Object.entries(kinds).map(([kind, { records, bytes }]) => [kind, figure(records), figure(bytes)]),
  ]);
  table(output, [
    ["groups", "epochs", "packets", "messages", "bytes", "others"],
    ...groups.map(({ group, name, epochs, packets, messages, others }) => [
      group === 0 ? "(the cluster)" : name === "" ? `number ${group}` : name,
      epochs === undefined ? "" : epochs[0] === epochs[1] ? `${epochs[0]}` : `${epochs[0]} to ${epochs[1]}`,
      figure(packets.records),
      figure(messages),
      figure(packets.bytes),
      Object.entries(others)
        .map(([kind, { records }]) => `${records} ${kind}`)
        .join(", "),
    ]),
  ]);
}

/** What opens a sealed log; undefined when no key is given. */
function sealOf(path: string, dataKey: string | undefined): RecordSeal | undefined {
  const { setting, keys } = dataKeysOf(dataKey === undefined ? {} : { dataKey });
  if (keys.length === 0) return undefined;
  const found = readDataKey(path, keys);
  if (found !== undefined) return new RecordSeal(found, new Uint8Array(SALT_BYTES));
  throw new CoterieError("invalid-option", `${setting}: ${path} is sealed with another key`, {
    remedy: "Give the key that the node has.",
  });
}

/** The first column, and a last one of words, begin at the left; figures end at the right. */
function table(output: Output, rows: readonly (readonly string[])[]): void {
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  output.line("");
  for (const [index, row] of rows.entries()) {
    const cells = row.map((cell, column) => {
      if (column === 0) return cell.padEnd(width(column));
      return column === 5 ? cell : cell.padStart(width(column));
    });
    const line = `  ${cells.join("  ")}`.trimEnd();
    output.line(index === 0 ? output.colours.dim(line) : line);
  }
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
