/**
 * Counts of durations in buckets that are 2 % wide, from 1 microsecond to an hour. Two of them can be added, which
 * percentiles cannot.
 */
const BUCKETS_PER_E_FOLD = 50;
const BUCKETS = 1100;

export class Histogram {
  readonly counts: number[];

  constructor(counts: readonly number[] = new Array<number>(BUCKETS).fill(0)) {
    this.counts = [...counts];
  }

  get total(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  add(microseconds: number): void {
    const bucket = Math.round(Math.log(Math.max(1, microseconds)) * BUCKETS_PER_E_FOLD);
    const index = Math.min(bucket, BUCKETS - 1);
    this.counts[index] = (this.counts[index] ?? 0) + 1;
  }

  addAll(counts: readonly number[]): void {
    for (const [index, count] of counts.entries()) this.counts[index] = (this.counts[index] ?? 0) + count;
  }

  /** The duration, in microseconds, that so large a part of all is below; 0 when there is none. */
  percentile(part: number): number {
    let left = this.total * part;
    if (left === 0) return 0;
    for (const [index, count] of this.counts.entries()) {
      left -= count;
      if (count > 0 && left <= 0) return durationOf(index);
    }
    return durationOf(BUCKETS - 1);
  }

  /** The mean, and the standard deviation from it, in microseconds. */
  spread(): { readonly mean: number; readonly deviation: number } {
    const total = this.total;
    if (total === 0) return { mean: 0, deviation: 0 };
    const moment = (power: number): number =>
      this.counts.reduce((sum, count, index) => sum + count * durationOf(index) ** power, 0) / total;
    const mean = moment(1);
    return { mean, deviation: Math.sqrt(Math.max(0, moment(2) - mean * mean)) };
  }
}

/** What a bucket stands for, in microseconds. */
export function durationOf(index: number): number {
  return Math.exp(index / BUCKETS_PER_E_FOLD);
}
