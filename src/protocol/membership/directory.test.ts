import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ids } from "../../../test/protocol/kit.ts";
import type { DirectoryCommand } from "../messages.ts";
import type { NodeId } from "../view.ts";
import { Directory, type DirectoryGroup, type DirectoryOutcome, keepersOf, type Nodes } from "./directory.ts";

const [a = "", b = "", c = ""] = ids(3);
/** Everybody is there; nobody has a disk. */
const everybody: Nodes = { diskOf: () => "", durable: false, cluster: "c", verify: () => false };

/** Executes commands as their requesters number them. */
class Executor {
  readonly directory: Directory;
  readonly #numbers = new Map<NodeId, number>();

  constructor(directory = new Directory()) {
    this.directory = directory;
  }

  run(requester: NodeId, command: DirectoryCommand): DirectoryOutcome["refusals"] | undefined {
    const number = (this.#numbers.get(requester) ?? 0) + 1;
    this.#numbers.set(requester, number);
    return this.directory.execute({ requester, number, command }, everybody)?.refusals;
  }

  join(requester: NodeId, ...names: string[]): DirectoryOutcome["refusals"] | undefined {
    return this.run(requester, {
      kind: "join",
      groups: names.map((name) => ({
        name,
        digest: "d",
        durable: false,
        acceptorsMax: 0,
        operations: [],
        proof: undefined,
      })),
    });
  }

  /** Joins `g` with a definition that has these operations. */
  joinWith(requester: NodeId, ...operations: number[]): DirectoryOutcome["refusals"] | undefined {
    return this.run(requester, {
      kind: "join",
      groups: [{ name: "g", digest: "d", durable: false, acceptorsMax: 0, operations, proof: undefined }],
    });
  }

  synced(requester: NodeId, name: string): void {
    const group = this.directory.named(name);
    this.run(requester, { kind: "synced", group: group?.id ?? 0, target: group?.number ?? 0 });
  }

  leave(requester: NodeId, ...names: string[]): void {
    this.run(requester, { kind: "leave", groups: names.map((name) => this.directory.named(name)?.id ?? 0) });
  }

  /** `status number members | synced`, by the first letters. */
  show(name: string): string {
    const group = this.directory.named(name);
    if (group === undefined) return "none";
    const letters = (list: readonly NodeId[]): string => list.map((id) => id.slice(0, 1)).join("");
    return `${group.status} ${group.number} ${letters(group.members)} | ${letters(group.synced)}`;
  }
}

describe("join and leave", () => {
  test("the first to join makes the group and holds its state; each join is a target, members by age", () => {
    const to = new Executor();
    to.join(b, "g");
    expect(to.show("g")).toBe("live 1 b | b");
    to.join(a, "g");
    to.join(c, "g");
    expect(to.show("g")).toBe("live 3 bac | b");
    to.synced(c, "g");
    expect(to.show("g")).toBe("live 3 bac | bc");
  });

  test("a join of several groups is one step: all or nothing", () => {
    const to = new Executor();
    to.join(a, "g");
    to.run(b, {
      kind: "join",
      groups: [{ name: "h", digest: "other", durable: false, acceptorsMax: 0, operations: [], proof: undefined }],
    });
    expect(to.join(b, "g", "h")).toEqual([{ code: "definition-mismatch", name: "h", expected: "other" }]);
    expect([to.show("g"), to.show("h")]).toEqual(["live 1 a | a", "live 1 b | b"]);
    expect(to.join(c, "g", "i")).toEqual([]);
    expect([to.show("g"), to.show("i")]).toEqual(["live 2 ac | a", "live 1 c | c"]);
  });

  test("who is a member already is refused", () => {
    const to = new Executor();
    to.join(a, "g");
    expect(to.join(a, "g")).toEqual([{ code: "already-member", name: "g" }]);
    expect(to.show("g")).toBe("live 1 a | a");
  });

  test("C9: who alone holds the state does not get away before somebody else does", () => {
    const to = new Executor();
    to.join(a, "g");
    to.join(b, "g");
    to.leave(a, "g");
    expect(to.show("g")).toBe("live 2 ab | a");
    to.synced(b, "g");
    to.leave(a, "g");
    expect(to.show("g")).toBe("live 3 b | b");
  });

  test("a group that all have left in good order is no more, and its name is free for another", () => {
    const to = new Executor();
    to.join(a, "g");
    const before = to.directory.named("g")?.id;
    to.leave(a, "g");
    expect(to.show("g")).toBe("none");
    to.join(b, "g");
    expect(to.show("g")).toBe("live 1 b | b");
    expect(to.directory.named("g")?.id).not.toBe(before);
  });

  test("to leave a group that one is not in, or that is none, changes nothing", () => {
    const to = new Executor();
    to.join(a, "g");
    to.leave(b, "g", "none");
    expect(to.show("g")).toBe("live 1 a | a");
  });

  test("synced means nothing in a group that is lost", () => {
    const to = new Executor();
    to.join(a, "g");
    to.join(b, "g");
    to.directory.clusterInstalled(new Set([b, c]));
    to.synced(b, "g");
    expect(to.show("g")).toBe("lost 3 b | ");
  });

  test("synced means nothing from who is no member", () => {
    const to = new Executor();
    to.join(a, "g");
    to.synced(b, "g");
    to.synced(a, "g");
    expect(to.show("g")).toBe("live 1 a | a");
  });
});

describe("C13: a member that others find too slow", () => {
  function three(): Executor {
    const to = new Executor();
    for (const id of [a, b, c]) {
      to.join(id, "g");
      to.synced(id, "g");
    }
    return to;
  }
  const find = (
    to: Executor,
    by: NodeId,
    member: NodeId,
    slow = true,
    target = to.directory.named("g")?.number,
  ): void =>
    void to.run(by, {
      kind: "slow",
      group: to.directory.named("g")?.id ?? 0,
      target: target ?? 0,
      member,
      isSlow: slow,
    });

  test("is out when a quorum of the group says so, and not before", () => {
    const to = three();
    find(to, b, c);
    find(to, b, c);
    expect(to.show("g")).toBe("live 3 abc | abc");
    expect(to.directory.named("g")?.slow).toEqual([{ member: c, by: [b] }]);
    find(to, a, c);
    expect(to.show("g")).toBe("live 4 ab | ab");
    expect(to.directory.named("g")?.slow).toEqual([]);
    // Of two the older has the word.
    find(to, b, a);
    expect(to.show("g")).toBe("live 4 ab | ab");
    find(to, a, b);
    expect(to.show("g")).toBe("live 5 a | a");
  });

  test("stays when the word was taken back, was for another view, or came from who has none", () => {
    const to = three();
    find(to, a, c);
    find(to, a, c, false);
    find(to, b, c, true, 2);
    find(to, c, c);
    find(to, ids(4)[3] ?? "", c);
    find(to, b, c);
    expect(to.show("g")).toBe("live 3 abc | abc");
  });

  test("stays when nobody else holds the state", () => {
    const to = new Executor();
    for (const id of [a, b, c]) to.join(id, "g");
    find(to, b, a);
    find(to, c, a);
    expect(to.show("g")).toBe("live 3 abc | a");
  });
});

describe("the loss of nodes", () => {
  test("takes them out of all their groups in one step", () => {
    const to = new Executor();
    to.join(a, "g", "h");
    to.join(b, "g", "h");
    for (const name of ["g", "h"]) to.synced(b, name);
    const index = to.directory.index;
    to.directory.clusterInstalled(new Set([b, c]));
    expect(to.directory.index).toBe(index + 1);
    expect([to.show("g"), to.show("h")]).toEqual(["live 3 b | b", "live 3 b | b"]);
  });

  test("C10: with the last that held the state the group is lost, kept, and no joiner continues it", () => {
    const to = new Executor();
    to.join(a, "g");
    to.join(b, "g");
    to.directory.clusterInstalled(new Set([b, c]));
    expect(to.show("g")).toBe("lost 3 b | ");
    expect(to.join(c, "g")).toEqual([{ code: "group-lost", name: "g" }]);
    to.leave(b, "g");
    to.directory.clusterInstalled(new Set([c]));
    expect(to.show("g")).toBe("lost 3 b | ");
  });

  test("C10: a lost name is free when it is forgotten, under its group's id only", () => {
    const to = new Executor();
    to.join(a, "g");
    const { id } = to.directory.named("g") ?? { id: 0 };
    to.run(b, { kind: "forget", name: "g", group: id });
    expect(to.show("g")).toBe("live 1 a | a");
    to.directory.clusterInstalled(new Set([b]));
    expect(to.show("g")).toBe("lost 2  | ");
    to.run(b, { kind: "forget", name: "g", group: id + 1 });
    expect(to.show("g")).toBe("lost 2  | ");
    to.run(b, { kind: "forget", name: "g", group: id });
    expect(to.show("g")).toBe("none");
    to.join(b, "g");
    expect(to.directory.named("g")?.id).not.toBe(id);
  });

  test("views without losses change no target", () => {
    const to = new Executor();
    to.join(a, "g");
    to.directory.clusterInstalled(new Set([a, b, c]));
    expect(to.show("g")).toBe("live 1 a | a");
  });
});

describe("requests (B4)", () => {
  const command: DirectoryCommand = {
    kind: "join",
    groups: [{ name: "g", digest: "d", durable: false, acceptorsMax: 0, operations: [], proof: undefined }],
  };

  test("each is executed once and in its requester's order, however often and in whatever order they come", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 40 }), (numbers) => {
        const directory = new Directory();
        let next = 1;
        for (const number of numbers) {
          const index = directory.index;
          const outcome = directory.execute({ requester: a, number, command }, everybody);
          expect(outcome !== undefined).toBe(number === next);
          if (outcome !== undefined) next++;
          expect(directory.index).toBe(index + 1);
          expect(directory.executed(a)).toBe(next - 1);
        }
      }),
    );
  });

  test("of a node outside the cluster nothing is executed, and its count is forgotten with it", () => {
    const directory = new Directory();
    expect(
      directory.execute(
        { requester: a, number: 1, command },
        { ...everybody, diskOf: (id) => (id === a ? undefined : "") },
      ),
    ).toBeUndefined();
    expect(directory.execute({ requester: b, number: 1, command }, everybody)?.refusals).toEqual([]);
    directory.clusterInstalled(new Set([a]));
    expect(directory.executed(b)).toBe(0);
  });

  test("what a join came to can be told afterwards", () => {
    const to = new Executor();
    const wanted = (...names: string[]): DirectoryCommand => ({
      kind: "join",
      groups: names.map((name) => ({
        name,
        digest: "d",
        durable: false,
        acceptorsMax: 0,
        operations: [],
        proof: undefined,
      })),
    });
    to.join(a, "g");
    expect(to.directory.refusalsInRetrospect(a, wanted("g"), everybody)).toEqual([]);
    expect(to.directory.refusalsInRetrospect(a, { kind: "leave", groups: [1] }, everybody)).toEqual([]);
    to.run(b, {
      kind: "join",
      groups: [{ name: "h", digest: "x", durable: false, acceptorsMax: 0, operations: [], proof: undefined }],
    });
    expect(to.directory.refusalsInRetrospect(a, wanted("g", "h"), everybody)).toEqual([
      { code: "definition-mismatch", name: "h", expected: "x" },
    ]);
    to.join(c, "i");
    to.join(a, "i");
    to.directory.clusterInstalled(new Set([a]));
    expect(to.directory.refusalsInRetrospect(a, wanted("h"), everybody)).toEqual([{ code: "group-lost", name: "h" }]);
    // It was let in, and then the group was lost.
    expect(to.directory.refusalsInRetrospect(a, wanted("g", "i"), everybody)).toEqual([
      { code: "group-lost", name: "i" },
    ]);
    expect(to.directory.refusalsInRetrospect(a, wanted("never"), everybody)).toEqual([
      { code: "group-lost", name: "never" },
    ]);
  });
});

