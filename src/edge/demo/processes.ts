/**
 * A member process, as the demo sees it: what it told, what it may be told, and its end. A process that ends before it
 * should makes everybody who waits for it fail with what it said last.
 */
import { type ChildProcess, fork } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { FromMember, ToMember } from "./messages.ts";
import { machineTime } from "./messages.ts";

type Told<K extends FromMember["kind"]> = Extract<FromMember, { readonly kind: K }>;

/** The demo cannot go on; the message says why. */
export class DemoError extends Error {
  override readonly name = "DemoError";
}

/** What a member process runs. */
export interface Program {
  /** A file of this folder, without its extension. */
  readonly script: string;
  /** Where the nodes find each other. */
  readonly meetingPlace: string;
  readonly journal: string;
  /** Further arguments. */
  readonly more: readonly string[];
}

const LAST_WORDS_MAX = 4000;

export class MemberProcess {
  readonly name: string;
  readonly journal: string;
  /** When it was started. */
  readonly at: number;
  readonly ended: Promise<void>;
  /** Hears everything that the process tells. */
  readonly #listener: (message: FromMember, from: MemberProcess) => void;
  readonly #child: ChildProcess;
  readonly #told: FromMember[] = [];
  readonly #waiting = new Set<() => void>();
  #lastWords = "";
  #mayEnd = false;
  #isRunning = true;
  #problem: DemoError | undefined;
  /** When it was killed. */
  killedAt: number | undefined;

  constructor(program: Program, name: string, listener: (message: FromMember, from: MemberProcess) => void) {
    const { script, journal, more } = program;
    this.name = name;
    this.journal = journal;
    this.#listener = listener;
    this.at = machineTime();
    const own = fileURLToPath(import.meta.url);
    const path = fileURLToPath(new URL(`./${script}${extname(own)}`, import.meta.url));
    const child = fork(path, [name, program.meetingPlace, journal, ...more], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8");
      stream?.on("data", (text: string) => {
        this.#lastWords = (this.#lastWords + text).slice(-LAST_WORDS_MAX);
      });
    }
    child.on("message", (message: FromMember) => this.#hear(message));
    child.on("error", (error) => this.#fail(`${name} cannot be run: ${error.message}`));
    this.ended = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        this.#isRunning = false;
        if (!this.#mayEnd) {
          const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
          this.#fail(`${name} ended too early (${how}). ${this.#lastWords}`);
        }
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Why nobody should wait for it any more. */
  get problem(): DemoError | undefined {
    return this.#problem;
  }

  /** What it told last, of this kind. */
  last<K extends FromMember["kind"]>(kind: K): Told<K> | undefined {
    return this.#told.findLast((message): message is Told<K> => message.kind === kind);
  }

  /** Resolves with the first thing of this kind that it tells, or has told. */
  hears<K extends FromMember["kind"]>(kind: K): Promise<Told<K>> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.#told.find((message): message is Told<K> => message.kind === kind);
        if (found === undefined && this.#problem === undefined) return;
        this.#waiting.delete(look);
        if (found === undefined) reject(this.#problem);
        else resolve(found);
      };
      this.#waiting.add(look);
      look();
    });
  }

  tell(order: ToMember): void {
    if (order.kind === "leave") this.#mayEnd = true;
    if (this.#child.connected) this.#child.send(order);
  }

  /** SIGKILL: the process runs no further instruction. Returns when that was. */
  kill(): number {
    this.#mayEnd = true;
    const at = machineTime();
    this.killedAt ??= at;
    this.#child.kill("SIGKILL");
    return at;
  }

  #hear(message: FromMember): void {
    if (message.kind === "failed") this.#fail(`${this.name}: ${message.code}: ${message.message}`);
    // Only the last is of interest, and there are many.
    if (message.kind === "tick" && this.#told.at(-1)?.kind === "tick") this.#told.pop();
    this.#told.push(message);
    this.#listener(message, this);
    for (const look of [...this.#waiting]) look();
  }

  #fail(problem: string): void {
    this.#problem ??= new DemoError(problem.trim());
    for (const look of [...this.#waiting]) look();
  }
}
