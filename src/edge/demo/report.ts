/**
 * The end of the demo: what was measured, in a table, what is wrong, if anything, and what to try next.
 */
import { nodeName } from "../../protocol/view.ts";
import { diagram } from "../../simulation/diagram.ts";
import { count, figure, type Output } from "../output.ts";
import { type Judged, type Outcome, VIEW_CHANGE_MS_MAX } from "./outcome.ts";
import { ms, next, rowsOn, yes } from "./rows.ts";

const NEXT = [
  ["npx coterie demo --durable", "all killed at once, and nothing lost"],
  ["npx coterie simulate", "the same code, simulated, under worse"],
  ["npx coterie simulate --list-mutants", "bugs to plant, to see them caught"],
  ["npx coterie status", "the nodes that run on this machine"],
] as const;

type Complaint = Pick<Judged, "history" | "marks"> & {
  readonly outcome: Pick<Outcome, "violations" | "problems">;
};

/** `journals` is where the journals are kept, because something is wrong. */
export function report({ outcome, history, marks }: Judged, journals: string | undefined, output: Output): void {
  output.record({ ...outcome, ...(journals === undefined ? {} : { journals }) });
  if (output.json) return;
  const { bold, dim, green } = output.colours;
  output.line(`\n${bold("What happened")}  ${dim(`from ${figure(outcome.events)} recorded events`)}\n`);
  table(outcome, output);
  output.line();
  complain({ outcome, history, marks }, journals, output);
  if (outcome.ok) {
    output.line(`${green("✔")} Nothing lost, nothing twice, one order, one state.`);
    next(NEXT, output);
  }
}

/** What is wrong, if anything is. */
export function complain({ outcome, history, marks }: Complaint, journals: string | undefined, output: Output): void {
  const [first] = marks;
  for (const { property, message } of outcome.violations) output.paragraph(`${property}: ${message}`);
  if (first !== undefined) output.line(`\n${diagram(history, { around: first.event, marks, width: output.columns })}`);
  for (const problem of outcome.problems)
    for (const line of problem.split("\n")) output.line(`${output.colours.red("✖")} ${line}`);
  if (journals !== undefined) output.line(`\n  The journals are in ${journals}; coterie check ${journals} judges them`);
}

function table(outcome: Outcome, output: Output): void {
  const row = rowsOn(output);
  const killed = nodeName(outcome.killed);
  const by = Object.entries(outcome.updatesDeliveredBy).map(
    ([node, delivered]) => `${nodeName(node)} ${figure(delivered)}`,
  );
  const unheard =
    outcome.unheardOfKilled === 0 ? "" : `; ${outcome.unheardOfKilled} of ${killed}'s last reached nobody`;
  row(
    "updates sent",
    figure(outcome.updatesSent),
    `besides ${figure(outcome.flushes)} flushes and ${figure(outcome.queries)} queries`,
  );
  row("updates delivered", figure(outcome.updatesDelivered), by.join(", "));
  row("lost", figure(outcome.lost), `of what survivors sent or saw${unheard}`, outcome.lost === 0);
  row("duplicated", figure(outcome.duplicated), "", outcome.duplicated === 0);
  const compared = `${figure(outcome.orderedUpdatesCompared)} ordered updates compared`;
  row("orders agree", yes(outcome.ordersAgree), compared, outcome.ordersAgree);
  const [digest = ""] = Object.values(outcome.stateDigests);
  const state = `${count(outcome.stateEntries, "price")}, digest ${digest}`;
  row("states agree", yes(outcome.statesAgree), outcome.statesAgree ? state : "", outcome.statesAgree);
  const promised = outcome.violations.length === 0;
  row("promises kept", yes(promised), `${outcome.checkers.join(" ")}`, promised);
  output.line();
  const { viewChangeMs: changeMs } = outcome;
  const isQuick = changeMs !== null && changeMs <= VIEW_CHANGE_MS_MAX;
  row("new view after", ms(changeMs), `from SIGKILL, at all survivors (${VIEW_CHANGE_MS_MAX} allowed)`, isQuick);
  row("longest pause", ms(outcome.longestPauseMs), "without a delivery at a survivor");
  row("state transfer", ms(outcome.stateTransferMs), "from its admission to the whole state");
  row("restart", ms(outcome.restartMs), "from a new process to a full member");
  row("deliveries a second", figure(outcome.deliveriesPerSecondBefore), "at each member, before the kill");
  row("", figure(outcome.deliveriesPerSecondAfter), `at the survivors, without ${killed}'s updates`);
  row("", figure(outcome.deliveriesPerSecondTogether), "with all three again");
}
