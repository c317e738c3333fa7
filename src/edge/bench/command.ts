/**
 * `coterie bench throughput` and `coterie bench latency`: what a group on this machine does, next to what the machine does
 * without any protocol in the same run. Every member is a process of its own.
 */
import { type Command, Option } from "commander";
import { EXIT, type Exit, exitHelp } from "../exit.ts";
import { wholeNumber } from "../options.ts";
import { figure, Output } from "../output.ts";
import {
  BASELINES,
  type Baseline,
  durableRound,
  type Latency,
  latencyRound,
  medianRound,
  type Round,
  type Throughput,
  throughputRound,
} from "./compare.ts";
import { addFigures } from "./figures/command.ts";
import { APIS, type Api, FLAVOURS, LATENCIES, type Way, type Work } from "./task.ts";

interface Options {
  readonly flavour: Way;
  readonly against: Baseline;
  readonly size: number;
  readonly members: number;
  readonly senders?: number;
  readonly api: Api;
  readonly perSecond: number;
  readonly seconds: number;
  readonly secure?: boolean;
  readonly durable?: boolean;
  readonly acceptors?: number;
  readonly rounds: number;
  readonly json?: boolean;
}

export function addBench(program: Command): void {
  const bench = program
    .command("bench")
    .description("Measure groups on this machine, as a ratio to what it does without any protocol.");
  common(bench.command("throughput"), FLAVOURS)
    .description("Messages a second, to frames on plain TCP among as many processes, or to another flavour.")
    .addOption(new Option("--against <baseline>", "what it is compared with").choices(BASELINES).default("plain"))
    .action(async (options: Options) => {
      process.exitCode = await throughput(options);
    });
  common(bench.command("latency"), LATENCIES)
    .description(
      "How long a message takes, to a round trip on plain TCP; with --durable to the same in memory and two writes to disk.",
    )
    .action(async (options: Options) => {
      process.exitCode = await latency(options);
    });
  addFigures(bench);
}

function common(command: Command, ways: readonly Way[]): Command {
  return command
    .addOption(new Option("--flavour <flavour>", "how it is sent").choices(ways).default("orderedSend"))
    .option("--size <bytes>", "of a message", wholeNumber("--size", 1, 16 * 1024 * 1024), 100)
    .option("--members <count>", "processes", wholeNumber("--members", 2, 64), 3)
    .option(
      "--senders <count>",
      "how many of them send, if not one is in flight (default: all)",
      wholeNumber("--senders", 1, 64),
    )
    .addOption(
      new Option("--api <api>", "views of bytes, borrowed or kept, batches of such, or a string and a number")
        .choices(APIS)
        .default("bytes"),
    )
    .option(
      "--per-second <count>",
      "messages a second from each sender, come what may; 0: no such rate",
      wholeNumber("--per-second", 0, 10_000_000),
      0,
    )
    .option("--seconds <count>", "how long each measurement takes", wholeNumber("--seconds", 1, 3600), 3)
    .option("--secure", "the group is secure, over TLS 1.3; a clear one is measured with --against clear")
    .option(
      "--durable",
      "the group is durable, on the disk of the working directory; --against disk: to plain logs there",
    )
    .option(
      "--acceptors <count>",
      "for so many disks a durable group waits (default: all)",
      wholeNumber("--acceptors", 1, 64),
    )
    .option("--rounds <count>", "of which the median is taken", wholeNumber("--rounds", 1, 99), 3)
    .option("--json", "print one JSON object")
    .addHelpText("after", exitHelp("never"));
}

async function throughput(options: Options): Promise<Exit> {
  const output = new Output(options.json === true);
  const work = workOf(options);
  title(output, "throughput", work);
  const round = await median(
    options.rounds,
    output,
    (round) => throughputRound(work, options.against, round),
    throughputLine,
  );
  if (round === undefined) return EXIT.failed;
  const { ratio, group, baseline } = round;
  output.line(`\n  ${output.colours.bold(`ratio ${ratio.toFixed(2)}`)}`);
  output.record({
    ratio: Number(ratio.toFixed(3)),
    deliveredPerSecond: group.perSecond,
    baselinePerSecond: baseline.perSecond,
    cpuNsPerDelivery: group.cpuNsPerDelivery,
    baselineCpuNsPerDelivery: baseline.cpuNsPerDelivery,
    rssBytesMax: group.rssBytes,
    rssGrowthBytesMax: group.rssGrowthBytes,
    against: options.against,
    ...work,
  });
  return EXIT.ok;
}

