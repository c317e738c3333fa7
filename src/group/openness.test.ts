import { expect, test } from "vitest";
import { defineGroup } from "./define.ts";
import { CoterieError } from "./errors.ts";
import { openOperations, requireOpen } from "./openness.ts";

const tickets = defineGroup({
  name: "tickets",
  state: () => ({ left: 10 }),
  updates: { book: ({ state }) => --state.left, close: () => {}, left: () => {} },
  queries: { left: ({ state }) => state.left, audit: () => [] },
  open: { updates: { book: true }, queries: { left: true } },
});

function refusal(kind: "update" | "query", name: string): CoterieError | undefined {
  try {
    requireOpen(tickets, kind, name);
  } catch (error) {
    if (error instanceof CoterieError) return error;
    throw error;
  }
  return undefined;
}

test("what the definition opens is open, kind by kind; everything else is closed, and what there is not looks the same", () => {
  expect(openOperations(tickets)).toEqual({ updates: ["book"], queries: ["left"] });
  expect([refusal("update", "book"), refusal("query", "left")]).toEqual([undefined, undefined]);
  const closed = [refusal("update", "left"), refusal("query", "audit"), refusal("update", "close")];
  const unknown = [refusal("query", "book"), refusal("update", "nothing"), refusal("query", "__proto__")];
  for (const error of [...closed, ...unknown]) {
    expect(error).toMatchObject({ code: "operation-closed", group: "tickets", retryable: false });
  }
  expect(new Set([...closed, ...unknown].map((error) => error?.message.replace(/update|query/, ""))).size).toBe(1);
});

test("by default nothing is open", () => {
  const plain = defineGroup({ name: "plain", state: () => 0, updates: { add: () => 1 }, queries: { get: () => 1 } });
  expect(openOperations(plain)).toEqual({ updates: [], queries: [] });
  expect(() => requireOpen(plain, "update", "add")).toThrow(CoterieError);
});

test("what is open is no part of the digest", () => {
  const description = { name: "g", state: () => 0, updates: { add: () => 1 } };
  expect(defineGroup({ ...description, open: { updates: { add: true } } }).digest).toBe(
    defineGroup(description).digest,
  );
});
