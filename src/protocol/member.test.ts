/** One membership: what it sends when, what its application is shown, and how it ends. */
import { describe, expect, test } from "vitest";
import { effectsOf, ids, packetOf, sentOf, textOf } from "../../test/protocol/kit.ts";
import { FIFO, Packet, RAW, TOTAL } from "../wire/packet.ts";
import { type Effect, Effects } from "./effects.ts";
import { VOLATILE } from "./journal.ts";
import { Member, type MemberHost, type MemberOptions } from "./member.ts";
import type { Message, Step, Transfer } from "./messages.ts";
import { BOUNDS, type Bounds, timing } from "./timing.ts";
import type { GroupView, NodeId } from "./view.ts";

const [a = "", b = "", c = ""] = ids(3);

class Host implements MemberHost {
  readonly effects = new Effects();
  readonly member: Member;
  readonly synced = new Set<NodeId>([a]);
  readonly asked: string[] = [];
  index = 1;
  raws = 9;
  #now = 0;

  constructor(options: Partial<Omit<MemberOptions, "bounds">> & { readonly bounds?: Partial<Bounds> } = {}) {
    const { bounds, ...others } = options;
    const defaults = {
      group: 1,
      name: "g",
      self: a,
      admitted: 1,
      timing: timing(3000),
      recordsSends: false,
      creates: true,
      journal: VOLATILE,
    };
    this.member = new Member({ ...defaults, ...others, bounds: { ...BOUNDS, ...bounds } }, this, this.effects);
  }

  directoryIndex(): number {
    return this.index;
  }

  isSynced(_group: number, member: NodeId): boolean {
    return this.synced.has(member);
  }

  unprovenSince(): number {
    return 0;
  }

  reportBegun(): void {}

  hasReserve(): boolean {
    return false;
  }

  reportSynced(_group: number, target: number): void {
    this.asked.push(`synced ${target}`);
  }

  reportUnrecoverable(): void {}

  requestRenewal(_group: number, target: number): void {
    this.asked.push(`renew ${target}`);
  }

  requestLeave(): void {
    this.asked.push("leave");
  }

  requestExclusion(_group: number, target: number, members: readonly NodeId[]): void {
    this.asked.push(`exclude ${members.join(" ")} of ${target}`);
  }

  reportSlow(_group: number, target: number, member: NodeId, isSlow: boolean): void {
    this.asked.push(`${member} is ${isSlow ? "slow" : "not slow"} in ${target}`);
  }

  nextRaw(): number {
    return this.raws++;
  }

  nextQuery(): number {
    return 7;
  }

