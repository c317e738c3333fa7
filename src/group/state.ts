/**
 * How a replica's state travels to a joiner: as chunks, captured at one point of the deliveries, the first of which says
 * in which view that was and the last that nothing is missing. By default the whole state is encoded at once; a
 * definition's `checkpoint` streams it. A failure on the way is itself carried, so that a joiner never takes part of a
 * state for the whole.
 *
 *     chunk: u8 kind, then   0 BEGIN: the encoded array [view number, members]   1 DATA: bytes of the state
 *                            2 END: nothing                                      3 FAILED: why, UTF-8
 */
import type { GroupView, NodeId } from "../protocol/view.ts";
import type { StateLoader, StateReader } from "../runtime/application.ts";
import { copyOf, joined } from "./bytes.ts";
import { decodeValue, encodeValue, MALFORMED, Unencodable } from "./codec.ts";
import type { CompiledDefinition } from "./define.ts";
import { CoterieError, describe } from "./errors.ts";

const BEGIN = 0;
const DATA = 1;
const END = 2;
const FAILED = 3;

const CHUNK_BYTES_MAX = 64 * 1024;

/** A state and the view it was captured in. */
export interface CapturedState {
  readonly state: unknown;
  readonly view: { readonly number: number; readonly members: readonly NodeId[] };
}

/** Captures the state as it is now. Errors of the user's code are reported to `failed`, and carried to the joiner. */
export function captureState(
  definition: CompiledDefinition,
  state: unknown,
  view: GroupView,
  failed: (error: unknown) => void,
): StateReader {
  const begin = chunkOf(BEGIN, mustEncode([view.number, view.members]));
  const { checkpoint } = definition;
  if (checkpoint === undefined) {
    const bytes = encodeValue(state);
    if (!(bytes instanceof Unencodable)) return new BytesReader(begin, bytes.slice());
    const error = unencodableState(definition.name, bytes);
    failed(error);
    return new BytesReader(begin, undefined, error);
  }
  try {
    const chunks = checkpoint.save(state);
    return new StreamReader(
      begin,
      Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator](),
      failed,
    );
  } catch (error) {
    failed(error);
    return new BytesReader(begin, undefined, error);
  }
}

/** The state of a new group. Throws what `state` throws, and when the default codec cannot encode it. */
export function initialState(definition: CompiledDefinition): unknown {
  let state: unknown;
  try {
    state = definition.state();
  } catch (cause) {
    const problem = `\`state\` of group ${definition.name} threw: ${describe(cause)}`;
    throw new CoterieError("handler-failed", problem, { group: definition.name, cause });
  }
  // Found out now rather than when the second member joins.
  const bytes = definition.checkpoint === undefined ? encodeValue(state) : undefined;
  if (bytes instanceof Unencodable) throw unencodableState(definition.name, bytes);
  return state;
}

function unencodableState(group: string, why: Unencodable): CoterieError {
  const remedy = "Make it plain data, or give `checkpoint: { save, load }` in the definition.";
  return new CoterieError("not-encodable", `the state of the group${why.problem}`, { group, remedy });
}

/** A state that is in memory as a whole. */
class BytesReader implements StateReader {
  readonly hasFailed: boolean;
  readonly #begin: Uint8Array;
  readonly #bytes: Uint8Array;
  readonly #error: unknown;
  #at = -1;

  constructor(begin: Uint8Array, bytes: Uint8Array | undefined, error?: unknown) {
    this.#begin = begin;
    this.#bytes = bytes ?? new Uint8Array(0);
    this.#error = error;
    this.hasFailed = bytes === undefined;
  }

