/** View changes of a group: whoever goes on from a view together has delivered the same in it, whatever dies meanwhile. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ids, Network, packetOf, sentOf, textOf } from "../../../test/protocol/kit.ts";
import { Random } from "../../base/random.ts";
import { CAUSAL, FIFO, type Packet, SAFE, TOTAL } from "../../wire/packet.ts";
import { Effects } from "../effects.ts";
import { Epoch } from "../epoch.ts";
import { VOLATILE } from "../journal.ts";
import type { Message, Row, Step, Transfer } from "../messages.ts";
import type { GroupView, NodeId } from "../view.ts";
import { Flush, type FlushHost } from "./flush.ts";

interface Delivery {
  readonly text: string;
  readonly flavour: number;
}

/** A member reduced to its epochs and its flush, and to how much of the directory it knows. */
class Host implements FlushHost {
  readonly group = 1;
  readonly self: NodeId;
  readonly admitted: number;
  readonly effects = new Effects();
  readonly flush = new Flush(this, this.effects);
  epoch: Epoch | undefined;
  blocked = false;
  readonly journal = VOLATILE;
  transfers: readonly Transfer[] = [];
  readonly standing = undefined;
  readonly astray = false;
  known = 0;
  /** What was delivered in each epoch, and the steps taken. */
  readonly delivered = new Map<number, Delivery[]>();
  readonly steps: { readonly from: number; readonly to: GroupView }[] = [];
  #early: { readonly from: NodeId; readonly packet?: Packet; readonly message?: Message }[] = [];
  #deferred: { readonly from: NodeId; readonly message: Message }[] = [];
  #sent = 0;
  #now = 0;

  constructor(self: NodeId, admitted: number) {
    this.self = self;
    this.admitted = admitted;
  }

  directoryIndex(): number {
    return this.known;
  }

  enter(view: GroupView): void {
    const log: Delivery[] = [];
    this.delivered.set(view.number, log);
    const deliver = (packet: Packet): void => void log.push({ text: textOf(packet), flavour: packet.flavour });
    const { self } = this;
    const { journal } = this;
    const bounds = { relaysRows: view.members.length > 2, windowBytes: 1e6, rowDelayMs: 100, journal };
    this.epoch = new Epoch({ group: 1, view, self, safety: "all", deliver, ...bounds }, this.effects);
    const early = this.#early.splice(0);
    for (const { from, packet, message } of early) {
      if (packet !== undefined) this.packet(from, packet);
      else if (message !== undefined) this.receive(from, message);
    }
  }

  mintSecret(): Uint8Array {
    return new Uint8Array(0);
  }

  learnSecret(): boolean {
    return true;
  }

  install(step: Step): void {
    this.epoch?.drain(step.cut);
    this.transfers = step.transfers;
    this.steps.push({ from: this.epoch?.number ?? 0, to: step.view });
    this.enter(step.view);
  }

