/**
 * A node of the cluster, in which any number of groups live. A join takes effect for all of its groups in one step, or
 * for none; whatever happens to the node afterwards, every join and every call of its groups ends.
 */

import type { HistorySink } from "../protocol/history.ts";
import type { ClusterView, NodeId } from "../protocol/view.ts";
import type { ClusterStatus, JoinRefusal } from "../runtime/application.ts";
import { GroupKey } from "../runtime/secure/group-key.ts";
import { groupKeysOf } from "./credentials.ts";
import { type CompiledDefinition, compiledOf, type GroupDefinition } from "./define.ts";
import { consoleLog, type Log } from "./diagnostics.ts";
import { CoterieError } from "./errors.ts";
import { Feed } from "./feed.ts";
import type { Group } from "./group.ts";
import { GroupHandle } from "./handle.ts";
import type { NodeKeys } from "./key-ring.ts";
import { QUERY } from "./message.ts";
import { abortedBy } from "./questions.ts";
import type { RecordingTo } from "./recorder.ts";
import { Replica, type ReplicaParts } from "./replica.ts";
import type { JoinFailure, NodeRuntime } from "./runtime.ts";

export interface JoinOptions {
  /** Gives up joining: rejects with code `aborted`. */
  readonly signal?: AbortSignal;
  /**
   * The key of the secure groups that are joined: 32 bytes, or a key as `coterie key new` makes it, or the path of a file
   * that holds one. Whoever creates a group makes it the group's; nobody else joins, and no other node of the cluster reads
   * what members say. Rejects with code `refused` if the group has another one, or none.
   */
  readonly key?: string | Uint8Array;
}

export interface JoinAllOptions extends JoinOptions {
  /** The keys of secure groups by name, where they are not `key`. */
  readonly keys?: Readonly<Record<string, string | Uint8Array>>;
}

/** The cluster as this node sees it. */
export interface Cluster {
  /** The newest view; undefined before the first. */
  readonly view: ClusterView | undefined;
  /** `blocked`: the majority is out of reach; groups neither deliver nor send until it is back. */
  readonly status: ClusterStatus;
  /** The present view, if any, and every later one until the node is closed. */
  views(): AsyncIterableIterator<ClusterView>;
  /** The present status and every later one until the node is closed. */
  statuses(): AsyncIterableIterator<ClusterStatus>;
}

export interface Node {
  /** This node's present id: its name, `#` and eight digits that change when it has to enter the cluster again. */
  readonly self: NodeId;
  readonly cluster: Cluster;
  /**
   * Joins the group, or creates it: resolves when this member has the state and its first view. Rejects with a
   * CoterieError: `already-member`, `definition-mismatch`, `insecure`, `group-lost`, `refused`, `state-transfer-failed`,
   * `not-encodable`, `handler-failed`, `excluded`, `witness`, `aborted`, `closed`. Waits while the majority of the cluster is out of reach.
   */
  join<G extends GroupDefinition>(definition: G, options?: JoinOptions): Promise<Group<G>>;
  /** Joins several groups in one atomic step: all of them or none. Resolves with the groups, in the same order. */
  joinAll<const G extends readonly GroupDefinition[]>(
    definitions: G,
    options?: JoinAllOptions,
  ): Promise<{ readonly [K in keyof G]: Group<G[K]> }>;
  /**
   * Takes other keys while the node runs: these, and for what is not given those that its settings name now; files are read
   * again when they change, so this is for keys that are in none, or at once. Connections made with a key that is not the
   * first any more are made anew, one at a time; those with a key that is not among them end. A sealed data directory is
   * opened by the first key from then on. Rejects with code `invalid-option`.
   */
  rekey(keys?: NodeKeys): Promise<void>;
  /** Ends all memberships and leaves the cluster. Their calls fail with code `closed`. Never rejects. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface NodeOptions {
  readonly log?: Log | undefined;
  readonly history?: HistorySink | undefined;
  readonly witness?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Whether the nodes prove themselves to each other, and nobody else can listen; default true. */
  readonly isSecured?: boolean;
  /** Whether what it writes to its data directory, if it has one, is sealed. Default true. */
  readonly isSealed?: boolean;
  /** Takes other keys, or throws why not. Default: there are none to take. */
  readonly rekey?: (keys?: NodeKeys) => void;
}

