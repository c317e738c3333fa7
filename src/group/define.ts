/**
 * `defineGroup` turns a group's description, written once, into a definition that every member joins with. It fails at
 * once, naming the field, when the description is wrong. The definition's digest covers what must be equal at all
 * members: the name, `version`, `maxMessageBytes`, `durable` and `secure`. Of two members' operations one's may be a part of the
 * other's (rule C14). What the handlers do is the developer's to keep compatible (raise `version` when it is not).
 */
import { createHash } from "node:crypto";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { NODES_MAX, OPERATIONS_MAX } from "../protocol/view.ts";
import { type BatchHandler, batchHandlerOf, isBorrower } from "./batch.ts";
import { CoterieError } from "./errors.ts";
import { operationCode } from "./message.ts";
import type {
  ArgumentsOf,
  Given,
  Handlers,
  QueryContext,
  Shape,
  Synchronous,
  UpdateContext,
  ViewContext,
} from "./operations.ts";

const MESSAGE_BYTES_DEFAULT = 8 * 1024 * 1024;
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;
const NAME_MAX = 128;
const DIGEST_DIGITS = 32;

/** How a state becomes bytes and comes back, for states that are large or not plain data. */
export interface Checkpoint<S> {
  /**
   * Called at one point of the group's history. What it yields must be the state at that point: take a snapshot before
   * the first `await` or `yield`, for deliveries go on while the chunks are read. Chunks may have any size.
   */
  readonly save: (state: S) => Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  /** The state from the same bytes, in chunks that may be cut differently. */
  readonly load: (chunks: AsyncIterable<Uint8Array>) => S | Promise<S>;
}

/** A group as `defineGroup` takes it. */
export interface GroupDescription<S, U extends Handlers<UpdateContext<S>>, Q extends Handlers<QueryContext<S>>> {
  /** Names the group in the whole cluster; 1 to 128 characters. */
  readonly name: string;
  /** The state of a new group. Called once for every join, and dropped when the state comes from a member. */
  readonly state: () => S;
  /** Change the state: synchronous, deterministic, the same at every replica. */
  readonly updates?: U & Synchronous<U>;
  /** Look at the state, and may wait. */
  readonly queries?: Q;
  /**
   * Validates the arguments of an operation, as a tuple, at the caller before anything is sent: any Standard Schema,
   * synchronous. What it outputs is sent.
   */
  readonly schema?: NoInfer<ArgumentsSchemas<Given<U>> & ArgumentsSchemas<Given<Q>>>;
  /**
   * The operations that may be done for clients that are no members: `{ updates: { name: true } }`; default: none. `requireOpen` is for the
   * program that does them. Not a part of the digest: each member goes by its own definition.
   */
  readonly open?: NoInfer<{
    readonly updates?: { readonly [K in keyof Given<U>]?: true };
    readonly queries?: { readonly [K in keyof Given<Q>]?: true };
  }>;
  /** Called for every view, in the order of deliveries, and at the same point of it at every member. */
  readonly onView?: (context: ViewContext<S>) => void;
  /** The group goes on without this member. */
  readonly onExcluded?: (error: CoterieError) => void;
  /** The longest message, in bytes once encoded; default 8 MiB, at most 256 MiB. The same at all members. */
  readonly maxMessageBytes?: number;
  /**
   * Members keep what they hold on disk, so that the group outlives them all: what is safe, and what was flushed, is on
   * the disk of every member that holds the state. With `{ acceptors: n }` it is on n disks, those of the oldest members
   * that hold the state, before it counts as safe or flushed, and in the memory of all; the other disks follow. Then the group
   * outlives them all as long as one of these disks is left. Needs `dataDir` at all nodes that join. The same at all members.
   */
  readonly durable?: boolean | Durability;
  /** Default: the whole state by the default codec, at once. */
  readonly checkpoint?: Checkpoint<S>;
  /** What is done about a member that holds the others' sends back; each member goes by its own definition. */
  readonly slowMember?: SlowMemberPolicy;
  /**
   * What members say is sealed with keys that change with every view, so nobody reads what was said before it joined or
   * after it left. Only in secured clusters. Part of the digest. Default false.
   */
  readonly secure?: boolean;
  /** Part of the digest: members with another version are refused. */
  readonly version?: string | number;
}

export interface Durability {
  /** For so many disks safe messages wait, 1 to 1024; for all if there are no more members. */
  readonly acceptors: number;
}

type ArgumentsSchemas<H> = { readonly [K in keyof H]?: StandardSchemaV1<unknown, ArgumentsOf<H[K]>> };

