/**
 * The end of the durable demo: what was found again, how soon, what is wrong, if anything, and what to try next.
 */
import { figure, type Output } from "../../output.ts";
import { complain } from "../report.ts";
import { ms, next, rowsOn, yes } from "../rows.ts";
import { type DurableOutcome, type DurablyJudged, RECOVERY_MS_MAX } from "./outcome.ts";

const NEXT = [
  ["npx coterie demo --durable --megabytes 100", "the same, with logs of that size"],
  ["npx coterie simulate", "the same code, under worse faults"],
  ["npx coterie status", "the nodes that run on this machine"],
] as const;

/** `journals` is where the journals are kept, because something is wrong. */
export function report(judged: DurablyJudged, journals: string | undefined, output: Output): void {
  const { outcome } = judged;
  output.record({ ...outcome, ...(journals === undefined ? {} : { journals }) });
  if (output.json) return;
  const { bold, dim, green } = output.colours;
  output.line(`\n${bold("What happened")}  ${dim(`from ${figure(outcome.events)} recorded events`)}\n`);
  table(outcome, output);
  output.line();
  complain(judged, journals, output);
  if (!outcome.ok) return;
  output.line(`${green("✔")} Everything that was acknowledged is there, once, in one order.`);
  next(NEXT, output);
}

function table(outcome: DurableOutcome, output: Output): void {
  const row = rowsOn(output);
  const unheard =
    outcome.unacknowledgedRecovered === 0
      ? ""
      : `, among them ${figure(outcome.unacknowledgedRecovered)} that nobody had been told of yet`;
  row("acknowledged", figure(outcome.updatesAcknowledged), "before all three were killed");
  row("found again", figure(outcome.updatesRecovered), `when they came back${unheard}`);
  row("lost", figure(outcome.lost), "of what was acknowledged", outcome.lost === 0);
  row("duplicated", figure(outcome.duplicated), "", outcome.duplicated === 0);
  const compared = `${figure(outcome.orderedUpdatesCompared)} deliveries of the killed compared`;
  row("orders agree", yes(outcome.ordersAgree), compared, outcome.ordersAgree);
  const [digest = ""] = Object.values(outcome.stateDigests);
  row("books agree", yes(outcome.statesAgree), outcome.statesAgree ? `digest ${digest}` : "", outcome.statesAgree);
  const promised = outcome.violations.length === 0;
  row("promises kept", yes(promised), outcome.checkers.join(" "), promised);
  output.line();
  const { recoveryMs } = outcome;
  row("first back after", ms(outcome.firstBackMs), "from the start of its process, with the whole book");
  const isQuick = recoveryMs !== null && recoveryMs <= RECOVERY_MS_MAX;
  row("all back after", ms(recoveryMs), `(${figure(RECOVERY_MS_MAX)} allowed)`, isQuick);
  row("log", `${figure(outcome.logBytes / 1e6)} MB`, "on each disk when they were killed");
  row("updates a second", figure(outcome.updatesPerSecond), "on three disks, before the kill");
  row("acknowledged since", figure(outcome.updatesAcknowledgedAfter), "after the recovery");
}
