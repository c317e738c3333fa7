/** The applications of one node: upcalls in order, states captured and loaded, and nothing after the end. */
import { describe, expect, test } from "vitest";
import { ids, packetOf, recordOf } from "../../test/protocol/kit.ts";
import { type Effect, Effects } from "../protocol/effects.ts";
import type { HistoryEvent } from "../protocol/history.ts";
import { Process } from "../protocol/process.ts";
import { BOUNDS, timing } from "../protocol/timing.ts";
import type { GroupView, NodeId } from "../protocol/view.ts";
import { FIFO, Packet } from "../wire/packet.ts";
import type { Application, Membership, StateLoader, StateReader } from "./application.ts";
import { historyName, Memberships } from "./memberships.ts";

const [a = "", b = ""] = ids(2);

class Recorder implements Application {
  readonly said: string[] = [];
  recordsSends = true;
  membership: Membership | undefined;
  readonly chunks: (Uint8Array | undefined)[] = [];
  endLoad: ((problem: Error | undefined) => void) | undefined;

  deliver(packet: Packet): void {
    this.said.push(`deliver ${packet.seqno}`);
  }
  install(view: GroupView): void {
    this.said.push(`install ${view.number}`);
  }
  revisit(view: GroupView): void {
    this.said.push(`revisit ${view.number}`);
  }

  unrecoverable(detail: string): void {
    this.said.push(`unrecoverable: ${detail}`);
  }

  capture(): StateReader {
    this.said.push("capture");
    return {
      read: (callback) => callback(this.chunks.shift()),
      hasFailed: false,
      close: () => void this.said.push("close"),
    };
  }
  slow(member: NodeId, forMs: number): void {
    this.said.push(`slow ${member} ${forMs}`);
  }
  load(): StateLoader {
    this.said.push("load");
    return {
      chunk: (bytes) => void this.said.push(`chunk ${bytes.length}`),
      end: (callback) => {
        this.said.push("end");
        this.endLoad = callback;
      },
    };
  }
  joined(membership: Membership, created: boolean): void {
    this.membership = membership;
    this.said.push(created ? "created" : "joined");
  }
  sent(packet: Packet): void {
    this.said.push(`sent ${packet.seqno}`);
  }
  rawUnsent(messages: number): void {
    this.said.push(`unsent ${messages}`);
  }
  rawDropped(messages: number): void {
    this.said.push(`dropped ${messages}`);
  }
  room(): void {
    this.said.push("room");
  }
  blocked(blocked: boolean): void {
    this.said.push(`blocked ${blocked}`);
  }
  reply(query: number, from: string, status: string): void {
    this.said.push(`reply ${query} ${from.slice(0, 1)} ${status}`);
  }
  queryComplete(query: number): void {
    this.said.push(`complete ${query}`);
  }
  ended(how: string): void {
    this.said.push(`ended ${how}`);
  }
}

type GroupEffect = Parameters<Memberships["perform"]>[0];

/** A node alone in its cluster, whose group effects go to its memberships. */
class Node {
  readonly effects = new Effects();
  readonly process: Process;
  readonly memberships: Memberships;
  readonly history: HistoryEvent[] = [];
  turnsWanted = 0;

  constructor() {
    const mintCluster = (): string => "x";
    const mintSecret = (): Uint8Array => expect.unreachable();
    const minting = { mintCluster, mintSecret, verify: () => false };
    const options = { self: recordOf(a), timing: timing(3000), bounds: BOUNDS, directorySize: 5, ...minting };
    this.process = new Process({ ...options, recordsHistory: true }, this.effects, 0);
    const want = (): void => void this.turnsWanted++;
    this.memberships = new Memberships(
      this.process,
      want,
      () => 9,
      (event) => void this.history.push(event),
      { begin: () => () => {} },
    );
    this.process.cluster.foundAlone("x");
    this.turn();
  }

  turn(): Effect[] {
    const others: Effect[] = [];
    do {
      this.process.endTurn(0, 0);
      for (const effect of this.effects.take()) {
        if ("group" in effect && effect.kind !== "recall" && effect.kind !== "rekeyed")
          this.memberships.perform(effect);
        else others.push(effect);
      }
    } while (this.process.hasUnfinished || !this.effects.empty);
    return others;
  }

  join(name = "g"): { readonly recorder: Recorder; readonly group: number } {
    const recorder = new Recorder();
    this.memberships.expect(name, recorder);
    this.process.join([{ name, digest: "d", durable: false, acceptorsMax: 0, operations: [], proof: undefined }]);
    this.turn();
    return { recorder, group: this.process.cluster.directory.named(name)?.id ?? 0 };
  }
}

