/**
 * Comparisons of a group with what the machine does without any protocol, each pair measured right after the other. The
 * figure that lasts is the ratio of a pair; the median of the rounds is taken.
 */
import { type Measurement, measure } from "./measure.ts";
import type { Work } from "./task.ts";

export interface Round<F> {
  readonly ratio: number;
  readonly group: F;
  readonly baseline: F;
}

export interface Throughput {
  readonly perSecond: number;
  readonly cpuNsPerDelivery: number;
  readonly rssBytes: number;
}

/** In microseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly mean: number;
  readonly deviation: number;
}

/** Messages a second at each member: a group's, to those of frames on plain TCP among as many processes. */
export async function throughputRound(work: Work): Promise<Round<Throughput>> {
  const baseline = await measure("raw", { ...work, perSecond: 0 });
  const group = await measure("group", work);
  return { ratio: group.perSecond / baseline.perSecond, group, baseline };
}

/**
 * One message in flight: from the call to its result at the sender; for `send` and `causalSend`, whose results are there at
 * once, to the handlers of the others. With a rate: from when a message was due to the handlers of all. To the round trip
 * of as many bytes between two processes.
 */
export async function latencyRound(work: Work): Promise<Round<Latency>> {
  const pingPong = { ...work, members: 2, senders: 1, perSecond: 0, oneInFlight: true };
  const baseline = latencyOf((await measure("raw", pingPong)).result);
  const measured = await measure("group", { ...work, oneInFlight: work.perSecond === 0 });
  const isEarly = work.flavour === "send" || work.flavour === "causalSend";
  const group = latencyOf(work.perSecond > 0 || isEarly ? measured.arrival : measured.result);
  return { ratio: group.p50 / baseline.p50, group, baseline };
}

/** The round with the median ratio. */
export function medianRound<F>(rounds: readonly Round<F>[]): Round<F> | undefined {
  return rounds.toSorted((a, b) => a.ratio - b.ratio)[Math.floor(rounds.length / 2)];
}

function latencyOf(histogram: Measurement["result"]): Latency {
  const { mean, deviation } = histogram.spread();
  return {
    p50: histogram.percentile(0.5),
    p99: histogram.percentile(0.99),
    p999: histogram.percentile(0.999),
    mean,
    deviation,
  };
}