  /** A turn after the rows' delay. */
  turn(): readonly Effect[] {
    this.#now += 200;
    this.member.endTurn(this.#now, 0);
    return this.effects.take();
  }

  /** Takes the effects as what the application sees. */
  seen(effects: readonly Effect[] = this.effects.take()): string[] {
    return effects.flatMap((effect) => {
      switch (effect.kind) {
        case "deliver":
          return `deliver ${textOf(effect.packet)}`;
        case "install":
          return `install ${effect.view.number}`;
        case "joined":
          return effect.created ? "created" : "joined";
        case "blocked":
          return effect.blocked ? "blocked" : "unblocked";
        case "flushed":
          return `flushed ${effect.flush} ${effect.ending ?? "held"}`;
        case "ended":
          return `ended ${effect.how}`;
        case "load":
          return `load ${effect.since}`;
        case "capture":
          return `capture ${effect.joiner.slice(0, 1)} ${effect.since}`;
        case "release":
          return `release ${effect.joiner.slice(0, 1)} ${effect.since}`;
        case "chunk":
          return `chunk ${effect.chunk.length}${effect.last ? " last" : ""}`;
        case "reply":
          return `reply ${effect.from.slice(0, 1)} ${effect.status} ${effect.value.length}`;
        case "room":
          return "room";
        default:
          return [];
      }
    });
  }
}

function viewOf(number: number, members: readonly NodeId[], synced: readonly NodeId[] = [a]): GroupView {
  return { number, members, synced, acceptors: [], lacking: [] };
}

/** a, which has made the group, alone in view 1. */
function creator(options: ConstructorParameters<typeof Host>[0] = {}): Host {
  const host = new Host(options);
  host.member.retarget(viewOf(1, [a]));
  host.effects.take();
  return host;
}

/** a as the leader of view 2 of a and b. */
function pair(options: ConstructorParameters<typeof Host>[0] = {}, synced: readonly NodeId[] = [a, b]): Host {
  const host = creator(options);
  for (const id of synced) host.synced.add(id);
  lead(host, viewOf(2, [a, b], synced), { [b]: { admitted: 2, epoch: 0, row: [] } });
  host.effects.take();
  return host;
}

type Reported = {
  readonly [id: NodeId]: { readonly admitted: number; readonly epoch: number; readonly row: number[] };
};

/** Lets the member, which leads, install a view with the others' reports and holds. */
function lead(host: Host, view: GroupView, others: Reported): void {
  const { member } = host;
  const from = member.epoch?.number ?? 0;
  const addressed = { group: 1, directoryIndex: 1, target: view.number };
  member.retarget(view);
  for (const [id, reported] of Object.entries(others)) {
    member.receive(id, {
      kind: "report",
      ...addressed,
      ...reported,
      seen: undefined,
      standing: undefined,
      astray: false,
    });
  }
  for (const id of Object.keys(others)) member.receive(id, { kind: "hold", ...addressed, from });
}

/** Lets the member, which does not lead, take a step. */
function follow(host: Host, step: Step, ballot = step.view.number): void {
  const leader = step.view.members[0] ?? "";
  const addressed = { group: 1, directoryIndex: 1, target: ballot };
  host.member.receive(leader, { kind: "cut", ...addressed, step });
  host.member.receive(leader, { kind: "install", ...addressed, from: step.from });
}

function stepOf(from: number, view: GroupView, transfers: readonly Transfer[] = []): Step {
  const cut = from === 0 ? [] : view.members.map(() => 0);
  return { from, view, cut, holders: [], transfers, epochSecret: new Uint8Array(0) };
}

/** b, which joins a in view 2 and loads from it. */
function joiner(options: ConstructorParameters<typeof Host>[0] = {}): Host {
  const host = new Host({ self: b, creates: false, admitted: 2, ...options });
  host.member.retarget(viewOf(2, [a, b]));
  follow(host, { ...stepOf(0, viewOf(2, [a, b]), [{ joiner: b, donor: a, since: 2, standing: undefined }]) });
  return host;
}

const chunk = (index: number, last: boolean, view = 2): Message => {
  return { kind: "stateChunk", group: 1, view, index, chunk: new Uint8Array(last ? 0 : 5), last };
};
const inEpoch = (epoch: number, sender: number, seqno: number, text: string): Packet =>
  packetOf(FIFO, sender, seqno, text, epoch);

describe("a creator", () => {
  test("has its state at once, before its first view", () => {
    const host = new Host();
    host.member.retarget(viewOf(1, [a]));
    expect(host.seen()).toEqual(["created", "install 1"]);
    expect(host.member.joined).toBe(true);
  });

  test("is a donor from the start of its first view if somebody joined before that", () => {
    const host = new Host();
    lead(host, viewOf(2, [a, b]), { [b]: { admitted: 2, epoch: 0, row: [] } });
    expect(host.seen()).toEqual(["created", "capture b 2", "install 2"]);
  });
});

describe("raw messages", () => {
  const one = new Uint8Array(1);

  test("leave at the end of the turn as datagrams to the others, and are delivered to oneself", () => {
    const host = pair();
    expect([host.member.sendRaw(0, one), host.member.sendRaw(0, one)]).toEqual(["sent", "sent"]);
    const effects = host.turn();
    expect(effectsOf(effects, "multicast")).toEqual([]);
    expect(effectsOf(effects, "datagram").map(({ to, packet }) => [to, packet.count])).toEqual([[[b], 2]]);
    const [delivery] = effectsOf(effects, "deliver");
    expect(delivery?.point).toEqual({ view: viewOf(2, [a, b], [a, b]), sender: a, own: true, index: 9 * 256 });
    host.member.sendRaw(0, one);
    expect(effectsOf(host.turn(), "deliver")[0]?.point.index).toBe(10 * 256);
  });

  test("do not wait for a flush", () => {
    const host = pair();
    host.member.retarget(viewOf(3, [a, b], [a, b]));
    host.member.sendRaw(0, one);
    expect(effectsOf(host.turn(), "datagram")).toHaveLength(1);
    expect(host.member.acceptsRaw(b)).toBe(true);
  });

  test("are dropped while nothing may be delivered, and when that begins in the turn in which they were sent", () => {
    const host = pair();
    expect([host.member.sendRaw(0, one), host.member.sendRaw(0, one)]).toEqual(["sent", "sent"]);
    host.member.setBlocked(true);
    expect(host.member.sendRaw(0, one)).toBe("blocked");
    expect(host.member.acceptsRaw(b)).toBe(false);
    const effects = host.turn();
    expect(effectsOf(effects, "rawUnsent").map(({ messages }) => messages)).toEqual([2]);
    expect([...effectsOf(effects, "deliver"), ...effectsOf(effects, "datagram")]).toEqual([]);
    host.member.setBlocked(false);
    expect(effectsOf(host.turn(), "datagram")).toEqual([]);
    expect(host.member.sendRaw(0, one)).toBe("sent");
  });

  test("are dropped by who loads its state, leaves, or sends too many at once", () => {
    const loading = joiner();
    expect([loading.member.sendRaw(0, one), loading.member.acceptsRaw(a)]).toEqual(["over", false]);
    const host = pair();
    expect(host.member.sendRaw(0, new Uint8Array(2 ** 21))).toBe("full");
    host.member.leave();
    expect(host.member.sendRaw(0, one)).toBe("over");
  });

  test("count from other members only, here and in the directory", () => {
    const host = pair();
    expect([a, b, c].map((id) => host.member.acceptsRaw(id))).toEqual([false, true, false]);
    host.member.retarget(viewOf(3, [a, c], [a]));
    expect([b, c].map((id) => host.member.acceptsRaw(id))).toEqual([false, false]);
  });

  test("of the next view come to this one while the flush is under way", () => {
    const host = pair();
    host.member.retarget(viewOf(3, [a, b], [a, b]));
    host.member.deliverRaw(b, packetOf(RAW, 1, 7, "r", 3));
    const [delivery] = effectsOf(host.turn(), "deliver");
    expect(delivery?.point).toEqual({ view: viewOf(2, [a, b], [a, b]), sender: b, own: false, index: 7 * 256 });
  });
});

describe("sending", () => {
  test("messages are packed, sent to the others and delivered to oneself in the view", () => {
    const host = pair();
    host.member.send(FIFO, 0, Uint8Array.from([120]));
    host.member.send(FIFO, 0, Uint8Array.from([121]));
    const effects = host.turn();
    expect(effectsOf(effects, "multicast").map(({ to }) => to)).toEqual([[b]]);
    const [delivery] = effectsOf(effects, "deliver");
    expect(delivery?.packet.count).toBe(2);
    expect(delivery?.point).toEqual({ view: viewOf(2, [a, b], [a, b]), sender: a, own: true, index: 0 });
    host.member.send(FIFO, 0, Uint8Array.from([122]));
    expect(effectsOf(host.turn(), "deliver")[0]?.point.index).toBe(2);
  });

  test("what is queued while the group is wedged enters the next view", () => {
    const host = pair();
    host.member.retarget(viewOf(3, [a, b], [a, b]));
    host.member.send(FIFO, 0, new Uint8Array(1));
    expect(effectsOf(host.turn(), "multicast")).toEqual([]);
    const addressed = { group: 1, directoryIndex: 1, target: 3 };
    host.member.receive(b, {
      kind: "report",
      ...addressed,
      admitted: 2,
      epoch: 2,
      row: [0, 0],
      seen: undefined,
      standing: undefined,
      astray: false,
    });
    host.member.receive(b, { kind: "hold", ...addressed, from: 2 });
    const [sent] = effectsOf(host.turn(), "multicast");
    expect(sent?.packet.epoch).toBe(3);
  });

  test("all fragments of a message enter one view, although the window is full", () => {
    const host = pair({ bounds: { windowBytes: 1000, packetBytesMax: 65_536 } });
    host.member.send(TOTAL, 0, new Uint8Array(200_000));
    expect(effectsOf(host.turn(), "multicast").map(({ packet }) => packet.more)).toEqual([true, true, true, false]);
    host.member.send(TOTAL, 0, new Uint8Array(1));
    expect(effectsOf(host.turn(), "multicast")).toEqual([]);
  });

  test("a full queue turns away, and says when there is room", () => {
    const host = pair({ bounds: { windowBytes: 10, queueBytesMax: 100 } });
    host.member.send(FIFO, 0, new Uint8Array(10));
    host.turn();
    expect(host.member.send(FIFO, 0, new Uint8Array(100))).toBe(true);
    expect(host.member.send(FIFO, 0, new Uint8Array(1))).toBe(false);
    expect(host.seen(host.turn())).toEqual([]);
    host.member.receive(b, { kind: "row", group: 1, epoch: 2, row: [1, 0] });
    expect(host.seen(host.turn())).toContain("room");
  });

  test("sends are told of, for the record, when that is wanted", () => {
    const host = pair({ recordsSends: true });
    host.member.send(FIFO, 0, new Uint8Array(1));
    expect(host.turn().map(({ kind }) => kind)).toEqual(["sent", "multicast", "deliver"]);
  });
});

test("while the disk does not keep up a member sends nothing of its own", () => {
  const journal = { ...VOLATILE, durable: true, hasRoom: false };
  const host = pair({ journal });
  host.member.send(FIFO, 1, new Uint8Array(3));
  expect(effectsOf(host.turn(), "multicast")).toEqual([]);
  journal.hasRoom = true;
  expect(effectsOf(host.turn(), "multicast")).toHaveLength(1);
});

describe("flush (F1)", () => {
  test("is held when all that was queued before it is at every member", () => {
    const host = pair();
    host.member.send(FIFO, 0, new Uint8Array(1));
    expect(host.member.flush(undefined)).toBe(1);
    host.member.send(FIFO, 0, new Uint8Array(1));
    const effects = host.turn();
    expect(sentOf(effects, "solicit")[0]?.message.target[0]).toBeGreaterThanOrEqual(1);
    expect(host.seen(effects)).not.toContain("flushed 1 held");
    host.member.receive(b, { kind: "row", group: 1, epoch: 2, row: [2, 0] });
    expect(host.seen(host.turn())).toContain("flushed 1 held");
  });

  test("is held at once by a member that is alone, and by one copy with `copies: 1`", () => {
    const alone = creator();
    alone.member.flush(undefined);
    expect(alone.seen(alone.turn())).toEqual(["flushed 1 held"]);
    const host = pair();
    host.member.send(FIFO, 0, new Uint8Array(1));
    host.member.flush(1);
    host.member.flush(99);
    expect(host.seen(host.turn())).toContain("flushed 1 held");
    host.member.receive(b, { kind: "row", group: 1, epoch: 2, row: [1, 0] });
    expect(host.seen(host.turn())).toContain("flushed 2 held");
  });

  test("flushes share what they ask for: once a turn, and not again until something new has come", () => {
    const host = pair();
    const { member } = host;
    const solicited = (): number => sentOf(host.turn(), "solicit").length;
    member.send(FIFO, 0, new Uint8Array(1));
    for (let count = 0; count < 3; count++) member.flush(undefined);
    expect(solicited()).toBe(1);
    member.flush(undefined);
    expect(solicited()).toBe(0);
    member.send(FIFO, 0, new Uint8Array(1));
    member.flush(undefined);
    expect(solicited()).toBe(1);
    member.receive(b, { kind: "row", group: 1, epoch: 2, row: [1, 0] });
    expect(host.seen(host.turn())).toEqual(["flushed 1 held", "flushed 2 held", "flushed 3 held", "flushed 4 held"]);
    member.receive(b, { kind: "row", group: 1, epoch: 2, row: [2, 0] });
    expect(host.seen(host.turn())).toEqual(["flushed 5 held"]);
  });

  test("one that is cancelled is not reported, and holds nobody up", () => {
    const host = pair();
    host.member.send(FIFO, 0, new Uint8Array(1));
    const flush = host.member.flush(undefined);
    host.turn();
    host.member.cancelFlush(flush);
    host.member.receive(b, { kind: "row", group: 1, epoch: 2, row: [1, 0] });
    expect(host.seen(host.turn())).toEqual([]);
    host.member.leave();
    host.turn();
    expect(host.asked).toEqual(["leave"]);
  });

  test("D-1: waits until those who join have the state, also when it is called after they came", () => {
    const host = pair({}, [a]);
    host.member.flush(undefined);
    expect(host.seen(host.turn())).toEqual([]);
    host.synced.add(b);
    expect(host.seen(host.turn())).toEqual(["flushed 1 held"]);
  });

  test("F2: goes on in the next view, with what must be held there", () => {
    const host = pair();
    host.member.send(FIFO, 0, new Uint8Array(1));
    host.member.flush(undefined);
    host.turn();
    lead(host, viewOf(3, [a, b], [a, b]), { [b]: { admitted: 2, epoch: 2, row: [1, 0] } });
    expect(host.seen(host.turn())).toContain("flushed 1 held");
  });

  test("nothing is held while the epoch is frozen or the primary partition out of reach", () => {
    const host = pair();
    host.member.flush(1);
    host.member.setBlocked(true);
    expect(host.seen(host.turn())).toEqual(["blocked"]);
    host.member.setBlocked(false);
    host.member.retarget(viewOf(3, [a, b], [a, b]));
    expect(host.seen(host.turn())).toEqual(["unblocked"]);
  });

  test("ends with the membership", () => {
    const host = pair();
    host.member.flush(undefined);
    host.member.end("excluded");
    expect(host.seen()).toEqual(["flushed 1 excluded", "ended excluded"]);
  });
});

describe("a joiner", () => {
  test("ST1: sees nothing before its state is loaded, then the view, and all that came since, in order", () => {
    const host = joiner();
    host.member.packet(a, inEpoch(2, 0, 0, "one"));
    expect(host.seen()).toEqual(["load 2"]);
    host.member.receive(a, chunk(0, false));
    host.member.receive(a, chunk(1, true));
    host.member.packet(a, inEpoch(2, 0, 1, "two"));
    expect(host.seen()).toEqual(["chunk 5", "chunk 0 last"]);
    host.member.stateLoaded(2);
    host.member.packet(a, inEpoch(2, 0, 2, "three"));
    expect(host.seen()).toEqual(["joined", "install 2", "deliver one", "deliver two", "deliver three"]);
    expect(host.asked).toEqual(["synced 2"]);
  });

  test("chunks that overtake the install are not lost", () => {
    const host = new Host({ self: b, creates: false, admitted: 2 });
    host.member.retarget(viewOf(2, [a, b]));
    host.member.receive(a, chunk(0, false));
    follow(host, stepOf(0, viewOf(2, [a, b]), [{ joiner: b, donor: a, since: 2, standing: undefined }]));
    expect(host.seen()).toEqual(["load 2", "chunk 5"]);
  });

  test("what no member sends takes none of the room for chunks that overtake the install", () => {
    const host = new Host({ self: b, creates: false, admitted: 2 });
    host.member.retarget(viewOf(2, [a, b]));
    for (let number = 0; number < 1000; number++) host.member.receive(c, chunk(0, false, 3));
    host.member.receive(a, chunk(0, false));
    follow(host, stepOf(0, viewOf(2, [a, b]), [{ joiner: b, donor: a, since: 2, standing: undefined }]));
    expect(host.seen()).toEqual(["load 2", "chunk 5"]);
  });

  test("packets and rows that overtake the install are not lost, in their order", () => {
    const host = new Host({ self: b, creates: false, admitted: 2 });
    host.member.retarget(viewOf(2, [a, b]));
    host.member.packet(a, inEpoch(2, 0, 0, "one"));
    host.member.packet(a, inEpoch(2, 0, 1, "two"));
    host.member.receive(a, { kind: "row", group: 1, epoch: 2, row: [2, 0] });
    follow(host, stepOf(0, viewOf(2, [a, b]), [{ joiner: b, donor: a, since: 2, standing: undefined }]));
    host.member.stateLoaded(2);
    expect(host.seen()).toEqual(["load 2", "joined", "install 2", "deliver one", "deliver two"]);
    expect(host.member.epoch?.row()).toEqual([2, 0]);
  });

  test("ST1: with another donor it begins anew, and what is in the newer state is not delivered again", () => {
    const host = joiner();
    let released = 0;
    const slab = { retain: () => {}, release: () => released++ };
    host.member.packet(
      a,
      new (inEpoch(2, 0, 0, "x").constructor as typeof Packet)(inEpoch(2, 0, 0, "old").bytes, slab),
    );
    host.member.retarget(viewOf(3, [a, b, c], [a, c]));
    const step = stepOf(2, viewOf(3, [a, b, c], [a, c]), [{ joiner: b, donor: c, since: 3, standing: undefined }]);
    follow(host, { ...step, cut: [1, 0] });
    host.member.packet(a, inEpoch(3, 0, 0, "new"));
    expect(host.seen()).toEqual(["load 2", "load 3"]);
    expect(released).toBe(1);
    host.member.stateLoaded(2);
    expect(host.seen()).toEqual([]);
    host.member.stateLoaded(3);
    expect(host.seen()).toEqual(["joined", "install 3", "deliver new"]);
  });

  test("with the same donor it goes on loading through a view change", () => {
    const host = joiner();
    host.member.packet(a, inEpoch(2, 0, 0, "one"));
    host.member.retarget(viewOf(3, [a, b, c]));
    const transfers = [{ joiner: b, donor: a, since: 2, standing: undefined }];
    follow(host, { ...stepOf(2, viewOf(3, [a, b, c]), transfers), cut: [1, 0] });
    expect(host.seen()).toEqual(["load 2"]);
    host.member.stateLoaded(2);
    expect(host.seen()).toEqual(["joined", "install 2", "deliver one", "install 3"]);
  });

  test("holds the senders back when it cannot keep more of what it may not show yet", () => {
    const host = joiner({ bounds: { joinerBytesMax: 100 } });
    host.turn();
    for (let seqno = 0; seqno < 4; seqno++) host.member.packet(a, inEpoch(2, 0, seqno, `${seqno}`));
    expect(host.member.epoch?.row()).toEqual([3, 0]);
    expect(host.member.epoch?.held()).toEqual([4, 0]);
    host.member.stateLoaded(2);
    expect(host.member.epoch?.row()).toEqual([4, 0]);
    expect(host.seen().slice(-4)).toEqual(["deliver 0", "deliver 1", "deliver 2", "deliver 3"]);
  });

  test("a state that is loaded while the primary partition is out of reach is shown when it is back", () => {
    const host = joiner();
    host.member.setBlocked(true);
    host.member.stateLoaded(2);
    expect(host.seen()).toEqual(["load 2"]);
    host.member.setBlocked(false);
    expect(host.seen()).toEqual(["joined", "install 2", "blocked", "unblocked"]);
  });
});

describe("a donor", () => {
  test("captures at the start of the view that admits, sends what it gets, and lets go at the end", () => {
    const host = pair({}, [a]);
    lead(host, viewOf(3, [a, b, c]), {
      [b]: { admitted: 2, epoch: 2, row: [0, 0] },
      [c]: { admitted: 3, epoch: 0, row: [] },
    });
    // b's transfer of view 2 goes on; c's begins.
    expect(host.seen()).toEqual(["capture c 3", "install 3"]);
    host.member.stateChunk(c, 2, new Uint8Array(3));
    host.member.stateChunk(c, 3, new Uint8Array(3));
    expect(sentOf(host.effects.take(), "stateChunk")).toMatchObject([{ to: [c], message: { view: 3, index: 0 } }]);
    host.member.receive(c, { kind: "stateCredit", group: 1, view: 3, index: 0 });
    host.member.receive(c, { kind: "stateCredit", group: 1, view: 9, index: 0 });
    host.synced.add(c);
    host.member.directoryMoved();
    expect(host.seen()).toEqual(["release c 3"]);
  });

  test("lets go of a joiner that is gone, and of all when it ends", () => {
    const host = pair({}, [a]);
    lead(host, viewOf(3, [a]), {});
    expect(host.seen()).toEqual(["release b 2", "install 3"]);
    const other = pair({}, [a]);
    other.member.end("closed");
    expect(other.seen()).toEqual(["release b 2", "ended closed"]);
  });
});

describe("leaving (C11)", () => {
  test("takes no more messages, sends and flushes what is queued, then asks the directory, and waits for the others", () => {
    const host = pair();
    host.member.send(FIFO, 0, new Uint8Array(1));
    host.member.leave();
    expect(host.member.send(FIFO, 0, new Uint8Array(1))).toBe(false);
    host.turn();
    expect(host.asked).toEqual([]);
    host.member.receive(b, { kind: "row", group: 1, epoch: 2, row: [1, 0] });
    host.turn();
    expect(host.asked).toEqual(["leave"]);
    host.member.retarget(viewOf(3, [b], [b]));
    expect(host.member.ended).toBe(false);
    host.member.receive(b, { kind: "fetch", group: 1, epoch: 2, sender: 0, from: 0, to: 1 });
    host.member.receive(b, { kind: "install", group: 1, directoryIndex: 1, target: 3, from: 2 });
    expect(host.seen()).toContain("ended left");
  });

  test("nobody but a member tells it that the others have gone on", () => {
    const host = pair();
    host.member.leave();
    host.turn();
    host.turn();
    host.member.retarget(viewOf(3, [b], [b]));
    host.member.receive(c, { kind: "install", group: 1, directoryIndex: 1, target: 3, from: 2 });
    expect(host.member.ended).toBe(false);
    host.member.receive(b, { kind: "install", group: 1, directoryIndex: 1, target: 3, from: 2 });
    expect(host.member.ended).toBe(true);
  });

  test("who holds the state stays until all others hold it", () => {
    const host = pair({}, [a]);
    host.member.leave();
    host.turn();
    expect(host.asked).toEqual([]);
    host.synced.add(b);
    host.turn();
    host.turn();
    expect(host.asked).toEqual(["leave"]);
  });

  test("asks again when the directory did not let it go", () => {
    const host = pair();
    host.member.leave();
    host.turn();
    host.turn();
    expect(host.asked).toEqual(["leave"]);
    host.member.leaveDeferred();
    host.turn();
    host.turn();
    expect(host.asked).toEqual(["leave", "leave"]);
  });

  test("a member that is in no epoch yet, or the last, is gone at once", () => {
    const early = new Host({ self: b, creates: false, admitted: 2 });
    early.member.retarget(viewOf(2, [a, b]));
    early.member.leave();
    early.member.retarget(viewOf(3, [a]));
    expect(early.seen()).toEqual(["ended excluded"]);
    const last = creator();
    last.member.leave();
    last.turn();
    expect(last.asked).toEqual(["leave"]);
    last.member.retarget(viewOf(2, []));
    expect(last.seen()).toContain("ended left");
  });

  test("who has left does nothing for the group any more, in the rest of the turn either (seeds 336, 1695)", () => {
    const host = pair();
    host.member.leave();
    host.turn();
    host.turn();
    host.member.retarget(viewOf(3, [b], [b]));
    host.member.receive(b, { kind: "install", group: 1, directoryIndex: 1, target: 3, from: 2 });
    expect(host.seen()).toContain("ended left");
    host.member.retarget(viewOf(4, [b, a], [b]));
    follow(host, stepOf(2, viewOf(4, [b, a], [b])), 4);
    host.member.receive(b, { kind: "fetch", group: 1, epoch: 2, sender: 0, from: 0, to: 1 });
    host.member.packet(b, inEpoch(2, 1, 0, "late"));
    expect(host.effects.take()).toEqual([]);
  });

  test("those who stay tell the one that left", () => {
    const host = pair();
    lead(host, viewOf(3, [a], [a]), {});
    expect(sentOf(host.effects.take(), "install")).toMatchObject([{ to: [b], message: { target: 3, from: 2 } }]);
  });
});

describe("while the primary partition is out of reach (M3)", () => {
  test("nothing is delivered or sent; what came is delivered when it is back", () => {
    const host = pair();
    host.member.setBlocked(true);
    host.member.setBlocked(true);
    expect(host.member.blocked).toBe(true);
    host.member.packet(b, inEpoch(2, 1, 0, "one"));
    host.member.send(FIFO, 0, new Uint8Array(1));
    expect(host.seen(host.turn())).toEqual(["blocked"]);
    host.member.setBlocked(false);
    expect(host.seen(host.turn())).toContain("deliver one");
  });

  test("a view is installed when it is back", () => {
    const host = pair();
    host.member.setBlocked(true);
    lead(host, viewOf(3, [a, b], [a, b]), { [b]: { admitted: 2, epoch: 2, row: [0, 0] } });
    expect(host.seen()).toEqual(["blocked"]);
    host.member.setBlocked(false);
    expect(host.seen()).toEqual(["unblocked", "install 3"]);
  });
});

describe("queries and answers", () => {
  test("an answer to oneself is told at once, one to others is sent in parts", () => {
    const host = pair();
    expect(host.member.openQuery()).toBe(7);
    host.member.answer(a, 7, "value", new Uint8Array(3));
    expect(host.seen()).toEqual(["reply a value 3"]);
    host.member.answer(b, 9, "value", new Uint8Array(150_000));
    host.member.answer(b, 9, "null", new Uint8Array(0));
    const parts = sentOf(host.effects.take(), "answer").map(({ message }) => [message.value.length, message.more]);
    expect(parts).toEqual([
      [65_536, true],
      [65_536, true],
      [18_928, false],
      [0, false],
    ]);
    host.member.queryDelivered(7, [a, b], 2);
    host.member.receive(b, {
      kind: "answer",
      group: 1,
      query: 7,
      status: "value",
      value: new Uint8Array(4),
      more: false,
    });
    expect(host.seen()).toEqual(["reply b value 4"]);
    host.member.closeQuery(7);
  });
});

describe("accusations", () => {
  test("the directory is asked once for each accused, until it has judged", () => {
    const host = pair({}, [a, b]);
    const { member } = host;
    const query = member.openQuery();
    member.accuse(query, [b]);
    expect(host.asked).toEqual([]);
    member.queryDelivered(query, [a, b], 2);
    member.accuse(query, [a, b]);
    member.accuse(query, [b]);
    expect(host.asked).toEqual([`exclude ${a} ${b} of 2`]);
    member.judged([a, b], [a, b]);
    expect(host.seen()).toEqual(["reply b timeout 0"]);
  });

  test("who is excluded from the group, and did not ask to leave it, ends at once", () => {
    const host = pair();
    host.member.retarget(viewOf(3, [b], [b]));
    expect(host.seen()).toEqual(["ended excluded"]);
  });
});

describe("what makes no sense is dropped", () => {
  test("from nodes outside the view, of epochs that are over, after the end", () => {
    const host = pair();
    host.member.packet(c, inEpoch(2, 1, 0, "x"));
    host.member.packet(b, inEpoch(1, 1, 0, "x"));
    host.member.receive(c, { kind: "row", group: 1, epoch: 2, row: [9, 9] });
    host.member.receive(b, { kind: "row", group: 1, epoch: 1, row: [9, 9] });
    host.member.receive(b, { kind: "fetch", group: 1, epoch: 9, sender: 0, from: 0, to: 1 });
    host.member.receive(b, { kind: "leaveCluster" });
    host.member.retarget(viewOf(1, [a]));
    expect(host.seen()).toEqual([]);
    host.member.end("lost");
    host.member.end("left");
    host.member.setBlocked(true);
    expect(host.member.send(FIFO, 0, new Uint8Array(1))).toBe(false);
    expect(host.seen(host.turn())).toEqual(["ended lost"]);
  });

  test("its memory is let go of when it ends", () => {
    let held = 0;
    const slab = { retain: () => held++, release: () => held-- };
    const packet = (epoch: number, seqno: number): Packet => new Packet(inEpoch(epoch, 0, seqno, "x").bytes, slab);
    const host = joiner();
    host.member.packet(c, packet(2, 0));
    expect(held).toBe(0);
    // Of a view that may come, from one that is in it.
    host.member.retarget(viewOf(3, [a, b]));
    host.member.packet(a, packet(4, 0));
    host.member.packet(c, packet(3, 0));
    expect(held).toBe(0);
    host.member.packet(a, packet(3, 0));
    expect(held).toBe(1);
    host.member.end("closed");
    expect(held).toBe(0);
  });
});