describe("snapshots", () => {
  type Action = { readonly by: number } & (
    | { readonly kind: "join"; readonly names: readonly string[] }
    | { readonly kind: "leave"; readonly names: readonly string[] }
    | { readonly kind: "synced"; readonly name: string }
    | { readonly kind: "forget"; readonly name: string }
    | { readonly kind: "view"; readonly stay: number }
  );
  const name = fc.constantFrom("g", "h", "i");
  const by = fc.nat(3);
  const action: fc.Arbitrary<Action> = fc.oneof(
    fc.record({ by, kind: fc.constant("join" as const), names: fc.uniqueArray(name, { minLength: 1 }) }),
    fc.record({ by, kind: fc.constant("leave" as const), names: fc.uniqueArray(name, { minLength: 1 }) }),
    fc.record({ by, kind: fc.constant("synced" as const), name }),
    fc.record({ by, kind: fc.constant("forget" as const), name }),
    fc.record({ by, kind: fc.constant("view" as const), stay: fc.nat(15) }),
  );

  function perform(to: Executor, given: Action): void {
    const nodes = ids(4);
    const node = nodes[given.by] ?? a;
    if (given.kind === "join") to.join(node, ...given.names);
    else if (given.kind === "leave") to.leave(node, ...given.names);
    else if (given.kind === "synced") to.synced(node, given.name);
    else if (given.kind === "view") {
      to.directory.clusterInstalled(new Set(nodes.filter((_, at) => ((given.stay >> at) & 1) === 1)));
    } else {
      const group = to.directory.named(given.name)?.id ?? 0;
      to.run(node, { kind: "forget", name: given.name, group });
    }
  }

  test("who begins with a snapshot goes on like those who have executed every step", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), fc.nat(40), (actions, at) => {
        const one = new Executor();
        for (const given of actions.slice(0, at)) perform(one, given);
        const other = Directory.restore(one.directory.snapshot());
        expect(other?.digest()).toBe(one.directory.digest());
        expect(other?.index).toBe(one.directory.index);
        // The requesters' counts are part of the state, so both go on with the same numbers.
        for (const given of actions.slice(at)) {
          if (given.kind === "view") {
            const nodes = new Set(ids(4).filter((_, rank) => ((given.stay >> rank) & 1) === 1));
            one.directory.clusterInstalled(nodes);
            other?.clusterInstalled(nodes);
          } else {
            const requester = ids(4)[given.by] ?? a;
            const number = one.directory.executed(requester) + 1;
            const groups =
              "names" in given
                ? given.names.map((wanted) => ({
                    name: wanted,
                    digest: "d",
                    durable: false,
                    acceptorsMax: 0,
                    operations: [],
                    proof: undefined,
                  }))
                : [];
            const id = "name" in given ? (one.directory.named(given.name)?.id ?? 0) : 0;
            const command: DirectoryCommand =
              given.kind === "join"
                ? { kind: "join", groups }
                : given.kind === "leave"
                  ? { kind: "leave", groups: given.names.map((wanted) => one.directory.named(wanted)?.id ?? 0) }
                  : given.kind === "synced"
                    ? { kind: "synced", group: id, target: 1 }
                    : { kind: "forget", name: given.name, group: id };
            const request = { requester, number, command };
            expect(other?.execute(request, everybody)).toEqual(one.directory.execute(request, everybody));
          }
          expect(other?.digest()).toBe(one.directory.digest());
        }
      }),
    );
  });

  test("whatever happens, a live group has somebody with its state, and targets only grow", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const to = new Executor();
        const numbers = new Map<number, number>();
        for (const given of actions) {
          perform(to, given);
          for (const { id, number, status, members, synced, name: called } of to.directory.groups) {
            expect(new Set(members).size).toBe(members.length);
            for (const member of synced) expect(members).toContain(member);
            expect(synced.length > 0).toBe(status === "live");
            expect(number).toBeGreaterThanOrEqual(numbers.get(id) ?? 1);
            numbers.set(id, number);
            expect(to.directory.named(called)?.id).toBe(id);
            expect(to.directory.group(id)?.name).toBe(called);
          }
        }
      }),
    );
  });

  test("garbage is no snapshot", () => {
    const good = new Directory().snapshot();
    expect(Directory.restore(good.subarray(0, good.length - 1))).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (garbage) => {
        expect(() => Directory.restore(garbage)).not.toThrow();
      }),
    );
  });

  test("the target of a group is its view", () => {
    const to = new Executor();
    to.join(a, "g");
    const group = to.directory.named("g");
    expect(group && Directory.target(group)).toEqual({
      number: 1,
      members: [a],
      synced: [a],
      acceptors: [],
      lacking: [],
    });
  });
});

