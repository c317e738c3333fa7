/**
 * Whether a simulated cluster has come to rest (M5): all that run are in one view of just them, every group is in one
 * view of just its members, and their states are equal.
 */
import type { GroupDefinition } from "../group/define.ts";
import type { Group } from "../group/group.ts";
import type { World } from "../simulation/world.ts";
import type { ReplicaState } from "./instrument.ts";
import { digestOf } from "./invariants.ts";
import type { Machine } from "./machine.ts";

/** What is not settled yet, for people; undefined when all is. */
export function unsettled(world: World, machines: readonly Machine[]): string | undefined {
  return unsettledNodes(world) ?? unsettledGroups(machines);
}

function unsettledNodes({ running, now }: World): string | undefined {
  const ids = running.map(({ id }) => id).sort();
  for (const { name, status, view, pausedUntil } of running) {
    if (pausedUntil > now) return `${name} is stopped`;
    if (status !== "primary") return `${name} is ${status}`;
    const nodes = view?.nodes.map(({ id }) => id).sort() ?? [];
    if (nodes.join() !== ids.join() || view?.number !== running[0]?.view?.number) {
      return `${name} is in cluster view ${view?.number} of ${nodes.join(" ")}`;
    }
  }
  return undefined;
}

function unsettledGroups(machines: readonly Machine[]): string | undefined {
  for (const { name, joining } of machines) if (joining > 0) return `${name} is joining a group`;
  for (const [group, replicas] of replicasOf(machines)) {
    const ids = replicas.map(({ self }) => self).sort();
    const [first] = replicas;
    for (const { node, state, view } of replicas) {
      if ([...view.members].sort().join() !== ids.join() || view.number !== first?.view.number) {
        return `${node} is in view ${view.number} of ${group}: ${view.members.join(" ")}`;
      }
      if (digestOf(state) !== digestOf(first.state)) {
        return `${node} and ${first.node} are in different states of ${group}`;
      }
    }
  }
  return undefined;
}

export interface Replica extends ReplicaState<unknown> {
  readonly self: string;
}

/** The replicas of each group, by the age of their nodes. */
export function replicasOf(machines: readonly Machine[]): Map<string, Replica[]> {
  const groups = new Map<string, Replica[]>();
  for (const machine of machines) {
    for (const group of machine.groups) {
      const replica = replicaAt(machine.name, group);
      if (replica !== undefined) groups.set(group.name, [...(groups.get(group.name) ?? []), replica]);
    }
  }
  return groups;
}

function replicaAt(node: string, group: Group<GroupDefinition>): Replica | undefined {
  if (group.status !== "active") return undefined;
  return group.read(({ state, view, rank, self }) => ({ node, state, view, rank, self })) as Replica;
}
