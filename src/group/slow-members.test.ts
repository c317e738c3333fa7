/** What a definition's policy does about members that hold the group's senders back. */
import { describe, expect, test } from "vitest";
import type { Membership } from "../runtime/application.ts";
import { defineGroup, type SlowMemberPolicy } from "./define.ts";
import { Diagnostics, type LogEntry } from "./diagnostics.ts";
import { SlowMembers } from "./slow-members.ts";

const bob = "bob#00000001";

class Case {
  readonly said: string[] = [];
  readonly log: LogEntry[] = [];
  readonly diagnostics = new Diagnostics((entry) => this.log.push(entry), "g");
  readonly members: SlowMembers;
  readonly #membership = {
    findSlow: (member: string, isSlow: boolean): void =>
      void this.said.push(`${isSlow ? "slow" : "not slow"} ${member}`),
  } as Membership;

  constructor(policy: SlowMemberPolicy) {
    this.members = new SlowMembers(policy, this.diagnostics);
  }

  note(...forMs: readonly number[]): void {
    for (const each of forMs) this.members.note(bob, each, this.#membership);
  }
}

describe("a member that holds senders back", () => {
  test("is reported once for each time, and nothing more by default", () => {
    const { members, log, said, diagnostics, note } = bound(new Case({}));
    note(0, 1000, 1999);
    expect(log).toEqual([]);
    note(2000, 2250, 60_000);
    expect(log).toMatchObject([{ level: "warn", code: "slow-member", group: "g" }]);
    expect(log[0]?.message).toContain("bob#00000001 has held back what members send for 2000 ms");
    members.begin();
    note(2000);
    expect(diagnostics.counters.slowMembers).toBe(2);
    expect(said).toEqual([]);
  });

  test("is accused after the time that the definition says, and acquitted when it catches up", () => {
    const { said, note } = bound(new Case({ reportAfterMs: 100, excludeAfterMs: 500 }));
    note(250, 499);
    expect(said).toEqual([]);
    note(500, 750, 0, 0, 250, 500);
    expect(said).toEqual([`slow ${bob}`, `not slow ${bob}`, `slow ${bob}`]);
  });
});

describe("the policy of a definition", () => {
  const define = (slowMember: unknown): unknown =>
    defineGroup({ name: "g", state: () => 0, slowMember: slowMember as SlowMemberPolicy });

  test("is not a part of what members must agree on", () => {
    const digestOf = (slowMember?: SlowMemberPolicy): string =>
      defineGroup({ name: "g", state: () => 0, ...(slowMember === undefined ? {} : { slowMember }) }).digest;
    expect(digestOf({ excludeAfterMs: 1 })).toBe(digestOf());
  });

  test.each([
    [1, "`slowMember` is not an object"],
    [{ excludeAfter: 1 }, "`slowMember.excludeAfter` is not an option"],
    [{ excludeAfterMs: 0.5 }, "`slowMember.excludeAfterMs` is not a whole number"],
    [{ reportAfterMs: "1" }, "`slowMember.reportAfterMs` is not a whole number"],
  ])("is checked: %j", (given, problem) => {
    expect(() => define(given)).toThrow(problem);
  });
});

function bound(of: Case): Case & { readonly note: (...forMs: readonly number[]) => void } {
  return Object.assign(of, { note: of.note.bind(of) });
}