describe("versions of a definition", () => {
  function lacking(to: Executor): unknown {
    const group = to.directory.named("g");
    return group && Directory.target(group).lacking;
  }

  test("C14: whose operations are a part of the others', or the other way round, may join; the target says who lacks what", () => {
    const to = new Executor();
    to.joinWith(a, 1, 2);
    expect(lacking(to)).toEqual([]);
    expect(to.joinWith(b, 1, 2, 3)).toEqual([]);
    expect(lacking(to)).toEqual([{ members: [a], operations: [3] }]);
    const mismatch = { code: "definition-mismatch", name: "g", expected: "d", operations: [1, 2] };
    expect(to.joinWith(c, 2, 3)).toEqual([mismatch]);
    expect(to.joinWith(c, 2)).toEqual([]);
    expect(lacking(to)).toEqual([
      { members: [a], operations: [3] },
      { members: [c], operations: [1, 3] },
    ]);
    const { id = 0 } = to.directory.named("g") ?? {};
    expect(Directory.restore(to.directory.snapshot())?.group(id)?.versions).toEqual(to.directory.group(id)?.versions);
    to.synced(b, "g");
    to.leave(a, "g");
    to.leave(c, "g");
    expect(lacking(to)).toEqual([]);
    expect(to.joinWith(a, 2, 3)).toEqual([]);
  });

  test("C14: a keeper that comes back has at least the operations with which its disk was written", () => {
    const onDisk: Nodes = { ...everybody, diskOf: (id) => id.slice(0, 1), durable: true };
    const to = new Directory();
    let number = 0;
    const join = (operations: readonly number[], nodes = onDisk) => {
      const groups = [{ name: "g", digest: "d", durable: true, acceptorsMax: 0, operations, proof: undefined }];
      return to.execute({ requester: a, number: ++number, command: { kind: "join", groups } }, nodes)?.refusals;
    };
    expect(join([1, 2])).toEqual([]);
    to.clusterInstalled(new Set());
    expect(to.named("g")?.status).toBe("lost");
    number = 0;
    expect(join([1])).toMatchObject([{ code: "definition-mismatch", operations: [1, 2] }]);
    expect(join([1, 3])).toMatchObject([{ code: "definition-mismatch", operations: [1, 2] }]);
    expect(join([1, 2, 3])).toEqual([]);
    expect(to.named("g")).toMatchObject({ status: "live", versions: [{ operations: [1, 2, 3], members: [a] }] });
  });
});

