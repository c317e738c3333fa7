/**
 * A user's definition with its handlers watched. They run as they are, in the surroundings of their process, and what
 * has run is told after each. An update that reads a clock or draws a random number of its own fails the run: at other
 * replicas it would get another.
 */
import { type CompiledDefinition, type GroupDefinition, type Operation, revised } from "../group/define.ts";
import type { QueryContext, UpdateContext, ViewContext } from "../group/operations.ts";
import type { GroupView } from "../protocol/view.ts";
import type { Stage } from "./stage.ts";
import { type Surroundings, within } from "./surroundings.ts";

/** One member's copy of a group. */
export interface ReplicaState<S> {
  /** The name of the node. */
  readonly node: string;
  readonly state: S;
  readonly view: GroupView;
  readonly rank: number;
}

export interface Probe {
  readonly stage: Stage;
  /** The name of the node. */
  readonly node: string;
  readonly surroundings: Surroundings;
  /** The state may have changed. */
  readonly changed: (group: string, replica: ReplicaState<unknown>) => void;
}

export function instrument<G extends GroupDefinition>(definition: G, probe: Probe): G {
  return revised(definition, (inside) => watched(inside, probe));
}

function watched(inside: CompiledDefinition, probe: Probe): CompiledDefinition {
  const { name: group, onView, onExcluded } = inside;
  const { stage, node, surroundings, changed } = probe;
  const ran = (kind: "update" | "query", { name }: Operation, context: unknown, args: readonly unknown[]): void => {
    const { sender, state, view, rank } = context as UpdateContext<unknown>;
    stage.tell({ kind, node, group, name, args, sender });
    if (kind === "update") changed(group, { node, state, view, rank });
  };
  const updates = inside.updates.map((operation) => {
    const strict = refusing(surroundings, stage, `the update \`${operation.name}\` of group ${group}`);
    const handler = (context: unknown, ...args: readonly unknown[]): unknown => {
      try {
        return within(strict, () => operation.handler(context, ...args));
      } finally {
        ran("update", operation, context, args);
      }
    };
    return { ...operation, handler, batch: undefined };
  });
  const queries = inside.queries.map((operation) => {
    const handler = (context: unknown, ...args: readonly unknown[]): unknown => {
      ran("query", operation, context as QueryContext<unknown>, args);
      return within(surroundings, () => operation.handler(context, ...args));
    };
    return { ...operation, handler };
  });
  return {
    ...inside,
    updates,
    queries,
    state: () => within(surroundings, inside.state),
    onView: (context: ViewContext<unknown>) => {
      try {
        return onView === undefined ? undefined : within(surroundings, () => onView(context));
      } finally {
        const { state, view, rank } = context;
        stage.tell({ kind: "view", node, group, number: view.number, members: view.members });
        changed(group, { node, state, view, rank });
      }
    },
    onExcluded: onExcluded && ((error) => within(surroundings, () => onExcluded(error))),
  };
}

/** The same surroundings for code that must not use them. */
function refusing(around: Surroundings, stage: Stage, what: string): Surroundings {
  const refuse = (problem: string): void => {
    if (stage.failures.length === 0) stage.fail("updates are deterministic", `${what} ${problem}`);
  };
  return {
    now: () => {
      refuse("reads a clock, which differs between replicas: use `time` of its context");
      return around.now();
    },
    wallTime: () => {
      refuse("reads a clock, which differs between replicas: use `time` of its context");
      return around.wallTime();
    },
    word: () => {
      refuse("draws random numbers of its own, which differ between replicas: use `random()` of its context");
      return around.word();
    },
    after: (delayMs, callback) => {
      refuse("sets a timer: an update is over when its handler returns");
      return around.after(delayMs, callback);
    },
  };
}
