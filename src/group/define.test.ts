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
  ["secure", { ...good, durable: true, secure: true }],
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

test("operations are numbered by name, not by the order in which they were written", () => {
  const one = compiledOf(defineGroup({ ...good, updates: { b: () => 1, a: () => 2 } }));
  expect(one.updates.map(({ name, opcode }) => [name, opcode])).toEqual([
    ["a", 0],
    ["b", 1],
  ]);
});

test("the digest covers what members must agree on, and nothing else", () => {
  const digest = defineGroup(good).digest;
  expect(digest).toMatch(/^[0-9a-f]{32}$/);
  const same = { ...good, updates: { add: (_context: unknown, by: number) => by }, onView: () => {} };
  expect(defineGroup(same).digest).toBe(digest);
  const others = [
    { ...good, name: "h" },
    { ...good, version: 2 },
    { ...good, updates: { plus: () => 1 } },
    { ...good, updates: { add: () => 1, more: () => 1 } },
    { ...good, updates: {}, queries: { get: () => 1, add: () => 1 } },
    { ...good, maxMessageBytes: 1000 },
  ];
  const digests = others.map((other) => defineGroup(other as typeof good).digest);
  expect(new Set([digest, ...digests]).size).toBe(others.length + 1);
});