describe("accusations", () => {
  function group(...members: NodeId[]): Executor {
    const executor = new Executor();
    for (const member of members) {
      executor.join(member, "g");
      if (member !== members[0]) executor.synced(member, "g");
    }
    return executor;
  }

  function accuse(executor: Executor, accuser: NodeId, ...members: NodeId[]): readonly NodeId[] {
    const { id = 0, number = 0 } = executor.directory.named("g") ?? {};
    executor.run(accuser, { kind: "exclude", group: id, target: number, members });
    return executor.directory.named("g")?.members ?? [];
  }

  test("a member that does not answer goes, if a quorum of the members stays", () => {
    const executor = group(a, b, c);
    expect(accuse(executor, b, a)).toEqual([b, c]);
    expect(executor.directory.named("g")).toMatchObject({ status: "live", number: 4, synced: [b, c] });
    expect(accuse(executor, b, a)).toEqual([b, c]);
  });

  test("when most are accused nobody goes; of two only the older can accuse the other", () => {
    expect(accuse(group(a, b, c), c, a, b)).toEqual([a, b, c]);
    expect(accuse(group(a, b), b, a)).toEqual([a, b]);
    expect(accuse(group(a, b), a, b)).toEqual([a]);
  });

  test("an accusation is for the view in which it was made", () => {
    const executor = group(a, b, c);
    const { id = 0, number = 0 } = executor.directory.named("g") ?? {};
    executor.leave(c, "g");
    executor.join(c, "g");
    executor.run(a, { kind: "exclude", group: id, target: number, members: [c] });
    expect(executor.directory.named("g")?.members).toEqual([a, b, c]);
  });

  test("only a member with the state accuses, and never itself", () => {
    expect(accuse(group(a, b), c, b)).toEqual([a, b]);
    expect(accuse(group(a, b, c), c, c)).toEqual([a, b, c]);
    const executor = group(a, b);
    executor.join(c, "g");
    expect(accuse(executor, c, b)).toEqual([a, b, c]);
    expect(accuse(executor, a, c)).toEqual([a, b]);
  });
});