async function latency(options: Options): Promise<Exit> {
  const output = new Output(options.json === true);
  const work = workOf(options.perSecond > 0 ? options : { ...options, senders: 1 });
  title(output, "latency", work);
  const measure = work.durable === true && work.perSecond === 0 ? durableRound : latencyRound;
  const against = measure === durableRound ? "in memory, and two writes" : "round trip";
  const round = await median(
    options.rounds,
    output,
    (round) => measure(work, round),
    (round) => latencyLine(round, against),
  );
  if (round === undefined) return EXIT.failed;
  const { ratio, group, baseline } = round;
  output.line(`\n  ${output.colours.bold(`ratio ${ratio.toFixed(2)}`)} of the medians`);
  output.record({
    ratio: Number(ratio.toFixed(3)),
    deliveredPerSecond: group.perSecond,
    baselinePerSecond: baseline.perSecond,
    cpuNsPerDelivery: group.cpuNsPerDelivery,
    microseconds: times(group),
    baselineMicroseconds: times(baseline),
    ...work,
  });
  return EXIT.ok;
}

function workOf({
  flavour,
  size,
  members,
  senders = members,
  api,
  perSecond,
  seconds,
  secure,
  durable,
  acceptors,
}: Options): Work {
  return {
    flavour,
    bytes: size,
    members,
    senders: Math.min(senders, members),
    api,
    perSecond,
    seconds,
    oneInFlight: false,
    secure: secure === true,
    durable: durable === true || acceptors !== undefined,
    ...(acceptors === undefined ? {} : { acceptors }),
  };
}

async function median<F>(
  rounds: number,
  output: Output,
  measured: (round: number) => Promise<Round<F>>,
  line: (round: Round<F>) => string,
): Promise<Round<F> | undefined> {
  const done: Round<F>[] = [];
  while (done.length < rounds) {
    output.progress(`  round ${done.length + 1} of ${rounds}`);
    const round = await measured(done.length);
    done.push(round);
    output.line(`  ${line(round)}`);
  }
  return medianRound(done);
}

function title(
  output: Output,
  what: string,
  { flavour, bytes, members, senders, perSecond, secure, durable, acceptors }: Work,
): void {
  const { bold, dim } = output.colours;
  const rate = perSecond > 0 ? `, ${figure(perSecond)} a second from each` : "";
  const kind = `${secure === true ? ", secure" : ""}${durable === true ? `, durable on ${acceptors ?? "all"} disks` : ""}`;
  const said = `${flavour}, ${figure(bytes)} bytes, ${senders} of ${members} send${rate}${kind}`;
  output.line(`\n${bold(`coterie bench ${what}`)}  ${dim(said)}\n`);
}

function throughputLine({ ratio, group, baseline }: Round<Throughput>): string {
  const each = ({ perSecond, cpuNsPerDelivery }: Throughput): string =>
    `${figure(perSecond)} a second at each member, ${figure(cpuNsPerDelivery)} ns of CPU each`;
  return `group: ${each(group)}\n  other: ${each(baseline)}   ratio ${ratio.toFixed(2)}`;
}

function latencyLine({ ratio, group, baseline }: Round<Latency>, against: string): string {
  const { p50, p99, p999, deviation } = group;
  const parts = [
    `median ${figure(p50)} µs`,
    `99 % ${figure(p99)} µs`,
    `99.9 % ${figure(p999)} µs`,
    `deviation ${figure(deviation)} µs`,
  ];
  return `${parts.join(", ")}; ${against} ${figure(baseline.p50)} µs   ratio ${ratio.toFixed(2)}`;
}

function times({ p50, p99, p999, mean, deviation }: Latency): Readonly<Record<string, number>> {
  const entries = Object.entries({ p50, p99, p999, mean, deviation });
  return Object.fromEntries(entries.map(([name, value]) => [name, Number(value.toFixed(1))]));
}
