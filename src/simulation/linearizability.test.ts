import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../base/random.ts";
import { linearizable, type Operation } from "./linearizability.ts";
import { type OperationEvent, operationsOf } from "./operations.ts";
import {
  type Call,
  type Outcome,
  type PreparedModel,
  SEQUENTIAL_MODELS,
  type SequentialModelName,
} from "./sequential-models.ts";

type Recorded = Operation<Call, Outcome>;

const NAMES = Object.keys(SEQUENTIAL_MODELS) as SequentialModelName[];
const KEYS = ["x", "y"];

/** Every order of every choice of unknown operations, by the definition. */
function isLinearizableByForce(model: PreparedModel, operations: readonly Recorded[]): boolean {
  const objects = new Set(operations.map(({ input }) => model.objectOf?.(input) ?? ""));
  const extend = (left: readonly Recorded[], state: string): boolean => {
    if (left.every(({ returnedAt }) => returnedAt === Number.POSITIVE_INFINITY)) return true;
    return left.some((next) => {
      if (left.some(({ returnedAt }) => returnedAt < next.calledAt)) return false;
      const after = model.step(state, next.input, next.output);
      const rest = left.filter((each) => each !== next);
      return (
        (after !== undefined && extend(rest, after)) ||
        (next.returnedAt === Number.POSITIVE_INFINITY && extend(rest, state))
      );
    });
  };
  return [...objects].every((object) =>
    extend(
      operations.filter(({ input }) => (model.objectOf?.(input) ?? "") === object),
      model.initial,
    ),
  );
}

function randomCall(random: Random, name: SequentialModelName, client: string): Call {
  const operation = random.pick(Object.keys(SEQUENTIAL_MODELS[name].operations));
  const value = operation === "cas" ? [random.below(3), random.below(3)] : random.below(3);
  return { client, operation, key: random.pick(KEYS), value };
}

interface Recording {
  readonly clients: number;
  readonly calls: number;
  /** In 100 calls: how many have an unknown outcome, and how many return something else than they did. */
  readonly unknown: number;
  readonly wrong: number;
}

/** What clients saw of objects that take effect at one moment in each call, some outcomes being made unknown or wrong. */
function recorded(random: Random, name: SequentialModelName, recording: Recording): OperationEvent[] {
  const model: PreparedModel = SEQUENTIAL_MODELS[name];
  const events: OperationEvent[] = [];
  const states = new Map<string, string>();
  const open = new Map<string, { readonly call: Call; value?: unknown; isDone: boolean }>();
  let calls = 0;
  while (calls < recording.calls || open.size > 0) {
    const client = `c${random.below(recording.clients)}`;
    const begun = open.get(client);
    if (begun === undefined) {
      if (calls++ >= recording.calls) continue;
      const call = randomCall(random, name, client);
      open.set(client, { call, isDone: false });
      events.push({ kind: "invoke", ...call });
    } else if (!begun.isDone) {
      begun.isDone = true;
      const object = model.objectOf?.(begun.call) ?? "";
      const state = states.get(object) ?? model.initial;
      begun.value = resultOf(model, state, begun.call);
      states.set(object, model.step(state, begun.call, undefined) ?? state);
    } else {
      open.delete(client);
      if (random.below(100) < recording.unknown) {
        if (name === "lock" || random.chance(0.5)) events.push({ kind: "return", client, outcome: "unknown" });
        else recordLost(events, client);
      } else {
        const value = random.below(100) < recording.wrong ? random.below(3) : begun.value;
        events.push({ kind: "return", client, outcome: "ok", value });
      }
    }
  }
  return events;
}

/** The client never heard, and goes by another name from now on. */
function recordLost(events: OperationEvent[], client: string): void {
  const at = events.findLastIndex((event) => event.kind === "invoke" && event.client === client);
  const event = events[at] as OperationEvent;
  events[at] = { ...event, client: `${client} of ${at}` };
}