describe("a durable group that one of its keepers cannot bring back", () => {
  const disks = new Map([
    [a, "1"],
    [b, "2"],
    [c, "3"],
  ]);
  const nodes: Nodes = { ...everybody, diskOf: (id) => disks.get(id), durable: true };
  const numbers = new Map<NodeId, number>();
  const run = (directory: Directory, requester: NodeId, command: DirectoryCommand): DirectoryOutcome["refusals"] => {
    const number = (numbers.get(requester) ?? 0) + 1;
    numbers.set(requester, number);
    return directory.execute({ requester, number, command }, nodes)?.refusals ?? [];
  };
  const groups = [{ name: "g", digest: "d", durable: true, acceptorsMax: 0, operations: [], proof: undefined }];

  /** The group of `a` and `b`, who both had its state and are gone. */
  const lostToBoth = (): Directory => {
    numbers.clear();
    const directory = new Directory();
    run(directory, a, { kind: "join", groups });
    run(directory, b, { kind: "join", groups });
    run(directory, b, { kind: "synced", group: 1, target: 2 });
    directory.clusterInstalled(new Set([c]));
    return directory;
  };

  test("is left to the others, and to nobody who was none", () => {
    const directory = lostToBoth();
    expect(directory.named("g")?.keepers.map(({ disk }) => disk)).toEqual(["1", "2"]);
    numbers.clear();
    expect(run(directory, c, { kind: "join", groups })).toMatchObject([{ code: "group-awaited" }]);
    expect(run(directory, a, { kind: "join", groups })).toEqual([]);
    expect(directory.named("g")).toMatchObject({ status: "live", synced: [a], reserve: [{ disk: "2" }] });
    run(directory, c, { kind: "unrecoverable", group: 1, isBehind: false });
    expect(directory.named("g")?.status).toBe("live");
    run(directory, a, { kind: "unrecoverable", group: 1, isBehind: false });
    expect(directory.named("g")).toMatchObject({ status: "lost", keepers: [{ disk: "2" }], reserve: [] });
    expect(Directory.restore(directory.snapshot())?.digest()).toBe(directory.digest());
    expect(run(directory, b, { kind: "join", groups })).toEqual([]);
  });

  test("because its disk was not waited for is left to those whose disks were, until it has begun as an acceptor", () => {
    for (const hasBegun of [false, true]) {
      numbers.clear();
      const directory = new Directory();
      const wishes = groups.map((wish) => ({ ...wish, acceptorsMax: 1 }));
      run(directory, a, { kind: "join", groups: wishes });
      run(directory, b, { kind: "join", groups: wishes });
      run(directory, b, { kind: "synced", group: 1, target: 2 });
      const group = directory.named("g") as DirectoryGroup;
      expect(Directory.target(group).acceptors).toEqual([a]);
      expect(keepersOf(group)).toMatchObject([{ node: a }]);
      directory.clusterInstalled(new Set([b, c]));
      expect(group).toMatchObject({ number: 3, acceptors: [], former: [{ node: a, until: 3 }] });
      if (hasBegun) run(directory, b, { kind: "begun", group: 1, target: 3 });
      expect(group.former).toHaveLength(hasBegun ? 0 : 1);
      directory.clusterInstalled(new Set([c]));
      expect(group).toMatchObject({ status: "lost", keepers: [{ node: b }] });
      numbers.clear();
      expect(run(directory, a, { kind: "join", groups: wishes })).toMatchObject([{ code: "group-awaited" }]);
      expect(run(directory, b, { kind: "join", groups: wishes })).toEqual([]);
      run(directory, b, { kind: "unrecoverable", group: 1, isBehind: true });
      expect(group).toMatchObject({ status: "lost", keepers: [{ node: hasBegun ? b : a }], former: [] });
      expect(Directory.restore(directory.snapshot())?.digest()).toBe(directory.digest());
    }
  });

  test("whose disk is damaged proves nothing of those whose places it took", () => {
    numbers.clear();
    const directory = new Directory();
    const wishes = groups.map((wish) => ({ ...wish, acceptorsMax: 1 }));
    run(directory, a, { kind: "join", groups: wishes });
    run(directory, b, { kind: "join", groups: wishes });
    run(directory, b, { kind: "synced", group: 1, target: 2 });
    directory.clusterInstalled(new Set([b, c]));
    directory.clusterInstalled(new Set([c]));
    numbers.clear();
    run(directory, b, { kind: "join", groups: wishes });
    run(directory, b, { kind: "unrecoverable", group: 1, isBehind: false });
    expect(directory.named("g")).toMatchObject({ status: "lost", keepers: [{ node: b }], former: [{ node: a }] });
  });

  test("that dies before it has said that it has the state is one of several, and afterwards the only one", () => {
    for (const isTold of [false, true]) {
      const directory = lostToBoth();
      numbers.clear();
      run(directory, a, { kind: "join", groups });
      run(directory, c, { kind: "join", groups });
      if (isTold) run(directory, a, { kind: "synced", group: 1, target: 3 });
      directory.clusterInstalled(new Set([b, c]));
      const disks = directory.named("g")?.keepers.map(({ disk }) => disk);
      expect(directory.named("g")).toMatchObject({ status: "lost", reserve: [] });
      expect(disks).toEqual(isTold ? ["1"] : ["1", "2"]);
    }
  });

  test("waits for it when there is no other", () => {
    numbers.clear();
    const directory = new Directory();
    run(directory, a, { kind: "join", groups });
    directory.clusterInstalled(new Set([c]));
    numbers.clear();
    run(directory, a, { kind: "join", groups });
    run(directory, a, { kind: "unrecoverable", group: 1, isBehind: false });
    expect(directory.named("g")).toMatchObject({ status: "lost", keepers: [{ disk: "1" }] });
  });
});
