/** When a membership ends nothing hangs, and every call says what is known about its effect. */
import { expect, test } from "vitest";
import { failureOf, threeMembers } from "../../test/group/members.ts";
import { defineGroup } from "./define.ts";
import { ExcludedError, OutcomeUnknownError } from "./errors.ts";

const journal = defineGroup({
  name: "journal",
  state: () => ({ entries: [] as string[] }),
  updates: { add: ({ state }, entry: string) => state.entries.push(entry) },
});

test("exclusion: what waits fails with ExcludedError, what was sent is of unknown outcome", async () => {
  const { cluster, groups, fakes } = await threeMembers(journal);
  cluster.roomMax = 1;
  cluster.hold();
  fakes[0].exclude();
  const sent = groups[0].send.add("sent");
  const waiting = groups[0].send.add("waiting");
  const flushed = groups[0].flush();
  cluster.release();
  const unknown = await failureOf(sent);
  expect(unknown).toBeInstanceOf(OutcomeUnknownError);
  expect((unknown as OutcomeUnknownError).cause).toBeInstanceOf(ExcludedError);
  for (const call of [waiting, flushed, groups[0].send.add("later"), groups[0].flush()]) {
    expect(await failureOf(call)).toBeInstanceOf(ExcludedError);
  }
  expect(() => groups[0].read(({ state }) => state.entries)).toThrow(ExcludedError);
  expect(groups[0].status).toBe("excluded");
  expect(groups[0].signal.reason).toBeInstanceOf(ExcludedError);
  expect(groups[1].status).toBe("active");
});

test.each([
  ["lost", "group-lost"],
  ["closed", "closed"],
] as const)("%s: later calls fail with code %s", async (how, code) => {
  const { cluster, groups, fakes, nodes } = await threeMembers(journal);
  if (how === "lost") fakes[0].lose();
  else await nodes[0].close();
  await cluster.settle();
  expect(groups[0].status).toBe(how);
  expect(await failureOf(groups[0].send.add("x"))).toMatchObject({ code });
  expect(await failureOf(groups[0].flush())).toMatchObject({ code });
});
