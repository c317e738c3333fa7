/**
 * `npm run bench [-- WORD...]`: the claims about speed, each next to a baseline of the same run; those whose name has one of
 * the words, or all. A claim has what must hold, and what is aimed at. `coterie bench` measures anything else.
 */
import {
  type Baseline,
  durableRound,
  type Latency,
  latencyRound,
  medianRound,
  type Round,
  type Throughput,
  throughputRound,
} from "../src/edge/bench/compare.ts";
import type { Work } from "../src/edge/bench/task.ts";

interface Claim {
  readonly name: string;
  readonly work: Partial<Work>;
  readonly unit: "ratio" | "ms" | "MB";
  /** Whether larger values are better. */
  readonly isMore: boolean;
  readonly must: number;
  readonly aim: number;
  readonly rounds: number;
  readonly round: (work: Work, round: number) => Promise<Round<Measured>>;
  readonly value: (round: Round<Measured>) => number;
}

interface Measured {
  readonly perSecond: number;
  readonly cpuNsPerDelivery: number;
}

const COMMON: Work = {
  members: 3,
  senders: 3,
  bytes: 100,
  api: "bytes",
  flavour: "orderedSend",
  seconds: 3,
  perSecond: 0,
  oneInFlight: false,
};

const ROUNDS = 3;
const DURABLE = { flavour: "safeSend", durable: true } as const;

/** The ratio of messages, or of bytes, in a second: at least so high. */
function throughput(name: string, must: number, aim: number, work: Partial<Work>, against: Baseline = "plain"): Claim {
  const round = (whole: Work, turn: number) => throughputRound(whole, against, turn);
  return { name, work, unit: "ratio", isMore: true, must, aim, rounds: ROUNDS, round, value: ({ ratio }) => ratio };
}

/** The ratio of medians to a round trip on TCP: at most so high. */
function latency(name: string, must: number, aim: number, work: Partial<Work>): Claim {
  const whole = { ...work, senders: 1 };
  return {
    name,
    work: whole,
    unit: "ratio",
    isMore: false,
    must,
    aim,
    rounds: ROUNDS,
    round: latencyRound,
    value: ({ ratio }) => ratio,
  };
}

const CLAIMS: readonly Claim[] = [
  throughput("send, 100 B, one sends", 0.6, 0.8, { flavour: "send", senders: 1 }),
  throughput("orderedSend, 100 B, all send", 0.5, 0.8, {}),
  throughput("orderedSend, 100 B, all send, batched", 0.5, 0.75, { api: "batch" }),
  throughput("orderedSend, 1 KB, all send", 0.6, 0.8, { bytes: 1024 }),
  throughput("orderedSend, 1 KB, all send, sealed to clear", 0.5, 0.65, { bytes: 1024, secure: true }, "clear"),
  throughput("safeSend, 100 B, all send, to orderedSend", 0.7, 0.95, { flavour: "safeSend" }, "orderedSend"),
  throughput("orderedSend, a string and a number", 0.6, 0.85, { api: "typed", bytes: 10 }),
  throughput("send, 1 MB, one sends", 0.6, 0.8, { flavour: "send", senders: 1, bytes: 1e6 }),
  latency("orderedSend, one in flight", 4, 2, {}),
  latency("safeSend, one in flight", 5, 3, { flavour: "safeSend" }),
  latency("query of all, one in flight", 4, 2.5, { flavour: "query" }),
  throughput("safeSend, 1 KB, all send, durable, to raw logs", 0.5, 0.8, { ...DURABLE, bytes: 1024 }, "disk"),
  {
    name: "safeSend, one in flight, durable, to memory and disk",
    work: { ...DURABLE, senders: 1 },
    unit: "ratio",
    isMore: false,
    must: 1,
    aim: 0.8,
    rounds: ROUNDS,
    round: durableRound,
    value: ({ ratio }) => ratio,
  },
  {
    name: "orderedSend, 100,000 a second, 99 %",
    work: { perSecond: 33_333 },
    unit: "ms",
    isMore: false,
    must: 10,
    aim: 5,
    rounds: ROUNDS,
    round: latencyRound,
    value: ({ group }) => (group as Latency).p99 / 1000,
  },
  {
    name: "memory that 60 s of saturation add",
    work: { seconds: 60 },
    unit: "MB",
    isMore: false,
    must: 64,
    aim: 32,
    rounds: 1,
    round: (work) => throughputRound({ ...work, seconds: 60 }),
    value: ({ group }) => (group as Throughput).rssGrowthBytes / 1e6,
  },
];

interface Judged {
  readonly claim: string;
  readonly unit: Claim["unit"];
  readonly measured: number;
  readonly must: number;
  readonly aim: number;
  readonly verdict: "reached" | "holds" | "fails";
  readonly deliveredPerSecond: number;
  readonly baselinePerSecond: number;
  readonly cpuNsPerDelivery: number;
}

async function judge({ name, work, unit, isMore, must, aim, rounds, round, value }: Claim): Promise<Judged> {
  const whole = { ...COMMON, ...work };
  const done: Round<Measured>[] = [];
  for (let turn = 0; turn < rounds; turn++) {
    const measured = await round(whole, turn);
    done.push({ ...measured, ratio: value(measured) });
  }
  const { ratio: measured, group, baseline } = medianRound(done) as Round<Measured>;
  const reaches = (limit: number): boolean => (isMore ? measured >= limit : measured <= limit);
  return {
    claim: name,
    unit,
    measured: Number(measured.toFixed(3)),
    must,
    aim,
    verdict: reaches(aim) ? "reached" : reaches(must) ? "holds" : "fails",
    deliveredPerSecond: group.perSecond,
    baselinePerSecond: baseline.perSecond,
    cpuNsPerDelivery: group.cpuNsPerDelivery,
  };
}

function line({ claim, unit, measured, must, aim, verdict }: Judged, isMore: boolean): string {
  const sign = isMore ? "≥" : "≤";
  const text = (value: number): string => `${value}${unit === "ratio" ? "" : ` ${unit}`}`;
  const limits = `must ${sign} ${text(must)}`.padEnd(16) + `aim ${sign} ${text(aim)}`.padEnd(14);
  return `${claim.padEnd(52)}${text(Number(measured.toFixed(2))).padStart(10)}   ${limits}${verdict}`;
}

const words = process.argv.slice(2);
const isWanted = (name: string): boolean => words.length === 0 || words.some((word) => name.includes(word));
const judged: Judged[] = [];
for (const claim of CLAIMS) {
  if (!isWanted(claim.name)) continue;
  const outcome = await judge(claim);
  judged.push(outcome);
  console.log(line(outcome, claim.isMore));
}
if (isWanted("log")) await import("./log.ts");
if (judged.length > 0) console.log(JSON.stringify({ claims: judged }));
