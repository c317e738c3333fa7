/**
 * A process that runs `member.mjs`, as its test sees it: commands with their outcomes, events to wait for, and signals.
 * Nothing here waits for time to pass, only for events, each until a deadline.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { HistoryEvent } from "../../src/protocol/history.ts";
import type { ClusterView, GroupView } from "../../src/protocol/view.ts";

const PROGRAM = fileURLToPath(new URL("./member.mjs", import.meta.url));
const PACKAGE = fileURLToPath(new URL("../../dist/index.js", import.meta.url));

/** What is waited for happens in milliseconds; the deadline is for a machine that is busy with other things. */
export const DEADLINE_MS = 30_000;

/** The machine's monotonic clock, which all processes share, in milliseconds. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** An error of a member, as far as it can be carried. */
export interface ErrorReport {
  readonly name: string;
  readonly class?: string;
  readonly message: string;
  readonly code?: string;
  readonly group?: string;
  readonly view?: number;
  readonly reason?: string;
  readonly cause?: ErrorReport;
}

export type MemberEvent = { readonly at: number } & (
  | { readonly kind: "ready" }
  | { readonly kind: "view"; readonly group: string; readonly view: GroupView }
  | { readonly kind: "cluster"; readonly view: ClusterView }
  | { readonly kind: "status"; readonly status: string }
  | { readonly kind: "ended"; readonly group: string; readonly error: ErrorReport }
  | { readonly kind: "excluded"; readonly group: string; readonly error: ErrorReport }
  | { readonly kind: "saving"; readonly bytes: number }
  | {
      readonly kind: "log";
      readonly level: string;
      readonly code: string;
      readonly message: string;
      readonly error?: ErrorReport;
    }
);
export type EventOf<K extends MemberEvent["kind"]> = Extract<MemberEvent, { readonly kind: K }>;

/** A command failed in the member with this error. */
export class MemberError extends Error {
  override readonly name = "MemberError";
  readonly report: ErrorReport;

  constructor(command: string, report: ErrorReport) {
    super(`${command}: ${report.name} ${report.code ?? ""}: ${report.message}`);
    this.report = report;
  }

  get code(): string | undefined {
    return this.report.code;
  }
}

type Answer = { readonly id: number; readonly value?: unknown; readonly error?: ErrorReport };

export interface MemberOptions {
  readonly name: string;
  /** Which of the counts in the groups' states are this process's. */
  readonly slot: number;
  readonly historyPath: string;
  /** For Node.js itself. */
  readonly nodeArguments?: readonly string[];
}

export class MemberProcess {
  readonly name: string;
  readonly slot: number;
  readonly events: MemberEvent[] = [];
  readonly #process: ChildProcess;
  readonly #historyPath: string;
  readonly #calls = new Map<
    number,
    { readonly command: string; readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }
  >();
  readonly #waiting = new Set<() => void>();
  readonly #gone: Promise<void>;
  #exit: { readonly code: number | null; readonly signal: string | null; readonly at: number } | undefined;
  #expectsExit = false;
  #nextCall = 1;
  #stderr = "";