/** A model says only which results fit. */
function resultOf(model: PreparedModel, state: string, call: Call): unknown {
  const held = JSON.parse(state) as unknown;
  const candidates: unknown[] = [null, true, false, 0, 1, 2, held];
  if (Array.isArray(held)) for (const each of held) candidates.push(each, Array.isArray(each) ? each[1] : each);
  if (Array.isArray(held)) candidates.push(held.map((each) => (Array.isArray(each) ? each[0] : each)));
  if (typeof held === "number") candidates.push(held + 1, held + 2);
  const found = candidates.find((value) => model.step(state, call, { value }) !== undefined);
  expect(found).toBeDefined();
  return found;
}

function judge(name: SequentialModelName, events: readonly OperationEvent[]): ReturnType<typeof verdictOf> {
  return verdictOf(name, operationsFor(name, events));
}

function verdictOf(name: SequentialModelName, operations: readonly Recorded[]) {
  const model: PreparedModel = SEQUENTIAL_MODELS[name];
  return linearizable(model, operations);
}

function operationsFor(name: SequentialModelName, events: readonly OperationEvent[]): readonly Recorded[] {
  const { operations, misplaced } = operationsOf(events, SEQUENTIAL_MODELS[name]);
  expect(misplaced).toEqual([]);
  return operations;
}

/** The order contains each completed operation once, respects real time, and is a run of the model. */
function expectWitness(model: PreparedModel, order: readonly Recorded[], completed: readonly Recorded[]): void {
  let state = model.initial;
  for (const [place, { input, output, calledAt }] of order.entries()) {
    const after = model.step(state, input, output);
    expect(after).toBeDefined();
    state = after ?? state;
    for (const later of order.slice(place + 1)) expect(later.returnedAt).toBeGreaterThan(calledAt);
  }
  expect(new Set(order).size).toBe(order.length);
  for (const each of completed) expect(order).toContain(each);
}

describe.each(NAMES)("histories of a %s", (name) => {
  const model: PreparedModel = SEQUENTIAL_MODELS[name];

  test("are judged as by trying every order", () => {
    const verdicts = { linearizable: 0, violated: 0 };
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (seed) => {
        const random = new Random(seed);
        const operations = operationsFor(
          name,
          recorded(random, name, { clients: 4, calls: random.between(1, 6), unknown: 25, wrong: 15 }),
        );
        const found = linearizable(model, operations);
        expect(found.verdict).toBe(isLinearizableByForce(model, operations) ? "linearizable" : "violated");
        verdicts[found.verdict === "linearizable" ? "linearizable" : "violated"]++;
        if (found.verdict === "violated") {
          // What it names is where the history breaks: it was right until just before that.
          const until = (end: number): Recorded[] =>
            operations
              .filter(({ calledAt }) => calledAt < end)
              .map((each) => (each.returnedAt < end ? each : { ...each, returnedAt: Number.POSITIVE_INFINITY }));
          const { returnedAt } = found.operation;
          const mine = (list: readonly Recorded[]): Recorded[] =>
            list.filter(({ input }) => (model.objectOf?.(input) ?? "") === found.object);
          expect(isLinearizableByForce(model, mine(until(returnedAt)))).toBe(true);
          expect(isLinearizableByForce(model, mine(until(returnedAt + 1)))).toBe(false);
          expect(found.states.length).toBeGreaterThan(0);
        } else if (found.verdict === "linearizable") {
          const completed = operations.filter(({ output }) => output !== undefined);
          for (const [object, order] of found.orders) {
            expectWitness(
              model,
              order,
              completed.filter(({ input }) => (model.objectOf?.(input) ?? "") === object),
            );
          }
        }
      }),
      { seed: 1, numRuns: 600 },
    );
    expect(verdicts.linearizable).toBeGreaterThan(50);
    expect(verdicts.violated).toBeGreaterThan(20);
  });

  test("that were recorded rightly are linearizable", () => {
    for (let seed = 1; seed <= 5; seed++) {
      const events = recorded(new Random(seed), name, { clients: 6, calls: 200, unknown: 2, wrong: 0 });
      expect(judge(name, events).verdict).toBe("linearizable");
    }
  });
});