describe("upcalls", () => {
  test("come in the order of the effects, and the history is told of views and of the end", () => {
    const node = new Node();
    const { recorder, group } = node.join();
    recorder.membership?.send(FIFO, 0, new Uint8Array(1));
    node.turn();
    const reply = { kind: "reply", group, query: 3, from: b, status: "null", value: new Uint8Array(0) } as const;
    for (const effect of [{ kind: "room", group }, { kind: "blocked", group, blocked: true }, reply] as const) {
      node.memberships.perform(effect);
    }
    node.memberships.perform({ kind: "queryComplete", group, query: 3 });
    recorder.membership?.leave();
    node.turn();
    expect(recorder.said).toEqual([
      "created",
      "install 1",
      "sent 0",
      "deliver 0",
      "room",
      "blocked true",
      "reply 3 b null",
      "complete 3",
      "ended left",
    ]);
    const inGroup = { at: 9, node: a, group: historyName("g", group) };
    expect(node.history).toEqual([
      { kind: "install", ...inGroup, number: 1, members: [a] },
      { kind: "end", ...inGroup, why: "left" },
    ]);
  });

  test("a delivered packet is let go of, whether there is an application for it or not", () => {
    const node = new Node();
    const { group } = node.join();
    const view = { number: 1, members: [a], synced: [a], acceptors: [], lacking: [] };
    const point = { view, sender: a, own: true, index: 0 };
    let released = 0;
    const slab = { retain: () => {}, release: () => released++ };
    for (const to of [group, 99]) {
      const packet = new Packet(packetOf(FIFO, 0, 0).bytes, slab);
      node.memberships.perform({ kind: "deliver", group: to, packet, point });
    }
    expect(released).toBe(2);
  });

  test("sends are told of only to applications that want it", () => {
    const node = new Node();
    const { recorder } = node.join();
    recorder.recordsSends = false;
    recorder.membership?.send(FIFO, 0, new Uint8Array(1));
    node.turn();
    expect(recorder.said).not.toContain("sent 0");
  });

  test("a closed node tells its applications, and the history knows it from the node itself", () => {
    const node = new Node();
    const { recorder, group } = node.join();
    node.memberships.perform({ kind: "ended", group, how: "closed" });
    expect(recorder.said.at(-1)).toBe("ended closed");
    expect(node.history.at(-1)?.kind).toBe("install");
  });
});

describe("a membership", () => {
  test("asks for a turn with every command", () => {
    const node = new Node();
    const { recorder } = node.join();
    const before = node.turnsWanted;
    recorder.membership?.send(FIFO, 0, new Uint8Array(1));
    recorder.membership?.answer(a, 1, "null", new Uint8Array(0));
    expect(node.turnsWanted).toBe(before + 2);
  });

  test("its queries are numbered, delivered and closed by it", () => {
    const node = new Node();
    const { recorder } = node.join();
    const query = recorder.membership?.openQuery() ?? 0;
    recorder.membership?.queryDelivered(query, [a]);
    recorder.membership?.answer(a, query, "value", new Uint8Array(0));
    node.turn();
    expect(recorder.said.slice(-2)).toEqual([`reply ${query} a value`, `complete ${query}`]);
    const other = recorder.membership?.openQuery() ?? 0;
    recorder.membership?.closeQuery(other);
    recorder.membership?.answer(a, other, "value", new Uint8Array(0));
    node.turn();
    expect(recorder.said.at(-1)).toBe(`complete ${query}`);
  });

  test("after its end nothing is sent, and a flush says how it ended", () => {
    const node = new Node();
    const { recorder } = node.join();
    const { membership } = recorder;
    const endings: (string | undefined)[] = [];
    membership?.flush(undefined, (ending) => endings.push(ending));
    node.turn();
    membership?.leave();
    node.turn();
    expect(membership?.send(FIFO, 0, new Uint8Array(1))).toBe(false);
    expect(membership?.openQuery()).toBe(0);
    membership?.flush(undefined, (ending) => endings.push(ending));
    expect(endings).toEqual([undefined, "left"]);
  });

  test("that nobody wants any more when it is granted is left", () => {
    const node = new Node();
    node.memberships.expect("g", new Recorder());
    expect(node.memberships.isExpected("g")).toBe(true);
    node.process.join([{ name: "g", digest: "d", durable: false, acceptorsMax: 0, operations: [], proof: undefined }]);
    node.memberships.forget("g");
    expect(node.memberships.isExpected("g")).toBe(false);
    node.turn();
    expect(node.process.members.size).toBe(0);
    expect(node.process.cluster.directory.named("g")).toBeUndefined();
  });
});

describe("states", () => {
  const perform = (node: Node, ...effects: GroupEffect[]): void => {
    for (const effect of effects) node.memberships.perform(effect);
  };

  test("are captured for each transfer, read when wanted, and let go of at the end", () => {
    const node = new Node();
    const { recorder, group } = node.join();
    recorder.chunks.push(new Uint8Array(1));
    perform(node, { kind: "capture", group, joiner: b, since: 2 }, { kind: "pull", group, joiner: b, since: 2 });
    expect(recorder.chunks).toEqual([]);
    perform(node, { kind: "pull", group, joiner: b, since: 9 });
    perform(node, { kind: "release", group, joiner: b, since: 9 }, { kind: "release", group, joiner: b, since: 2 });
    perform(node, { kind: "release", group, joiner: b, since: 2 });
    expect(recorder.said.slice(2)).toEqual(["capture", "close"]);
  });

  test("are loaded chunk by chunk; a new load takes the place of one that was begun", () => {
    const node = new Node();
    const { recorder, group } = node.join();
    const chunk = (since: number, length: number, last: boolean): GroupEffect => {
      return { kind: "chunk", group, since, chunk: new Uint8Array(length), last };
    };
    perform(node, chunk(1, 5, false), { kind: "load", group, since: 1 }, chunk(1, 5, false));
    perform(node, { kind: "load", group, since: 2 }, chunk(2, 6, false), chunk(2, 0, true), chunk(2, 7, false));
    expect(recorder.said.slice(2)).toEqual(["load", "chunk 5", "load", "chunk 6", "end"]);
    recorder.endLoad?.(undefined);
    expect(node.process.members.get(group)?.ended).toBe(false);
  });

  test("a state that cannot be loaded ends the membership", () => {
    const node = new Node();
    const { recorder, group } = node.join();
    perform(
      node,
      { kind: "load", group, since: 1 },
      { kind: "chunk", group, since: 1, chunk: new Uint8Array(0), last: true },
    );
    recorder.endLoad?.(new Error("not this one"));
    node.turn();
    expect(recorder.said.at(-1)).toBe("ended left");
  });
});
