/**
 * `coterie check`: judges what real processes have written down. Histories of nodes are held against the model;
 * with `--linearizable`, what clients saw of a service is held against an object used by one client at a time.
 */
import { statSync } from "node:fs";
import { type Command, Option } from "commander";
import { CoterieError } from "../../group/errors.ts";
import { SEQUENTIAL_MODELS, type SequentialModelName } from "../../simulation/sequential-models.ts";
import { EXIT, exitHelp } from "../exit.ts";
import { Output } from "../output.ts";
import { checkHistories } from "./histories.ts";
import { checkOperations } from "./operations.ts";
import type { Verdict } from "./verdict.ts";

interface Options {
  readonly settled?: boolean;
  readonly linearizable?: SequentialModelName;
  readonly json?: boolean;
}

export function addCheck(program: Command): void {
  program
    .command("check")
    .description("Judge the histories that processes wrote (start them with COTERIE_HISTORY=directory) by the model.")
    .argument("<paths...>", "files, and directories whose *.jsonl are read")
    .option("--settled", "at the end all was quiet: what is missing there is missing")
    .addOption(
      new Option("--linearizable <object>", "the files are calls of clients: judge them by this object")
        .choices(Object.keys(SEQUENTIAL_MODELS))
        .conflicts("settled"),
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", exitHelp("a promise was broken; it is named"))
    .action((paths: readonly string[], options: Options) => {
      const output = new Output(options.json === true);
      for (const path of paths) mustBeThere(path);
      const { linearizable: name, settled = false } = options;
      const verdict =
        name === undefined ? checkHistories(paths, settled, output) : checkOperations(paths, name, output);
      process.exitCode = EXIT_OF[verdict];
    });
}

const EXIT_OF = { ok: EXIT.ok, wrong: EXIT.wrong, "cannot be judged": EXIT.failed } as const satisfies Record<
  Verdict,
  number
>;

function mustBeThere(path: string): void {
  try {
    statSync(path);
  } catch (cause) {
    throw new CoterieError("invalid-option", `check: there is no ${path}`, { cause });
  }
}
