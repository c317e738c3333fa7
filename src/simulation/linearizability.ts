/**
 * Linearizability of a history of operations: each seems to take effect at one moment between its call and its return,
 * and in the order of these moments the operations are a run of a sequential model.
 *
 * The search is that of Wing and Gong with Lowe's memory: of the operations that were called before the first return
 * that is not explained yet, one is taken as the next to take effect, again and again; what was reached is remembered
 * as the set of operations that took effect and the state, and not gone into twice. An operation whose outcome is
 * unknown may take effect at any moment after its call, or never. It is tried last; and of two ways to the same
 * completed operations and the same state, one that used less of the unknown ones can do all that the other can.
 */

/** What an object does when it is used by one client at a time. It must be deterministic. */
export interface SequentialModel<State, Input, Output> {
  readonly initial: State;
  /**
   * The state after the operation, or undefined if it could not have had this output in this state. An `output` of
   * undefined is an unknown one: then the state after the operation, if it took effect.
   */
  readonly step: (state: State, input: Input, output: Output | undefined) => State | undefined;
  /** A text for each state; equal texts are equal states. */
  readonly print: (state: State) => string;
  /** Which of several independent objects an operation is about: each is judged by itself. Default: there is one. */
  readonly objectOf?: (input: Input) => string;
}

/** One call by a client, and what became of it. */
export interface Operation<Input, Output> {
  readonly client: string;
  readonly input: Input;
  /** Undefined if it is unknown. */
  readonly output: Output | undefined;
  /** Places in the history, all different; `returnedAt` is infinite if nobody knows whether it took effect. */
  readonly calledAt: number;
  readonly returnedAt: number;
}

export type Linearizability<Input, Output> =
  | {
      readonly verdict: "linearizable";
      /** For each object, the operations in an order in which they can have taken effect. */
      readonly orders: ReadonlyMap<string, readonly Operation<Input, Output>[]>;
    }
  | {
      readonly verdict: "violated";
      readonly object: string;
      /** The first operation that cannot be explained: no order explains all that returned up to this one's return. */
      readonly operation: Operation<Input, Output>;
      /** An order that explains everything that returned before it. */
      readonly order: readonly Operation<Input, Output>[];
      /** The states that the object can have been in, by some of the orders, when this operation was to take effect. */
      readonly states: readonly string[];
    }
  /** The search was given up. */
  | { readonly verdict: "undecided"; readonly object: string };

export interface LinearizabilityOptions {
  /** How many combinations of operations and states are looked at for each object; then it is undecided. Default 1 million. */
  readonly visitsMax?: number;
}

const VISITS_MAX = 1_000_000;
const STATES_MAX = 8;
const NEVER = -1;

export function linearizable<State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
  options: LinearizabilityOptions = {},
): Linearizability<Input, Output> {
  const objects = new Map<string, Operation<Input, Output>[]>();
  for (const operation of operations) {
    const object = model.objectOf?.(operation.input) ?? "";
    const known = objects.get(object);
    if (known === undefined) objects.set(object, [operation]);
    else known.push(operation);
  }
  const orders = new Map<string, readonly Operation<Input, Output>[]>();
  let undecided: string | undefined;
  for (const [object, own] of objects) {
    const search = new Search(model, own, options.visitsMax ?? VISITS_MAX);
    const outcome = search.run();
    if (outcome === "violated") return { verdict: "violated", object, ...search.explanation() };
    if (outcome === "undecided") undecided ??= object;
    orders.set(object, search.order);
  }
  return undecided === undefined ? { verdict: "linearizable", orders } : { verdict: "undecided", object: undecided };
}

/** One choice on the way: an operation took effect in `before`. */
interface Step<State> {
  readonly index: number;
  readonly before: State;
}

/** The list's places: calls and returns of completed operations in the order of the history; 0 is before the first. */
const HEAD = 0;

