/**
 * Holds what clients saw of a service against an object that is used by one client at a time, and shows the call that
 * cannot be explained with those around it.
 */
import { linearizable, type Operation } from "../../simulation/linearizability.ts";
import { readOperations } from "../../simulation/operations.ts";
import {
  type Call,
  type Outcome,
  SEQUENTIAL_MODELS,
  type SequentialModelName,
} from "../../simulation/sequential-models.ts";
import { count, type Output } from "../output.ts";
import { tellUnreadable, type Verdict } from "./verdict.ts";

type Seen = Operation<Call, Outcome>;

/** How many calls are shown around the one that cannot be explained. */
const CALLS_MAX = 16;

export function checkOperations(paths: readonly string[], name: SequentialModelName, output: Output): Verdict {
  const model = SEQUENTIAL_MODELS[name];
  const { operations, unreadable } = readOperations(paths, model);
  const { bold, dim, green, red, yellow } = output.colours;
  const clients = new Set(operations.map(({ client }) => client)).size;
  const calls = `${count(operations.length, "call")} by ${count(clients, "client")}`;
  const facts = { model: name, operations: operations.length, clients, unreadable };
  output.line(`\n${bold(`coterie check --linearizable ${name}`)}  ${dim(calls)}`);
  if (unreadable.length > 0) {
    output.record({ ok: false, ...facts, verdict: "cannot be judged" });
    tellUnreadable(unreadable, output);
    return "cannot be judged";
  }
  const found = linearizable(model, operations);
  output.line();
  if (found.verdict === "linearizable") {
    const objects = count(found.orders.size, "object");
    output.record({ ok: true, ...facts, verdict: found.verdict, objects: found.orders.size });
    output.line(`${green("✔")} Linearizable: ${objects}, each used as if by one client at a time.`);
    return "ok";
  }
  if (found.verdict === "undecided") {
    output.record({ ok: false, ...facts, verdict: found.verdict, object: found.object });
    output.line(
      `${yellow("!")} Undecided: ${nameOf(found.object)} had too many calls open at once, or too many without outcome.`,
    );
    return "cannot be judged";
  }
  const { object, operation, states } = found;
  const around = aroundOf(operation, operations, (call) => (model.objectOf?.(call) ?? "") === object);
  output.record({ ok: false, ...facts, verdict: found.verdict, object, operation, states, around });
  output.line(`  ${red(`Not linearizable: no order of the calls on ${nameOf(object)} explains this one.`)}`);
  output.line(`  Whatever took effect before it, the state was ${states.join(" or ")}.\n`);
  for (const call of around) output.line(`  ${lineOf(call)}${call === operation ? red("  ◀") : ""}`);
  output.line(`\n${red("✖")} Not linearizable.`);
  return "wrong";
}

/** The last calls on the object that began before the one that cannot be explained returned. */
function aroundOf({ returnedAt }: Seen, operations: readonly Seen[], isOf: (call: Call) => boolean): readonly Seen[] {
  return operations
    .filter(({ input, calledAt }) => isOf(input) && calledAt < returnedAt)
    .sort((a, b) => a.calledAt - b.calledAt)
    .slice(-CALLS_MAX);
}

function lineOf({ client, input, output, calledAt, returnedAt }: Seen): string {
  const { operation, key, value } = input;
  const lasted = `${calledAt + 1}–${returnedAt === Number.POSITIVE_INFINITY ? "?" : returnedAt + 1}`;
  const what = [operation, key, value === undefined ? "" : JSON.stringify(value)]
    .filter((word) => word !== "")
    .join(" ");
  const result = output === undefined ? "unknown" : output.value === undefined ? "ok" : JSON.stringify(output.value);
  return `${lasted.padEnd(14)} ${client.padEnd(10)} ${what} → ${result}`;
}

function nameOf(object: string): string {
  return object === "" ? "the object" : JSON.stringify(object);
}
