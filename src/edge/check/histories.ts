/**
 * Holds the histories of nodes against all promises of the model, and shows where one was broken: the line of the file,
 * and what happened around it.
 */
import { CHECKERS, check, type Violation } from "../../simulation/axioms/index.ts";
import { diagram } from "../../simulation/diagram.ts";
import { type Histories, readHistories } from "../../simulation/histories.ts";
import { count, figure, type Output, wrap } from "../output.ts";
import { tellUnreadable, type Verdict } from "./verdict.ts";

/** How many promises are drawn; the others are named. */
const DIAGRAMS_MAX = 3;

export function checkHistories(paths: readonly string[], settled: boolean, output: Output): Verdict {
  output.progress("  reading");
  const histories = readHistories(paths, { quiescent: settled });
  output.progress(`  judging ${figure(histories.events.length)} events`);
  const isReadable = histories.unreadable.length === 0 && histories.events.length > 0;
  const violations = isReadable ? check(histories.events, { quiescent: settled }) : [];
  const verdict = !isReadable ? "cannot be judged" : violations.length > 0 ? "wrong" : "ok";
  record(histories, violations, settled, verdict, output);
  tell(histories, violations, settled, output);
  return verdict;
}

function record(
  histories: Histories,
  violations: readonly Violation[],
  settled: boolean,
  verdict: Verdict,
  output: Output,
): void {
  const { events, files, nodes, crashed, unreadable } = histories;
  output.record({
    ok: verdict === "ok",
    files: files.length,
    nodes: nodes.length,
    crashed,
    events: events.length,
    settled,
    judgedBy: CHECKERS.map(({ property }) => property),
    violations: violations.map((violation) => {
      const { event, ...others } = violation;
      return { ...others, title: titleOf(violation), ...histories.placeOf(event), happened: events[event] };
    }),
    unreadable,
  });
}

function tell(histories: Histories, violations: readonly Violation[], settled: boolean, output: Output): void {
  const { events, files, nodes, crashed, unreadable } = histories;
  const { bold, dim, green, red } = output.colours;
  output.line(
    `\n${bold("coterie check")}  ${dim(`${count(events.length, "event")} in ${count(files.length, "file")}`)}`,
  );
  if (unreadable.length > 0) {
    tellUnreadable(unreadable, output);
    return;
  }
  if (events.length === 0) {
    output.line(`\n${red("✖")} There is no history here. Start the processes with COTERIE_HISTORY=directory.`);
    return;
  }
  const how = settled ? "to the quiet at the end" : "as far as they go";
  const open =
    crashed.length === 0 ? "" : ` The histories of ${figure(crashed.length)} have no end: they count as crashed.`;
  output.line(`
  ${count(nodes.length, "node")}, judged ${how}.${open}`);
  const properties = [...new Set(violations.map(({ property }) => property))];
  for (const [index, property] of properties.entries()) {
    const found = violations.filter((violation) => violation.property === property);
    tellProperty(histories, violations, found, index < DIAGRAMS_MAX, output);
  }
  const judged = CHECKERS.map(({ property }) => property).join(" ");
  output.line();
  if (violations.length === 0) output.line(`${green("✔")} Nothing breaks a promise: ${judged}.`);
  else output.line(`${red("✖")} Broken: ${properties.join(", ")}.`);
}

function tellProperty(
  histories: Histories,
  all: readonly Violation[],
  found: readonly Violation[],
  drawn: boolean,
  output: Output,
): void {
  const [first] = found;
  if (first === undefined) return;
  const { dim, red } = output.colours;
  const { events } = histories;
  const { file, line } = histories.placeOf(first.event);
  output.line();
  for (const text of wrap(`${first.property} ${titleOf(first)}`, output.columns - 2)) output.line(`  ${red(text)}`);
  output.paragraph(first.message);
  output.line(dim(`  ${file}:${line}`));
  if (found.length > 1) output.line(dim(`  and ${found.length - 1} more of ${first.property}`));
  if (!drawn) return;
  const marks = all.map(({ event, property }) => ({ event, property }));
  const group = first.group === undefined || first.group === "" ? {} : { group: first.group };
  output.line(`\n${diagram(events, { around: first.event, marks, width: output.columns, ...group })}`);
}

function titleOf({ property }: Violation): string {
  return CHECKERS.find((checker) => checker.property === property)?.title ?? "";
}