/** When a member counts as too slow: for so long others had their window full because it did not take what they sent. */
export interface SlowMemberPolicy {
  /** Then it is reported: in the log, in `counters.slowMembers`. Default 2000 ms. */
  readonly reportAfterMs?: number;
  /** Then this member wants it excluded from the group; it is, once a quorum of the group wants it. Default: never. */
  readonly excludeAfterMs?: number;
}

const compiled: unique symbol = Symbol("compiled");

/** What `node.join` takes. */
export interface GroupDefinition<D extends Shape = Shape> {
  readonly name: string;
  /** Names what members must agree on. */
  readonly digest: string;
  /** @internal */
  readonly [compiled]: CompiledDefinition;
  /** Never present: it only carries the types. */
  readonly shape?: D;
}

/** The shape of a definition: `ShapeOf<typeof prices>`. */
export type ShapeOf<G> = G extends GroupDefinition<infer D> ? D : never;

export type Handler = (context: unknown, ...args: readonly unknown[]) => unknown;

export interface Operation {
  readonly name: string;
  /** Its code: see `message.ts`. */
  readonly opcode: number;
  readonly handler: Handler;
  /** Of an update that takes many messages at once: used in place of `handler` where it can be. */
  readonly batch: BatchHandler | undefined;
  /** Whether the handler keeps nothing of the bytes that it is given. */
  readonly borrows: boolean;
  readonly schema: StandardSchemaV1 | undefined;
  /** Whether it may be done for clients that are no members. */
  readonly isOpen: boolean;
}

/** A definition as the machinery uses it: types are gone, operations have numbers. */
export interface CompiledDefinition {
  readonly name: string;
  readonly digest: string;
  /** The codes of all operations, ascending. */
  readonly operations: readonly number[];
  readonly state: () => unknown;
  /** By name. */
  readonly updates: readonly Operation[];
  readonly queries: readonly Operation[];
  readonly onView: ((context: ViewContext<unknown>) => unknown) | undefined;
  readonly onExcluded: ((error: CoterieError) => unknown) | undefined;
  readonly maxMessageBytes: number;
  readonly durable: boolean;
  readonly acceptors: number | undefined;
  readonly checkpoint: Checkpoint<unknown> | undefined;
  readonly slowMember: SlowMemberPolicy;
  readonly secure: boolean;
}

/**
 * Checks a group's description and gives what `node.join` takes. The types of all calls are inferred from the handlers.
 * Throws a CoterieError (`invalid-option`, `asynchronous-update`) that names the field.
 */
export function defineGroup<S, U extends Handlers<UpdateContext<S>>, Q extends Handlers<QueryContext<S>>>(
  description: GroupDescription<S, U, Q>,
): GroupDefinition<{ readonly state: S; readonly updates: Given<U>; readonly queries: Given<Q> }> {
  const definition = compile(description as unknown as Readonly<Record<string, unknown>>);
  return Object.freeze({ name: definition.name, digest: definition.digest, [compiled]: definition });
}

/** The inside of a definition. Throws `invalid-option` for anything that `defineGroup` did not make. */
export function compiledOf(definition: GroupDefinition): CompiledDefinition {
  const inside: unknown = (definition as Partial<GroupDefinition> | undefined)?.[compiled];
  if (inside === undefined) throw invalid("definition", "is not one", "pass what `defineGroup` returned");
  return definition[compiled];
}

/** The same group, as far as its members can tell, with another inside: for whoever watches its handlers run. */
export function revised<G extends GroupDefinition>(
  definition: G,
  revise: (inside: CompiledDefinition) => CompiledDefinition,
): G {
  return Object.freeze({ ...definition, [compiled]: revise(compiledOf(definition)) });
}

const FIELDS: ReadonlySet<string> = new Set([
  "name",
  "state",
  "updates",
  "queries",
  "schema",
  "open",
  "onView",
  "onExcluded",
  "maxMessageBytes",
  "durable",
  "checkpoint",
  "slowMember",
  "secure",
  "version",
]);

