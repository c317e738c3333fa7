/**
 * Comparisons of a group with what the machine does without any protocol, or with another flavour: each pair is measured
 * one right after the other, in turns. The figure that lasts is the ratio of a pair; the median of the rounds is taken.
 */
import type { Histogram } from "./histogram.ts";
import { type Measurement, measure } from "./measure.ts";
import { FLAVOURS, type Way, type Work } from "./task.ts";

export interface Round<F> {
  readonly ratio: number;
  readonly group: F;
  readonly baseline: F;
}

export interface Throughput {
  readonly perSecond: number;
  readonly cpuNsPerDelivery: number;
  readonly rssBytes: number;
  readonly rssGrowthBytes: number;
}

/** In microseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly mean: number;
  readonly deviation: number;
  /** What was delivered at each member meanwhile. */
  readonly perSecond: number;
  readonly cpuNsPerDelivery: number;
}

/**
 * What a group is compared with: frames on plain TCP among as many processes, as many that write to files, the group in
 * clear, or a group that sends so.
 */
export const BASELINES = ["plain", "disk", "clear", ...FLAVOURS] as const;
export type Baseline = (typeof BASELINES)[number];

/** A member delivers these to itself at once. */
const EARLY: readonly Way[] = ["rawSend", "send", "causalSend"];

/** Messages a second at each member. In odd rounds the group is measured first. */
export async function throughputRound(work: Work, against: Baseline = "plain", round = 0): Promise<Round<Throughput>> {
  const system = against === "plain" ? "raw" : against === "disk" ? "disk" : "group";
  const other = otherWork(work, against);
  const [group, baseline] = await inTurns(
    round,
    () => measure("group", work),
    () => measure(system, other),
  );
  return { ratio: group.perSecond / baseline.perSecond, group, baseline };
}

function otherWork(work: Work, against: Baseline): Work {
  if (against === "plain" || against === "disk") return { ...work, perSecond: 0 };
  return against === "clear" ? { ...work, secure: false } : { ...work, flavour: against };
}

/**
 * One message in flight: from the call to its result at the sender; for the early flavours, whose results are there at
 * once, to the handlers of the others. With a rate: from when a message was due to the handlers of all. To the round trip
 * of as many bytes between two processes.
 */
export async function latencyRound(work: Work, round = 0): Promise<Round<Latency>> {
  const pingPong: Work = { ...work, members: 2, senders: 1, perSecond: 0, oneInFlight: true };
  const isEarly = EARLY.includes(work.flavour);
  const [group, baseline] = await inTurns(
    round,
    async () => {
      const measured = await measure("group", { ...work, oneInFlight: work.perSecond === 0 });
      return latencyOf(measured, work.perSecond > 0 || isEarly ? measured.arrival : measured.result);
    },
    async () => {
      const measured = await measure("raw", pingPong);
      return latencyOf(measured, measured.result);
    },
  );
  return { ratio: group.p50 / baseline.p50, group, baseline };
}

/**
 * What is sent to a durable group, one in flight: to the same in memory and two synchronous writes of a block, which is what
 * a hop to the disks and back can cost. The baseline is the former, with two writes added.
 */
export async function durableRound(work: Work, round = 0): Promise<Round<Latency>> {
  const ofGroup = async (durable: boolean): Promise<Latency> => {
    const measured = await measure("group", { ...work, durable, oneInFlight: true });
    return latencyOf(measured, measured.result);
  };
  const [group, { memory, writeUs }] = await inTurns(
    round,
    () => ofGroup(true),
    async () => {
      const disk = await measure("disk", { ...work, members: 1, oneInFlight: true });
      return { memory: await ofGroup(false), writeUs: disk.result.percentile(0.5) };
    },
  );
  const baseline = { ...memory, p50: memory.p50 + 2 * writeUs };
  return { ratio: group.p50 / baseline.p50, group, baseline };
}

async function inTurns<A, B>(round: number, first: () => Promise<A>, second: () => Promise<B>): Promise<[A, B]> {
  if (round % 2 === 1) return [await first(), await second()];
  const before = await second();
  return [await first(), before];
}

/** The round with the median ratio. */
export function medianRound<F>(rounds: readonly Round<F>[]): Round<F> | undefined {
  return rounds.toSorted((a, b) => a.ratio - b.ratio)[Math.floor(rounds.length / 2)];
}

function latencyOf({ perSecond, cpuNsPerDelivery }: Measurement, histogram: Histogram): Latency {
  const { mean, deviation } = histogram.spread();
  return {
    p50: histogram.percentile(0.5),
    p99: histogram.percentile(0.99),
    p999: histogram.percentile(0.999),
    mean,
    deviation,
    perSecond,
    cpuNsPerDelivery,
  };
}
