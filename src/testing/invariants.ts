/**
 * What must hold of the states of users' groups: at every replica after each update and view, and at rest for all
 * replicas together.
 */

import { hashString, mix } from "../base/random.ts";
import { encodeValue, Unencodable } from "../group/codec.ts";
import type { GroupDefinition, ShapeOf } from "../group/define.ts";
import type { ReplicaState } from "./instrument.ts";
import { describe, type Stage } from "./stage.ts";

export type ReplicaOf<G extends GroupDefinition> = ReplicaState<ShapeOf<G>["state"]>;

/** Holds unless it returns false or throws. */
export type Predicate<T> = (subject: T) => unknown;

interface Claim<T> {
  readonly group: string;
  readonly sentence: string;
  readonly holds: Predicate<T>;
}

export class Invariants {
  readonly #stage: Stage;
  readonly #always: Claim<ReplicaState<unknown>>[] = [];
  readonly #atRest: Claim<readonly ReplicaState<unknown>[]>[] = [];

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  always<G extends GroupDefinition>(group: G, sentence: string, holds: Predicate<ReplicaOf<G>>): void {
    this.#always.push({ group: group.name, sentence, holds: holds as Predicate<ReplicaState<unknown>> });
  }

  atRest<G extends GroupDefinition>(group: G, sentence: string, holds: Predicate<readonly ReplicaOf<G>[]>): void {
    this.#atRest.push({ group: group.name, sentence, holds: holds as Predicate<readonly ReplicaState<unknown>[]> });
  }

  /** A replica has changed. */
  changed(group: string, replica: ReplicaState<unknown>): void {
    if (this.#stage.failures.length > 0) return;
    for (const claim of this.#always) {
      if (claim.group === group) this.#judge(claim, replica, `at ${replica.node}`);
    }
  }

  /** Nothing happens any more: these are all replicas of a group. */
  rested(group: string, replicas: readonly ReplicaState<unknown>[]): void {
    for (const claim of this.#atRest) {
      if (claim.group === group) this.#judge(claim, replicas, `of ${replicas.map(({ node }) => node).join(", ")}`);
    }
  }

  #judge<T>({ group, sentence, holds }: Claim<T>, subject: T, where: string): void {
    let problem: unknown;
    try {
      if (holds(subject) !== false) return;
    } catch (thrown) {
      problem = thrown;
    }
    const detail = problem === undefined ? "" : `: ${describe(problem)}`;
    this.#stage.fail(sentence, `it does not hold for the state of ${group} ${where}${detail}`, problem);
  }
}

/** Names a state, if the default codec can encode it. */
export function digestOf(state: unknown): string {
  const bytes = encodeValue(state);
  if (bytes instanceof Unencodable) return "";
  let hash = hashString("state");
  for (const byte of bytes) hash = mix(hash, byte);
  return hash.toString(16).padStart(8, "0");
}
