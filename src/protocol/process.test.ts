/** One node's core as a whole: groups come and go as the directory says, in one order with what is said about them. */
import { describe, expect, test } from "vitest";
import { effectsOf, ids, recordOf, sentOf } from "../../test/protocol/kit.ts";
import { TOTAL } from "../wire/packet.ts";
import { type Effect, Effects } from "./effects.ts";
import { Directory } from "./membership/directory.ts";
import { EPOCH_SECRET_BYTES, type Message } from "./messages.ts";
import { Process } from "./process.ts";
import { BOUNDS, timing } from "./timing.ts";
import type { ClusterView, NodeId } from "./view.ts";

const [a = "", b = ""] = ids(2);
const times = timing(3000);

class Node {
  readonly effects = new Effects();
  readonly process: Process;
  now = 0;

  constructor(id: NodeId, directorySize = 5) {
    const self = recordOf(id);
    const mintCluster = (): string => "minted";
    const mintSecret = (): Uint8Array => new Uint8Array(EPOCH_SECRET_BYTES).fill(7);
    const minting = { mintCluster, mintSecret, verify: () => false };
    const options = { self, timing: times, bounds: BOUNDS, directorySize, ...minting, recordsHistory: true };
    this.process = new Process(options, this.effects, 0);
  }

  /** Everything that is done in a turn, and what it makes necessary at once. */
  turn(): readonly Effect[] {
    const effects: Effect[] = [];
    do {
      this.process.endTurn(this.now, 0);
      effects.push(...this.effects.take());
    } while (this.process.hasUnfinished);
    return effects;
  }

  pass(ms: number): readonly Effect[] {
    const effects: Effect[] = [];
    for (const end = this.now + ms; this.now < end; ) {
      this.now = Math.min(end, Math.max(this.now + 1, this.process.deadline));
      this.process.tick(this.now);
      effects.push(...this.turn());
    }
    return effects;
  }

  receive(from: NodeId, message: Message): readonly Effect[] {
    this.process.receive(from, message, this.now);
    return this.turn();
  }
}

function alone(): Node {
  const node = new Node(a);
  node.process.cluster.foundAlone("x");
  node.turn();
  return node;
}

function join(node: Node, ...names: string[]): number {
  return node.process.join(
    names.map((name) => ({ name, digest: "d", durable: false, acceptorsMax: 0, operations: [], proof: undefined })),
  );
}

const kinds = (effects: readonly Effect[], ...wanted: string[]): string[] =>
  effects.map(({ kind }) => kind).filter((kind) => wanted.includes(kind));

/** The view in which a leads b, with a directory that `prepare` has made. */
function viewOfTwo(prepare: (directory: Directory) => void = () => {}): Message {
  const view: ClusterView = { cluster: "x", number: 1, nodes: [a, b].map(recordOf), acceptors: [a, b] };
  const directory = new Directory();
  directory.clusterInstalled(new Set([a, b]));
  prepare(directory);
  const decided = { view, cut: [], leavers: [], holders: [] };
  return { kind: "installCluster", decided, snapshot: directory.snapshot() };
}

const request = (requester: NodeId, number: number, name: string) => ({
  requester,
  number,
  command: {
    kind: "join",
    groups: [{ name, digest: "d", durable: false, acceptorsMax: 0, operations: [], proof: undefined }],
  } as const,
});

/** Everybody is there; nobody has a disk. */
const NODES = { diskOf: (): string => "", durable: false, cluster: "minted", verify: () => false };

