/**
 * The calls of a group: an object per flavour with a method per update, and one with a method per query, made from the
 * definition. A scope narrows them to some of the members or ties them to a signal. The call of an update with nothing
 * but bytes goes straight to the protocol.
 */
import type { NodeId } from "../protocol/view.ts";
import { CAUSAL, FIFO, RAW, SAFE, TOTAL } from "../wire/packet.ts";
import { encodeArguments } from "./arguments.ts";
import type { CompiledDefinition, Operation } from "./define.ts";
import { CoterieError, OutcomeUnknownError } from "./errors.ts";
import { AS_BYTES, AUDIENCE, type Audience, audienceOf, payloadOf, RAW_BODY_BYTES_MAX } from "./message.ts";
import type { Waiting } from "./outbox.ts";
import { Pending } from "./pending.ts";
import { abortedBy, type Question, refusedBySignal, tooLarge } from "./questions.ts";
import type { Replica } from "./replica.ts";
import { ALL, MAJORITY, QUERY_ORDERS, type QueryOptions, type Reply, TIMEOUT_ACTIONS, type Wanted } from "./reply.ts";
import type { ReplyStream } from "./reply-stream.ts";

export interface Scope {
  /** Undefined: all members. */
  readonly audience: Audience | undefined;
  readonly signal: AbortSignal | undefined;
}

export interface SendMethod {
  (...args: readonly unknown[]): Pending<unknown>;
  post(...args: readonly unknown[]): Promise<void> | undefined;
}

export type SendMethods = Readonly<Record<string, SendMethod>>;

export interface QueryMethod {
  (...args: readonly unknown[]): Pending<Reply<unknown>[]>;
  stream(...args: readonly unknown[]): ReplyStream<unknown>;
}

export type QueryMethods = Readonly<Record<string, QueryMethod>>;

export class Calls {
  readonly #replica: Replica;
  readonly #scope: Scope;
  #rawSend: SendMethods | undefined;
  #send: SendMethods | undefined;
  #causalSend: SendMethods | undefined;
  #orderedSend: SendMethods | undefined;
  #safeSend: SendMethods | undefined;

  constructor(replica: Replica, scope: Scope) {
    this.#replica = replica;
    this.#scope = scope;
  }

  get rawSend(): SendMethods {
    this.#rawSend ??= sendMethods(this.#replica, this.#scope, RAW);
    return this.#rawSend;
  }

  get send(): SendMethods {
    this.#send ??= sendMethods(this.#replica, this.#scope, FIFO);
    return this.#send;
  }

  get causalSend(): SendMethods {
    this.#causalSend ??= sendMethods(this.#replica, this.#scope, CAUSAL);
    return this.#causalSend;
  }

  get orderedSend(): SendMethods {
    this.#orderedSend ??= sendMethods(this.#replica, this.#scope, TOTAL);
    return this.#orderedSend;
  }

  get safeSend(): SendMethods {
    this.#safeSend ??= sendMethods(this.#replica, this.#scope, SAFE);
    return this.#safeSend;
  }

