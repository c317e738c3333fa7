/**
 * One link of the simulated network: two directions, each with two lanes that are FIFO by themselves, and the rule by which
 * frames are held back on their way.
 */
import { Deque } from "../base/deque.ts";
import type { Slab } from "../base/slabs.ts";
import type { Lane } from "../runtime/ports.ts";

export const LANES = ["bulk", "control"] as const;

export interface LinkRule {
  cut: boolean;
  /** Added to the latency of every frame. */
  delayMs: number;
  /** Added for frames in the bulk lane: control frames overtake them. */
  bulkDelayMs: number;
  jitterMs: number;
}

export interface Frame {
  readonly bytes: Uint8Array;
  readonly lane: Lane;
  /** Retained until the frame has arrived. */
  readonly memory: Slab | undefined;
}

/** One direction of a link. */
export class Direction {
  readonly waiting = new Deque<Frame>();
  /** When what was sent last in a lane arrives: nothing overtakes it there. */
  readonly freeAt = { control: 0, bulk: 0 };
  readonly inFlight = { control: new Deque<Frame>(), bulk: new Deque<Frame>() };
  /** Bumped when the connection is lost: what was in flight is sent again after the link is up. */
  connection = 0;
  backlogBytes = 0;
  readonly rule: LinkRule;

  constructor(rule: LinkRule) {
    this.rule = rule;
  }

  /** What is under way does not arrive: it waits again, before what waits already. */
  recall(): void {
    this.connection++;
    for (const lane of LANES) {
      const frames = this.inFlight[lane];
      for (let frame = frames.pop(); frame !== undefined; frame = frames.pop()) this.waiting.unshift(frame);
    }
  }
}

/** A link between two incarnations: `a` and `b` in the order of their ids. */
export interface LinkBetween<End> {
  readonly ends: readonly [End, End];
  readonly directions: readonly [Direction, Direction];
  up: boolean;
  broken: boolean;
  /** The end that has crashed, while what it had sent still arrives. */
  lastWordsOf: 0 | 1 | undefined;
}
