/**
 * Which operations the members of a group have. Definitions of one group differ only in that a newer one has more
 * operations, so any two lists that are present at a time are comparable, and the longest has everything (rule C14). What
 * some members lack goes into the view, where it is the same for everybody who installs it.
 */
import type { Lack, NodeId } from "../view.ts";

/** Members whose definitions have the same operations. */
export interface Version {
  /** Their codes, ascending. */
  readonly operations: readonly number[];
  readonly members: readonly NodeId[];
}

/** A version that is present and has neither all of these operations nor only such; undefined when there is none. */
export function incomparable(versions: readonly Version[], operations: readonly number[]): Version | undefined {
  return versions.find(
    (version) => !isSubset(version.operations, operations) && !isSubset(operations, version.operations),
  );
}

export function withMember(
  versions: readonly Version[],
  member: NodeId,
  operations: readonly number[],
): readonly Version[] {
  const same = versions.find(
    (version) => isSubset(version.operations, operations) && isSubset(operations, version.operations),
  );
  if (same === undefined) return [...versions, { operations, members: [member] }];
  return versions.map((version) => (version === same ? { operations, members: [...same.members, member] } : version));
}

/** What is left of them when only these members stay. */
export function withOnly(versions: readonly Version[], members: readonly NodeId[]): readonly Version[] {
  return versions
    .map((version) => ({ ...version, members: version.members.filter((member) => members.includes(member)) }))
    .filter((version) => version.members.length > 0);
}

/** What members lack of the operations that others have; empty when all have the same. */
export function lackingIn(versions: readonly Version[]): readonly Lack[] {
  const all = versions.reduce<readonly number[]>((most, { operations }) => longer(most, operations), []);
  const older = versions.filter(({ operations }) => operations.length < all.length);
  return older.map(({ operations, members }) => {
    const present = new Set(operations);
    return { members, operations: all.filter((operation) => !present.has(operation)) };
  });
}

function longer(a: readonly number[], b: readonly number[]): readonly number[] {
  return b.length > a.length ? b : a;
}

/** Whether `of` has all of these operations. */
export function isSubset(some: readonly number[], of: readonly number[]): boolean {
  if (some.length > of.length) return false;
  const all = new Set(of);
  return some.every((operation) => all.has(operation));
}