/** The node that runs on `runtime`. */
export function createNode(runtime: NodeRuntime, options: NodeOptions = {}): Node {
  return new LiveNode(runtime, options);
}

/** So many operations are named when definitions do not go together. */
const DIFFERENCES_MAX = 5;

/** How long a closing node waits for room for the calls that its groups have queued. */
const CLOSE_MS = 1000;

class LiveNode implements Node {
  readonly cluster: LiveCluster;
  readonly #runtime: NodeRuntime;
  readonly #log: Log;
  readonly #isWitness: boolean;
  readonly #isSecured: boolean;
  readonly #isSealed: boolean;
  readonly #rekey: (keys?: NodeKeys) => void;
  readonly #recording: RecordingTo | undefined;
  readonly #joins = new Set<Joining>();
  /** The replicas that are members. */
  readonly #replicas = new Set<Replica>();
  #closed: Promise<void> | undefined;

  constructor(runtime: NodeRuntime, options: NodeOptions) {
    this.#runtime = runtime;
    this.#log = options.log ?? consoleLog;
    this.#isWitness = options.witness === true;
    this.#isSecured = options.isSecured ?? true;
    this.#isSealed = options.isSealed ?? true;
    this.#rekey = options.rekey ?? noKeys;
    const { history } = options;
    this.#recording = history === undefined ? undefined : { sink: history, now: () => runtime.now() };
    this.cluster = new LiveCluster(runtime);
    options.signal?.addEventListener("abort", () => void this.close(), { once: true });
    if (options.signal?.aborted === true) void this.close();
  }

  get self(): NodeId {
    return this.#runtime.self;
  }

  async join<G extends GroupDefinition>(definition: G, options: JoinOptions = {}): Promise<Group<G>> {
    const [handle] = await this.#joinAll([definition], options);
    if (handle === undefined) throw new CoterieError("closed", "the join gave no group");
    return handle.as<G>();
  }

  async joinAll<const G extends readonly GroupDefinition[]>(
    definitions: G,
    options: JoinAllOptions = {},
  ): Promise<{ readonly [K in keyof G]: Group<G[K]> }> {
    const handles = await this.#joinAll(definitions, options);
    return handles.map((handle) => handle.as()) as unknown as { readonly [K in keyof G]: Group<G[K]> };
  }

