/**
 * Which of a group's operations may be asked for by those who are no members, through a member that takes requests from
 * outside. The definition says so, and by default it is none: an operation that is added is not open before somebody has
 * meant it to be.
 */
import { compiledOf, type GroupDefinition, type Operation } from "./define.ts";
import { CoterieError } from "./errors.ts";

/** The names of operations that are open to outside clients, each list in order. */
export interface OpenOperations {
  readonly updates: readonly string[];
  readonly queries: readonly string[];
}

/** The operations of a group that its definition opens to outside clients. */
export function openOperations(definition: GroupDefinition): OpenOperations {
  const { updates, queries } = compiledOf(definition);
  const namesOf = (operations: readonly Operation[]): readonly string[] =>
    operations.filter(({ isOpen }) => isOpen).map(({ name }) => name);
  return { updates: namesOf(updates), queries: namesOf(queries) };
}

/**
 * To be called by whoever does operations for outside clients, before each of them. Throws `operation-closed` for one that the
 * definition does not open, and for one that there is not, so that a client learns nothing of the others.
 */
export function requireOpen(definition: GroupDefinition, kind: "update" | "query", name: string): void {
  const { updates, queries } = compiledOf(definition);
  const found = (kind === "update" ? updates : queries).find((operation) => operation.name === name);
  if (found?.isOpen === true) return;
  const group = definition.name;
  throw new CoterieError("operation-closed", `group ${group} has no ${kind} of this name that is open`, { group });
}
