/** Many processes in one cluster and one group: how they come together, and what the end of one costs the others. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ClusterView, nodeName } from "../../src/protocol/view.ts";
import { type MemberProcess, monotonicMs } from "./member-process.ts";
import { areNames, figure, Trial } from "./trial.ts";

const COUNT = 40;
const NAMES = Array.from({ length: COUNT }, (_, index) => `n${index}`);
/** A figure is for a machine with nothing else to do; the test is for all. */
const PATIENCE_MS = 120_000;
/** So many processes on a few processors, beside other programs, are silent for seconds. An end is noticed without that. */
const START = { failureTimeoutMs: 15_000 };

let trial: Trial;

beforeEach(() => {
  trial = new Trial();
});

afterEach(() => trial.end());

/** When the process was first in a cluster view and in a group view of just these nodes, after event number `from`. */
async function gathered(member: MemberProcess, names: readonly string[], from = 0): Promise<number> {
  const isAll = (kind: "cluster" | "view"): number | undefined => {
    for (const event of member.events.slice(from)) {
      if (event.kind !== kind) continue;
      if (event.kind === "view" && areNames(event.view, names)) return event.at;
      if (event.kind === "cluster" && event.view.nodes.length === names.length) return event.at;
    }
    return undefined;
  };
  return await member.until(
    `views of ${names.length} nodes`,
    () => {
      const [cluster, group] = [isAll("cluster"), isAll("view")];
      return cluster === undefined || group === undefined ? undefined : Math.max(cluster, group);
    },
    PATIENCE_MS,
  );
}

const numbersOf = (members: readonly MemberProcess[], kind: "cluster" | "view", froms: readonly number[]): number[] => {
  const numbers = members.flatMap(({ events }, index) =>
    events.slice(froms[index] ?? 0).flatMap((event) => (event.kind === kind ? [event.view.number] : [])),
  );
  return [...new Set(numbers)];
};

describe("forty processes", () => {
  it(
    "that start at once are soon in one view and one group; the end of any one makes one view more",
    async () => {
      const spawnedAt = monotonicMs();
      // Nobody waits for the others: early ones enter while late ones begin.
      const members = await Promise.all(
        NAMES.map(async (name) => {
          const member = await trial.launch(name);
          const joined = (async () => {
            await member.call("start", { name, discovery: trial.discovery, ...START });
            await member.call("join", "ledger");
          })();
          return { member, joined };
        }),
      ).then(async (launched) => {
        await Promise.all(launched.map(({ joined }) => joined));
        return launched.map(({ member }) => member);
      });
      const formedAt = Math.max(...(await Promise.all(members.map((member) => gathered(member, NAMES)))));
      const readyAt = Math.max(
        ...(await Promise.all(members.map((member) => member.event("ready")))).map(({ at }) => at),
      );
      figure(`${COUNT} processes in one view and one group, from their first instruction, ms`, formedAt - spawnedAt);
      figure("the same after the last one had begun, ms", formedAt - readyAt);
      const noneYet = members.map(() => 0);
      figure(
        "cluster views and group views on the way",
        [numbersOf(members, "cluster", noneYet).length, numbersOf(members, "view", noneYet).length].join(" and "),
      );

      // The youngest, which only uses the directory, then the oldest, which leads everything.
      let living = members;
      for (const age of [-1, 0]) {
        const { view } = await (living[0] as MemberProcess).call<{ readonly view: ClusterView }>("cluster");
        const victim = living.find(({ name }) => name === nodeName(view.nodes.at(age)?.id ?? ""));
        if (victim === undefined) throw new Error("a view of others");
        living = living.filter((member) => member !== victim);
        const names = living.map((member) => member.name);
        const froms = living.map(({ events }) => events.length);
        const killedAt = await victim.kill();
        const at = await Promise.all(living.map((member, index) => gathered(member, names, froms[index])));
        figure(`SIGKILL of one of ${names.length + 1} to the views without it at all, ms`, Math.max(...at) - killedAt);
        expect(numbersOf(living, "cluster", froms)).toHaveLength(1);
        expect(numbersOf(living, "view", froms)).toHaveLength(1);
      }
      await living[0]?.call("send", "ledger", "safeSend", "append", 0, 0);
      await trial.settle(living);
      const history = trial.judge({ quiescent: true });
      expect(history.filter(({ kind }) => kind === "exclude")).toEqual([]);
    },
    PATIENCE_MS * 2,
  );
});

describe("a herd of 32 processes", () => {
  const HERD = NAMES.slice(0, 32);

  it.each([["an existing cluster of three", ["ann", "bob", "cy"]] as const, ["nothing", []] as const])(
    "that start at once beside %s are all in, and nobody is taken for dead meanwhile",
    async (beside, names) => {
      const before = await Promise.all(names.map((name) => trial.member(name, { groups: [], start: START })));
      const spawnedAt = monotonicMs();
      const herd = await Promise.all(
        HERD.map(async (name) => {
          const member = await trial.launch(name);
          // Nobody waits for the others: early ones enter while late ones begin.
          const started = member.call("start", { name, discovery: trial.discovery, ...START });
          return { member, started };
        }),
      );
      await Promise.all(herd.map(({ started }) => started));
      const members = [...before, ...herd.map(({ member }) => member)];
      const isWhole = (view: ClusterView): boolean => view.nodes.length === members.length;
      const views = await Promise.all(members.map((member) => member.event("cluster", ({ view }) => isWhole(view))));
      const wholeAt = Math.max(...views.map(({ at }) => at));
      const readyAt = Math.max(
        ...(await Promise.all(herd.map(({ member }) => member.event("ready")))).map(({ at }) => at),
      );
      figure(
        `32 processes beside ${beside}: from their start to the last one's first instruction, ms`,
        readyAt - spawnedAt,
      );
      figure(`32 processes beside ${beside}: from then until all have a view of all, ms`, wholeAt - readyAt);
      expect(trial.history().filter(({ kind }) => kind === "exclude")).toEqual([]);
    },
    PATIENCE_MS,
  );
});