  /** The directory has moved on here: `target` is its newest. */
  learn(target: GroupView): void {
    this.known++;
    if (target.members.includes(this.self)) this.flush.begin(target);
    else this.epoch?.freeze();
    for (const { from, message } of this.#deferred.splice(0)) this.receive(from, message);
  }

  send(flavour: number): void {
    if (this.epoch?.hasCredit !== true) return;
    this.epoch.send(packetOf(flavour, 0, 0, `${this.self[0]}${this.#sent++}`), 0);
    this.turn();
  }

  turn(): void {
    this.#now += 30;
    this.epoch?.endTurn(this.#now, 0);
  }

  receive(from: NodeId, message: Message): void {
    const { epoch } = this;
    if ("directoryIndex" in message && message.directoryIndex > this.known) {
      this.#deferred.push({ from, message });
    } else if (message.kind === "row" || message.kind === "stable") {
      const rank = epoch?.view.members.indexOf(from) ?? -1;
      if (message.epoch === epoch?.number) {
        if (message.kind === "row") epoch.receiveRow(rank, message.row);
        else epoch.receiveStable(rank, message.row);
      } else if (message.epoch > (epoch?.number ?? 0)) this.#early.push({ from, message });
    } else if (message.kind === "fetch") {
      if (message.epoch !== epoch?.number) return;
      for (const packet of epoch.packets(message.sender, message.from, message.to)) {
        this.effects.perform({ kind: "multicast", to: [from], packet });
      }
    } else this.flush.receive(from, message);
    this.turn();
  }

  packet(from: NodeId, packet: Packet): void {
    const { epoch } = this;
    if (packet.epoch === epoch?.number) {
      epoch.receive(epoch.view.members.indexOf(from), packet);
      this.flush.packetsCame();
      this.turn();
    } else if (packet.epoch > (epoch?.number ?? 0)) this.#early.push({ from, packet });
  }
}

/** A group of hosts whose directory is a list of targets. */
class Group {
  readonly random: Random;
  readonly network: Network;
  readonly hosts = new Map<NodeId, Host>();
  readonly targets: GroupView[] = [];
  readonly #names = ids(12);
  #next = 0;

  constructor(seed: number, size: number) {
    this.random = new Random(seed);
    this.network = new Network(this.random);
    const members = this.#names.slice(0, size);
    this.#next = size;
    this.targets.push({ number: 1, members, synced: members, acceptors: [], lacking: [] });
    for (const id of members) {
      const host = this.#add(id);
      host.known = 1;
      host.enter(this.target);
    }
  }

  get target(): GroupView {
    return this.targets.at(-1) as GroupView;
  }

  get live(): Host[] {
    return [...this.hosts.values()].filter(({ self }) => this.network.isUp(self));
  }

  join(): void {
    const id = this.#names[this.#next++];
    if (id === undefined) return;
    const { number, members, synced } = this.target;
    this.targets.push({ number: number + 1, members: [...members, id], synced, acceptors: [], lacking: [] });
    const host = this.#add(id);
    host.known = this.targets.length - 1;
    this.learn(host);
  }

  /** The directory gives up one that is down; false when none is. */
  exclude(): boolean {
    const { number, members, synced } = this.target;
    const down = members.find((id) => !this.network.isUp(id));
    if (down === undefined) return false;
    const rest = members.filter((id) => id !== down);
    this.targets.push({
      number: number + 1,
      members: rest,
      synced: synced.filter((id) => id !== down),
      acceptors: [],
      lacking: [],
    });
    return true;
  }

  crash(): void {
    const { live } = this;
    const { synced } = this.target;
    const host = this.random.pick(live);
    // A group lives while one that holds its state does.
    if (live.filter(({ self }) => self !== host.self && synced.includes(self)).length === 0) return;
    this.network.crash(host.self);
    if (this.random.chance(0.5)) this.network.forget(host.self);
  }

  learn(host: Host): void {
    const target = this.targets[host.known];
    if (target !== undefined) host.learn(target);
  }

  /** Everything that can still happen does. */
  settle(): void {
    for (;;) {
      const moved = this.exclude();
      for (const host of this.live) while (host.known < this.targets.length) this.learn(host);
      this.network.settle();
      if (!moved) return;
    }
  }

  #add(id: NodeId): Host {
    const host = new Host(id, this.target.number);
    this.hosts.set(id, host);
    this.network.add(id, host);
    return host;
  }
}

function run(seed: number, size: number, steps: number): Group {
  const group = new Group(seed, size);
  const { random, network } = group;
  const busy = random.pick([0, 3, 15]);
  for (let step = 0; step < steps; step++) {
    const die = random.below(100);
    if (die < busy) random.pick(group.live).send(random.pick([FIFO, CAUSAL, TOTAL, SAFE]));
    else if (die < busy + 2) group.crash();
    else if (die < busy + 5) group.exclude();
    else if (die < busy + 7) group.join();
    else if (die < busy + 20) group.learn(random.pick(group.live));
    else network.step();
  }
  return group;
}

const scenarios = [fc.nat(), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 400 })] as const;
const texts = (deliveries: readonly Delivery[] | undefined): string[] => (deliveries ?? []).map(({ text }) => text);
const ordered = (deliveries: readonly Delivery[] | undefined): string[] =>
  texts(deliveries?.filter(({ flavour }) => flavour === TOTAL || flavour === SAFE));

