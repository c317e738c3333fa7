/**
 * Answers the queries that are delivered here. Every query is answered exactly once (Q1), provided that its handler
 * settles: with the value, with null if the handler returned nothing or called `nullReply()`, or with the reason why
 * there is no value. A handler may take its time; when the membership has ended meanwhile, the answer is dropped.
 */
import type { NodeId } from "../protocol/view.ts";
import type { Membership } from "../runtime/application.ts";
import { decodeValue, encodeValue, MALFORMED, Unencodable } from "./codec.ts";
import { LiveQueryContext, type LiveUpdateContext } from "./contexts.ts";
import type { Operation } from "./define.ts";
import { type Diagnostics, isThenable } from "./diagnostics.ts";
import { AbortReply, CoterieError, describe, ERROR_CODES, type ErrorCode } from "./errors.ts";

const NOTHING = new Uint8Array(0);

/** The longest answer: what the protocol carries at most. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

export class Answers {
  readonly #diagnostics: Diagnostics;
  readonly #bytesMax: number;
  #membership: Membership | undefined;

  constructor(diagnostics: Diagnostics, bytesMax: number) {
    this.#diagnostics = diagnostics;
    this.#bytesMax = Math.min(bytesMax, ANSWER_BYTES_MAX);
  }

  open(membership: Membership): void {
    this.#membership = membership;
  }

  end(): void {
    this.#membership = undefined;
  }

  /** Runs the query's handler at this point of the deliveries and sends its answer to the caller when it settles. */
  run(operation: Operation, args: readonly unknown[], at: LiveUpdateContext, query: number): void {
    // What was asked before the group failed and was brought back here nobody waits for.
    if (this.#membership === undefined) return;
    const to = at.sender;
    const context = new LiveQueryContext(at);
    try {
      const result = operation.handler(context, ...args);
      if (!isThenable(result)) {
        this.#answer(operation, to, query, context, result);
        return;
      }
      result.then(
        (value) => this.#answer(operation, to, query, context, value),
        (error: unknown) => this.#threw(operation, to, query, error),
      );
    } catch (error) {
      this.#threw(operation, to, query, error);
    }
  }

  /** Answers a query that cannot be run, so that it ends. */
  refuse(to: NodeId, query: number, code: ErrorCode, reason: string): void {
    this.#abort(to, query, code, reason);
  }

  /** Answers a query about which this member has nothing to say. */
  pass(to: NodeId, query: number): void {
    this.#membership?.answer(to, query, "null", NOTHING);
  }

  #answer(operation: Operation, to: NodeId, query: number, context: LiveQueryContext, value: unknown): void {
    if (context.answersNull || value === undefined) {
      this.pass(to, query);
      return;
    }
    const bytes = encodeValue(value);
    if (bytes instanceof Unencodable) {
      this.#abort(to, query, "not-encodable", `the result of ${operation.name}${bytes.problem}`);
    } else if (bytes.length > this.#bytesMax) {
      const problem = `the result of ${operation.name} has ${bytes.length} bytes, more than ${this.#bytesMax}`;
      this.#abort(to, query, "message-too-large", problem);
    } else {
      this.#membership?.answer(to, query, "value", bytes.slice());
    }
  }

  #threw(operation: Operation, to: NodeId, query: number, error: unknown): void {
    if (error instanceof AbortReply) {
      this.#abort(to, query, "query-aborted", error.reason);
      return;
    }
    this.#diagnostics.counters.handlerFailures++;
    this.#diagnostics.report("warn", "handler-failed", operation.name, `the query ${operation.name} threw`, error);
    this.#abort(to, query, "handler-failed", `${operation.name} threw: ${describe(error)}`);
  }

  #abort(to: NodeId, query: number, code: ErrorCode, reason: string): void {
    const bytes = encodeValue([code, reason]);
    this.#membership?.answer(to, query, "abort", bytes instanceof Unencodable ? NOTHING : bytes.slice());
  }
}

/** The error that an aborting member's answer stands for. */
export function abortOf(from: NodeId, value: Uint8Array, group: string, view: number): CoterieError {
  const decoded = decodeValue(value);
  const [code, reason]: readonly unknown[] = decoded !== MALFORMED && Array.isArray(decoded) ? decoded : [];
  if (typeof reason !== "string" || typeof code !== "string" || !isErrorCode(code)) {
    return new CoterieError("handler-failed", `the query failed at ${from}`, { group, view });
  }
  if (code === "query-aborted") return new AbortReply(reason, { group, view });
  return new CoterieError(code, `the query failed at ${from}: ${reason}`, { group, view });
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}
