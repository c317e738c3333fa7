import { describe, expect, test } from "vitest";
import { ids } from "../../../test/protocol/kit.ts";
import { timing } from "../timing.ts";
import { FailureDetector } from "./failure-detector.ts";

const [a = "", b = "", c = ""] = ids(3);
const times = timing(3000);

/** Watches b and c from 0 on; ticks every 250 ms until `until`, in which time `heard` speak. */
function watching(isMonitored: (id: string) => boolean = () => true): FailureDetector {
  const detector = new FailureDetector(times, 0);
  detector.watch([b, c], isMonitored, () => true, 0);
  return detector;
}

function pass(detector: FailureDetector, from: number, until: number, heard: readonly string[] = []): void {
  for (let now = from; now <= until; now += times.heartbeatMs) {
    detector.tick(now);
    for (const id of heard) detector.heard(id, now);
  }
}

describe("FailureDetector", () => {
  test("silence for the failure time is suspect, any word before that is not", () => {
    const detector = watching();
    pass(detector, 0, 2750, [b]);
    expect(detector.suspected(2999)).toEqual([]);
    expect(detector.suspected(3000)).toEqual([c]);
    detector.heard(c, 3001);
    expect(detector.suspected(3002)).toEqual([]);
    expect(detector.heardAt(c)).toBe(3001);
  });

  test("an address that nobody listens at is suspect at once, until the link is up again", () => {
    const detector = watching();
    detector.linkDown(b, false, 0);
    expect(detector.suspects(b, 1)).toBe(false);
    detector.linkDown(b, true, 0);
    expect(detector.suspects(b, 1)).toBe(true);
    detector.linkUp(b, 2);
    expect(detector.suspects(b, 3)).toBe(false);
  });

  test("after an own pause silence is measured anew", () => {
    const detector = watching();
    pass(detector, 0, 1000, [b, c]);
    detector.tick(9000);
    expect(detector.pauses).toBe(1);
    expect(detector.suspected(9000)).toEqual([]);
    pass(detector, 9250, 11_750);
    expect(detector.suspected(11_999)).toEqual([]);
    expect(detector.suspected(12_000)).toEqual([b, c]);
  });

  test("an own pause does not excuse those who are known to be gone", () => {
    const detector = watching();
    detector.linkDown(b, true, 0);
    detector.tick(9000);
    expect(detector.suspected(9000)).toEqual([b]);
  });

  test("a blocked event loop is told from a dead process: it is suspect after the stall time only", () => {
    const detector = watching();
    for (let now = 250; now <= 20_000; now += 250) {
      detector.tick(now);
      detector.heard(b, now);
      detector.alive(c, now, now);
      expect(detector.suspects(c, now)).toBe(now >= times.stallTimeoutMs);
    }
    detector.heard(c, 20_001);
    expect(detector.suspects(c, 20_002)).toBe(false);
  });

  test("liveness reports of a loop that runs are as good as words", () => {
    const detector = watching();
    for (let now = 250; now <= 20_000; now += 250) {
      detector.tick(now);
      detector.alive(c, 0, now);
    }
    expect(detector.suspects(c, 20_000)).toBe(false);
  });

  test("who sends no heartbeats is not missed while its link is up, nor for the failure time after that", () => {
    const detector = watching((id) => id !== c);
    pass(detector, 0, 60_000, [b]);
    expect(detector.suspects(c, 60_000)).toBe(false);
    detector.linkDown(c, false, 60_000);
    expect(detector.suspects(c, 62_999)).toBe(false);
    expect(detector.suspects(c, 63_000)).toBe(true);
    detector.linkDown(c, true, 63_000);
    expect(detector.suspects(c, 63_000)).toBe(true);
  });

  test("a new view keeps the silence of those who stay, and gives those time whose heartbeats only begin", () => {
    const detector = watching((id) => id !== c);
    pass(detector, 0, 20_000);
    expect(detector.suspected(20_000)).toEqual([b]);
    detector.watch(
      [a, b, c],
      () => true,
      () => true,
      20_000,
    );
    expect(detector.suspected(20_001)).toEqual([b]);
    expect(detector.suspected(22_999)).toEqual([b]);
    expect(detector.suspected(23_000)).toEqual([a, b, c]);
  });

  test("nodes that are not watched are neither suspected nor remembered", () => {
    const detector = watching();
    detector.heard(a, 5);
    detector.alive(a, 0, 5);
    detector.linkUp(a, 5);
    detector.linkDown(a, true, 5);
    expect(detector.suspects(a, 10_000)).toBe(false);
    expect(detector.heardAt(a)).toBe(Number.NEGATIVE_INFINITY);
  });
});