function compile(description: Readonly<Record<string, unknown>>): CompiledDefinition {
  if (typeof description !== "object" || description === null) throw invalid("description", "is not an object");
  for (const field of Object.keys(description)) {
    if (!FIELDS.has(field)) throw invalid(field, "is not an option", `the options are ${[...FIELDS].join(", ")}`);
  }
  const { version, maxMessageBytes = MESSAGE_BYTES_DEFAULT, secure = false } = description;
  const name = groupName(description["name"]);
  if (version !== undefined && typeof version !== "string" && typeof version !== "number") {
    throw invalid("version", "is neither a string nor a number");
  }
  if (!isCount(maxMessageBytes) || maxMessageBytes > MESSAGE_BYTES_MAX) {
    throw invalid("maxMessageBytes", `is not a whole number from 1 to ${MESSAGE_BYTES_MAX}`);
  }
  const { durable, acceptors } = durabilityIn(description["durable"]);
  if (typeof secure !== "boolean") throw invalid("secure", "is neither true nor false");
  const state = functionIn(description, "state");
  if (state === undefined) throw invalid("state", "is missing", "give a function that returns the initial state");
  const schemas = schemasIn(description);
  const open = openIn(description["open"]);
  const updates = operationsIn(description, "updates", schemas, open.updates);
  const queries = operationsIn(description, "queries", schemas, open.queries);
  for (const unused of schemas.keys()) {
    if (![...updates, ...queries].some((operation) => operation.name === unused)) {
      throw invalid(`schema.${unused}`, "names no operation");
    }
  }
  for (const { name: update, handler } of updates) refuseAsynchronous(update, handler);
  if (updates.length + queries.length > OPERATIONS_MAX) {
    throw invalid("updates", `has, with \`queries\`, more than ${OPERATIONS_MAX} operations`);
  }
  return {
    name,
    digest: digestOf(name, version, maxMessageBytes, { durable, acceptors }, secure),
    operations: [...updates, ...queries].map(({ opcode }) => opcode).sort((a, b) => a - b),
    state,
    updates,
    queries,
    onView: functionIn(description, "onView"),
    onExcluded: functionIn(description, "onExcluded"),
    maxMessageBytes,
    durable,
    acceptors,
    checkpoint: checkpointIn(description["checkpoint"]),
    slowMember: slowMemberIn(description["slowMember"]),
    secure,
  };
}

