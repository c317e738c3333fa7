/**
 * `coterie demo`: three processes, one of them killed and restarted under load, and what became of the updates.
 * Whatever happens, no process and no file of it stays; only when something is wrong the journals do.
 */
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { CoterieError, describe } from "../../group/errors.ts";
import { EXIT, type Exit, exitHelp } from "../exit.ts";
import { wholeNumber } from "../options.ts";
import { Output } from "../output.ts";
import { Course } from "./course.ts";
import { makeCredentials, SECURITIES, type Security } from "./credentials.ts";
import { judge } from "./outcome.ts";
import { NAMES } from "./prices.ts";
import { DemoError } from "./processes.ts";
import { report } from "./report.ts";
import { Timeline } from "./timeline.ts";

interface Options {
  readonly seconds: number;
  readonly secure?: Security | true;
  readonly json?: boolean;
}

const SECONDS_DEFAULT = 9;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export function addDemo(program: Command): void {
  program
    .command("demo")
    .description("Run three processes under load, kill one, restart it, and see what became of every update.")
    .option("--seconds <count>", "how long there is traffic", wholeNumber("--seconds", 3, 45), SECONDS_DEFAULT)
    .addOption(
      new Option(
        "--secure [with]",
        "the members prove themselves, and all is encrypted; default: certificates",
      ).choices(SECURITIES),
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", exitHelp("something was lost, duplicated, out of order, different or late; it is named"))
    .action(async (options: Options) => {
      process.exitCode = await demo(options);
    });
}

async function demo({ seconds, secure, json = false }: Options): Promise<Exit> {
  const output = new Output(json);
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  for (const signal of SIGNALS) process.on(signal, interrupt);
  const folder = await makeFolder();
  const timeline = new Timeline(output, NAMES);
  const security = secure === true ? "certificates" : secure;
  const credentials = security && makeCredentials(security, folder);
  const course = new Course({ folder, credentials, seconds, timeline, signal: interruption.signal });
  let isKept = false;
  // Also when this process ends in the midst of it, because nobody reads its output any more.
  const tidy = (): void => {
    course.killAll();
    if (!isKept) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  process.once("exit", tidy);
  try {
    introduce(output, security);
    const failure = await play(course, interruption.signal);
    if (interruption.signal.aborted) {
      output.error(new CoterieError("aborted", "the demo was interrupted", { remedy: "Nothing of it remains." }));
      return EXIT.interrupted;
    }
    const judged = judge(course, { seconds, security: security ?? "none" }, failure);
    isKept = !judged.outcome.ok;
    report(judged, isKept ? folder : undefined, output);
    return judged.outcome.ok ? EXIT.ok : EXIT.wrong;
  } finally {
    for (const signal of SIGNALS) process.off(signal, interrupt);
    process.off("exit", tidy);
    tidy();
  }
}

/** Why the course ended early, or undefined; when it resolves no process runs any more. */
async function play(course: Course, signal: AbortSignal): Promise<string | undefined> {
  try {
    await course.play();
    return undefined;
  } catch (problem) {
    if (problem instanceof DemoError) return problem.message;
    if (signal.aborted) return "interrupted";
    throw problem;
  } finally {
    await course.end();
  }
}

function introduce(output: Output, security: Security | undefined): void {
  output.line(`\n${output.colours.bold("coterie demo")}\n`);
  output.paragraph(
    "Three processes on this machine hold the same prices, and all of them change prices all the time. One is killed " +
      "in the midst of it, and comes back. Below, time runs downwards, with a column for each of them.",
  );
  if (security !== undefined) {
    const proof = security === "key" ? "a cluster key" : "certificates on both sides";
    output.paragraph(`Connections are TLS 1.3 with ${proof}; the group is sealed, with a key of its own.`);
  }
  output.line();
}

async function makeFolder(): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), "coterie-demo-"));
  } catch (cause) {
    throw new CoterieError("invalid-option", `no folder can be made in ${tmpdir()}: ${describe(cause)}`, { cause });
  }
}
