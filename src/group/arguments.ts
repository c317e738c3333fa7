/**
 * The arguments of a call as the body of a message, and back. They are checked by the operation's schema first, at the
 * caller, so nothing that the schema refuses is ever sent. A call whose only argument is a Uint8Array is carried as just
 * those bytes.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { copyOf } from "./bytes.ts";
import { decodeValue, encodeValue, Unencodable } from "./codec.ts";
import type { Operation } from "./define.ts";
import { isThenable } from "./diagnostics.ts";
import { CoterieError, describe } from "./errors.ts";
import { AS_BYTES } from "./message.ts";

export interface Body {
  /** The tag's bits for the operation and for how the body is written. */
  readonly tag: number;
  /** Valid until the next call. */
  readonly bytes: Uint8Array;
}

export function encodeArguments(operation: Operation, given: readonly unknown[], group: string): Body | CoterieError {
  const args = operation.schema === undefined ? given : validated(operation, operation.schema, given, group);
  if (args instanceof CoterieError) return args;
  const first = args[0];
  if (args.length === 1 && first instanceof Uint8Array) return { tag: operation.opcode | AS_BYTES, bytes: first };
  const bytes = encodeValue(args);
  if (!(bytes instanceof Unencodable)) return { tag: operation.opcode, bytes };
  const [, index, problem] = /^\[(\d+)\](.*)$/s.exec(bytes.problem) ?? ["", "0", bytes.problem];
  const what = `argument ${Number(index) + 1} of ${operation.name}: it${problem?.startsWith(" ") ? "" : "s "}${problem?.replace(/^ /, " ")}`;
  return new CoterieError("not-encodable", what, { group });
}

/** The arguments in the body of a message with this tag, or undefined when it holds none. */
export function argumentsIn(tag: number, bytes: Uint8Array, from: number, to: number): readonly unknown[] | undefined {
  if ((tag & AS_BYTES) !== 0) return [copyOf(bytes, from, to)];
  const value = decodeValue(bytes, from, to);
  return Array.isArray(value) ? value : undefined;
}

function validated(
  operation: Operation,
  schema: StandardSchemaV1,
  args: readonly unknown[],
  group: string,
): readonly unknown[] | CoterieError {
  let result: ReturnType<(typeof schema)["~standard"]["validate"]>;
  try {
    result = schema["~standard"].validate([...args]);
  } catch (cause) {
    return new CoterieError("invalid-argument", `the schema of ${operation.name} threw: ${describe(cause)}`, {
      group,
      cause,
    });
  }
  if (isThenable(result)) {
    result.then(undefined, () => undefined);
    return new CoterieError("invalid-argument", `the schema of ${operation.name} is asynchronous`, {
      group,
      remedy: "Use a schema that validates synchronously.",
    });
  }
  if (result.issues !== undefined) {
    return new CoterieError("invalid-argument", `${operation.name}: ${result.issues.map(issueText).join("; ")}`, {
      group,
    });
  }
  if (Array.isArray(result.value)) return result.value;
  return new CoterieError("invalid-argument", `the schema of ${operation.name} does not output an array`, {
    group,
    remedy: "Give a schema for the tuple of the arguments.",
  });
}

function issueText(issue: StandardSchemaV1.Issue): string {
  const path = (issue.path ?? []).map((segment) => String(typeof segment === "object" ? segment.key : segment));
  const [index, ...rest] = path;
  if (index === undefined) return issue.message;
  return `argument ${Number(index) + 1}${rest.map((part) => `.${part}`).join("")}: ${issue.message}`;
}
