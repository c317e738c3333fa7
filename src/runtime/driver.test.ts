/** The driver between the core and its ports: what goes out in a turn, and what it does with what comes in. */
import { describe, expect, test } from "vitest";
import { ids, packetOf, recordOf } from "../../test/protocol/kit.ts";
import type { HistoryEvent } from "../protocol/history.ts";
import { Directory } from "../protocol/membership/directory.ts";
import type { Message } from "../protocol/messages.ts";
import { BOUNDS, timing } from "../protocol/timing.ts";
import type { ClusterView, NodeId, NodeRecord } from "../protocol/view.ts";
import { TOTAL } from "../wire/packet.ts";
import type { Application, JoinRefusal, Membership } from "./application.ts";
import { Driver, type DriverOptions, type NodeReport } from "./driver.ts";
import { controlFrame, parseControl } from "./frames.ts";
import type { Clock, Lane, Network } from "./ports.ts";

const QUIET = { garbage: 0, unproven: 0, crowdedOut: 0, tooSlow: 0, refused: 0, outdated: 0 };

const [a = "", b = "", c = ""] = ids(3);

/** The ports of one driver, by hand. */
class World implements Network, Clock {
  readonly driver: Driver;
  readonly said: string[] = [];
  readonly history: HistoryEvent[] = [];
  readonly sent: { readonly to: NodeId; readonly lane: Lane; readonly frame: Uint8Array; flushed: boolean }[] = [];
  readonly links = new Set<NodeId>();
  time = 0;
  turnWanted = false;
  wakeTime = Number.POSITIVE_INFINITY;

  constructor(self: NodeId, options: Partial<DriverOptions> = {}) {
    const history = (event: HistoryEvent): void => void this.history.push(event);
    const defaults = { self: recordOf(self), timing: timing(3000), bounds: BOUNDS, directorySize: 5, history };
    this.driver = new Driver(
      { ...defaults, ...options },
      this,
      { word: () => 0xab },
      {
        statusChanged: (status) => void this.said.push(`status ${status}`),
        clusterInstalled: (view) => void this.said.push(`view ${view.number}`),
        joinRefused: (code) => void this.said.push(`refused ${code}`),
        noticed: (what) => void this.said.push(what),
      },
    );
    this.driver.attach(this);
  }

  now(): number {
    return this.time;
  }

  wallTime(): number {
    return 1e12 + this.time;
  }

  requestTurn(): void {
    this.turnWanted = true;
  }

  wakeAt(time: number): void {
    this.wakeTime = time;
  }

  seek(): void {}

  link(peer: NodeRecord): void {
    this.links.add(peer.id);
  }

  unlink(id: NodeId): void {
    this.links.delete(id);
  }

  send(to: NodeId, lane: Lane, frame: Uint8Array): void {
    this.sent.push({ to, lane, frame, flushed: false });
  }

  datagram(to: NodeId, frame: Uint8Array): boolean {
    this.send(to, "bulk", frame);
    return true;
  }

  flush(): void {
    for (const frame of this.sent) frame.flushed = true;
  }

  backlogBytes(): number {
    return 0;
  }

  close(): void {}

  /** Turns as long as one is wanted. */
  turn(): void {
    for (let turns = 0; this.turnWanted; turns++) {
      if (turns > 20) throw new Error("it never rests");
      this.turnWanted = false;
      this.driver.turn();
    }
  }

  pass(ms: number): void {
    for (const end = this.time + ms; this.time < end; ) {
      this.time = Math.min(end, Math.max(this.time + 1, this.wakeTime));
      if (this.time >= this.wakeTime) this.driver.wake();
      this.turn();
    }
  }

  hear(from: NodeId, message: Message): void {
    this.driver.frame(from, controlFrame(message), undefined);
    this.turn();
  }

  /** The kinds of control messages that were sent since the last call. */
  take(): string[] {
    return this.sent.splice(0).flatMap(({ frame }) => parseControl(frame)?.kind ?? "packet");
  }
}

/** An application that writes down what it is told. */
class Recorder implements Application {
  readonly said: string[] = [];
  readonly recordsSends = false;
  membership: Membership | undefined;
  onInstall = (): void => {};