function groupName(name: unknown): string {
  if (typeof name !== "string" || name === "") throw invalid("name", "is not a string of at least one character");
  if (name.length > NAME_MAX) throw invalid("name", `is longer than ${NAME_MAX} characters`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused.
  if (/[\u0000-\u001f\u007f]/.test(name)) throw invalid("name", "contains control characters");
  return name;
}

function operationsIn(
  description: Readonly<Record<string, unknown>>,
  field: "updates" | "queries",
  schemas: ReadonlyMap<string, StandardSchemaV1>,
  open: ReadonlySet<string>,
): readonly Operation[] {
  const given = description[field] ?? {};
  if (typeof given !== "object" || given === null) throw invalid(field, "is not an object of functions");
  const names = Object.keys(given).sort();
  const unknown = [...open].find((name) => !names.includes(name));
  if (unknown !== undefined) throw invalid(`open.${field}`, `names ${unknown}, which is not one of the ${field}`);
  const named = new Map<number, string>();
  return names.map((name) => {
    const handler: unknown = (given as Readonly<Record<string, unknown>>)[name];
    if (name === "then" || name === "__proto__" || name === "") {
      throw invalid(`${field}.${name}`, "cannot be the name of an operation", "choose another name");
    }
    if (typeof handler !== "function") throw invalid(`${field}.${name}`, "is not a function");
    const opcode = operationCode(name, field === "updates" ? "update" : "query");
    const other = named.get(opcode);
    if (other !== undefined) {
      const problem = `and \`${field}.${other}\` have names with the same hash`;
      throw invalid(`${field}.${name}`, problem, "Choose another name for one of them.");
    }
    named.set(opcode, name);
    const batch = batchHandlerOf(handler);
    const borrows = isBorrower(handler);
    return {
      name,
      opcode,
      handler: handler as Handler,
      batch,
      borrows,
      schema: schemas.get(name),
      isOpen: open.has(name),
    };
  });
}

function refuseAsynchronous(name: string, handler: Handler): void {
  const kind = Object.prototype.toString.call(handler);
  if (kind === "[object Function]") return;
  throw new CoterieError("asynchronous-update", `updates.${name} is an ${kind.slice(8, -1)}`);
}

function schemasIn(description: Readonly<Record<string, unknown>>): ReadonlyMap<string, StandardSchemaV1> {
  const given = description["schema"];
  const schemas = new Map<string, StandardSchemaV1>();
  if (given === undefined) return schemas;
  if (typeof given !== "object" || given === null) throw invalid("schema", "is not an object of schemas");
  for (const [name, schema] of Object.entries(given)) {
    if (schema === undefined) continue;
    if (!isStandardSchema(schema)) throw invalid(`schema.${name}`, "is not a Standard Schema (version 1)");
    schemas.set(name, schema);
  }
  return schemas;
}

function isStandardSchema(value: unknown): value is StandardSchemaV1 {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  const standard = (value as Partial<StandardSchemaV1>)["~standard"];
  return standard?.version === 1 && typeof standard.validate === "function";
}

function openIn(given: unknown): { readonly updates: ReadonlySet<string>; readonly queries: ReadonlySet<string> } {
  if (given !== undefined && (typeof given !== "object" || given === null)) throw invalid("open", "is not an object");
  for (const field of Object.keys(given ?? {})) {
    if (field !== "updates" && field !== "queries") {
      throw invalid(`open.${field}`, "is not an option", "the options are updates, queries");
    }
  }
  const namesIn = (field: "updates" | "queries"): ReadonlySet<string> => {
    const named: unknown = (given as Readonly<Record<string, unknown>> | undefined)?.[field] ?? {};
    if (typeof named !== "object" || named === null) throw invalid(`open.${field}`, "is not an object");
    const wrong = Object.entries(named).find(([, value]) => value !== true && value !== undefined);
    if (wrong !== undefined) throw invalid(`open.${field}.${wrong[0]}`, "is not `true`", "leave out what is closed");
    return new Set(Object.keys(named).filter((name) => (named as Readonly<Record<string, unknown>>)[name] === true));
  };
  return { updates: namesIn("updates"), queries: namesIn("queries") };
}

function checkpointIn(given: unknown): Checkpoint<unknown> | undefined {
  if (given === undefined) return undefined;
  if (typeof given !== "object" || given === null) throw invalid("checkpoint", "is not an object");
  for (const field of Object.keys(given)) {
    if (field !== "save" && field !== "load") throw invalid(`checkpoint.${field}`, "is not an option");
  }
  const { save, load } = given as Partial<Checkpoint<unknown>>;
  if (typeof save !== "function") throw invalid("checkpoint.save", "is not a function");
  if (typeof load !== "function") throw invalid("checkpoint.load", "is not a function");
  return { save, load };
}

function slowMemberIn(given: unknown): SlowMemberPolicy {
  if (given === undefined) return {};
  if (typeof given !== "object" || given === null) throw invalid("slowMember", "is not an object");
  for (const [field, value] of Object.entries(given)) {
    if (field !== "reportAfterMs" && field !== "excludeAfterMs") {
      throw invalid(`slowMember.${field}`, "is not an option", "the options are reportAfterMs, excludeAfterMs");
    }
    if (value !== undefined && !isCount(value)) throw invalid(`slowMember.${field}`, "is not a whole number from 1");
  }
  return { ...given };
}

function functionIn<F extends (...args: never[]) => unknown>(
  description: Readonly<Record<string, unknown>>,
  field: string,
): F | undefined {
  const given = description[field];
  if (given === undefined) return undefined;
  if (typeof given !== "function") throw invalid(field, "is not a function");
  return given as F;
}

function digestOf(
  name: string,
  version: string | number | undefined,
  maxMessageBytes: number,
  { durable, acceptors }: Pick<CompiledDefinition, "durable" | "acceptors">,
  secure: boolean,
): string {
  const agreed = [
    "coterie 1",
    name,
    version === undefined ? null : String(version),
    maxMessageBytes,
    ...(durable ? ["durable"] : []),
    ...(acceptors === undefined ? [] : [`acceptors ${acceptors}`]),
    ...(secure ? ["secure"] : []),
  ];
  return createHash("sha256").update(JSON.stringify(agreed)).digest("hex").slice(0, DIGEST_DIGITS);
}

function durabilityIn(given: unknown = false): Pick<CompiledDefinition, "durable" | "acceptors"> {
  if (typeof given === "boolean") return { durable: given, acceptors: undefined };
  if (typeof given !== "object" || given === null || Object.keys(given).join() !== "acceptors") {
    throw invalid("durable", "is neither a boolean nor `{ acceptors }`");
  }
  const { acceptors } = given as { readonly acceptors: unknown };
  if (!isCount(acceptors) || acceptors > NODES_MAX) {
    throw invalid("durable.acceptors", `is not a whole number from 1 to ${NODES_MAX}`);
  }
  return { durable: true, acceptors };
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1;
}

function invalid(field: string, problem: string, remedy?: string): CoterieError {
  return new CoterieError("invalid-option", `defineGroup: \`${field}\` ${problem}`, { remedy });
}