  constructor(options: MemberOptions) {
    if (!existsSync(PACKAGE)) throw new Error("dist/ is missing; run `npm run build`");
    this.name = options.name;
    this.slot = options.slot;
    this.#historyPath = options.historyPath;
    const { nodeArguments = [], slot, historyPath } = options;
    this.#process = spawn(process.execPath, [...nodeArguments, PROGRAM, String(slot), historyPath], {
      stdio: ["ignore", "inherit", "pipe", "ipc"],
      serialization: "advanced",
    });
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.#process.on("message", (message: Answer | { readonly event: MemberEvent }) => this.#take(message));
    this.#gone = new Promise((resolve) => {
      this.#process.on("close", (code, signal) => {
        this.#exit = { code, signal, at: monotonicMs() };
        for (const { command, reject } of this.#calls.values()) reject(new Error(`${this} ended during ${command}`));
        this.#calls.clear();
        this.#wake();
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#exit === undefined;
  }

  /** How the process ended. */
  get exit(): { readonly code: number | null; readonly signal: string | null; readonly at: number } | undefined {
    return this.#exit;
  }

  /** Why this process has not done as its test meant it to, if so: it ended by itself, or complained. */
  get fault(): string | undefined {
    if (this.#exit !== undefined && !this.#expectsExit) {
      return `${this} ended by itself with ${this.#exit.code ?? this.#exit.signal}: ${this.#stderr}`;
    }
    return this.#stderr === "" ? undefined : `${this} wrote: ${this.#stderr}`;
  }

  toString(): string {
    return `${this.name} (process ${this.pid})`;
  }

  /** Does a command of `member.mjs`; rejects with a `MemberError` if it fails there. */
  call<T = unknown>(command: string, ...args: readonly unknown[]): Promise<T> {
    const id = this.#nextCall++;
    return new Promise<T>((resolve, reject) => {
      if (this.#exit !== undefined) {
        reject(new Error(`${this} has ended`));
        return;
      }
      this.#calls.set(id, { command, resolve: resolve as (value: unknown) => void, reject });
      this.#process.send({ id, command, args });
    });
  }

  /** The error with which the command fails. */
  async refusal(command: string, ...args: readonly unknown[]): Promise<ErrorReport> {
    let value: unknown;
    try {
      value = await this.call(command, ...args);
    } catch (error) {
      if (error instanceof MemberError) return error.report;
      throw error;
    }
    throw new Error(`${this} did ${command} with ${JSON.stringify(value)}, though it should have failed`);
  }

  /** The first event of this kind, from number `from` on, that is as wanted. */
  event<K extends MemberEvent["kind"]>(
    kind: K,
    isWanted: (event: EventOf<K>) => boolean = () => true,
    from = 0,
  ): Promise<EventOf<K>> {
    const isIt = (event: MemberEvent): event is EventOf<K> => event.kind === kind && isWanted(event as EventOf<K>);
    return this.until(`an event "${kind}"`, () => this.events.slice(from).find(isIt));
  }

  /** The first view of the group, from event number `from` on, that is as wanted. */
  view(group: string, isWanted: (view: GroupView) => boolean, from = 0): Promise<EventOf<"view">> {
    return this.event("view", (event) => event.group === group && isWanted(event.view), from);
  }

  /** What `look` finds, asked again after every event; fails at the deadline. */
  until<T>(what: string, look: () => T | undefined, deadlineMs = DEADLINE_MS): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(check);
      };
      const fail = (why: string): void => {
        finish();
        const last = this.events.slice(-12).map((event) => `\n  ${JSON.stringify(event)}`);
        reject(new Error(`${this}: ${why} before ${what}; the last events:${last.join("")}\n${this.#stderr}`));
      };
      const check = (): void => {
        const found = look();
        if (found !== undefined) {
          finish();
          resolve(found);
        } else if (this.#exit !== undefined) fail(`it ended with ${this.#exit.code ?? this.#exit.signal}`);
      };
      const timer = setTimeout(() => fail(`${deadlineMs} ms passed`), deadlineMs);
      this.#waiting.add(check);
      check();
    });
  }

  /** Sends SIGKILL and waits for the end; resolves with the time at which the signal was sent. */
  async kill(): Promise<number> {
    this.#expectsExit = true;
    const at = monotonicMs();
    this.#process.kill("SIGKILL");
    await this.#gone;
    return at;
  }

  /** Sends SIGTERM; returns the time. */
  terminate(): number {
    this.#expectsExit = true;
    const at = monotonicMs();
    this.#process.kill("SIGTERM");
    return at;
  }

  /** Resolves when the process has ended. */
  async ended(): Promise<void> {
    this.#expectsExit = true;
    await this.#gone;
  }

  /** Stops the whole process; returns the time. */
  pause(): number {
    this.#process.kill("SIGSTOP");
    return monotonicMs();
  }

  resume(): number {
    this.#process.kill("SIGCONT");
    return monotonicMs();
  }

  /** What it has recorded up to now. A killed process may have been cut off within its last line. */
  history(): HistoryEvent[] {
    if (!existsSync(this.#historyPath)) return [];
    const lines = readFileSync(this.#historyPath, "utf8").split("\n");
    lines.pop();
    const events = lines.map((line) => JSON.parse(line) as HistoryEvent);
    const last = events.findLast((event) => event.kind === "start");
    const isOver = events.some((event) => event.node === last?.node && isEnd(event));
    if (this.#exit !== undefined && last !== undefined && !isOver) {
      events.push({ kind: "crash", at: this.#exit.at, node: last.node });
    }
    return events;
  }

  #take(message: Answer | { readonly event: MemberEvent }): void {
    if ("event" in message) {
      this.events.push(message.event);
      this.#wake();
      return;
    }
    const call = this.#calls.get(message.id);
    this.#calls.delete(message.id);
    if (message.error === undefined) call?.resolve(message.value);
    else call?.reject(new MemberError(`${this} ${call.command}`, message.error));
  }

  #wake(): void {
    for (const check of [...this.#waiting]) check();
  }
}

function isEnd(event: HistoryEvent): boolean {
  return event.kind === "close" || event.kind === "exclude";
}
