/**
 * Joins that wait because a durable group is lost until one of its keepers is back (C10). They are asked for again when all
 * the groups they wait for may be there; under another number, while whoever asked first knows the first one.
 */
import type { DirectoryCommand } from "./messages.ts";

export type JoinWish = Extract<DirectoryCommand, { kind: "join" }>["groups"][number];

export class AwaitedJoins {
  /** By the number of the request that was refused. */
  readonly #waiting = new Map<number, readonly JoinWish[]>();
  /** The numbers under which requests were made first. */
  readonly #origins = new Map<number, number>();

  /** The number under which a request was made first. */
  origin(number: number): number {
    return this.#origins.get(number) ?? number;
  }

  wait(number: number, groups: readonly JoinWish[]): void {
    this.#waiting.set(number, groups);
  }

  /** Those that need not wait any more, now that these groups are not lost. */
  ready(isThere: (name: string) => boolean): { readonly number: number; readonly groups: readonly JoinWish[] }[] {
    const ready: { readonly number: number; readonly groups: readonly JoinWish[] }[] = [];
    for (const [number, groups] of this.#waiting) {
      if (!groups.every(({ name }) => isThere(name))) continue;
      this.#waiting.delete(number);
      ready.push({ number, groups });
    }
    return ready;
  }

  /** The request is made again under another number. */
  renumber(before: number, number: number): void {
    this.#origins.set(number, this.origin(before));
    this.#origins.delete(before);
  }

  /** The request that was made first under this number is over. */
  cancel(origin: number): void {
    for (const number of [...this.#waiting.keys(), ...this.#origins.keys()]) {
      if (this.origin(number) !== origin) continue;
      this.#waiting.delete(number);
      this.#origins.delete(number);
    }
  }
}
