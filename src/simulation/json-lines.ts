/** Files of JSON lines, of any length, read a piece at a time. */
import { closeSync, openSync, readSync } from "node:fs";

/** A line that is no JSON, or not what it should be. */
export interface UnreadableLine {
  readonly file: string;
  readonly line: number;
  readonly problem: string;
}

const PIECE_BYTES = 1 << 20;

/**
 * Calls `each` with every line's value and number, which begins with 1; it returns what is wrong with the value. Empty
 * lines are passed over, and so is a last line without an end: whoever wrote it was cut short.
 */
export function readJsonLines(
  file: string,
  each: (value: unknown, line: number) => string | undefined,
): UnreadableLine[] {
  const unreadable: UnreadableLine[] = [];
  let line = 0;
  for (const text of linesOf(file)) {
    line++;
    if (text === "") continue;
    let value: unknown;
    let problem: string | undefined;
    try {
      value = JSON.parse(text);
    } catch {
      problem = "is not JSON";
    }
    problem ??= each(value, line);
    if (problem !== undefined) unreadable.push({ file, line, problem });
  }
  return unreadable;
}

function* linesOf(file: string): Generator<string> {
  const descriptor = openSync(file, "r");
  try {
    const piece = new Uint8Array(PIECE_BYTES);
    const decoder = new TextDecoder();
    let rest = "";
    for (let read = readSync(descriptor, piece); read > 0; read = readSync(descriptor, piece)) {
      const lines = (rest + decoder.decode(piece.subarray(0, read), { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } finally {
    closeSync(descriptor);
  }
}
