/**
 * Five processes under load, of which one after another is killed and started again, at most 20 times within the time
 * that COTERIE_CHURN_SECONDS says. The acceptance run is 60.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type MemberProcess, monotonicMs } from "./member-process.ts";
import { areNames, figure, type Tally, Trial, viewOf } from "./trial.ts";

const SECONDS = Number(process.env["COTERIE_CHURN_SECONDS"] ?? 20);
const CYCLES_MAX = 20;
/** Even a very busy machine does so many in the time that the suite gives it. */
const CYCLES_MIN = 4;
const NAMES = ["ann", "bob", "cy", "dee", "eve"];
/** Of what a process keeps. What the operating system has given it is another thing: allocators return little. */
const GROWTH_MAX = 0.1;
const RESIDENT_GROWTH_MAX = 0.25;
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

const load = (member: MemberProcess): Promise<unknown> => member.call("load", "ledger", { perSecond: 60 });

/** A generator that gives the same choices in every run. */
function choices(seed: number): (count: number) => number {
  let state = seed;
  return (count) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * count);
  };
}

describe(`SIGKILL and restart, again and again, in ${SECONDS} s of load`, () => {
  it(
    "break no promise and leak no memory",
    async () => {
      let members = await trial.members(NAMES, OPTIONS);
      await Promise.all(members.map(load));
      const choose = choices(SECONDS);
      // The one that sees all cycles; at first it is the youngest, so that the oldest is among those that are killed.
      const witness = members[4] as MemberProcess;
      const viewChanges: number[] = [];
      const returns: number[] = [];

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
        returns.push(monotonicMs() - startedAt);
        members = [...survivors, restarted];
        await Promise.all(members.map((each) => viewOf(each, "ledger", NAMES)));
        await load(restarted);
      };

      await warmUp(members, cycle);
      const before = await witness.call<Memory>("memory");
      const begin = monotonicMs();
      let cycles = 0;
      for (; cycles < CYCLES_MAX && monotonicMs() - begin < SECONDS * 1000; cycles++) {
        await cycle();
        // The rest of this cycle's share of the time is load without faults.
        const due = begin + ((cycles + 1) * SECONDS * 1000) / CYCLES_MAX;
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - monotonicMs())));
      }
      const lasted = (monotonicMs() - begin) / 1000;
      const tallies = await Promise.all(members.map((member) => member.call<Tally>("stopLoad")));
      const { counts } = await trial.settle(members);
      const after = await witness.call<Memory>("memory");

      figure("churn: cycles of SIGKILL and restart", `${cycles} in ${lasted.toFixed(1)} s`);
      figure("churn: SIGKILL to the new view of four, slowest, ms", Math.max(...viewChanges));
      figure("churn: SIGKILL to the new view of four, mean, ms", mean(viewChanges));
      figure("churn: restart to the return with the state, slowest, ms", Math.max(...returns));
      for (const kind of ["heapUsed", "external", "rss"] as const) {
        const sizes = `${mega(before[kind])} before, ${mega(after[kind])} after`;
        figure(`churn: ${kind} of the process that saw all cycles, MB`, sizes);
      }
      const history = trial.judge({ quiescent: true });
      figure("churn: events judged", history.length);
      expect(cycles).toBeGreaterThanOrEqual(CYCLES_MIN);
      expect(history.filter(({ kind }) => kind === "exclude")).toEqual([]);
      // Nobody that lived has lost anything.
      expect(tallies.map(({ failures }) => failures)).toEqual(members.map(() => ({})));
      expect(counts[witness.slot]).toBe(tallies[members.indexOf(witness)]?.sent);
      expect(kept(after) / kept(before)).toBeLessThanOrEqual(1 + GROWTH_MAX);
      expect(after.rss / before.rss).toBeLessThanOrEqual(1 + RESIDENT_GROWTH_MAX);
    },
    120_000 + SECONDS * 3000,
  );
});

/** What is compiled and allocated once is no leak: some views come and go before the measure. */
async function warmUp(members: readonly MemberProcess[], cycle: () => Promise<void>): Promise<void> {
  const visitor = await trial.launch("visitor", { slot: members.length });
  for (let time = 0; time < 6; time++) {
    await visitor.call("start", { name: visitor.name, discovery: trial.discovery });
    await visitor.call("join", "ledger");
    await visitor.call("close");
  }
  await Promise.all(members.map((each) => viewOf(each, "ledger", NAMES)));
  await cycle();
}

/** The bytes that a process holds on to after a full collection of garbage. */
function kept({ heapUsed, external }: Memory): number {
  return heapUsed + external;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}

function mega(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
