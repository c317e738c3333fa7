/**
 * Scenarios as transcripts: blocks of commands, each followed by `----` and by what the world did, line for line. A
 * transcript is replayed and printed anew; if the print differs, the behaviour has changed, and whoever changed it
 * explains the difference. Every replay is also judged by the checkers.
 *
 *     world seed 3 directory 5 failure 3s window 1000      first, if at all
 *     cluster a b c                            a founds, the others join it one after another
 *     group g a b c                            they join a group one after another
 *     start a found | start a | start a with a b c
 *     join a g | leave a g | send a g fifo|causal|total|safe 3 | flush a g [2] | query a g total all|2
 *     run 500ms
 *     accuse a c | accuse a g c                a suspects c, which lives: in the cluster; of not answering its query in a group
 *     crash a | close a | pause a 2s stop|stall
 *     partition a b | c        cut a > b       mend a > b      disconnect a b      heal
 *     slow a 50ms              slow a > b 50ms
 *     expect cluster a b | group g a b | status a blocked | no group g a | excluded a | ended a g lost | delivered g 12 a b
 *     converge [20s]
 *     show report cut hold install             tell of these control messages, too
 *     skip                                     do not tell what has happened so far
 *
 * Any command may end with `when` and a step: it then waits for it, and strikes in the midst of the turn.
 *
 *     … when a sends cut [to b]                after the message has left; `about to send`: before it leaves
 *     … when b installs g view 3 | b installs cluster view 4 | b delivers a3 | b joins g | b flushed
 */
import { check, type Violation } from "./axioms/index.ts";
import { Conductor } from "./conductor.ts";
import { Narrator } from "./narrate.ts";

export interface Replay {
  /** The transcript as this run prints it. */
  readonly text: string;
  readonly violations: readonly Violation[];
  /** Expectations that did not hold, and commands that were not understood, with their lines. */
  readonly failures: readonly string[];
}

const RULE = "----";

export function replay(transcript: string): Replay {
  const conductor = new Conductor(new Narrator());
  const failures: string[] = [];
  const printed: string[] = [];
  let reacting = false;
  for (const [index, line] of transcript.split("\n").entries()) {
    if (line === RULE) {
      reacting = true;
      printed.push(RULE, ...conductor.tell());
    } else if (reacting && line !== "") continue;
    else {
      reacting = false;
      printed.push(line);
      const failure = perform(conductor, line);
      if (failure !== undefined) failures.push(`line ${index + 1}: ${line}: ${failure}`);
    }
  }
  if (conductor.waiting > 0) failures.push(`${conductor.waiting} commands still wait for their step`);
  const violations = check(conductor.world.history, { quiescent: conductor.converged });
  if (!conductor.converged) failures.push("the scenario does not end with convergence");
  return { text: printed.join("\n"), violations, failures };
}

function perform(conductor: Conductor, line: string): string | undefined {
  const command = (line.split("#")[0] ?? "").trim();
  return command === "" ? undefined : conductor.perform(command.split(/\s+/));
}