  async rekey(keys?: NodeKeys): Promise<void> {
    this.#rekey(keys);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #joinAll(definitions: readonly GroupDefinition[], options: JoinAllOptions): Promise<readonly GroupHandle[]> {
    const { signal } = options;
    if (!Array.isArray(definitions))
      throw new CoterieError("invalid-option", "joinAll: the definitions are not an array");
    const compiled = definitions.map((definition) => compiledOf(definition));
    const names = compiled.map(({ name }) => name);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined)
      throw new CoterieError("already-member", `joinAll: group ${twice} is named twice`, { group: twice });
    if (this.#closed !== undefined) throw new CoterieError("closed", "the node was closed");
    if (this.#isWitness) throw new CoterieError("witness", `${this.self} was started as a witness`);
    const exposed = this.#isSecured ? undefined : compiled.find(({ secure }) => secure);
    if (exposed !== undefined) {
      throw new CoterieError("insecure", `group ${exposed.name} is secure, and this cluster is not`, {
        group: exposed.name,
        remedy:
          "Give `secure` to `start` at all nodes: the keys of the group need connections that nobody else can read.",
      });
    }
    const bared = this.#isSealed ? undefined : compiled.find(({ secure, durable }) => secure && durable);
    if (bared !== undefined) {
      throw new CoterieError(
        "insecure",
        `group ${bared.name} is secure and durable, and the data directory is in clear`,
        {
          group: bared.name,
          remedy: "Start the node with a `dataKey` and an empty `dataDir`: one that was begun in clear stays so.",
        },
      );
    }
    if (signal?.aborted === true) throw abortedBy(signal, "join", names.join(", "));
    if (compiled.length === 0) return [];
    const keys = groupKeysOf(compiled, options);
    const make = (definition: CompiledDefinition, events: ReplicaEvents): Replica => this.#replica(definition, events);
    const joining = new Joining(this.#runtime, compiled, keys, make);
    this.#joins.add(joining);
    try {
      return await joining.done(signal);
    } finally {
      this.#joins.delete(joining);
    }
  }

  #replica(definition: CompiledDefinition, events: ReplicaEvents): Replica {
    const replica: Replica = new Replica({
      definition,
      log: this.#log,
      after: (delayMs, callback) => this.#runtime.after(delayMs, callback),
      recording: this.#recording,
      onReady: () => {
        this.#replicas.add(replica);
        events.onReady();
      },
      onEnded: (error) => {
        this.#replicas.delete(replica);
        events.onEnded(error);
      },
    });
    return replica;
  }

  async #close(): Promise<void> {
    for (const joining of [...this.#joins]) joining.fail(new CoterieError("closed", "the node was closed"));
    await this.#sendWhatWaits();
    await this.#runtime.close();
    // A node that could not leave in time has not told its groups.
    for (const replica of [...this.#replicas]) replica.ended("closed");
    this.cluster.close();
  }

  /** Takes no more calls, and gives those that wait for room some time to get it; blocked groups will have none. */
  #sendWhatWaits(): Promise<void> {
    return new Promise((resolve) => {
      const waiting = new Set([...this.#replicas].filter((replica) => !replica.isBlocked));
      const cancel = this.#runtime.after(CLOSE_MS, resolve);
      const resolveIfDone = () => {
        if (waiting.size > 0) return;
        cancel();
        resolve();
      };
      for (const replica of this.#replicas) {
        replica.close(() => {
          waiting.delete(replica);
          resolveIfDone();
        });
      }
      resolveIfDone();
    });
  }
}

/** A node without keys, such as a simulated one, goes on without. */
function noKeys(keys: NodeKeys = {}): void {
  if (Object.values(keys).some((key) => key !== undefined))
    throw new CoterieError("invalid-option", "rekey: a key is given, and the node was started without one");
}

type ReplicaEvents = Pick<ReplicaParts, "onReady" | "onEnded">;

/** One step of joining, until all of its replicas are ready. */
class Joining {
  readonly #replicas: readonly Replica[];
  readonly #handles: (GroupHandle | undefined)[];
  readonly #outcome: Promise<readonly GroupHandle[]>;
  #resolve: ((handles: readonly GroupHandle[]) => void) | undefined;
  #reject: ((error: CoterieError) => void) | undefined;
  #cancel: (() => void) | undefined;
  #over = false;

  constructor(
    runtime: NodeRuntime,
    definitions: readonly CompiledDefinition[],
    keys: ReadonlyMap<string, Uint8Array>,
    replicaOf: (definition: CompiledDefinition, events: ReplicaEvents) => Replica,
  ) {
    this.#outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#handles = definitions.map(() => undefined);
    this.#replicas = definitions.map((definition, index) =>
      replicaOf(definition, { onReady: () => this.#ready(index), onEnded: (error) => this.fail(error) }),
    );
    const requests = this.#replicas.map((application) => {
      const { name, digest, durable, acceptors, secure, operations } = application.definition;
      const key = keys.get(name);
      const security = secure ? { key: key && new GroupKey(key, name) } : undefined;
      return { name, digest, durable, acceptors, operations, application, security };
    });
    this.#cancel = runtime.join(requests, (why) => this.fail(errorOf(why, definitions)));
    if (this.#over) this.#cancel();
  }

  async done(signal: AbortSignal | undefined): Promise<readonly GroupHandle[]> {
    const names = this.#replicas.map(({ definition }) => definition.name).join(", ");
    const onAbort = () => this.fail(abortedBy(signal as AbortSignal, "join", names));
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await this.#outcome;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** The join comes to nothing; memberships that were granted, or will be all the same, are given up. */
  fail(error: CoterieError): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancel?.();
    for (const replica of this.#replicas) replica.giveUp();
    this.#reject?.(error);
  }

  #ready(index: number): void {
    const replica = this.#replicas[index];
    if (this.#over || replica === undefined) return;
    this.#handles[index] = new GroupHandle(replica);
    const handles = this.#handles.filter((handle) => handle !== undefined);
    if (handles.length < this.#handles.length) return;
    this.#over = true;
    this.#resolve?.(handles);
  }
}

function errorOf(why: JoinRefusal | JoinFailure, definitions: readonly CompiledDefinition[]): CoterieError {
  if ("detail" in why) return new CoterieError(why.code, why.detail, { cause: why.cause });
  const { code, name: group } = why;
  switch (code) {
    case "definition-mismatch": {
      const own = definitions.find(({ name }) => name === group);
      const problem =
        own === undefined || why.operations === undefined
          ? `the members of group ${group} have the definition ${why.expected}, not this one`
          : `the definition of group ${group} does not go with its members': ${differences(own, why.operations)}`;
      return new CoterieError(code, problem, { group });
    }
    case "already-member":
      return new CoterieError(code, `this node is in group ${group} already`, { group });
    case "refused": {
      const isSecure = definitions.some(({ name, secure }) => name === group && secure);
      const key = isSecure ? ": perhaps its `key` is missing, or not the one that the group has now" : "";
      return new CoterieError(code, `this node may not join group ${group}${key}`, { group });
    }
    case "group-lost":
      return new CoterieError(code, `group ${group} is lost`, { group });
    case "data-dir-needed":
      return new CoterieError(code, `group ${group} is durable, and this node has no data directory`, { group });
    case "directory-not-durable": {
      const problem = `group ${group} is durable, and not every node that keeps the directory has a data directory`;
      return new CoterieError(code, problem, { group });
    }
  }
}

/** What of a definition the members with these operations do not have, and the other way round. */
function differences({ updates, queries, operations }: CompiledDefinition, theirs: readonly number[]): string {
  const theirCodes = new Set(theirs);
  const ours = [...updates, ...queries].filter(({ opcode }) => !theirCodes.has(opcode));
  const said = ours.map(({ name, opcode }) => {
    if (!theirCodes.has(opcode ^ QUERY)) return `they have no \`${name}\``;
    return `\`${name}\` is ${(opcode & QUERY) === 0 ? "a query" : "an update"} there`;
  });
  const lacked = theirs.filter((code) => !operations.includes(code)).length;
  return [...said.slice(0, DIFFERENCES_MAX), `it lacks ${lacked} of their operations`].join("; ");
}

class LiveCluster implements Cluster {
  readonly #runtime: NodeRuntime;
  readonly #views = new Feed<ClusterView>();
  readonly #statuses = new Feed<ClusterStatus>();
  readonly #stop: (() => void)[];

  constructor(runtime: NodeRuntime) {
    this.#runtime = runtime;
    this.#stop = [
      runtime.onStatus((status) => this.#statuses.publish(status)),
      runtime.onClusterView((view) => this.#views.publish(view)),
    ];
  }

  get view(): ClusterView | undefined {
    return this.#runtime.clusterView;
  }

  get status(): ClusterStatus {
    return this.#runtime.status;
  }

  views(): AsyncIterableIterator<ClusterView> {
    return this.view === undefined ? this.#views.subscribe() : this.#views.subscribe(this.view);
  }

  statuses(): AsyncIterableIterator<ClusterStatus> {
    return this.#statuses.subscribe(this.status);
  }

  /** Nothing comes any more. */
  close(): void {
    for (const stop of this.#stop) stop();
    this.#views.end();
    this.#statuses.end();
  }
}
