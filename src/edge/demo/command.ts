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
import { badOption, wholeNumber } from "../options.ts";
import { Output } from "../output.ts";
import { Course } from "./course.ts";
import { makeCredentials, SECURITIES, type Security } from "./credentials.ts";
import { DurableCourse } from "./durable/course.ts";
import { judge as judgeDurable } from "./durable/outcome.ts";
import { report as reportDurable } from "./durable/report.ts";
import { judge } from "./outcome.ts";
import { NAMES } from "./prices.ts";
import { DemoError } from "./processes.ts";
import { report } from "./report.ts";
import { Timeline } from "./timeline.ts";

interface Options {
  readonly seconds: number;
  readonly secure?: Security | true;
  readonly durable?: boolean;
  readonly megabytes?: number;
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
    .option(
      "--durable",
      "keep the updates on disk, kill all three at once, and see what they find when they start again",
    )
    .option(
      "--megabytes <count>",
      "with --durable: write as fast as possible until there are so many on each disk",
      wholeNumber("--megabytes", 1, 1000),
    )
    .option("--json", "print one JSON object")
    .addHelpText("after", exitHelp("something was lost, duplicated, out of order, different or late; it is named"))
    .action(async (options: Options) => {
      if (options.secure !== undefined && options.durable === true)
        throw badOption("--secure", "does not go with --durable");
      if (options.megabytes !== undefined && options.durable !== true)
        throw badOption("--megabytes", "needs --durable");
      process.exitCode = await demo(options);
    });
}

/** What is played, and how it is judged. */
interface Play {
  /** Paragraphs. */
  readonly about: readonly string[];
  readonly course: Playable;
  /** Judges it and tells how it was; whether all is right. `failure`: why it has ended early. */
  readonly conclude: (failure: string | undefined) => boolean;
}

type Playable = Pick<Course, "play" | "stage">;

async function demo(options: Options): Promise<Exit> {
  const output = new Output(options.json ?? false);
  const interruption = new AbortController();
  const { signal } = interruption;
  const interrupt = (): void => interruption.abort();
  for (const each of SIGNALS) process.on(each, interrupt);
  const folder = await makeFolder();
  const { about, course, conclude } = (options.durable === true ? durable : plain)(options, folder, output, signal);
  let isKept = false;
  // Also when this process ends in the midst of it, because nobody reads its output any more.
  const tidy = (): void => {
    course.stage.killAll();
    if (!isKept) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  process.once("exit", tidy);
  try {
    output.line(`\n${output.colours.bold("coterie demo")}\n`);
    for (const paragraph of about) output.paragraph(paragraph);
    output.line();
    const failure = await play(course, signal);
    if (signal.aborted) {
      output.error(new CoterieError("aborted", "the demo was interrupted", { remedy: "Nothing of it remains." }));
      return EXIT.interrupted;
    }
    isKept = !conclude(failure);
    return isKept ? EXIT.wrong : EXIT.ok;
  } finally {
    for (const each of SIGNALS) process.off(each, interrupt);
    process.off("exit", tidy);
    tidy();
  }
}

function plain({ seconds, secure }: Options, folder: string, output: Output, signal: AbortSignal): Play {
  const security = secure === true ? "certificates" : secure;
  const credentials = security && makeCredentials(security, folder);
  const course = new Course({ folder, credentials, seconds, timeline: new Timeline(output, NAMES), signal });
  const about = [
    "Three processes on this machine hold the same prices, and all of them change prices all the time. One is killed " +
      "in the midst of it, and comes back. Below, time runs downwards, with a column for each of them.",
  ];
  if (security !== undefined) {
    const proof = security === "key" ? "a cluster key" : "certificates on both sides";
    about.push(`Connections are TLS 1.3 with ${proof}; the group is sealed, with a key of its own.`);
  }
  return {
    about,
    course,
    conclude: (failure) => {
      const judged = judge(course, { seconds, security: security ?? "none" }, failure);
      report(judged, judged.outcome.ok ? undefined : folder, output);
      return judged.outcome.ok;
    },
  };
}

function durable({ seconds, megabytes }: Options, folder: string, output: Output, signal: AbortSignal): Play {
  const course = new DurableCourse({ folder, seconds, megabytes, timeline: new Timeline(output, NAMES), signal });
  return {
    about: [
      "Three processes on this machine keep one book, each on a disk of its own, and all of them make entries. All three " +
        "are killed at once in the midst of it, and started again. Below, time runs downwards, with a column for each.",
    ],
    course,
    conclude: (failure) => {
      const judged = judgeDurable(course, seconds, failure);
      reportDurable(judged, judged.outcome.ok ? undefined : folder, output);
      return judged.outcome.ok;
    },
  };
}

/** Why the course ended early, or undefined; when it resolves no process runs any more. */
async function play(course: Playable, signal: AbortSignal): Promise<string | undefined> {
  try {
    await course.play();
    return undefined;
  } catch (problem) {
    if (problem instanceof DemoError) return problem.message;
    if (signal.aborted) return "interrupted";
    throw problem;
  } finally {
    await course.stage.end();
  }
}

async function makeFolder(): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), "coterie-demo-"));
  } catch (cause) {
    throw new CoterieError("invalid-option", `no folder can be made in ${tmpdir()}: ${describe(cause)}`, { cause });
  }
}
