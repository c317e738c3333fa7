/**
 * The errors that users meet. Each has a code that never changes its meaning, says where it happened, whether trying
 * again can help, and what to do about it. The table is the one place where codes are explained; the documentation is
 * made from it. (Broken rules of the library itself are `AssertionError`s; a peer's garbage is counted, not thrown.)
 */
import type { NodeId } from "../protocol/view.ts";
import type { Ending } from "../runtime/application.ts";

export interface ErrorMeaning {
  /** What has happened, for people. */
  readonly meaning: string;
  /** What the caller can do; the default of `CoterieError.remedy`. */
  readonly remedy: string;
  /** Whether the same call may succeed later without any change by the caller. */
  readonly retryable: boolean;
}

export const ERROR_CODES = {
  "invalid-option": {
    meaning: "An option, or a part of a group's definition, is missing, unknown or has a bad value.",
    remedy: "Correct the field that the message names.",
    retryable: false,
  },
  "invalid-argument": {
    meaning: "A call was given an argument that it cannot take, or that the operation's schema refuses.",
    remedy: "Correct the argument that the message names; nothing was sent.",
    retryable: false,
  },
  "unknown-operation": {
    meaning: "The group's definition has no operation of this name.",
    remedy: "Use a name from `updates` or `queries` of the definition.",
    retryable: false,
  },
  "not-supported": {
    meaning: "Members of the view run an older definition, which does not have this operation. Nobody has run it.",
    remedy: "Call it again when these members are upgraded or gone; `group.supports(name)` says when.",
    retryable: true,
  },
  "operation-closed": {
    meaning: "An outside client asked for an operation that the group's definition does not open to them.",
    remedy: "Name it in `open` of the definition at the members that serve clients, if everybody may do it.",
    retryable: false,
  },
  "asynchronous-update": {
    meaning: "An update's handler is asynchronous or returned a promise; updates run in one step at every replica.",
    remedy: "Make the update synchronous: do the waiting before the send and pass its outcome as an argument.",
    retryable: false,
  },
  "not-encodable": {
    meaning: "A value cannot be carried between nodes without losing its type.",
    remedy:
      "Send plain objects, arrays, strings, numbers, booleans, null, undefined, bigint, Date, Map, Set or typed arrays.",
    retryable: false,
  },
  "message-too-large": {
    meaning: "One message would be longer than `maxMessageBytes` of the definition, or than a raw message may be.",
    remedy: "Split it, raise `maxMessageBytes` at all members, or pass a reference to data that travels elsewhere.",
    retryable: false,
  },
  overloaded: {
    meaning:
      "More calls wait for room than may wait, or more raw messages were sent at once than may leave: members cannot take messages as fast as they are sent.",
    remedy: "Await the sends (that is the back-pressure) and send again later.",
    retryable: true,
  },
  "handler-failed": {
    meaning: "The definition's own code threw: an update, a query, `state`, `onView` or a checkpoint function.",
    remedy: "See `cause`. An update that throws leaves the state as it was at that moment, the same at every replica.",
    retryable: false,
  },
  "query-aborted": {
    meaning: "A query's handler at some member threw AbortReply.",
    remedy: "See `reason`, which the handler gave.",
    retryable: false,
  },
  timeout: {
    meaning: 'A query with `onTimeout: "abort"` did not get its replies within `timeoutMs`.',
    remedy: "Ask again, ask fewer members, or give more time; the query itself may have run.",
    retryable: true,
  },
  aborted: {
    meaning:
      "The caller's AbortSignal fired before the call had any effect, or the effect is only that replies are dropped.",
    remedy: "None is needed: the caller asked for it.",
    retryable: false,
  },
  "outcome-unknown": {
    meaning: "The membership ended, or the signal fired, after a message was sent and before it was delivered here.",
    remedy:
      "It may or may not have been delivered to others. Join again and read before repeating what is not idempotent.",
    retryable: false,
  },
  excluded: {
    meaning:
      "The other members went on without this one: it was taken for failed, out of reach for too long, or too slow.",
    remedy: "Join again: `node.join(definition)` gives a new group object with the present state.",
    retryable: false,
  },
  "group-lost": {
    meaning: "All members that held the group's state are gone.",
    remedy:
      "Join again: a group in memory is created anew, with its initial state; a durable one waits for one of the nodes that have it on their disks.",
    retryable: false,
  },
  "data-dir-needed": {
    meaning: "A durable group keeps what its members hold on their disks, and this node has no data directory.",
    remedy: "Start the node with `dataDir`.",
    retryable: false,
  },
  "directory-not-durable": {
    meaning: "A durable group can be made only while all nodes that keep the directory have data directories.",
    remedy: "Start the cluster's nodes with `dataDir`, the oldest first of all.",
    retryable: true,
  },
  "not-recoverable": {
    meaning: "All members of a durable group had failed, and it cannot be brought back from this node's disk.",
    remedy: "Start the other nodes that kept the group's state. The message says what is missing here.",
    retryable: true,
  },
  left: {
    meaning: "This member has left the group, or is leaving it.",
    remedy: "Join again to use the group.",
    retryable: false,
  },
  closed: {
    meaning: "The node was closed.",
    remedy: "Start a node again to use its groups.",
    retryable: false,
  },
  blocked: {
    meaning: "The majority of the cluster is out of reach, so local state may be stale and nothing is delivered.",
    remedy:
      'Wait for `group.status` to be "active" and try again; sends and queries wait by themselves, but for raw ones.',
    retryable: true,
  },
  "already-member": {
    meaning: "This node is a member of the group already, or is joining it.",
    remedy: "Use the group object that the earlier join gave, or leave first.",
    retryable: false,
  },
  "definition-mismatch": {
    meaning:
      "The members of the group run a definition that does not go with this one: other operations, version or limits.",
    remedy:
      "Change a definition by adding operations, or by removing them, but not both at once; or join under another name.",
    retryable: false,
  },
  "state-transfer-failed": {
    meaning: "The group's state could not be captured, carried or loaded.",
    remedy: "See `cause`. A state that is not plain data needs `checkpoint: { save, load }` in the definition.",
    retryable: true,
  },
  witness: {
    meaning: "The node is a witness: it votes, and takes part in no group.",
    remedy: "Join at a node that was started without `witness`.",
    retryable: false,
  },
  "name-taken": {
    meaning: "Another live node has this name or address.",
    remedy: "Choose another `name` or `listen`.",
    retryable: false,
  },
  "port-in-use": {
    meaning: "The address in `listen` is in use.",
    remedy: "Choose another port, or 0 for any.",
    retryable: false,
  },
  "data-dir-in-use": {
    meaning: "Another process uses the data directory.",
    remedy: "Give each node a directory of its own in `dataDir`, or end the other process.",
    retryable: true,
  },
  "data-damaged": {
    meaning:
      "Records in the data directory that were on disk once are not intact any more, and without this disk there is no quorum.",
    remedy: "`coterie recover` lets the cluster go on with what is intact.",
    retryable: false,
  },
  unreachable: {
    meaning: "No node of the cluster could be reached.",
    remedy: "Check `seeds`, `advertise` and the network, and that the other nodes run.",
    retryable: true,
  },
  insecure: {
    meaning: "The node could be reached from other machines, and would believe whoever reaches it.",
    remedy: "Give `secure`, or listen at a loopback address; or say `insecure: true` if the network keeps others out.",
    retryable: false,
  },
  unproven: {
    meaning:
      "A node could not prove that it belongs to the cluster: another key, an unknown certificate, or none at all.",
    remedy: "Give all nodes the same cluster key, or certificates of one authority that have the nodes' names.",
    retryable: false,
  },
  refused: {
    meaning: "The node may not join the group. Why is known where it was refused.",
    remedy:
      "Join with the group's present `key` (`group.rekey` may have replaced it), and ask those who run the group whether the node may be a member.",
    retryable: false,
  },
  "foreign-cluster": {
    meaning: "The node at a seed's address belongs to another cluster than this node does.",
    remedy: "Correct `seeds`.",
    retryable: false,
  },
  "version-mismatch": {
    meaning: "A node speaks another version of the protocol.",
    remedy: "Run compatible versions of coterie on all nodes.",
    retryable: false,
  },
  crashed: {
    meaning: "In a simulated cluster: the process that should do it does not run, or died before it was done.",
    remedy: "Restart the node (`cluster.restart`), or let a program of `cluster.everywhere` do it in every process.",
    retryable: true,
  },
  "simulation-failed": {
    meaning: "A simulated run has found something wrong.",
    remedy: "Run its seed again, and look at the events around the failure.",
    retryable: false,
  },
  "not-deterministic": {
    meaning: "Two simulated runs of one seed differ: the program depends on something that is not simulated.",
    remedy: "Take time, timers and randomness from the globals or the cluster, and do no input or output.",
    retryable: false,
  },
} as const satisfies Readonly<Record<string, ErrorMeaning>>;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface ErrorDetails {
  /** The group's name, if it happened in one. */
  readonly group?: string | undefined;
  /** The number of the view in which it happened. */
  readonly view?: number | undefined;
  readonly remedy?: string | undefined;
  readonly cause?: unknown;
}

