/** Feeds a target with mutated examples, and says which it does not bear. */
import { Random } from "../../src/base/random.ts";
import { mutated } from "./mutate.ts";
import type { Target } from "./targets.ts";

export interface Found {
  readonly target: string;
  readonly problem: string;
  /** What it was fed with, in hexadecimal digits. */
  readonly bytes: string;
}

/** Longer than any input may take, on a machine with other work to do. */
const HANG_MS = 5000;

/** Up to `count` inputs, or until the time is up; how many there were, and the first that was not borne. */
export function fuzz(target: Target, count: number, seed: number, until = Number.POSITIVE_INFINITY): [number, Found?] {
  const random = new Random(seed);
  const { examples, hasLength } = target;
  for (let done = 0; done < count; done++) {
    if (done % 256 === 0 && performance.now() > until) return [done];
    const bytes = mutated(random.pick(examples), random.pick(examples), random);
    // Else most changes would stop at the length.
    if (hasLength && bytes.length >= 4 && random.chance(0.7))
      new DataView(bytes.buffer).setUint32(0, bytes.length - 4, true);
    const problem = problemOf(target, bytes);
    if (problem !== undefined)
      return [done + 1, { target: target.name, problem, bytes: Buffer.from(bytes).toString("hex") }];
  }
  return [count];
}

function problemOf(target: Target, bytes: Uint8Array): string | undefined {
  const from = performance.now();
  try {
    const problem = target.judge(bytes);
    if (problem !== undefined) return problem;
  } catch (error) {
    return `it throws: ${String(error)}`;
  }
  return performance.now() - from > HANG_MS ? "it takes too long" : undefined;
}