  deliver(): void {
    this.said.push("deliver");
  }
  install(): void {
    this.said.push("install");
    this.onInstall();
  }
  revisit(): void {}

  unrecoverable(): void {}

  capture(): { read(callback: (chunk: undefined) => void): void; hasFailed: boolean; close(): void } {
    return { read: (callback) => callback(undefined), hasFailed: false, close: () => {} };
  }
  load(): { chunk(): void; end(callback: (problem: undefined) => void): void } {
    return { chunk: () => {}, end: (callback) => callback(undefined) };
  }
  joined(membership: Membership): void {
    this.membership = membership;
    this.said.push("joined");
  }
  sent(): void {}
  rawUnsent(): void {}
  rawDropped(): void {}
  room(): void {}
  slow(): void {}
  blocked(): void {}
  reply(): void {}
  queryComplete(): void {}
  ended(how: string): void {
    this.said.push(`ended ${how}`);
  }
}

function alone(): World {
  const world = new World(a);
  world.driver.foundAlone("x");
  world.turn();
  return world;
}

function joinOf(
  world: World,
  name: string,
): { readonly recorder: Recorder; readonly outcomes: (JoinRefusal | undefined)[]; cancel(): void } {
  const recorder = new Recorder();
  const outcomes: (JoinRefusal | undefined)[] = [];
  const cancel = world.driver.join(
    [{ name, digest: "d", durable: false, operations: [], application: recorder }],
    (why) => outcomes.push(why),
  );
  return { recorder, outcomes, cancel };
}

function installOf(cluster = "x"): Message {
  const view: ClusterView = { cluster, number: 1, nodes: [a, b].map(recordOf), acceptors: [a, b] };
  const directory = new Directory();
  directory.clusterInstalled(new Set([a, b]));
  const decided = { view, cut: [], leavers: [], holders: [] };
  return { kind: "installCluster", decided, snapshot: directory.snapshot() };
}

describe("a turn", () => {
  test("is asked for by every input, and batches what came before it", () => {
    const world = alone();
    const { recorder } = joinOf(world, "g");
    expect(world.turnWanted).toBe(true);
    world.turn();
    expect(recorder.said).toEqual(["joined", "install"]);
    for (let count = 0; count < 3; count++) recorder.membership?.send(TOTAL, 0, new Uint8Array(1));
    expect(recorder.said).toHaveLength(2);
    world.turn();
    expect(recorder.said).toEqual(["joined", "install", "deliver"]);
  });

  test("does what its own upcalls ask for; one that never rests is cut and goes on in the next", () => {
    const world = alone();
    const { recorder } = joinOf(world, "g");
    let asked = 0;
    recorder.onInstall = () => {
      recorder.membership?.flush(undefined, function again() {
        asked++;
        if (asked < 50) recorder.membership?.flush(undefined, again);
      });
    };
    world.turn();
    expect(asked).toBe(50);
  });

  test("what an upcall asks for is done in the same turn, and needs no other", () => {
    const world = alone();
    const { recorder } = joinOf(world, "g");
    recorder.onInstall = () => void recorder.membership?.send(TOTAL, 0, new Uint8Array(1));
    world.turnWanted = false;
    world.driver.turn();
    expect(recorder.said).toEqual(["joined", "install", "deliver"]);
    expect(world.turnWanted).toBe(false);
  });

  test("what it sent is flushed at its end, and the next wake is wanted at the heartbeat at the latest", () => {
    const world = new World(b);
    world.hear(a, installOf());
    expect(world.sent.length).toBeGreaterThan(0);
    expect(world.sent.every(({ flushed }) => flushed)).toBe(true);
    world.pass(1);
    expect(world.wakeTime - world.time).toBeLessThanOrEqual(250);
    expect(world.wakeTime).toBeGreaterThan(world.time);
  });
});

