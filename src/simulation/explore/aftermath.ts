/**
 * What becomes of a configuration in which nothing is under way any more: nothing else goes wrong, time passes, and all
 * must end up in one view with equal states (M5). One order of what happens then is enough: it is a question about the
 * configuration, whether it is stuck.
 */
import type { HistoryEvent } from "../../protocol/history.ts";
import type { Configuration } from "./configuration.ts";
import { signal } from "./signals.ts";

export interface Aftermath {
  readonly end: Configuration;
  readonly events: readonly HistoryEvent[];
  /** What is not as it should be, for people; undefined when all have converged. */
  readonly unsettled: string | undefined;
  /** What the code itself found wrong. */
  readonly broken: string | undefined;
}

const STEP_MS = 125;
const ROUNDS_MAX = 240;
const STEPS_MAX = 100_000;

export function aftermathOf(configuration: Configuration): Aftermath {
  const events: HistoryEvent[] = [];
  let now = Math.max(...configuration.locals.map((local) => local.now));
  let at = configuration.healed();
  for (let round = 0; ; round++) {
    const settled = settle(at, events);
    at = settled.end;
    if (settled.broken !== undefined) return { end: at, events, unsettled: undefined, broken: settled.broken };
    const unsettled = unsettledIn(at);
    if (unsettled === undefined || round === ROUNDS_MAX) return { end: at, events, unsettled, broken: undefined };
    now += STEP_MS;
    for (const node of at.survivors) {
      const { step, make } = at.take(node, signal({ kind: "pass", to: now }));
      if (step.broken !== undefined) return { end: at, events, unsettled: undefined, broken: step.broken };
      events.push(...step.events);
      at = make();
    }
  }
}

/** Delivers what is under way, in some order, until nothing is. */
export function settle(
  configuration: Configuration,
  events: HistoryEvent[],
): { readonly end: Configuration; readonly broken: string | undefined } {
  let at = configuration;
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    const next = at.choices().find(({ act }) => act === undefined);
    if (next === undefined) return { end: at.withoutTheEnded(), broken: undefined };
    if (next.step?.broken !== undefined) return { end: at, broken: next.step.broken };
    events.push(...(next.step?.events ?? []));
    at = next.make();
  }
  return { end: at, broken: "messages do not end" };
}

function unsettledIn(at: Configuration): string | undefined {
  const running = at.survivors;
  const [first] = running.map((node) => at.locals[node]?.cluster);
  if (first === undefined) return undefined;
  const all = running.map((node) => at.cast.automata[node]?.options.self.id).sort();
  const members: number[] = [];
  for (const node of running) {
    const local = at.locals[node];
    if (local?.status !== "primary") return `node ${node} is ${local?.status} in view ${local?.cluster.number}`;
    const { number, nodes } = local.cluster;
    if (number !== first.number || nodes !== all.join()) return `node ${node} is in view ${number} of ${nodes}`;
    if (local.wantsGroup) members.push(node);
  }
  const ids = members.map((node) => at.cast.automata[node]?.options.self.id).sort();
  const [expected] = members.map((node) => at.locals[node]?.group);
  for (const node of members) {
    const group = at.locals[node]?.group;
    if (group?.members !== ids.join())
      return `node ${node} is in view ${group?.number} of ${group?.members} in the group`;
    if (group.number !== expected?.number || group.digest !== expected.digest)
      return `node ${node} is at view ${group.number} state ${group.digest}, others at ${expected?.number} ${expected?.digest}`;
    if (group.pending > 0) return `node ${node} awaits a flush`;
  }
  return undefined;
}