class Search<State, Input, Output> {
  readonly #model: SequentialModel<State, Input, Output>;
  /** Completed operations by their calls, and after them those of unknown outcome. */
  readonly #operations: readonly Operation<Input, Output>[];
  readonly #completed: number;
  readonly #visitsMax: number;
  /** The calls and returns that are not explained yet, doubly linked; each entry's operation, and whether it is a return. */
  readonly #next: number[] = [];
  readonly #previous: number[] = [];
  readonly #operationAt: number[] = [];
  readonly #isReturn: boolean[] = [];
  readonly #callOf: number[] = [];
  readonly #returnOf: number[] = [];
  readonly #taken: boolean[];
  /** All before it took effect. */
  #firstLeft = 0;
  /** Those that took effect, of the completed ones at or after `#firstLeft`. */
  readonly #ahead = new Set<number>();
  /** Those of unknown outcome that took effect, as bits. */
  #used = 0n;
  /** By completed operations and state, the sets of unknown ones with which it was reached. */
  readonly #visited = new Map<string, bigint[]>();
  #visits = 0;
  readonly #steps: Step<State>[] = [];
  #state: State;
  /** The furthest return that stopped a way, the way there, and the states in which it was met. */
  #stuckAt = NEVER;
  #stuckSteps: readonly number[] = [];
  readonly #stuckStates = new Set<string>();

  constructor(
    model: SequentialModel<State, Input, Output>,
    operations: readonly Operation<Input, Output>[],
    visitsMax: number,
  ) {
    this.#model = model;
    this.#visitsMax = visitsMax;
    this.#state = model.initial;
    const byCall = operations.toSorted((a, b) => a.calledAt - b.calledAt);
    const completed = byCall.filter(isCompleted);
    this.#operations = [...completed, ...byCall.filter((operation) => !isCompleted(operation))];
    this.#completed = completed.length;
    this.#taken = this.#operations.map(() => false);
    this.#link(completed);
  }

  get order(): readonly Operation<Input, Output>[] {
    return this.#steps.map(({ index }) => this.#operations[index] as Operation<Input, Output>);
  }

