/**
 * Nothing is swallowed: what has no caller to be told goes to the node's log and is counted. A user's callback that
 * throws, a failed send that nobody awaits and a peer's garbage end up here. The same complaint is logged at most once
 * a second, with the number of times that it was suppressed, so that a failing handler cannot drown the process.
 */

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface LogEntry {
  readonly level: LogLevel;
  /** A stable word for programs, often an error code. */
  readonly code: string;
  readonly message: string;
  readonly group?: string | undefined;
  /** How many entries like this one were left out since the last. */
  readonly suppressed?: number;
  readonly error?: unknown;
}

export type Log = (entry: LogEntry) => void;

/** What a group has counted at this member since it joined. */
export interface GroupCounters {
  /** Messages whose handler ran here. */
  delivered: number;
  /** Calls handed to the protocol. */
  sent: number;
  /** Raw messages among these. */
  rawSent: number;
  /** Raw messages of others that were delivered here. */
  rawReceived: number;
  /** Raw messages that were dropped here: one's own, counted for each member that they did not leave for, and others'. */
  rawDropped: number;
  /** Calls that had to wait in this member's own queue. */
  queued: number;
  /** Calls refused because that queue was full. */
  overloaded: number;
  /** Messages and replies dropped because they could not be understood. */
  malformed: number;
  /** Messages that nobody ran because a member of the view lacks their operation, and raw ones that this member lacks. */
  unsupported: number;
  /** Updates whose handler threw or returned a promise, and queries whose handler threw (AbortReply not counted). */
  handlerFailures: number;
  /** Exceptions out of `onView`, `onExcluded` and other callbacks. */
  callbackFailures: number;
  /** How often a member was reported because it held the group's senders back. */
  slowMembers: number;
  /** Failed calls whose outcome nobody had asked for. */
  unheardFailures: number;
}

/** To the console: warnings and errors only. */
export const consoleLog: Log = (entry) => {
  if (entry.level === "debug" || entry.level === "info") return;
  const where = entry.group === undefined ? "coterie" : `coterie ${entry.group}`;
  const more = entry.suppressed === undefined ? "" : ` (and ${entry.suppressed} more like it)`;
  const write = entry.level === "error" ? console.error : console.warn;
  if (entry.error === undefined) write(`${where}: ${entry.message}${more}`);
  else write(`${where}: ${entry.message}${more}`, entry.error);
};

/** Something whose failure may go unheard. */
interface Hearable {
  readonly heard: boolean;
}

const REPEAT_MS = 1000;
const REPEATS_MAX = 256;

export class Diagnostics {
  readonly counters: GroupCounters = {
    delivered: 0,
    sent: 0,
    rawSent: 0,
    rawReceived: 0,
    rawDropped: 0,
    queued: 0,
    overloaded: 0,
    malformed: 0,
    unsupported: 0,
    handlerFailures: 0,
    callbackFailures: 0,
    slowMembers: 0,
    unheardFailures: 0,
  };
  readonly #log: Log;
  readonly #group: string;
  readonly #recent = new Map<string, { since: number; suppressed: number }>();
  #unheard: { readonly call: Hearable; readonly error: unknown }[] = [];

  constructor(log: Log, group: string) {
    this.#log = log;
    this.#group = group;
  }

  /** Logs, unless an entry with the same code and subject was logged within the last second. */
  report(level: LogLevel, code: string, subject: string, message: string, error?: unknown): void {
    const key = `${code} ${subject}`;
    const now = Date.now();
    const recent = this.#recent.get(key);
    if (recent !== undefined && now - recent.since < REPEAT_MS) {
      recent.suppressed++;
      return;
    }
    if (this.#recent.size >= REPEATS_MAX) this.#recent.clear();
    this.#recent.set(key, { since: now, suppressed: 0 });
    const suppressed = recent === undefined || recent.suppressed === 0 ? undefined : recent.suppressed;
    this.#write({
      level,
      code,
      message,
      group: this.#group,
      error,
      ...(suppressed === undefined ? {} : { suppressed }),
    });
  }

  /**
   * A call has failed. Its caller has the rest of this turn of the event loop to ask for the outcome (an `await` asks
   * only in a later microtask); if it does not, the failure is reported.
   */
  failed(call: Hearable, error: unknown): void {
    this.#unheard.push({ call, error });
    if (this.#unheard.length === 1) setImmediate(() => this.#reportUnheard());
  }

  /** Runs a callback of the user's, for its effects only. */
  callback(name: string, run: () => unknown): void {
    try {
      const result = run();
      if (isThenable(result)) result.then(undefined, (error: unknown) => this.#callbackFailed(name, error));
    } catch (error) {
      this.#callbackFailed(name, error);
    }
  }

  #callbackFailed(name: string, error: unknown): void {
    this.counters.callbackFailures++;
    this.report("error", "handler-failed", name, `${name} threw`, error);
  }

  #reportUnheard(): void {
    const unheard = this.#unheard;
    this.#unheard = [];
    for (const { call, error } of unheard) {
      if (call.heard) continue;
      this.counters.unheardFailures++;
      this.report("warn", "unheard", "send", "a call failed and nobody awaited its outcome", error);
    }
  }

  #write(entry: LogEntry): void {
    try {
      this.#log(entry);
    } catch (error) {
      console.error("coterie: the log function threw", error, entry);
    }
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return false;
  return typeof (value as { readonly then?: unknown }).then === "function";
}