describe("a long history of a register", () => {
  const recording = { clients: 10, calls: 10_000, unknown: 1, wrong: 0 };

  test("of a thousand operations by each of ten clients is judged within a second", () => {
    const operations = operationsFor("register", recorded(new Random(3), "register", recording));
    // Of processor time: other programs do not count.
    const begun = process.cpuUsage();
    expect(verdictOf("register", operations).verdict).toBe("linearizable");
    expect(process.cpuUsage(begun).user / 1000).toBeLessThan(1000);
  });

  test("with one stale read near its end is refused for that read", () => {
    const events = recorded(new Random(4), "register", { ...recording, unknown: 0, clients: 5 });
    const write = (value: unknown): OperationEvent[] => [
      { kind: "invoke", client: "w", operation: "write", key: "x", value },
      { kind: "return", client: "w", outcome: "ok" },
    ];
    const stale: OperationEvent[] = [
      ...write("old"),
      ...write("new"),
      { kind: "invoke", client: "r", operation: "read", key: "x" },
      { kind: "return", client: "r", outcome: "ok", value: "old" },
    ];
    const found = judge("register", [...events, ...stale, ...write("newest")]);
    expect(found).toMatchObject({
      verdict: "violated",
      object: "x",
      operation: { client: "r", input: { operation: "read" }, output: { value: "old" } },
      states: ['"new"'],
    });
  });
});

describe("an unknown outcome", () => {
  const lost: OperationEvent = { kind: "invoke", client: "a", operation: "write", value: 1 };
  const read = (value: unknown): OperationEvent[] => [
    { kind: "invoke", client: "b", operation: "read" },
    { kind: "return", client: "b", outcome: "ok", value },
  ];

  test("may never take effect, or late, but not twice", () => {
    expect(judge("register", [lost, ...read(null), ...read(null)]).verdict).toBe("linearizable");
    expect(judge("register", [lost, ...read(null), ...read(1)]).verdict).toBe("linearizable");
    expect(judge("register", [lost, ...read(1), ...read(null)]).verdict).toBe("violated");
  });

  test("does not take effect before the call", () => {
    expect(judge("register", [...read(1), lost]).verdict).toBe("violated");
  });

  test("that became known as a failure never takes effect", () => {
    const failed: OperationEvent = { kind: "return", client: "a", outcome: "fail" };
    expect(judge("register", [lost, failed, ...read(1)]).verdict).toBe("violated");
    expect(judge("register", [lost, failed, ...read(null)]).verdict).toBe("linearizable");
  });
});

test("a search that is too long is given up", () => {
  const events = recorded(new Random(5), "queue", { clients: 10, calls: 100, unknown: 0, wrong: 0 });
  const operations = operationsFor("queue", events);
  expect(linearizable(SEQUENTIAL_MODELS.queue, operations, { visitsMax: 10 })).toEqual({
    verdict: "undecided",
    object: "x",
  });
});

test("events that do not fit are reported by their places", () => {
  const events: OperationEvent[] = [
    { kind: "return", client: "a", outcome: "ok" },
    { kind: "invoke", client: "a", operation: "write", value: 1 },
    { kind: "invoke", client: "a", operation: "read" },
    { kind: "invoke", client: "b", operation: "pop" },
    { kind: "invoke", client: "b", operation: "cas", value: 1 },
  ];
  const { operations, misplaced } = operationsOf(events, SEQUENTIAL_MODELS.register);
  expect(operations.map(({ input }) => input.operation)).toEqual(["write"]);
  expect(misplaced.map(({ event }) => event)).toEqual([0, 2, 3, 4]);
  expect(misplaced.map(({ problem }) => problem)).toEqual([
    "a has no call open",
    "a has a call open",
    'there is no operation "pop"; there are read, write, cas',
    "cas takes [expected, new]; gives whether it found the expected value, and then set the new one; not 1",
  ]);
});
