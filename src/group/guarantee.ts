/**
 * Phantom types for how firmly a result stands. They exist only for the compiler: at run time a `Stable<number>` is a
 * number.
 *
 * - `Optimistic<R>`: the update was delivered here; should this member be excluded, the others may never deliver it.
 * - `Stable<R>`: every member holds the update, so it is never undone while one of them lives.
 *
 * `Stable<R>` may be used as `Optimistic<R>` and both as `R`, never the other way round, so a function that acts on the
 * world can ask for `Stable<R>` and the compiler refuses a value that was not flushed. Where `R` may be null or
 * undefined, those values themselves carry no mark; a result that is only `void` does.
 */

declare const guarantee: unique symbol;
declare const plain: unique symbol;

type Firmness = "optimistic" | "stable";

/** The mark; no value has these properties. */
export interface Guaranteed<R, F extends Firmness = Firmness> {
  readonly [guarantee]: F;
  readonly [plain]: R;
}

// biome-ignore-start lint/suspicious/noConfusingVoidType: what handlers return may be void, and it carries the mark.
type Marked<R, F extends Firmness> = 0 extends 1 & R
  ? R
  : [R] extends [undefined | void]
    ? void & Guaranteed<void, F>
    : MarkedEach<R, F>;
type MarkedEach<R, F extends Firmness> = R extends undefined | null | void ? R : R & Guaranteed<R, F>;

// biome-ignore-end lint/suspicious/noConfusingVoidType: only here.

/** A result that exclusion of this member may still undo. */
export type Optimistic<R> = Marked<R, Firmness>;

/** A result that stands. */
export type Stable<R> = Marked<R, "stable">;

/** The type without its mark. */
export type Plain<T> = T extends { readonly [plain]: infer R } ? R : T;
