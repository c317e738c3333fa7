#!/usr/bin/env node
/**
 * The `coterie` command. It parses, hands over to one file per subcommand, and says how things ended: every error is one
 * line, `code: message`, and an exit code of `exit.ts`.
 */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { CoterieError } from "../group/errors.ts";
import { addBench } from "./bench/command.ts";
import { addCheck } from "./check/command.ts";
import { addDemo } from "./demo/command.ts";
import { EXIT, type Exit } from "./exit.ts";
import { addExplore } from "./explore/command.ts";
import { addKey } from "./key/command.ts";
import { addLog } from "./log/command.ts";
import { Output } from "./output.ts";
import { addRecover } from "./recover/command.ts";
import { addSimulate } from "./simulate/command.ts";
import { addStatus } from "./status/command.ts";
import { addWitness } from "./witness/command.ts";

async function main(args: readonly string[]): Promise<void> {
  // Whoever reads our output may stop reading, as `head` does.
  process.stdout.on("error", (error: NodeJS.ErrnoException) =>
    process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failed),
  );
  const program = new Command("coterie")
    .description("Replicated, fault-tolerant process groups: see what they do, and check that they do it.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .configureHelp({ showGlobalOptions: false })
    .configureOutput({ outputError: () => {} })
    .exitOverride();
  addBench(program);
  addDemo(program);
  addKey(program);
  addLog(program);
  addRecover(program);
  addSimulate(program);
  addExplore(program);
  addCheck(program);
  addStatus(program);
  addWitness(program);
  if (args.length === 0) {
    process.stdout.write(program.helpInformation());
    process.exitCode = EXIT.usage;
    return;
  }
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    process.exitCode = ended(error, args.includes("--json"));
  }
}

function ended(error: unknown, json: boolean): Exit {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    const problem = error.message
      .replace(/^error: /, "")
      .replace(/\.$/, "")
      .replaceAll("\n", " ");
    new Output(json).error(new CoterieError("invalid-option", problem, { remedy: "See --help." }));
    return EXIT.usage;
  }
  new Output(json).error(error);
  return error instanceof CoterieError && error.code === "invalid-option" ? EXIT.usage : EXIT.failed;
}

function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}

await main(process.argv.slice(2));
