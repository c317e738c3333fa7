import { describe, expect, test } from "vitest";
import { Histogram } from "./histogram.ts";

describe("Histogram", () => {
  test("percentiles are right to two parts in a hundred, over all durations", () => {
    const histogram = new Histogram();
    for (let value = 1; value <= 100_000; value++) histogram.add(value);
    for (const part of [0.01, 0.5, 0.99, 0.999]) {
      expect(Math.abs(histogram.percentile(part) / (part * 100_000) - 1)).toBeLessThan(0.021);
    }
    expect(histogram.total).toBe(100_000);
  });

  test("mean and deviation", () => {
    const histogram = new Histogram();
    for (const value of [900, 1100, 900, 1100]) histogram.add(value);
    const { mean, deviation } = histogram.spread();
    expect(mean).toBeGreaterThan(980);
    expect(mean).toBeLessThan(1020);
    expect(deviation).toBeGreaterThan(80);
    expect(deviation).toBeLessThan(120);
  });

  test("adding two is as if all had been added to one, also when they were sent in between", () => {
    const [one, other, both] = [new Histogram(), new Histogram(), new Histogram()];
    for (let value = 1; value < 500; value++) {
      (value % 3 === 0 ? one : other).add(value);
      both.add(value);
    }
    one.addAll(JSON.parse(JSON.stringify(other.counts)) as number[]);
    expect(one.counts).toEqual(both.counts);
  });

  test("an empty one has no percentiles, and nothing is too short or too long", () => {
    expect(new Histogram().percentile(0.5)).toBe(0);
    expect(new Histogram().spread()).toEqual({ mean: 0, deviation: 0 });
    const histogram = new Histogram();
    histogram.add(0);
    histogram.add(1e15);
    expect(histogram.total).toBe(2);
  });
});
