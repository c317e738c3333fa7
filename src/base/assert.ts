/**
 * Programmer errors assert and crash; they are never used for operating conditions or for a peer's garbage.
 */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws when `condition` is false: a rule that the surrounding code relies on does not hold. */
export function assert(condition: boolean, rule: string): asserts condition {
  if (!condition) throw new AssertionError(`broken rule: ${rule}`);
}

/** The value, which the surrounding code knows to be present. */
export function present<T>(value: T | undefined | null, rule: string): T {
  if (value === undefined || value === null) throw new AssertionError(`broken rule: ${rule}`);
  return value;
}

/** Marks the branch of an exhaustive switch that cannot be reached. */
export function unreachable(value: never): never {
  throw new AssertionError(`unexpected case: ${JSON.stringify(value)}`);
}