  explanation(): {
    readonly operation: Operation<Input, Output>;
    readonly order: readonly Operation<Input, Output>[];
    readonly states: readonly string[];
  } {
    const at = (index: number): Operation<Input, Output> => this.#operations[index] as Operation<Input, Output>;
    return {
      operation: at(this.#operationAt[this.#stuckAt] as number),
      order: this.#stuckSteps.map(at),
      states: [...this.#stuckStates],
    };
  }

  #link(completed: readonly Operation<Input, Output>[]): void {
    const entries = completed.flatMap(({ calledAt, returnedAt }, index) => [
      { at: calledAt, index, isReturn: false },
      { at: returnedAt, index, isReturn: true },
    ]);
    entries.sort((a, b) => a.at - b.at);
    this.#operationAt.push(NEVER);
    this.#isReturn.push(false);
    for (const { index, isReturn } of entries) {
      (isReturn ? this.#returnOf : this.#callOf)[index] = this.#operationAt.length;
      this.#operationAt.push(index);
      this.#isReturn.push(isReturn);
    }
    const size = this.#operationAt.length;
    for (let place = 0; place < size; place++) {
      this.#next.push((place + 1) % size);
      this.#previous.push((place + size - 1) % size);
    }
  }

  run(): "linearizable" | "violated" | "undecided" {
    // The operation after which to go on looking; NEVER begins with the first.
    let after = NEVER;
    while (this.#next[HEAD] !== HEAD) {
      const index = this.#candidate(after);
      if (index === NEVER) {
        this.#noteStuck();
        const step = this.#steps.pop();
        if (step === undefined) return "violated";
        this.#giveBack(step);
        after = step.index;
        continue;
      }
      after = index;
      const { input, output } = this.#operations[index] as Operation<Input, Output>;
      const before = this.#state;
      const state = this.#model.step(before, input, output);
      if (state === undefined) continue;
      // What has no effect need not have happened.
      if (index >= this.#completed && this.#model.print(state) === this.#model.print(before)) continue;
      this.#take({ index, before }, state);
      if (this.#isNew()) {
        if (++this.#visits > this.#visitsMax) return "undecided";
        this.#steps.push({ index, before });
        after = NEVER;
      } else {
        this.#giveBack({ index, before });
      }
    }
    return "linearizable";
  }

  /** The next operation that may take effect now: completed ones by their calls, then the others. */
  #candidate(after: number): number {
    let place = this.#next[
      after === NEVER || after >= this.#completed ? HEAD : (this.#callOf[after] as number)
    ] as number;
    if (after < this.#completed) {
      if (!this.#isReturn[place]) return this.#operationAt[place] as number;
    } else {
      while (!this.#isReturn[place]) place = this.#next[place] as number;
    }
    // Called before the return that has to be explained next?
    const { returnedAt } = this.#operations[this.#operationAt[place] as number] as Operation<Input, Output>;
    for (let index = Math.max(after + 1, this.#completed); index < this.#operations.length; index++) {
      if ((this.#operations[index] as Operation<Input, Output>).calledAt > returnedAt) break;
      if (!this.#taken[index]) return index;
    }
    return NEVER;
  }

  #take({ index }: Step<State>, state: State): void {
    this.#state = state;
    this.#taken[index] = true;
    if (index >= this.#completed) {
      this.#used |= 1n << BigInt(index - this.#completed);
      return;
    }
    this.#unlink(this.#callOf[index] as number);
    this.#unlink(this.#returnOf[index] as number);
    this.#ahead.add(index);
    while (this.#ahead.delete(this.#firstLeft)) this.#firstLeft++;
  }

  #giveBack({ index, before }: Step<State>): void {
    this.#state = before;
    this.#taken[index] = false;
    if (index >= this.#completed) {
      this.#used &= ~(1n << BigInt(index - this.#completed));
      return;
    }
    this.#relink(this.#returnOf[index] as number);
    this.#relink(this.#callOf[index] as number);
    this.#ahead.delete(index);
    while (this.#firstLeft > index) if (--this.#firstLeft !== index) this.#ahead.add(this.#firstLeft);
  }

  #unlink(place: number): void {
    const next = this.#next[place] as number;
    const previous = this.#previous[place] as number;
    this.#next[previous] = next;
    this.#previous[next] = previous;
  }

  #relink(place: number): void {
    this.#next[this.#previous[place] as number] = place;
    this.#previous[this.#next[place] as number] = place;
  }

  /** Notes where the search is, and says whether it was not there before with as few of the unknown operations. */
  #isNew(): boolean {
    const ahead = [...this.#ahead].sort((a, b) => a - b).map((index) => index - this.#firstLeft);
    const key = `${this.#firstLeft} ${ahead.join(",")} ${this.#model.print(this.#state)}`;
    const used = this.#used;
    const known = this.#visited.get(key);
    if (known === undefined) {
      this.#visited.set(key, [used]);
      return true;
    }
    if (known.some((fewer) => (fewer & used) === fewer)) return false;
    known.push(used);
    return true;
  }

  #noteStuck(): void {
    let place = this.#next[HEAD] as number;
    while (!this.#isReturn[place]) place = this.#next[place] as number;
    if (place < this.#stuckAt) return;
    if (place > this.#stuckAt) {
      this.#stuckAt = place;
      this.#stuckSteps = this.#steps.map(({ index }) => index);
      this.#stuckStates.clear();
    }
    if (this.#stuckStates.size < STATES_MAX) this.#stuckStates.add(this.#model.print(this.#state));
  }
}

function isCompleted<Input, Output>({ returnedAt }: Operation<Input, Output>): boolean {
  return returnedAt !== Number.POSITIVE_INFINITY;
}
