/** What the two kinds of judgement have in common. */
import type { UnreadableLine } from "../../simulation/histories.ts";
import { count, type Output } from "../output.ts";

export type Verdict = "ok" | "wrong" | "cannot be judged";

const LINES_TOLD_MAX = 10;

/** A line or two for whoever wrote the file. */
export function tellUnreadable(unreadable: readonly UnreadableLine[], output: Output): void {
  const { bold, red } = output.colours;
  output.line(`\n${red("✖")} ${bold(`${count(unreadable.length, "line")} cannot be read, so nothing is judged:`)}`);
  for (const { file, line, problem } of unreadable.slice(0, LINES_TOLD_MAX))
    output.line(`  ${file}:${line}: ${problem}`);
  const more = unreadable.length - LINES_TOLD_MAX;
  if (more > 0) output.line(`  and ${more} more`);
}
