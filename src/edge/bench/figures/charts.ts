/**
 * The three plots: bursts against the size of the group, how steady each way of sending is, and what flushes cost.
 */
import { figure } from "../../output.ts";
import { durationOf, type Histogram } from "../histogram.ts";
import type { BurstTimes, Copies, FlushTimes, Sending } from "./experiments.ts";
import { COPIES, SENDINGS } from "./experiments.ts";
import { COLOURS, legend, logarithmicTicks, Plot } from "./svg.ts";

const milliseconds = (microseconds: number): number => microseconds / 1000;
const timeText = (ms: number): string => (ms >= 1 ? `${ms}` : `${Number(ms.toPrecision(1))}`);

const sendingColour = (sending: Sending): string => COLOURS[SENDINGS.indexOf(sending)] as string;
const copiesColour = (copies: Copies): string => COLOURS[COPIES.indexOf(copies)] as string;

export const copiesName = (copies: Copies): string => (copies === "all" ? "flush()" : `flush({ copies: ${copies} })`);

/** The median of each burst, against the number of members, both logarithmic. */
export function burstChart(bursts: readonly BurstTimes[]): string {
  const sizes = [...new Set(bursts.map(({ members }) => members))];
  const medians = bursts.map(({ times }) => milliseconds(times.percentile(0.5)));
  const plot = new Plot({
    width: 640,
    height: 340,
    x: {
      label: "members",
      low: Math.min(...sizes) / 1.15,
      high: Math.max(...sizes) * 1.15,
      ticks: sizes,
      isLogarithmic: true,
    },
    y: timeAxis("milliseconds, median", Math.min(...medians), Math.max(...medians)),
  });
  for (const sending of SENDINGS) {
    const points = bursts
      .filter((burst) => burst.sending === sending)
      .map(({ members, times }) => [members, milliseconds(times.percentile(0.5))] as const);
    if (points.length > 0) plot.line(points, sendingColour(sending), sending === "send + flush" ? "6 4" : "");
  }
  return `${legend(SENDINGS.map((sending) => [sending, sendingColour(sending)]))}${plot}`;
}

/** For each way of sending: what part of the bursts deviates from their mean by how much. The same axes for all. */
export function jitterCharts(bursts: readonly BurstTimes[]): string {
  const reach = niceAbove(Math.max(...bursts.map(({ times }) => milliseconds(reachOf(times)))));
  return bursts
    .map((each) => `<figure><figcaption>${each.sending}</figcaption>${jitterChart(each, reach)}</figure>`)
    .join("");
}

function jitterChart({ sending, times }: BurstTimes, reach: number): Plot {
  const bins = 41;
  const width = (2 * reach) / bins;
  const { mean } = times.spread();
  const shares = new Array<number>(bins).fill(0);
  for (const [bucket, count] of times.counts.entries()) {
    const deviation = milliseconds(durationOf(bucket) - mean);
    const bin = Math.min(bins - 1, Math.max(0, Math.floor((deviation + reach) / width)));
    shares[bin] = (shares[bin] ?? 0) + count / Math.max(1, times.total);
  }
  const plot = new Plot({
    width: 380,
    height: 210,
    x: {
      label: "milliseconds from the mean",
      low: -reach,
      high: reach,
      ticks: [-reach, -reach / 2, 0, reach / 2, reach],
    },
    y: { label: "part of all", low: 0, high: 0.5, ticks: [0, 0.25, 0.5], format: (part) => `${part * 100} %` },
  });
  for (const [bin, share] of shares.entries()) {
    if (share > 0) plot.bar(-reach + bin * width, -reach + (bin + 1) * width, share, sendingColour(sending));
  }
  return plot;
}

/** How far almost all lie from the mean. */
function reachOf(times: Histogram): number {
  const { mean } = times.spread();
  return Math.max(mean - times.percentile(0.05), times.percentile(0.95) - mean);
}

/** For each size and number of copies: the median as a dot, the middle half as a thick line, 5 % to 95 % as a thin one. */
export function flushChart(flushes: readonly FlushTimes[]): string {
  const sizes = [...new Set(flushes.map(({ members }) => members))];
  const ends = flushes.flatMap(({ times }) => [times.percentile(0.05), times.percentile(0.95)].map(milliseconds));
  const plot = new Plot({
    width: 640,
    height: 340,
    x: {
      label: "members of the shard",
      low: -0.5,
      high: sizes.length - 0.5,
      ticks: sizes.map((_, index) => index),
      format: (index) => `${sizes[index]}`,
    },
    y: timeAxis("milliseconds", Math.min(...ends), Math.max(...ends)),
  });
  for (const { copies, members, times } of flushes) {
    const colour = copiesColour(copies);
    const across = plot.x(sizes.indexOf(members)) + (COPIES.indexOf(copies) - (COPIES.length - 1) / 2) * 18;
    const at = (part: number): number => milliseconds(times.percentile(part));
    plot.range(across, at(0.05), at(0.95), colour, 1.5);
    plot.range(across, at(0.25), at(0.75), colour, 7);
    plot.dot(across, at(0.5), "#222", 3);
  }
  return `${legend(COPIES.map((copies) => [copiesName(copies), copiesColour(copies)]))}${plot}`;
}

/** Median, 95 % and spread, in milliseconds, as a row of a table. */
export function row(times: Histogram): readonly string[] {
  const { mean, deviation } = times.spread();
  return [times.percentile(0.5), times.percentile(0.95), mean, deviation].map((value) =>
    figure(milliseconds(value), 2),
  );
}

export const ROW_TITLES = ["median", "95 %", "mean", "deviation"] as const;

function timeAxis(label: string, low: number, high: number) {
  const [from, to] = [low / 1.3, high * 1.3];
  return { label, low: from, high: to, ticks: logarithmicTicks(from, to), isLogarithmic: true, format: timeText };
}

function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 10].find((step) => step * power >= value) ?? 10) * power;
}