describe("what comes in", () => {
  test("garbage is counted, told of and dropped", () => {
    const world = alone();
    world.said.length = 0;
    world.driver.frame(b, Uint8Array.from([1, 0, 0, 0, 1, 255]), undefined);
    world.driver.frame(b, Uint8Array.from([1, 0, 0, 0, 2]), undefined);
    world.driver.frame(b, new Uint8Array(0), undefined);
    world.driver.garbage("somebody", "handshake");
    expect(world.driver.garbageCount).toBe(4);
    expect(world.said).toEqual(["garbage dropped", "garbage dropped", "garbage dropped", "garbage dropped"]);
  });

  test("who sends garbage over its link again and again is cut off, reads on nowhere, and is not linked again", () => {
    const world = alone();
    world.driver.called(recordOf(b), "");
    world.said.length = 0;
    for (let count = 0; count < 40; count++) world.driver.frame(b, Uint8Array.from([1, 0, 0, 0, 2]), undefined);
    expect(world.driver.garbageCount).toBe(17);
    expect(world.said.filter((said) => said === "node cut off")).toHaveLength(1);
    expect([...world.links]).toEqual([b]);
    world.turn();
    expect([...world.links]).toEqual([]);
    expect(world.driver.admit(recordOf(b), "")).toBe("excluded");
    expect(world.driver.admit(recordOf(c), "")).toBeUndefined();
    expect(JSON.parse(world.driver.report(QUIET)) as NodeReport).toMatchObject({ network: { cutOff: 1, garbage: 17 } });
  });

  test("garbage in datagrams is held against nobody: anybody can send it in the name of a node", () => {
    const world = alone();
    world.driver.called(recordOf(b), "");
    for (let count = 0; count < 40; count++) world.driver.datagram(b, Uint8Array.from([1, 0, 0, 0, 2]));
    world.turn();
    expect(world.driver.garbageCount).toBe(40);
    expect([...world.links]).toEqual([b]);
  });

  test("of those that call and are no nodes of the view only the last so many stay linked", () => {
    const world = new World(b);
    world.driver.called(recordOf(a), "");
    world.hear(a, installOf());
    for (let number = 0; number < 300; number++)
      world.driver.called(recordOf(`x#${String(number).padStart(8, "0")}`), "");
    expect(world.links.has(a)).toBe(true);
    expect(world.links.size).toBe(257);
    expect(world.links.has("x#00000043")).toBe(false);
    expect(world.links.has("x#00000044")).toBe(true);
  });

  test("packets go to their group; those of groups that this node is not in are let go of", () => {
    const world = alone();
    let released = 0;
    const slab = { retain: () => {}, release: () => released++ };
    world.driver.frame(b, packetOf(TOTAL, 0, 0).bytes, slab);
    expect(released).toBe(1);
  });

  test("a link to a node of no view is given up when nobody listens there, one to a member is not", () => {
    const world = new World(b);
    world.driver.met(recordOf(a), "", "a");
    world.driver.called(recordOf(c), "");
    expect([...world.links]).toEqual([a, c]);
    world.driver.linkUp(a);
    world.driver.linkUp("z#99999999");
    expect(world.take()).toEqual([]);
    world.turn();
    expect(world.take()).toEqual(["joinCluster"]);
    world.driver.linkDown(c, "refused");
    expect([...world.links]).toEqual([a]);
    world.hear(a, installOf());
    world.driver.linkDown(a, "refused");
    expect([...world.links]).toEqual([a]);
  });

  test("members are looked for only while this node is not served, and only of its own cluster", () => {
    const world = alone();
    world.driver.met(recordOf(b), "x", "b");
    expect([...world.links]).toEqual([]);
    world.driver.called(recordOf(b), "x");
    expect([...world.links]).toEqual([b]);
    world.driver.called(recordOf(c), "another");
    expect([...world.links]).toEqual([b]);
  });

  test("a node joins one cluster, the first that it meets, and says so to the other", () => {
    const world = new World(c);
    world.driver.met(recordOf(a), "one", "a");
    world.driver.met(recordOf(b), "two", "b");
    expect([...world.links]).toEqual([a]);
    expect(world.said).toEqual(["handshake refused"]);
  });
});

