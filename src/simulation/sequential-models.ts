/**
 * Objects that histories of operations are judged by, as they behave when one client uses them at a time. Values are
 * JSON; the order of an object's keys means nothing. All but `map` are independent objects, one for each `key`.
 */
import type { SequentialModel } from "./linearizability.ts";

/** What a client calls. */
export interface Call {
  readonly client: string;
  readonly operation: string;
  /** The object, or the key in a map; "" if there is only one. */
  readonly key: string;
  /** The argument, if the operation takes one. */
  readonly value?: unknown;
}

/** What a call returned. Without a value it is only known that it took effect. */
export interface Outcome {
  readonly value?: unknown;
}

/** A model for `linearizable`. Its states are canonical JSON. */
export interface PreparedModel extends SequentialModel<string, Call, Outcome> {
  /** What each operation takes and gives, by its name. */
  readonly operations: Readonly<Record<string, string>>;
  /** What is wrong with a call: `step` is for calls that the object has. */
  readonly problemOf: (call: Call) => string | undefined;
}

interface PreparedOperation<State> {
  readonly about: string;
  /** Whether the argument is one; by default there is none, or it does not matter. */
  readonly takes?: (value: unknown) => boolean;
  /** The state after it and what it returns. Does not change `state`. */
  readonly apply: (state: State, call: Call) => readonly [State, unknown];
  /** It returns a list whose order means nothing. */
  readonly isUnordered?: boolean;
}

type Pair = readonly [unknown, unknown];
type Entries = readonly (readonly [key: string, value: unknown])[];

const register = prepare<unknown>(null, {
  read: { about: "gives the value, at first null", apply: (held) => [held, held] },
  write: { about: "takes a value", takes: isValue, apply: (_, { value }) => [value, null] },
  cas: {
    about: "takes [expected, new]; gives whether it found the expected value, and then set the new one",
    takes: (value) => Array.isArray(value) && value.length === 2,
    apply: (held, { value }) => {
      const [expected, replacement] = value as Pair;
      const fits = isSame(held, expected);
      return [fits ? replacement : held, fits];
    },
  },
});

const counter = prepare<number>(0, {
  read: { about: "gives the number, at first 0", apply: (number) => [number, number] },
  add: {
    about: "takes a number; gives the sum",
    takes: (value) => typeof value === "number",
    apply: (number, { value }) => [number + (value as number), number + (value as number)],
  },
});

const set = prepare<readonly unknown[]>([], {
  read: { about: "gives the list of values, in any order", isUnordered: true, apply: (values) => [values, values] },
  has: {
    about: "takes a value; gives whether it is there",
    takes: isValue,
    apply: (values, { value }) => [values, includes(values, value)],
  },
  add: {
    about: "takes a value; gives whether it is new",
    takes: isValue,
    apply: (values, { value }) => (includes(values, value) ? [values, false] : [[...values, value].sort(byText), true]),
  },
  remove: {
    about: "takes a value; gives whether it was there",
    takes: isValue,
    apply: (values, { value }) => [values.filter((each) => !isSame(each, value)), includes(values, value)],
  },
});

/** One object, because `keys` sees all of it. */
const map = prepare<Entries>(
  [],
  {
    get: { about: "gives the value of the key, or null", apply: (all, { key }) => [all, valueAt(all, key)] },
    put: {
      about: "takes a value for the key; gives the one before, or null",
      takes: isValue,
      apply: (all, { key, value }) => [
        [...without(all, key), [key, value] as const].sort(([a], [b]) => (a < b ? -1 : 1)),
        valueAt(all, key),
      ],
    },
    delete: {
      about: "removes the key; gives the value that it had, or null",
      apply: (all, { key }) => [without(all, key), valueAt(all, key)],
    },
    keys: {
      about: "gives the list of keys, in any order",
      isUnordered: true,
      apply: (all) => [all, all.map(([key]) => key)],
    },
  },
  "whole",
);

const queue = prepare<readonly unknown[]>([], {
  enqueue: { about: "takes a value", takes: isValue, apply: (values, { value }) => [[...values, value], null] },
  dequeue: { about: "gives the oldest value, or null", apply: ([first, ...rest]) => [rest, first ?? null] },
});

const lock = prepare<string | null>(null, {
  acquire: {
    about: "gives whether the client found it free, and then holds it",
    apply: (holder, { client }) => [holder ?? client, holder === null],
  },
  release: {
    about: "gives whether the client held it, and then frees it",
    apply: (holder, { client }) => [holder === client ? null : holder, holder === client],
  },
});

export const SEQUENTIAL_MODELS = { register, counter, set, map, queue, lock } as const;

export type SequentialModelName = keyof typeof SEQUENTIAL_MODELS;

function prepare<State>(
  initial: State,
  operations: Readonly<Record<string, PreparedOperation<State>>>,
  extent: "by key" | "whole" = "by key",
): PreparedModel {
  return {
    initial: canonical(initial),
    step: (state, call, outcome) => {
      const operation = operations[call.operation];
      if (operation === undefined) return undefined;
      const [after, value] = operation.apply(JSON.parse(state) as State, call);
      const print = operation.isUnordered ? canonicalList : canonical;
      const fits = outcome?.value === undefined || print(value) === print(outcome.value);
      return fits ? canonical(after) : undefined;
    },
    print: (state) => state,
    ...(extent === "whole" ? {} : { objectOf: ({ key }: Call) => key }),
    operations: Object.fromEntries(Object.entries(operations).map(([name, { about }]) => [name, about])),
    problemOf: (call) => {
      const operation = operations[call.operation];
      if (operation === undefined) {
        return `there is no operation ${JSON.stringify(call.operation)}; there are ${Object.keys(operations).join(", ")}`;
      }
      if (operation.takes === undefined || operation.takes(call.value)) return undefined;
      return `${call.operation} ${operation.about}; not ${JSON.stringify(call.value) ?? "nothing"}`;
    },
  };
}

function isValue(value: unknown): boolean {
  return value !== undefined;
}

function valueAt(all: Entries, key: string): unknown {
  return all.find(([each]) => each === key)?.[1] ?? null;
}

function without(all: Entries, key: string): Entries {
  return all.filter(([each]) => each !== key);
}

function includes(values: readonly unknown[], value: unknown): boolean {
  return values.some((each) => isSame(each, value));
}

function isSame(left: unknown, right: unknown): boolean {
  return canonical(left) === canonical(right);
}

function byText(left: unknown, right: unknown): number {
  return canonical(left) < canonical(right) ? -1 : 1;
}

function canonicalList(value: unknown): string {
  return Array.isArray(value) ? value.map(canonical).sort().join(",") : canonical(value);
}

/** JSON with the keys of objects in order. */
function canonical(value: unknown): string {
  return typeof value !== "object" || value === null ? JSON.stringify(value) : JSON.stringify(value, inOrder);
}

function inOrder(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
