import { expect, test } from "vitest";
import { z } from "zod";
import { compiledOf, defineGroup } from "./define.ts";
import { CoterieError } from "./errors.ts";

const good = { name: "g", state: () => 0, updates: { add: () => 1 }, queries: { get: () => 1 } };

function refusal(description: object): CoterieError {
  try {
    defineGroup(description as typeof good);
  } catch (error) {
    if (error instanceof CoterieError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

test.each([
  ["name", { ...good, name: undefined }],
  ["name", { ...good, name: "" }],
  ["name", { ...good, name: "x".repeat(129) }],
  ["name", { ...good, name: "a\nb" }],
  ["state", { ...good, state: undefined }],
  ["state", { ...good, state: new Map() }],
  ["updates", { ...good, updates: 5 }],
  ["updates.add", { ...good, updates: { add: 1 } }],
  // biome-ignore lint/suspicious/noThenProperty: it is what is refused.
  ["updates.then", { ...good, updates: { then: () => 1 } }],
  ["queries.get", { ...good, queries: { get: "x" } }],
  ["onView", { ...good, onView: true }],
  ["onExcluded", { ...good, onExcluded: 1 }],
  ["maxMessageBytes", { ...good, maxMessageBytes: 0 }],
  ["maxMessageBytes", { ...good, maxMessageBytes: 2 ** 40 }],
  ["version", { ...good, version: {} }],
  ["secure", { ...good, secure: "yes" }],
  ["schema", { ...good, schema: 1 }],
  ["schema.add", { ...good, schema: { add: {} } }],
  ["schema.put", { ...good, schema: { put: z.tuple([]) } }],
  ["checkpoint", { ...good, checkpoint: 1 }],
  ["checkpoint.save", { ...good, checkpoint: { load: String } }],
  ["checkpoint.load", { ...good, checkpoint: { save: String } }],
  ["checkpoint.everyUpdates", { ...good, checkpoint: { save: String, load: String, everyUpdates: 5 } }],
  ["durable", { ...good, durable: "yes" }],
  ["durable", { ...good, durable: { disks: 2 } }],
  ["durable.acceptors", { ...good, durable: { acceptors: 0 } }],
  ["durable.acceptors", { ...good, durable: { acceptors: 1025 } }],
  ["open", { ...good, open: true }],
  ["open.update", { ...good, open: { update: { add: true } } }],
  ["open.updates", { ...good, open: { updates: "add" } }],
  ["open.updates", { ...good, open: { updates: { get: true } } }],
  ["open.queries.get", { ...good, open: { queries: { get: "yes" } } }],
])("a wrong `%s` is refused at once and named", (field, description) => {
  const error = refusal(description);
  expect(error.code).toBe("invalid-option");
  expect(error.message).toContain(`\`${field}\``);
});

test.each([
  ["an async function", async () => 1],
  ["a generator", function* () {}],
  ["an async generator", async function* () {}],
])("%s as an update is refused at once", (_what, add) => {
  const error = refusal({ ...good, updates: { add } });
  expect(error.code).toBe("asynchronous-update");
  expect(error.message).toContain("updates.add");
});

test("only what defineGroup made is a definition", () => {
  for (const not of [{}, undefined, { name: "g", digest: "x" }]) {
    expect(() => compiledOf(not as ReturnType<typeof defineGroup>)).toThrow("`definition` is not one");
  }
});

test("an operation's code is that of its name and kind, whatever else the definition has", () => {
  const handler = () => 1;
  const one = compiledOf(defineGroup({ ...good, updates: { b: handler, a: handler }, queries: { a: handler } }));
  expect(one.updates.map(({ name, opcode }) => [name, opcode])).toEqual([
    ["a", 0xa97_8112],
    ["b", 0xe23_e816],
  ]);
  expect(one.queries.map(({ opcode }) => opcode)).toEqual([0x1a97_8112]);
  expect(one.operations).toEqual([0xa97_8112, 0xe23_e816, 0x1a97_8112]);
  const other = compiledOf(defineGroup({ ...good, updates: { b: handler } }));
  expect(other.operations).toContain(0xe23_e816);
});

test("two names with one code are refused, and both are named", () => {
  const updates = { dropGetClears: () => 1, userScoreLockOne: () => 2 };
  const error = refusal({ ...good, updates });
  expect(error.code).toBe("invalid-option");
  expect(error.message).toContain("`updates.userScoreLockOne` and `updates.dropGetClears`");
  expect(() =>
    defineGroup({ ...good, updates: { dropGetClears: () => 1 }, queries: { userScoreLockOne: () => 2 } }),
  ).not.toThrow();
});

test("a definition has so many operations at most", () => {
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`u${index}`, () => 1]));
  expect(() => defineGroup({ ...good, updates: many(1000), queries: many(24) })).not.toThrow();
  expect(refusal({ ...good, updates: many(1000), queries: many(25) }).message).toContain("1024");
});

test("the digest covers what members must agree on, and nothing else", () => {
  const digest = defineGroup(good).digest;
  expect(digest).toMatch(/^[0-9a-f]{32}$/);
  const same = { ...good, updates: { add: (_context: unknown, by: number) => by, more: () => 1 }, onView: () => {} };
  expect(defineGroup(same).digest).toBe(digest);
  const others = [
    { ...good, name: "h" },
    { ...good, version: 2 },
    { ...good, durable: true },
    { ...good, durable: { acceptors: 2 } },
    { ...good, durable: { acceptors: 3 } },
    { ...good, maxMessageBytes: 1000 },
  ];
  const digests = others.map((other) => defineGroup(other as typeof good).digest);
  expect(new Set([digest, ...digests]).size).toBe(others.length + 1);
});