  read(callback: (chunk: Uint8Array | undefined) => void): void {
    if (this.#at < 0) {
      this.#at = 0;
      callback(this.#begin);
      return;
    }
    const at = this.#at;
    if (at < this.#bytes.length) {
      this.#at = Math.min(at + CHUNK_BYTES_MAX - 1, this.#bytes.length);
      callback(chunkOf(DATA, this.#bytes.subarray(at, this.#at)));
      return;
    }
    this.#at = Number.POSITIVE_INFINITY;
    if (at === Number.POSITIVE_INFINITY) callback(undefined);
    else callback(this.#error === undefined ? chunkOf(END) : failureChunk(this.#error));
  }

  close(): void {
    this.#at = Number.POSITIVE_INFINITY;
  }
}

type Chunks = Iterator<Uint8Array> | AsyncIterator<Uint8Array>;

/** A state that the definition's `save` streams. */
class StreamReader implements StateReader {
  readonly #chunks: Chunks;
  readonly #failed: (error: unknown) => void;
  #next: Promise<IteratorResult<Uint8Array, unknown>> | undefined;
  #rest: Uint8Array | undefined;
  #begin: Uint8Array | undefined;
  #over = false;
  #hasFailed = false;

  constructor(begin: Uint8Array, chunks: Chunks, failed: (error: unknown) => void) {
    this.#begin = begin;
    this.#chunks = chunks;
    this.#failed = failed;
    // Runs a generator to its first `yield` or `await` now, at the point that is captured.
    this.#next = this.#advance();
    this.#next.catch(() => undefined);
  }

  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  read(callback: (chunk: Uint8Array | undefined) => void): void {
    if (this.#over) {
      callback(undefined);
      return;
    }
    if (this.#begin !== undefined) {
      const begin = this.#begin;
      this.#begin = undefined;
      callback(begin);
      return;
    }
    const rest = this.#rest;
    if (rest !== undefined) {
      callback(this.#part(rest));
      return;
    }
    const next = this.#next ?? this.#advance();
    this.#next = undefined;
    next
      .then((result) => {
        if (result.done !== true) return callback(this.#part(mustBeBytes(result.value)));
        this.#over = true;
        callback(chunkOf(END));
      })
      .catch((error: unknown) => {
        if (this.#over) return;
        this.#over = true;
        this.#hasFailed = true;
        this.#failed(error);
        callback(failureChunk(error));
      });
  }

  close(): void {
    this.#over = true;
    this.#rest = undefined;
    Promise.resolve(this.#chunks.return?.()).catch(this.#failed);
  }

  async #advance(): Promise<IteratorResult<Uint8Array, unknown>> {
    return this.#chunks.next();
  }

  #part(bytes: Uint8Array): Uint8Array {
    const size = CHUNK_BYTES_MAX - 1;
    this.#rest = bytes.length > size ? bytes.subarray(size) : undefined;
    return chunkOf(DATA, bytes.subarray(0, size));
  }
}

/** Takes chunks as they come, and has the state when the last one came. */
export class Loader implements StateLoader {
  readonly #definition: CompiledDefinition;
  readonly #loaded: (captured: CapturedState) => void;
  readonly #chunks: Uint8Array[] = [];
  #view: CapturedState["view"] | undefined;
  #complete = false;
  #problem: CoterieError | undefined;
  #abandoned = false;

  constructor(definition: CompiledDefinition, loaded: (captured: CapturedState) => void) {
    this.#definition = definition;
    this.#loaded = loaded;
  }

  chunk(bytes: Uint8Array): void {
    const body = copyOf(bytes, 1);
    switch (bytes[0]) {
      case BEGIN:
        this.#view = viewIn(body);
        break;
      case DATA:
        this.#chunks.push(body);
        break;
      case END:
        this.#complete = true;
        break;
      default:
        this.#problem ??= this.#failure(new TextDecoder().decode(body));
    }
  }

  end(callback: (problem: Error | undefined) => void): void {
    this.#end().then(
      () => callback(undefined),
      (error: unknown) => {
        this.#problem = error instanceof CoterieError ? error : this.#failure(describe(error), error);
        callback(this.#problem);
      },
    );
  }

  /** Why the state could not be loaded. */
  get problem(): CoterieError | undefined {
    return this.#problem;
  }

  abandon(): void {
    this.#abandoned = true;
    this.#chunks.length = 0;
  }

  async #end(): Promise<void> {
    const view = this.#view;
    if (this.#problem !== undefined) throw this.#problem;
    if (view === undefined || !this.#complete) throw this.#failure("a part of it is missing");
    const { checkpoint } = this.#definition;
    const state =
      checkpoint === undefined ? decodeValue(joined(this.#chunks)) : await checkpoint.load(asyncOf(this.#chunks));
    if (state === MALFORMED) throw this.#failure("its bytes are not the encoding of a value");
    if (this.#abandoned) throw this.#failure("another transfer has begun");
    this.#loaded({ state, view });
  }

  #failure(why: string, cause?: unknown): CoterieError {
    const group = this.#definition.name;
    return new CoterieError("state-transfer-failed", `the state of the group could not be loaded: ${why}`, {
      group,
      cause,
    });
  }
}

async function* asyncOf(chunks: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* chunks;
}

function chunkOf(kind: number, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  const chunk = new Uint8Array(1 + body.length);
  chunk[0] = kind;
  chunk.set(body, 1);
  return chunk;
}

function failureChunk(error: unknown): Uint8Array {
  return chunkOf(FAILED, new TextEncoder().encode(describe(error).slice(0, 1000)));
}

function mustEncode(value: unknown): Uint8Array {
  const bytes = encodeValue(value);
  return bytes instanceof Unencodable ? new Uint8Array(0) : bytes;
}

function mustBeBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new TypeError("checkpoint.save yielded something that is not a Uint8Array");
}

function viewIn(bytes: Uint8Array): CapturedState["view"] | undefined {
  const value = decodeValue(bytes);
  if (value === MALFORMED || !Array.isArray(value)) return undefined;
  const [number, members]: readonly unknown[] = value;
  if (typeof number !== "number" || !Array.isArray(members)) return undefined;
  return { number, members: members.filter((member) => typeof member === "string") };
}
