/**
 * The promises of the model, each with the function that judges a history by it. A history without violations proves
 * nothing but itself; `docs/MODEL.md` says what the promises mean, the files here how they are judged.
 */
import type { HistoryEvent } from "../../protocol/history.ts";
import { arrange } from "./arrange.ts";
import { flushCheckers } from "./flush.ts";
import { membershipCheckers } from "./membership.ts";
import { multicastCheckers } from "./multicast.ts";
import { orderCheckers } from "./order.ts";
import { queryCheckers } from "./query.ts";
import { rawCheckers } from "./raw.ts";
import { recoveryCheckers } from "./recovery.ts";
import type { CheckOptions } from "./run.ts";
import { stateCheckers } from "./state.ts";
import type { Checker, Violation } from "./violation.ts";

export { arrange } from "./arrange.ts";
export type { CheckOptions, Run } from "./run.ts";
export type { Checker, Property, Violation } from "./violation.ts";

export const CHECKERS: readonly Checker[] = [
  ...membershipCheckers,
  ...multicastCheckers,
  ...orderCheckers,
  ...rawCheckers,
  ...flushCheckers,
  ...queryCheckers,
  ...stateCheckers,
  ...recoveryCheckers,
];

/** All violations in a history, in the order of the events at which the promises were broken. */
export function check(history: readonly HistoryEvent[], options: CheckOptions = {}): Violation[] {
  const run = arrange(history, options);
  return CHECKERS.flatMap((checker) => checker.check(run)).sort((a, b) => a.event - b.event);
}
