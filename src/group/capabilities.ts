/**
 * Which operations can be called in the present view: those that every member's definition has (C14). Members whose code
 * is older lack some that newer ones have; the view says who, so a message finds the same judgement at every member of the
 * view in which it is delivered. If one of those who are meant lacks its operation, nobody runs it. Raw messages are outside
 * of views: of those, each member runs what its own definition has.
 */
import type { GroupView, NodeId } from "../protocol/view.ts";
import type { CompiledDefinition, Operation } from "./define.ts";
import { CoterieError } from "./errors.ts";

const NOBODY: readonly NodeId[] = [];
/** So many members are named in an error. */
const NAMED_MAX = 5;

export class Capabilities {
  readonly #group: string;
  readonly #all: ReadonlyMap<number, Operation>;
  /** By code: the updates of this member's own definition. */
  readonly ownUpdates: ReadonlyMap<number, Operation>;
  /** By code: who lacks the operation. Empty while all members have the same. */
  readonly #lackers = new Map<number, readonly NodeId[]>();
  #view = 0;
  #common: ReadonlyMap<number, Operation>;

  constructor({ name, updates, queries }: CompiledDefinition) {
    this.#group = name;
    this.ownUpdates = byCode(updates);
    this.#all = byCode([...updates, ...queries]);
    this.#common = this.ownUpdates;
  }

  /** By code: the updates that every member has. */
  get updates(): ReadonlyMap<number, Operation> {
    return this.#common;
  }

  /** An operation of this member's own definition. */
  operation(code: number): Operation | undefined {
    return this.#all.get(code);
  }

  installed({ number, lacking }: GroupView): void {
    this.#view = number;
    this.#lackers.clear();
    for (const { members, operations } of lacking) {
      for (const code of operations) this.#lackers.set(code, [...(this.#lackers.get(code) ?? NOBODY), ...members]);
    }
    this.#common =
      this.#lackers.size === 0
        ? this.ownUpdates
        : new Map([...this.ownUpdates].filter(([code]) => !this.#lackers.has(code)));
  }

  /** Those of the members that are meant (all by default) that lack the operation. */
  lackers(code: number, audience: readonly NodeId[] | undefined): readonly NodeId[] {
    if (this.#lackers.size === 0) return NOBODY;
    const all = this.#lackers.get(code) ?? NOBODY;
    return audience === undefined ? all : all.filter((member) => audience.includes(member));
  }

  /** Why the operation cannot be called; undefined when it can. */
  refusal(code: number, audience: readonly NodeId[] | undefined): CoterieError | undefined {
    const lackers = this.lackers(code, audience);
    if (lackers.length === 0) return undefined;
    const name = this.#all.get(code)?.name ?? "an operation";
    const more = lackers.length > NAMED_MAX ? ` and ${lackers.length - NAMED_MAX} more` : "";
    const problem = `${name}: not in the definition of ${lackers.slice(0, NAMED_MAX).join(", ")}${more}`;
    return new CoterieError("not-supported", problem, { group: this.#group, view: this.#view });
  }
}

function byCode(operations: readonly Operation[]): ReadonlyMap<number, Operation> {
  return new Map(operations.map((operation) => [operation.opcode, operation]));
}
