/**
 * The history of a service's operations as its clients saw them, in events that can be written as lines of JSON: each
 * call when it is made, each outcome when it is known. Of events recorded in one place the order counts; who merges
 * those of several places orders them by a clock that all share.
 */
import { readJsonLines, type UnreadableLine } from "./json-lines.ts";
import type { Operation } from "./linearizability.ts";
import type { Call, Outcome, PreparedModel } from "./sequential-models.ts";

export type OperationEvent =
  /** A client calls. It has no other call open, unless that one's outcome is known to be unknown. */
  | {
      readonly kind: "invoke";
      /** Milliseconds of a clock, for people and for merging. */
      readonly at?: number;
      readonly client: string;
      readonly operation: string;
      readonly key?: string;
      readonly value?: unknown;
    }
  /**
   * The client's open call ended. `ok`: it took effect, with this result, if one is given. `fail`: it had no effect and
   * never will. `unknown`: it may take effect at any time, or never; a call that has no return is of this kind.
   */
  | {
      readonly kind: "return";
      readonly at?: number;
      readonly client: string;
      readonly outcome: "ok" | "fail" | "unknown";
      readonly value?: unknown;
    };

/** What is wrong with an event, by its place in the list. */
export interface MisplacedEvent {
  readonly event: number;
  readonly problem: string;
}

/**
 * The operations in a list of events, without those that had no effect. `calledAt` and `returnedAt` are places in the
 * list. Events that do not fit are left out and reported.
 */
export function operationsOf(
  events: readonly OperationEvent[],
  model: Pick<PreparedModel, "problemOf">,
): { readonly operations: readonly Operation<Call, Outcome>[]; readonly misplaced: readonly MisplacedEvent[] } {
  const operations: Operation<Call, Outcome>[] = [];
  const misplaced: MisplacedEvent[] = [];
  const open = new Map<string, { readonly call: Call; readonly calledAt: number }>();
  const unknown = (input: Call, calledAt: number): void => {
    const { client } = input;
    operations.push({ client, input, output: undefined, calledAt, returnedAt: Number.POSITIVE_INFINITY });
  };
  for (const [event, item] of events.entries()) {
    const { client } = item;
    const begun = open.get(client);
    if (item.kind === "invoke") {
      const call: Call = { client, operation: item.operation, key: item.key ?? "", value: item.value };
      const problem = begun === undefined ? model.problemOf(call) : `${client} has a call open`;
      if (problem === undefined) open.set(client, { call, calledAt: event });
      else misplaced.push({ event, problem });
      continue;
    }
    if (begun === undefined) {
      misplaced.push({ event, problem: `${client} has no call open` });
      continue;
    }
    open.delete(client);
    const { call, calledAt } = begun;
    if (item.outcome === "unknown") unknown(call, calledAt);
    if (item.outcome !== "ok") continue;
    operations.push({ client, input: call, output: { value: item.value }, calledAt, returnedAt: event });
  }
  for (const { call, calledAt } of open.values()) unknown(call, calledAt);
  return { operations, misplaced };
}

const isText = (value: unknown): boolean => typeof value === "string";
const isTextOrNone = (value: unknown): boolean => value === undefined || isText(value);

function eventProblem(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return "is not an object";
  const { at, client, kind, operation, key, outcome } = value as Readonly<Record<string, unknown>>;
  if (!isText(client) || client === "") return "names no client";
  if (at !== undefined && typeof at !== "number") return "`at` is no number";
  if (kind === "invoke")
    return isText(operation) && isTextOrNone(key) ? undefined : "names no operation, or a strange key";
  if (kind !== "return") return "is neither an invoke nor a return";
  return ["ok", "fail", "unknown"].includes(outcome as string) ? undefined : "`outcome` is not ok, fail or unknown";
}

/**
 * Reads operations from files of JSON lines. Of one file the order counts; events of several files are ordered by `at`,
 * calls before returns at the same time. Throws what the file system throws.
 */
export function readOperations(
  files: readonly string[],
  model: Pick<PreparedModel, "problemOf">,
): { readonly operations: readonly Operation<Call, Outcome>[]; readonly unreadable: readonly UnreadableLine[] } {
  const read: { readonly event: OperationEvent; readonly file: string; readonly line: number }[] = [];
  const unreadable = files.flatMap((file) =>
    readJsonLines(file, (value, line) => {
      const problem = eventProblem(value);
      if (problem !== undefined) return problem;
      const event = value as OperationEvent;
      if (files.length > 1 && event.at === undefined) return "has no `at`, which events in several files need";
      read.push({ event, file, line });
      return undefined;
    }),
  );
  if (files.length > 1) {
    const late = ({ kind }: OperationEvent): number => (kind === "return" ? 1 : 0);
    read.sort((a, b) => (a.event.at ?? 0) - (b.event.at ?? 0) || late(a.event) - late(b.event));
  }
  const { operations, misplaced } = operationsOf(
    read.map(({ event }) => event),
    model,
  );
  for (const { event, problem } of misplaced) {
    const { file = "", line = 0 } = read[event] ?? {};
    unreadable.push({ file, line, problem });
  }
  return { operations, unreadable };
}