describe("handshakes", () => {
  test("this node is not admitted to itself, members of another cluster not to this one, nobody once it is closed", () => {
    const world = alone();
    expect(world.driver.identity()).toEqual({ record: recordOf(a), cluster: "x" });
    expect(world.driver.admit(recordOf(a), "")).toBe("same-id");
    expect(world.driver.admit(recordOf(b), "other")).toBe("foreign-cluster");
    expect(world.driver.admit(recordOf(b), "")).toBeUndefined();
    world.driver.close();
    world.turn();
    expect(world.driver.admit(recordOf(b), "")).toBe("closing");
  });

  test("to be refused as excluded is to know it", () => {
    const world = alone();
    world.driver.refused("b", "version", "");
    world.turn();
    expect(world.driver.status).toBe("primary");
    world.driver.refused("b", "excluded", "");
    world.turn();
    expect(world.driver.status).toBe("excluded");
    expect(world.history.at(-1)?.kind).toBe("exclude");
  });
});

describe("admission", () => {
  test("is asked once, before the first view of others, which waits for it", () => {
    const asked: string[] = [];
    let proceed = (): void => {};
    const world = new World(b, {
      admission: (cluster, go) => {
        asked.push(cluster);
        proceed = go;
      },
    });
    world.hear(a, installOf());
    world.hear(a, installOf());
    expect([asked, world.driver.status]).toEqual([["x"], "joining"]);
    proceed();
    world.turn();
    expect(world.driver.status).toBe("primary");
    expect(world.said).toEqual(["status primary", "view 1"]);
  });

  test("is not asked of the node that founds", () => {
    const world = new World(a, { admission: () => expect.unreachable() });
    world.driver.foundAlone("x");
    world.turn();
    expect(world.driver.status).toBe("primary");
  });
});

describe("joining", () => {
  test("tells of success, or of what was refused", () => {
    const world = alone();
    const first = joinOf(world, "g");
    const twice = joinOf(world, "g");
    expect(twice.outcomes).toEqual([{ code: "already-member", name: "g" }]);
    world.turn();
    expect(first.outcomes).toEqual([undefined]);
    const again = joinOf(world, "g");
    world.turn();
    expect(again.outcomes).toEqual([{ code: "already-member", name: "g" }]);
    expect(again.recorder.said).toEqual([]);
  });

  test("a join that was given up is left again, and its application hears nothing", () => {
    const world = alone();
    const { recorder, outcomes, cancel } = joinOf(world, "g");
    cancel();
    world.pass(1000);
    expect([recorder.said, outcomes]).toEqual([[], []]);
    expect(world.driver.process.members.size).toBe(0);
    const again = joinOf(world, "g");
    world.turn();
    expect(again.recorder.said).toEqual(["joined", "install"]);
  });

  test("after close nothing is joined any more", () => {
    const world = alone();
    world.driver.close();
    const { outcomes } = joinOf(world, "g");
    world.turn();
    expect([outcomes, world.driver.status]).toEqual([[], "closed"]);
  });
});

describe("the end", () => {
  test("close leaves the groups and the cluster; then nothing is to be called any more", () => {
    const world = alone();
    const { recorder } = joinOf(world, "g");
    world.turn();
    world.driver.close();
    world.turn();
    expect(recorder.said.at(-1)).toBe("ended left");
    const kinds = world.history.map(({ kind }) => kind).filter((kind) => kind !== "directory" && kind !== "state");
    expect(kinds).toEqual(["start", "install", "install", "end", "close"]);
  });

  test("abandon says nothing to anybody", () => {
    const world = new World(b);
    world.hear(a, installOf());
    world.take();
    world.driver.abandon();
    expect(world.wakeTime).toBe(Number.POSITIVE_INFINITY);
    expect(world.take()).toEqual([]);
  });
});

test("a report says how the node is", () => {
  const world = alone();
  joinOf(world, "g");
  world.turn();
  const report = JSON.parse(world.driver.report(QUIET)) as NodeReport;
  expect(report).toMatchObject({
    id: a,
    cluster: "x",
    status: "primary",
    view: { number: 1, acceptors: [a] },
    groups: [{ name: "g", status: "live", number: 1, members: [a], here: true }],
  });
  expect(JSON.parse(new World(b).driver.report(QUIET)) as NodeReport).toMatchObject({
    cluster: "",
    status: "joining",
    view: null,
  });
});