describe("flush", () => {
  test("D3, D7, M2: who goes on from a view together delivered the same in it, in one order, and goes on to one view", () => {
    fc.assert(
      fc.property(...scenarios, (seed, size, steps) => {
        const group = run(seed, size, steps);
        group.settle();
        const measures = new Map<number, Host>();
        for (const host of group.hosts.values()) {
          for (const { from, to } of host.steps) {
            if (from === 0) continue;
            const measure = measures.get(from) ?? host;
            measures.set(from, measure);
            expect(to).toEqual(measure.steps.find((step) => step.from === from)?.to);
            expect(texts(host.delivered.get(from)).sort()).toEqual(texts(measure.delivered.get(from)).sort());
            expect(ordered(host.delivered.get(from))).toEqual(ordered(measure.delivered.get(from)));
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test("D8: what anybody delivered as safe, the dead included, all that go on from that view delivered", () => {
    fc.assert(
      fc.property(...scenarios, (seed, size, steps) => {
        const group = run(seed, size, steps);
        group.settle();
        for (const host of group.hosts.values()) {
          for (const [view, deliveries] of host.delivered) {
            const lastSafe = deliveries.findLastIndex(({ flavour }) => flavour === SAFE);
            const safe = ordered(deliveries.slice(0, lastSafe + 1));
            for (const other of group.hosts.values()) {
              if (!other.steps.some(({ from }) => from === view)) continue;
              expect(ordered(other.delivered.get(view)).slice(0, safe.length)).toEqual(safe);
            }
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test("M5: when nothing dies any more, all that live install the newest target and can send in it", () => {
    fc.assert(
      fc.property(...scenarios, (seed, size, steps) => {
        const group = run(seed, size, steps);
        group.settle();
        for (const { self, epoch, flush } of group.live) {
          expect([self, epoch?.number, epoch?.frozen, flush.underWay]).toEqual([
            self,
            group.target.number,
            false,
            false,
          ]);
          expect(epoch?.view).toEqual(group.target);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("its rules", () => {
  const [a = "", b = "", c = ""] = ids(3);
  const first: GroupView = { number: 1, members: [a, b, c], synced: [a, b, c], acceptors: [], lacking: [] };
  const second: GroupView = { number: 2, members: [a, b], synced: [a, b], acceptors: [], lacking: [] };
  const third: GroupView = { number: 3, members: [b], synced: [b], acceptors: [], lacking: [] };

  /** b, which has learnt of the second target, with what it has said since. */
  function member(self: NodeId = b): { readonly host: Host; take<K extends Message["kind"]>(kind: K): Message[] } {
    const host = new Host(self, 1);
    host.known = 1;
    host.enter(first);
    return { host, take: (kind) => sentOf(host.effects.take(), kind).map(({ message }) => message) };
  }

  const stepTo = (view: GroupView, cut: Row, from = 1): Step => {
    return { from, view, cut, holders: [a, a, a], transfers: [], epochSecret: new Uint8Array(0) };
  };
  const cutFor = (target: number, step: Step): Message => ({ kind: "cut", group: 1, directoryIndex: 2, target, step });
  const installFor = (target: number, from = 1): Message => {
    return { kind: "install", group: 1, directoryIndex: 2, target, from };
  };

  test("C1: who has reported to a newer target refuses cuts and installs of older ones", () => {
    const { host, take } = member();
    host.learn(second);
    host.receive(a, cutFor(2, stepTo(second, [0, 0, 0])));
    host.learn({ number: 3, members: [a, b], synced: [a, b], acceptors: [], lacking: [] });
    take("report");
    host.receive(a, cutFor(2, stepTo(second, [0, 0, 0])));
    host.receive(a, installFor(2));
    expect(take("hold")).toEqual([]);
    expect(host.epoch?.number).toBe(1);
  });

  test("C1: only the target's leader is obeyed", () => {
    const { host, take } = member();
    host.learn(second);
    take("report");
    host.receive(c, cutFor(2, stepTo(second, [0, 0, 0])));
    expect(take("hold")).toEqual([]);
    host.receive(a, cutFor(2, stepTo(second, [0, 0, 0])));
    expect(take("hold")).toHaveLength(1);
    host.receive(c, installFor(2));
    expect(host.epoch?.number).toBe(1);
    host.receive(a, installFor(2));
    expect(host.epoch?.number).toBe(2);
  });

  test("C2: the report freezes the epoch and says what is held", () => {
    const { host, take } = member();
    host.packet(c, packetOf(FIFO, 2, 0));
    host.learn(second);
    expect(host.epoch?.frozen).toBe(true);
    expect(take("report")).toMatchObject([
      { target: 2, epoch: 1, row: [0, 0, 1], seen: undefined, standing: undefined, astray: false, admitted: 1 },
    ]);
  });

  test("C3: a member holds when it has fetched what it lacks, and installs nothing before", () => {
    const { host } = member();
    host.learn(second);
    host.effects.take();
    host.receive(a, cutFor(2, stepTo(second, [2, 0, 0])));
    let effects = host.effects.take();
    expect(sentOf(effects, "fetch")).toMatchObject([{ to: [a], message: { sender: 0, from: 0, to: 2 } }]);
    expect(sentOf(effects, "hold")).toEqual([]);
    host.packet(a, packetOf(FIFO, 0, 0));
    host.receive(a, installFor(2));
    expect(host.epoch?.number).toBe(1);
    host.packet(a, packetOf(FIFO, 0, 1));
    effects = host.effects.take();
    expect(sentOf(effects, "hold")).toMatchObject([{ to: [a], message: { target: 2, from: 1 } }]);
    host.receive(a, installFor(2));
    expect(host.epoch?.number).toBe(2);
  });

  test("C3: the leader announces the install when every survivor holds", () => {
    const { host, take } = member(a);
    const four: GroupView = { number: 2, members: [a, b, c], synced: [a, b, c], acceptors: [], lacking: [] };
    host.learn(four);
    const report = { kind: "report", group: 1, directoryIndex: 2, target: 2, admitted: 1, epoch: 1 } as const;
    host.receive(b, { ...report, row: [0, 0, 0], seen: undefined, standing: undefined, astray: false });
    expect(take("cut")).toEqual([]);
    host.receive(c, { ...report, row: [0, 0, 0], seen: undefined, standing: undefined, astray: false });
    expect(take("cut")).toHaveLength(1);
    host.receive(b, { kind: "hold", group: 1, directoryIndex: 2, target: 2, from: 9 });
    host.receive(b, { kind: "hold", group: 1, directoryIndex: 2, target: 2, from: 1 });
    host.receive("z#99999999", { kind: "hold", group: 1, directoryIndex: 2, target: 2, from: 1 });
    expect(host.epoch?.number).toBe(1);
    host.receive(c, { kind: "hold", group: 1, directoryIndex: 2, target: 2, from: 1 });
    expect(take("install")).toHaveLength(1);
    expect(host.epoch?.number).toBe(2);
  });

  test("C4, C5: a step that was seen and can be held is issued again as it was, and its view is installed first", () => {
    const { host, take } = member();
    host.learn(second);
    const step = stepTo(second, [0, 0, 0]);
    host.receive(a, cutFor(2, step));
    take("report");
    host.learn({ number: 3, members: [b, c], synced: [b, c], acceptors: [], lacking: [] });
    const report = { kind: "report", group: 1, directoryIndex: 3, target: 3, admitted: 1, epoch: 1 } as const;
    // c has more of a's packets than the cut: they were not in it, and will not be delivered.
    host.receive(c, { ...report, row: [1, 0, 0], seen: undefined, standing: undefined, astray: false });
    expect(host.steps.map(({ to }) => to.number)).toEqual([2]);
    expect(host.epoch?.frozen).toBe(true);
    expect(host.epoch?.number).toBe(2);
  });

  test("C5: a step whose cut the survivors do not hold is dropped for a fresh one", () => {
    const { host, take } = member();
    host.learn(second);
    host.receive(a, cutFor(2, stepTo(second, [7, 0, 0])));
    take("report");
    host.learn(third);
    expect(host.steps.map(({ to }) => to.number)).toEqual([3]);
    expect(host.epoch?.frozen).toBe(false);
  });

  test("C5: of several steps that were seen the one of the highest ballot counts", () => {
    const { host, take } = member();
    host.learn(second);
    host.receive(a, cutFor(2, stepTo(second, [0, 0, 0])));
    const newer = stepTo({ number: 3, members: [b, c], synced: [b, c], acceptors: [], lacking: [] }, [0, 0, 0]);
    host.learn({ number: 4, members: [b, c], synced: [b, c], acceptors: [], lacking: [] });
    take("report");
    const report = { kind: "report", group: 1, directoryIndex: 3, target: 4, admitted: 1, epoch: 1 } as const;
    host.receive(c, {
      ...report,
      row: [0, 0, 0],
      seen: { ballot: 3, step: newer },
      standing: undefined,
      astray: false,
    });
    const [cut] = take("cut");
    expect(cut?.kind === "cut" && cut.step.view.number).toBe(3);
  });

  test("M3: while the primary partition is out of reach nobody installs; then the install that came is done", () => {
    const { host, take } = member();
    host.learn(second);
    host.blocked = true;
    host.receive(a, cutFor(2, stepTo(second, [0, 0, 0])));
    expect(take("hold")).toHaveLength(1);
    host.receive(a, installFor(2));
    expect(host.epoch?.number).toBe(1);
    host.blocked = false;
    host.flush.resume();
    expect(host.epoch?.number).toBe(2);
  });

  test("an install that was put off is void when a newer target comes", () => {
    const { host } = member();
    host.learn(second);
    host.blocked = true;
    host.receive(a, cutFor(2, stepTo(second, [0, 0, 0])));
    host.receive(a, installFor(2));
    host.learn({ number: 3, members: [a, b], synced: [a, b], acceptors: [], lacking: [] });
    host.blocked = false;
    host.flush.resume();
    expect(host.epoch?.number).toBe(1);
  });

  test("C9: donors are drawn among those with the state in turn, and a transfer goes on while its donor is there", () => {
    const [, , , d = "", e = ""] = ids(5);
    const { host, take } = member(a);
    const members = [a, b, c, d, e];
    host.learn({ number: 2, members, synced: [a, b, c], acceptors: [], lacking: [] });
    const report = { kind: "report", group: 1, directoryIndex: 2, target: 2 } as const;
    for (const from of [b, c])
      host.receive(from, {
        ...report,
        admitted: 1,
        epoch: 1,
        row: [0, 0, 0],
        seen: undefined,
        standing: undefined,
        astray: false,
      });
    for (const from of [d, e])
      host.receive(from, {
        ...report,
        admitted: 2,
        epoch: 0,
        row: [],
        seen: undefined,
        standing: undefined,
        astray: false,
      });
    const [cut] = take("cut");
    const transfers = cut?.kind === "cut" ? cut.step.transfers : [];
    expect(transfers).toEqual([
      { joiner: d, donor: a, since: 2, standing: undefined },
      { joiner: e, donor: b, since: 2, standing: undefined },
    ]);
    for (const from of [b, c, d, e]) {
      host.receive(from, { kind: "hold", group: 1, directoryIndex: 2, target: 2, from: 1 });
    }
    expect(host.epoch?.number).toBe(2);
    host.learn({ number: 3, members: [a, c, d, e], synced: [a, c], acceptors: [], lacking: [] });
    for (const from of [c, d, e]) {
      host.receive(from, {
        ...report,
        target: 3,
        admitted: from === c ? 1 : 2,
        epoch: 2,
        row: [0, 0, 0, 0, 0],
        seen: undefined,
        standing: undefined,
        astray: false,
      });
    }
    const [next] = take("cut");
    expect(next?.kind === "cut" ? next.step.transfers : []).toEqual([
      { joiner: d, donor: a, since: 2, standing: undefined },
      { joiner: e, donor: c, since: 3, standing: undefined },
    ]);
  });
});
