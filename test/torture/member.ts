/**
 * A process under torture, as its torturer sees it: what it told last, the signals that are sent to it, and its end.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { NodeId } from "../../src/protocol/view.ts";

const PROGRAM = fileURLToPath(new URL("./member.mjs", import.meta.url));
const LAST_WORDS_MAX = 2000;

export interface MemberState {
  readonly node: NodeId;
  readonly status: string;
  readonly nodes: readonly NodeId[];
  readonly groups: readonly { readonly name: string; readonly members: readonly NodeId[] }[];
}

type Told =
  | ({ readonly kind: "state" } & MemberState)
  | {
      readonly kind: "stopped";
      readonly failures: Readonly<Record<string, number>>;
      readonly complaints: readonly string[];
    }
  | {
      readonly kind: "quiet";
      readonly digests: readonly string[];
      readonly safe: Readonly<Record<string, number>>;
      readonly repeated: number;
    }
  | { readonly kind: "failed"; readonly message: string };

type Order =
  | { readonly kind: "stall"; readonly ms: number }
  | { readonly kind: "stop" }
  | { readonly kind: "quiet" }
  | { readonly kind: "leave" };

export class Member {
  readonly name: string;
  readonly ended: Promise<void>;
  state: MemberState | undefined;
  /** How its calls had failed when it stopped sending, by code. */
  failures: Readonly<Record<string, number>> = {};
  complaints: readonly string[] = [];
  /** Of its groups' states, when all was quiet. */
  digests: readonly string[] | undefined;
  /** In its groups' states then: up to which number each membership's safe updates have come, and how many came again. */
  safe: Readonly<Record<string, number>> = {};
  repeated = 0;
  isPaused = false;
  readonly #child: ChildProcess;
  #isRunning = true;
  #mayEnd = false;
  #problem: string | undefined;
  #lastWords = "";

  constructor(name: string, options: object) {
    this.name = name;
    const child = spawn(process.execPath, [PROGRAM, JSON.stringify({ name, ...options })], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child = child;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-LAST_WORDS_MAX);
    });
    child.on("message", (message: Told) => this.#hear(message));
    child.on("error", (error) => {
      this.#problem ??= `${name}: ${error.message}`;
    });
    this.ended = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        this.#isRunning = false;
        if (!this.#mayEnd) this.#problem ??= `${name} ended by itself (${signal ?? code}): ${this.#lastWords}`;
        resolve();
      });
    });
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** What it should not have done. */
  get problem(): string | undefined {
    return this.#problem;
  }

  tell(order: Order): void {
    if (order.kind === "leave") this.#mayEnd = true;
    if (this.#child.connected) this.#child.send(order);
  }

  /** SIGKILL: it runs no further instruction. */
  async kill(): Promise<void> {
    this.#mayEnd = true;
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  pause(): void {
    this.isPaused = true;
    this.#child.kill("SIGSTOP");
  }

  resume(): void {
    this.isPaused = false;
    this.#child.kill("SIGCONT");
  }

  #hear(message: Told): void {
    switch (message.kind) {
      case "state":
        this.state = message;
        break;
      case "stopped":
        this.failures = message.failures;
        this.complaints = message.complaints;
        break;
      case "quiet":
        this.digests = message.digests;
        this.safe = message.safe;
        this.repeated = message.repeated;
        break;
      case "failed":
        this.#problem ??= `${this.name}: ${message.message}`;
        break;
    }
  }
}
