/**
 * Five processes under load, of which one after another is killed and started again. COTERIE_CHURN_SECONDS says for how
 * long, in seconds; the acceptance run is 60.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type MemberProcess, monotonicMs } from "./member-process.ts";
import { areNames, figure, type Tally, Trial, viewOf } from "./trial.ts";

const SECONDS = Number(process.env["COTERIE_CHURN_SECONDS"] ?? 20);
const CYCLES = 20;
const NAMES = ["ann", "bob", "cy", "dee", "eve"];
const GROWTH_MAX = 0.1;
const OPTIONS = { nodeArguments: ["--expose-gc"] };

interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
}

let trial: Trial;

beforeEach(() => {
  trial = new Trial();
});

afterEach(() => trial.end());

const load = (member: MemberProcess): Promise<unknown> => member.call("load", "ledger", { perSecond: 100 });

/** A generator that gives the same choices in every run. */
function choices(seed: number): (count: number) => number {
  let state = seed;
  return (count) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * count);
  };
}

describe(`${CYCLES} cycles of SIGKILL and restart in ${SECONDS} s of load`, () => {
  it(
    "break no promise and leak no memory",
    async () => {
      let members = await trial.members(NAMES, OPTIONS);
      await Promise.all(members.map(load));
      const choose = choices(SECONDS);
      // The one that sees all cycles; at first it is the youngest, so that the oldest is among those that are killed.
      const witness = members[4] as MemberProcess;
      const viewChanges: number[] = [];
      const joins: number[] = [];

      const cycle = async (): Promise<void> => {
        const victim = members.filter((member) => member !== witness)[choose(NAMES.length - 1)] as MemberProcess;
        const survivors = members.filter((member) => member !== victim);
        const names = survivors.map(({ name }) => name);
        const from = survivors.map(({ events }) => events.length);
        const killedAt = await victim.kill();
        const views = await Promise.all(
          survivors.map((each, index) => each.view("ledger", (view) => areNames(view, names), from[index])),
        );
        viewChanges.push(Math.max(...views.map(({ at }) => at)) - killedAt);
        const startedAt = monotonicMs();
        const restarted = await trial.restart(victim, OPTIONS);
        joins.push(monotonicMs() - startedAt);
        members = [...survivors, restarted];
        await Promise.all(members.map((each) => viewOf(each, "ledger", NAMES)));
        await load(restarted);
      };

      // What is compiled and allocated once is no leak: the first cycles come before the measure.
      for (let time = 0; time < 3; time++) await cycle();
      const before = await witness.call<Memory>("memory");
      const begin = monotonicMs();
      for (let time = 0; time < CYCLES; time++) {
        await cycle();
        // The rest of this cycle's share of the time is load without faults.
        const due = begin + ((time + 1) * SECONDS * 1000) / CYCLES;
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - monotonicMs())));
      }
      const lasted = (monotonicMs() - begin) / 1000;
      const tallies = await Promise.all(members.map((member) => member.call<Tally>("stopLoad")));
      const { counts } = await trial.settle(members);
      const after = await witness.call<Memory>("memory");

      figure(`churn, ${CYCLES} cycles, s`, lasted);
      figure("SIGKILL to the new view of four, slowest, ms", Math.max(...viewChanges));
      figure("SIGKILL to the new view of four, mean, ms", viewChanges.reduce((sum, each) => sum + each, 0) / viewChanges.length);
      figure("restart to the return with the state, slowest, ms", Math.max(...joins));
      for (const kind of ["heapUsed", "rss"] as const) {
        const [from, to] = [before[kind], after[kind]];
        figure(`${kind} of the process that saw all cycles, MB`, `${mega(from)} before, ${mega(to)} after`);
      }
      const history = trial.judge({ quiescent: true });
      figure("events judged", history.length);
      expect(history.filter(({ kind }) => kind === "exclude")).toEqual([]);
      // Nobody that lived has lost anything.
      expect(tallies.map(({ failures }) => failures)).toEqual(members.map(() => ({})));
      expect(counts[witness.slot]).toBe(tallies[members.indexOf(witness)]?.sent);
      expect(after.heapUsed / before.heapUsed).toBeLessThanOrEqual(1 + GROWTH_MAX);
      expect(after.rss / before.rss).toBeLessThanOrEqual(1 + GROWTH_MAX);
    },
    60_000 + SECONDS * 3000,
  );
});

function mega(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
