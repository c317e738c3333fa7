/**
 * A member's history in a file that `coterie check` reads (docs/HISTORY.md), one event a line. An event is in the file
 * before anything that follows from it leaves the process: a message's `send` is written before the message is. So a
 * process that is killed takes nothing with it that others could know of; at most its last line is torn.
 */
import { openSync, readFileSync, writeSync } from "node:fs";
import type { HistoryEvent } from "../../protocol/history.ts";
import { HISTORY_VERSION, type HistoryHeader } from "../../runtime/history-files.ts";
import { machineTime } from "./messages.ts";

export class Journal {
  readonly #file: number;
  /** How many events were written. */
  events = 0;

  constructor(path: string) {
    this.#file = openSync(path, "ax", 0o600);
    const origin = Date.now() - machineTime();
    const header: HistoryHeader = { coterie: "history", version: HISTORY_VERSION, origin };
    writeSync(this.#file, `${JSON.stringify(header)}\n`);
  }

  /** Writes the event, with the machine's time instead of the process's. */
  readonly write = (event: HistoryEvent): void => {
    writeSync(this.#file, `${JSON.stringify({ ...event, at: machineTime() })}\n`);
    this.events++;
  };
}

/** The events of a journal, without its first line and a torn last one. */
export function readJournal(path: string): readonly HistoryEvent[] {
  const lines = readFileSync(path, "utf8").split("\n");
  lines.pop();
  return lines.slice(1).map((line) => JSON.parse(line) as HistoryEvent);
}