  /** The same calls to these members only. */
  to(members: unknown): Calls {
    const audience = audienceFor(members, this.#replica.definition.name);
    return new Calls(this.#replica, { audience, signal: this.#scope.signal });
  }

  query(wanted: Wanted, options: QueryOptions = {}): QueryMethods {
    const { definition, questions } = this.#replica;
    checkQuery(definition, wanted, options);
    const signal = options.signal ?? this.#scope.signal;
    const scoped = signal === undefined ? options : { ...options, signal };
    const { audience } = this.#scope;
    const methods: Record<string, QueryMethod> = Object.create(refusingOthers(definition.name, "query"));
    for (const operation of definition.queries) {
      const question: Question = { operation, wanted, options: scoped, audience };
      methods[operation.name] = Object.assign((...args: readonly unknown[]) => questions.ask(question, args), {
        stream: (...args: readonly unknown[]) => questions.stream(question, args),
      });
    }
    return methods;
  }
}

/** The audience that a user named. */
function audienceFor(members: unknown, group: string): Audience {
  const list: readonly unknown[] = Array.isArray(members) ? members : [members];
  for (const member of list) {
    if (typeof member !== "string" || !MEMBER.test(member)) {
      const problem = `to: ${JSON.stringify(member)} is not a member's id, such as "name#3f2a9c01"`;
      throw new CoterieError("invalid-argument", problem, { group, remedy: "Take ids from `group.view.members`." });
    }
  }
  if (list.length === 0 || new Set(list).size !== list.length) {
    throw new CoterieError("invalid-argument", "to: the members are not one or more different ones", { group });
  }
  return audienceOf(list as readonly NodeId[]);
}

/**
 * The prototype of the methods: asked only for a name that is not among them, which the compiler would have refused. What
 * the language itself looks for (whether it is a promise, how to print it) is not there, and that is all right.
 */
function refusingOthers(group: string, kind: "update" | "query"): object {
  return new Proxy(Object.create(null) as object, {
    get: (_target, name) => {
      if (typeof name === "symbol" || name === "then" || name === "toJSON") return undefined;
      throw new CoterieError("unknown-operation", `the group has no ${kind} \`${name}\``, { group });
    },
  });
}

const MEMBER = /^.+#[0-9a-f]{8}$/s;

function sendMethods(replica: Replica, scope: Scope, flavour: number): SendMethods {
  const methods: Record<string, SendMethod> = Object.create(refusingOthers(replica.definition.name, "update"));
  const everybody = scope.audience === undefined && scope.signal === undefined;
  for (const operation of replica.definition.updates) {
    const isPlain = everybody && operation.schema === undefined;
    const send = (args: readonly unknown[], call: Pending<unknown> | undefined): Waiting | CoterieError | undefined => {
      const bytes = args[0];
      return isPlain && args.length === 1 && bytes instanceof Uint8Array
        ? sendBytes(replica, flavour, operation, bytes, call)
        : sendEncoded(replica, scope, flavour, operation, args, call);
    };
    const method = (...args: readonly unknown[]): Pending<unknown> => {
      const call = new Pending<unknown>();
      const sent = send(args, call);
      if (sent instanceof CoterieError) call.fail(sent, replica.diagnostics);
      else if (scope.signal !== undefined) obey(scope.signal, replica, operation, call, sent);
      return call;
    };
    const post = (...args: readonly unknown[]): Promise<void> | undefined => {
      const sent = send(args, undefined);
      if (sent === undefined) return undefined;
      if (sent instanceof CoterieError) throw sent;
      return replica.outbox.whenRoom();
    };
    methods[operation.name] = Object.assign(method, { post });
  }
  return Object.freeze(methods);
}

function sendBytes(
  replica: Replica,
  flavour: number,
  operation: Operation,
  bytes: Uint8Array,
  call: Pending<unknown> | undefined,
): Waiting | CoterieError | undefined {
  const { definition, outbox } = replica;
  const bytesMax = bytesMaxOf(definition, flavour);
  if (bytes.length > bytesMax) return tooLarge(operation, bytes.length, bytesMax, definition.name);
  const refusal = outbox.refusal ?? refusedByView(replica, flavour, operation, undefined);
  return refusal ?? hand(replica, flavour, operation.opcode | AS_BYTES, bytes, call);
}

function sendEncoded(
  replica: Replica,
  scope: Scope,
  flavour: number,
  operation: Operation,
  args: readonly unknown[],
  call: Pending<unknown> | undefined,
): Waiting | CoterieError | undefined {
  const { definition } = replica;
  const { name: group } = definition;
  const { audience } = scope;
  const refusal =
    replica.outbox.refusal ??
    refusedBySignal(scope.signal, operation.name, group) ??
    refusedByView(replica, flavour, operation, audience);
  if (refusal !== undefined) return refusal;
  const body = encodeArguments(operation, args, group);
  if (body instanceof CoterieError) return body;
  const bytesMax = bytesMaxOf(definition, flavour);
  if (body.bytes.length > bytesMax) return tooLarge(operation, body.bytes.length, bytesMax, group);
  if (audience === undefined) return hand(replica, flavour, body.tag, body.bytes, call);
  return hand(replica, flavour, body.tag | AUDIENCE, payloadOf(undefined, audience, body.bytes), call);
}

/** Raw messages are outside of views: members that lack the operation let them pass. */
function refusedByView(
  { capabilities }: Replica,
  flavour: number,
  { opcode }: Operation,
  audience: Audience | undefined,
): CoterieError | undefined {
  return flavour === RAW ? undefined : capabilities.refusal(opcode, audience?.members);
}

function bytesMaxOf({ maxMessageBytes }: CompiledDefinition, flavour: number): number {
  return flavour === RAW ? Math.min(maxMessageBytes, RAW_BODY_BYTES_MAX) : maxMessageBytes;
}

function hand(
  { outbox }: Replica,
  flavour: number,
  tag: number,
  payload: Uint8Array,
  call: Pending<unknown> | undefined,
): Waiting | CoterieError | undefined {
  return flavour === RAW ? outbox.sendRaw(tag, payload, call) : outbox.send(flavour, tag, payload, call);
}

/** A signal takes a call back while it waits for room; after that, it only stops the caller's waiting. */
function obey(
  signal: AbortSignal,
  replica: Replica,
  operation: Operation,
  call: Pending<unknown>,
  waiting: Waiting | undefined,
): void {
  const { name: group } = replica.definition;
  const onAbort = () => {
    if (waiting !== undefined && replica.outbox.cancel(waiting)) {
      call.fail(abortedBy(signal, operation.name, group), replica.diagnostics);
      return;
    }
    const problem = `${operation.name} was aborted after it had been sent`;
    call.fail(
      new OutcomeUnknownError(problem, { group, view: replica.view.number, cause: signal.reason }),
      replica.diagnostics,
    );
  };
  signal.addEventListener("abort", onAbort, { once: true });
  call.whenSettled(() => signal.removeEventListener("abort", onAbort));
}

const QUERY_FIELDS: ReadonlySet<string> = new Set(["order", "timeoutMs", "onTimeout", "signal"]);

function checkQuery(definition: CompiledDefinition, wanted: Wanted, options: QueryOptions): void {
  const refuse = (problem: string): never => {
    throw new CoterieError("invalid-argument", `query: ${problem}`, { group: definition.name });
  };
  if (wanted !== ALL && wanted !== MAJORITY && !(Number.isInteger(wanted) && wanted >= 1)) {
    refuse("the number of replies is not ALL, MAJORITY or a whole number from 1");
  }
  for (const field of Object.keys(options)) if (!QUERY_FIELDS.has(field)) refuse(`\`${field}\` is not an option`);
  const { order, timeoutMs, onTimeout } = options;
  const orders = Object.keys(QUERY_ORDERS);
  if (order !== undefined && !orders.includes(order)) refuse(`\`order\` is none of ${orders.join(", ")}`);
  if (timeoutMs !== undefined && !(timeoutMs > 0)) refuse("`timeoutMs` is not a positive number");
  if (onTimeout !== undefined && !TIMEOUT_ACTIONS.includes(onTimeout)) {
    refuse(`\`onTimeout\` is none of ${TIMEOUT_ACTIONS.join(", ")}`);
  }
  if (order !== "raw") return;
  // A raw message may get lost: that proves nothing about the member that has not got it.
  if (timeoutMs === undefined) refuse('`order: "raw"` needs `timeoutMs`, because the question may get lost');
  if (onTimeout === "suspect") refuse('`order: "raw"` does not go with `onTimeout: "suspect"`: nobody is to blame');
}
