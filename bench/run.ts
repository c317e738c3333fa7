/**
 * `npm run bench [WORD...]`: the claims about speed, each as a ratio to a baseline of the same run; those whose name has
 * one of the words, or all. `coterie bench` measures anything else.
 */
import { latencyRound, medianRound, type Round, throughputRound } from "../src/edge/bench/compare.ts";
import type { Work } from "../src/edge/bench/task.ts";

interface Claim {
  readonly name: string;
  readonly kind: "throughput" | "latency";
  readonly work: Partial<Work>;
  /** The ratio is at least so high (throughput), or at most (latency). */
  readonly expected: number;
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

const CLAIMS: readonly Claim[] = [
  { name: "orderedSend, 100 B, all send", kind: "throughput", work: {}, expected: 0.3 },
  { name: "send, 100 B, one sends", kind: "throughput", work: { flavour: "send", senders: 1 }, expected: 0.3 },
  { name: "safeSend, 100 B, all send", kind: "throughput", work: { flavour: "safeSend" }, expected: 0.2 },
  { name: "orderedSend, 1 KB, all send", kind: "throughput", work: { bytes: 1024 }, expected: 0.3 },
  { name: "orderedSend, typed, all send", kind: "throughput", work: { api: "typed", bytes: 10 }, expected: 0.2 },
  {
    name: "send, 1 MB, one sends",
    kind: "throughput",
    work: { flavour: "send", senders: 1, bytes: 1e6 },
    expected: 0.2,
  },
  { name: "orderedSend, one in flight", kind: "latency", work: {}, expected: 8 },
  { name: "safeSend, one in flight", kind: "latency", work: { flavour: "safeSend" }, expected: 10 },
];

const ROUNDS = 3;

async function judge({ name, kind, work, expected }: Claim): Promise<void> {
  const whole = { ...COMMON, ...work };
  const rounds: Round<unknown>[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    rounds.push(await (kind === "throughput" ? throughputRound(whole) : latencyRound(whole)));
  }
  const ratio = medianRound(rounds)?.ratio ?? Number.NaN;
  const holds = kind === "throughput" ? ratio >= expected : ratio <= expected;
  const sign = kind === "throughput" ? "≥" : "≤";
  console.log(
    `${name.padEnd(32)} ratio ${ratio.toFixed(2).padStart(6)}   ${sign} ${expected}: ${holds ? "holds" : "does not hold"}`,
  );
  console.log(JSON.stringify({ claim: name, kind, ratio: Number(ratio.toFixed(3)), expected, holds }));
}

const words = process.argv.slice(2);
const isWanted = (name: string): boolean => words.length === 0 || words.some((word) => name.includes(word));
for (const claim of CLAIMS) if (isWanted(claim.name)) await judge(claim);
if (isWanted("log")) await import("./log.ts");