/** An operating condition. `message` says what happened and what to do; `code` is for programs. */
export class CoterieError extends Error {
  override readonly name: string = "CoterieError";
  readonly code: ErrorCode;
  readonly group: string | undefined;
  readonly view: number | undefined;
  readonly retryable: boolean;
  readonly remedy: string;

  constructor(code: ErrorCode, problem: string, details: ErrorDetails = {}) {
    const remedy = details.remedy ?? ERROR_CODES[code].remedy;
    super(`${problem}. ${remedy}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.group = details.group;
    this.view = details.view;
    this.retryable = ERROR_CODES[code].retryable;
    this.remedy = remedy;
  }
}

/** The group goes on without this member; its calls that had not been sent had no effect. Code `excluded`. */
export class ExcludedError extends CoterieError {
  override readonly name: string = "ExcludedError";

  constructor(problem: string, details: ErrorDetails = {}) {
    super("excluded", problem, details);
  }
}

/** A message was sent, and whether it was delivered to others cannot be told from here. Code `outcome-unknown`. */
export class OutcomeUnknownError extends CoterieError {
  override readonly name: string = "OutcomeUnknownError";

  constructor(problem: string, details: ErrorDetails = {}) {
    super("outcome-unknown", problem, details);
  }
}

/**
 * Thrown in a query's handler, it makes the caller's query reject, at once, with an AbortReply that carries the same
 * `reason`. Code `query-aborted`.
 */
export class AbortReply extends CoterieError {
  override readonly name: string = "AbortReply";
  readonly reason: string;

  constructor(reason: string, details: ErrorDetails = {}) {
    super("query-aborted", `the query was aborted: ${reason}`, details);
    this.reason = reason;
  }
}

/** The error that a call meets when the membership of `self` has ended so. */
export function errorOfEnding(how: Ending, self: NodeId, group: string, view: number): CoterieError {
  const details = { group, view };
  switch (how) {
    case "excluded":
      return new ExcludedError(`${self} was excluded from group ${group}`, details);
    case "left":
      return new CoterieError("left", `${self} has left group ${group}`, details);
    case "lost":
      return new CoterieError("group-lost", `group ${group} is lost`, details);
    case "closed":
      return new CoterieError("closed", `the node of group ${group} was closed`, details);
  }
}

/** What a thrown value says, for messages. */
export function describe(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message === "" ? thrown.name : thrown.message;
  return typeof thrown === "string" ? thrown : String(thrown);
}