describe("a node alone", () => {
  test("joins, sends to itself and leaves without waiting for anything", () => {
    const node = alone();
    const number = join(node, "g", "h");
    const joined = node.turn();
    expect(effectsOf(joined, "joinOutcome")).toEqual([{ kind: "joinOutcome", request: number, refusals: [] }]);
    expect(kinds(joined, "entered", "joined", "install", "joinOutcome")).toEqual([
      "joinOutcome",
      "entered",
      "entered",
      "joined",
      "install",
      "joined",
      "install",
    ]);
    const [group] = node.process.members.keys();
    node.process.member(group ?? 0)?.send(TOTAL, 0, new Uint8Array(1));
    expect(effectsOf(node.turn(), "deliver")).toHaveLength(1);
    node.process.member(group ?? 0)?.leave();
    expect(effectsOf(node.turn(), "ended")).toEqual([{ kind: "ended", group, how: "left" }]);
    expect([...node.process.members.keys()]).toHaveLength(1);
  });

  test("is refused what the directory refuses", () => {
    const node = alone();
    join(node, "g");
    join(node, "g");
    const outcomes = effectsOf(node.turn(), "joinOutcome");
    expect(outcomes.map(({ refusals }) => refusals)).toEqual([[], [{ code: "already-member", name: "g" }]]);
  });

  test("closes its groups, then itself", () => {
    const node = alone();
    join(node, "g");
    node.turn();
    node.process.close();
    const effects = node.turn();
    expect(kinds(effects, "ended", "status")).toEqual(["ended", "status"]);
    expect(node.process.cluster.status).toBe("closed");
  });

  test("a node that is in no cluster closes at once", () => {
    const node = new Node(a);
    node.process.close();
    expect(kinds(node.turn(), "status")).toEqual(["status"]);
    expect(node.process.cluster.status).toBe("closed");
  });

  test("wants to be called again at its heartbeats and at a row's time, never in the past", () => {
    const node = alone();
    join(node, "g");
    node.turn();
    node.pass(1);
    for (let calls = 0; calls < 50; calls++) {
      expect(node.process.deadline).toBeGreaterThan(node.now);
      node.pass(100);
    }
    expect(node.process.deadline - node.now).toBeLessThanOrEqual(times.heartbeatMs);
  });

  test("query numbers are unique at the incarnation, in all its groups and memberships", () => {
    const node = alone();
    join(node, "g", "h");
    node.turn();
    const numbers = [...node.process.members.values()].map((member) => member.openQuery());
    for (const group of [...node.process.members.keys()]) node.process.member(group)?.leave();
    node.turn();
    join(node, "g");
    node.turn();
    for (const member of node.process.members.values()) numbers.push(member.openQuery());
    expect(new Set(numbers).size).toBe(3);
  });
});

describe("a name", () => {
  const namesake = { id: "a#ffffffff", address: "elsewhere", livenessPort: 0, features: 0, disk: "", weight: 1 };

  test("that a node has is refused to another", () => {
    const node = alone();
    node.process.linkUp(namesake, node.now);
    const [refusal] = sentOf(
      node.receive(namesake.id, { kind: "joinCluster", node: namesake, linked: [], left: 0 }),
      "joinRefused",
    );
    expect(refusal).toMatchObject({ to: [namesake.id], message: { code: "name-taken" } });
    expect(node.pass(2000).filter(({ kind }) => kind === "decided")).toEqual([]);
  });

  test("is given up by who is refused it for longer than a dead namesake would have it", () => {
    const node = new Node(b);
    const refusal: Message = { kind: "joinRefused", code: "name-taken", detail: "why" };
    expect(effectsOf(node.receive(a, refusal), "joinRefused")).toEqual([]);
    node.pass(times.failureTimeoutMs);
    expect(effectsOf(node.receive(a, refusal), "joinRefused")).toEqual([]);
    node.pass(times.failureTimeoutMs);
    expect(effectsOf(node.receive(a, refusal), "joinRefused")).toEqual([
      { kind: "joinRefused", code: "name-taken", detail: "why" },
    ]);
    expect(node.process.cluster.status).toBe("closed");
  });

  test("of another cluster's exclusion means nothing here", () => {
    const node = new Node(b);
    node.receive(a, viewOfTwo());
    node.receive(a, { kind: "excluded", cluster: "another", view: 99 });
    node.receive(a, { kind: "excluded", cluster: "x", view: 1 });
    expect(node.process.cluster.status).toBe("primary");
    node.receive(a, { kind: "excluded", cluster: "x", view: 2 });
    expect(node.process.cluster.status).toBe("excluded");
  });

  test("by a node that it does not know is believed once a quorum is out of reach", () => {
    const node = new Node(b);
    node.receive(a, viewOfTwo());
    const excluded = { kind: "excluded", cluster: "x", view: 2 } as const;
    node.receive("z#00000009", excluded);
    expect(node.process.cluster.status).toBe("primary");
    node.pass(times.leaseMs * 2);
    expect(node.process.cluster.status).toBe("blocked");
    node.receive("z#00000009", excluded);
    expect(node.process.cluster.status).toBe("excluded");
  });
});

describe("what is said about a group", () => {
  test("by somebody who knows more of the directory waits until this node knows as much", () => {
    const node = new Node(b);
    node.receive(
      a,
      viewOfTwo((directory) => {
        directory.execute(request(a, 1, "g"), NODES);
        directory.execute(request(b, 1, "g"), NODES);
      }),
    );
    const { index } = node.process.cluster.directory;
    const [group = 0] = node.process.members.keys();
    const view = { number: 2, members: [a, b], synced: [a], acceptors: [], lacking: [] };
    const transfers = [{ joiner: b, donor: a, since: 2, standing: undefined }];
    const step = { from: 0, view, cut: [], holders: [], transfers, epochSecret: new Uint8Array(0) };
    const addressed = { group, target: 2 };
    node.receive(a, { kind: "cut", ...addressed, directoryIndex: index, step });
    expect(
      effectsOf(node.receive(a, { kind: "install", ...addressed, directoryIndex: index, from: 0 }), "load"),
    ).toHaveLength(1);
    // a has heard of the next target, b not yet.
    const next = { number: 3, members: [a, b, "c#00000002"], synced: [a], acceptors: [], lacking: [] };
    const ahead = {
      kind: "cut",
      group,
      target: 3,
      directoryIndex: index + 1,
      step: { ...step, from: 2, view: next },
    } as const;
    expect(sentOf(node.receive(a, ahead), "hold")).toEqual([]);
    expect(node.process.members.get(group)?.epoch?.number).toBe(2);
  });

  test("by anybody about a group that this node is not in is dropped", () => {
    const node = alone();
    const effects = node.receive(b, { kind: "row", group: 9, epoch: 1, row: [1] });
    expect(effects).toEqual([]);
  });
});

