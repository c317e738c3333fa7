/**
 * Histories in files, `<incarnation>.jsonl` in one directory (docs/HISTORY.md): a first line that names the version and
 * the node, then one event a line. The events of a turn are written together, before anything that follows from them
 * leaves the node. So a process that is killed loses nothing that others can know of; at most its last line is torn.
 */
import { closeSync, fstatSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import type { HistoryEvent, HistorySink } from "../protocol/history.ts";
import type { NodeId } from "../protocol/view.ts";

export const HISTORY_VERSION = 1;

/** The first line of a file. */
export interface HistoryHeader {
  readonly coterie: "history";
  readonly version: number;
  /** The node of all events that do not name one. */
  readonly node?: NodeId;
  /** Milliseconds since 1970 at which the clock of the events stood at 0. */
  readonly origin?: number;
}

/** What was not written yet is written early when it is longer. */
const PENDING_CHARACTERS_MAX = 1 << 20;

interface HistoryFile {
  readonly descriptor: number;
  pending: string;
}

export class HistoryFiles {
  readonly #directory: string;
  readonly #failed: (problem: unknown) => void;
  readonly #files = new Map<NodeId, HistoryFile>();
  #hasFailed = false;
  #isClosed = false;

  /** Makes the directory if need be, and throws if that cannot be. `failed` hears of the first failure to write later on. */
  constructor(directory: string, failed: (problem: unknown) => void) {
    mkdirSync(directory, { recursive: true });
    this.#directory = directory;
    this.#failed = failed;
  }

  get sink(): HistorySink {
    return Object.assign((event: HistoryEvent) => this.#record(event), { flush: () => this.#flush() });
  }

  /** Writes the rest. What a node that is closed still tells is written as it comes. */
  close(): void {
    this.#isClosed = true;
    this.#flush();
  }

  #record(event: HistoryEvent): void {
    if (this.#hasFailed) return;
    try {
      const file = this.#files.get(event.node) ?? this.#open(event.node);
      file.pending += lineOf(event);
      if (file.pending.length > PENDING_CHARACTERS_MAX) write(file);
    } catch (problem) {
      this.#fail(problem);
    }
  }

  #open(node: NodeId): HistoryFile {
    const descriptor = openSync(join(this.#directory, `${node}.jsonl`), "a", 0o600);
    const file = { descriptor, pending: "" };
    this.#files.set(node, file);
    if (fstatSync(descriptor).size > 0) return file;
    const origin = rounded(performance.timeOrigin);
    const header: HistoryHeader = { coterie: "history", version: HISTORY_VERSION, node, origin };
    file.pending = `${JSON.stringify(header)}\n`;
    return file;
  }

  #flush(): void {
    if (this.#hasFailed) return;
    try {
      for (const file of this.#files.values()) if (file.pending !== "") write(file);
    } catch (problem) {
      this.#fail(problem);
    }
    if (!this.#isClosed) return;
    for (const { descriptor } of this.#files.values()) closeSync(descriptor);
    this.#files.clear();
  }

  #fail(problem: unknown): void {
    this.#hasFailed = true;
    this.#failed(problem);
  }
}

function write(file: HistoryFile): void {
  const bytes = Buffer.from(file.pending);
  file.pending = "";
  for (let from = 0; from < bytes.length; ) from += writeSync(file.descriptor, bytes, from);
}

/** The header has named the node. */
function lineOf(event: HistoryEvent): string {
  return `${JSON.stringify({ ...event, at: rounded(event.at), node: undefined })}\n`;
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