describe("the directory's word", () => {
  test("that a group is lost ends the membership", () => {
    const node = new Node(b);
    join(node, "g");
    node.receive(
      a,
      viewOfTwo((directory) => {
        directory.execute(request(a, 1, "g"), NODES);
        directory.execute(request(b, 1, "g"), NODES);
      }),
    );
    expect(node.process.members.size).toBe(1);
    // b has not loaded the state when a, which alone holds it, is excluded.
    const view: ClusterView = { cluster: "x", number: 2, nodes: [recordOf(b)], acceptors: [b] };
    const decided = { view, cut: [0, 0], leavers: [], holders: [] };
    const effects = node.receive(a, { kind: "installCluster", decided, snapshot: undefined });
    expect(effectsOf(effects, "ended").map(({ how }) => how)).toEqual(["lost"]);
    expect(node.process.members.size).toBe(0);
    // C10: its name is free again after a while.
    node.process.linkUp(recordOf(b), node.now);
    expect(node.process.cluster.directory.named("g")?.status).toBe("lost");
    node.pass(times.leaseMs * 2);
    expect(node.process.cluster.directory.named("g")).toBeUndefined();
  });

  test("who has joined a group that is over in the next step is told so", () => {
    const node = new Node(b, 1);
    const view: ClusterView = { cluster: "x", number: 1, nodes: [a, b].map(recordOf), acceptors: [a] };
    const directory = new Directory();
    directory.clusterInstalled(new Set([a, b]));
    directory.execute(request(a, 1, "g"), NODES);
    const [group = 0] = [...directory.groups].map(({ id }) => id);
    const decided = { view, cut: [], leavers: [], holders: [] };
    const number = join(node, "g");
    node.receive(a, { kind: "installCluster", decided, snapshot: directory.snapshot() });
    const exclude = { kind: "exclude", group, target: 2, members: [b] } as const;
    const requests = [request(b, number, "g"), { requester: a, number: 2, command: exclude }];
    const effects = node.receive(a, { kind: "directoryFeed", view: 1, index: directory.index, requests });
    expect(kinds(effects, "joinOutcome", "entered", "ended")).toEqual(["joinOutcome", "entered", "ended"]);
  });

  test("a join of a group that is being left, before the others have said goodbye, is another membership", () => {
    const node = new Node(b, 1);
    const view: ClusterView = { cluster: "x", number: 1, nodes: [a, b].map(recordOf), acceptors: [a] };
    const directory = new Directory();
    directory.clusterInstalled(new Set([a, b]));
    directory.execute(request(a, 1, "g"), NODES);
    const decided = { view, cut: [], leavers: [], holders: [] };
    const number = node.process.join([
      { name: "g", digest: "d", durable: false, acceptorsMax: 0, operations: [], proof: undefined },
    ]);
    node.receive(a, { kind: "installCluster", decided, snapshot: directory.snapshot() });
    const feed = (at: number, ...requests: Parameters<Directory["execute"]>[0][]): readonly Effect[] =>
      node.receive(a, { kind: "directoryFeed", view: 1, index: at, requests });
    const entered = feed(directory.index, request(b, number, "g"));
    expect(kinds(entered, "entered", "joinOutcome")).toEqual(["joinOutcome", "entered"]);
    const [group = 0] = node.process.members.keys();
    const first = node.process.members.get(group);
    // Both are executed in one batch: this node never sees a target without itself.
    const effects = feed(
      directory.index + 1,
      { requester: b, number: number + 1, command: { kind: "synced", group, target: 2 } },
      { requester: b, number: number + 2, command: { kind: "leave", groups: [group] } },
      {
        requester: b,
        number: number + 3,
        command: {
          kind: "join",
          groups: [{ name: "g", digest: "d", durable: false, acceptorsMax: 0, operations: [], proof: undefined }],
        },
      },
    );
    expect(kinds(effects, "ended", "joinOutcome", "entered")).toEqual(["ended", "joinOutcome", "entered"]);
    expect(first?.ended).toBe(true);
    expect(node.process.members.get(group)).not.toBe(first);
    expect(node.process.members.get(group)?.ended).toBe(false);
  });
});
