/** One view of a group: what its members deliver while it lasts, and that its end is the same for all that go on. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { effectsOf, ids, Network, packetOf, sentOf, textOf } from "../../test/protocol/kit.ts";
import { Random } from "../base/random.ts";
import { CAUSAL, FIFO, ORDER, Packet, SAFE, TOTAL } from "../wire/packet.ts";
import { Effects } from "./effects.ts";
import { Epoch, type EpochOptions } from "./epoch.ts";
import { VOLATILE } from "./journal.ts";
import type { Row } from "./messages.ts";
import type { NodeId } from "./view.ts";

interface Delivery {
  readonly text: string;
  readonly flavour: number;
  readonly sender: number;
  readonly seqno: number;
  readonly index: number;
}

class Node {
  readonly id: NodeId;
  readonly effects = new Effects();
  readonly epoch: Epoch;
  readonly delivered: Delivery[] = [];
  readonly #members: readonly NodeId[];
  /** What its causal packets follow: those that it had sent or delivered before. */
  readonly causes = new Map<string, readonly string[]>();
  #sent = 0;
  #now = 0;
  onDeliver: (packet: Packet) => void = () => {};

  constructor(id: NodeId, members: readonly NodeId[], options: Partial<EpochOptions> = {}) {
    this.id = id;
    this.#members = members;
    const view = { number: 1, members, synced: members, acceptors: [], lacking: [] };
    const deliver = (packet: Packet, sender: number, index: number): void => {
      this.delivered.push({ text: textOf(packet), flavour: packet.flavour, sender, seqno: packet.seqno, index });
      this.onDeliver(packet);
    };
    this.epoch = new Epoch(
      {
        group: 1,
        view,
        self: id,
        safety: "all",
        relaysRows: false,
        windowBytes: 1e6,
        rowDelayMs: 100,
        journal: VOLATILE,
        deliver,
        ...options,
      },
      this.effects,
    );
  }

  get ordered(): Delivery[] {
    return this.delivered.filter(({ flavour }) => flavour === TOTAL || flavour === SAFE);
  }

  get causal(): Delivery[] {
    return this.delivered.filter(({ flavour }) => flavour === CAUSAL);
  }

  send(flavour: number): void {
    if (!this.epoch.hasCredit) return;
    const text = `${this.id[0]}${this.#sent++}`;
    if (flavour === CAUSAL) this.causes.set(text, texts(this.causal));
    this.epoch.send(packetOf(flavour, 0, 0, text), 0);
    this.turn();
  }

  /** Time flies from turn to turn, so that every row is sent soon. */
  turn(): void {
    this.#now += 60;
    this.epoch.endTurn(this.#now, 0);
  }

  join(network: Network): void {
    network.add(this.id, {
      effects: this.effects,
      receive: (from, message) => {
        const rank = this.#members.indexOf(from);
        if (message.kind === "row") this.epoch.receiveRow(rank, message.row);
        if (message.kind === "solicit") this.epoch.receiveSolicit(rank, message.target);
        if (message.kind === "stable") this.epoch.receiveStable(rank, message.row);
        this.turn();
      },
      packet: (from, packet) => {
        this.epoch.receive(this.#members.indexOf(from), packet);
        this.turn();
      },
    });
  }
}

function cluster(
  size: number,
  options: Partial<EpochOptions> = {},
): { readonly nodes: Node[]; readonly members: NodeId[] } {
  const members = ids(size);
  return { nodes: members.map((id) => new Node(id, members, options)), members };
}

/** Nodes in a network, which send and hear each other for a while. */
function traffic(random: Random, size: number, steps: number): { readonly nodes: Node[]; readonly network: Network } {
  const { nodes } = cluster(size, { relaysRows: random.chance(0.5) });
  const network = new Network(random);
  for (const node of nodes) node.join(network);
  for (let step = 0; step < steps; step++) {
    if (random.chance(0.4)) random.pick(nodes).send(random.pick([FIFO, CAUSAL, CAUSAL, TOTAL, SAFE]));
    else network.step();
  }
  return { nodes, network };
}

/** The flush by hand: the most that anybody holds, which everybody gets from whoever has it. */
function drainTogether(survivors: readonly Node[]): Row {
  for (const { epoch } of survivors) epoch.freeze();
  const cut: number[] = [];
  for (const { epoch } of survivors) {
    for (const [sender, count] of epoch.held().entries()) cut[sender] = Math.max(cut[sender] ?? 0, count);
  }
  for (const { epoch } of survivors) {
    for (const { sender, from, to } of epoch.gaps(cut)) {
      const holder = survivors.find((other) => (other.epoch.held()[sender] ?? 0) >= to);
      for (const packet of holder?.epoch.packets(sender, from, to) ?? [])
        epoch.receive(holder?.epoch.rank ?? 0, packet);
    }
  }
  for (const { epoch } of survivors) epoch.drain(cut);
  return cut;
}

/** D6: whoever has delivered a causal packet has delivered before it what its sender had. */
function expectCausal(nodes: readonly Node[]): void {
  const causes = new Map(nodes.flatMap((node) => [...node.causes]));
  for (const node of nodes) {
    const before = new Set<string>();
    for (const text of texts(node.causal)) {
      for (const cause of causes.get(text) ?? []) expect([text, cause, before.has(cause)]).toEqual([text, cause, true]);
      before.add(text);
    }
  }
}

const texts = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ text }) => text);
const multicast = (node: Node): Packet[] => effectsOf(node.effects.take(), "multicast").map(({ packet }) => packet);
const copyOf = (packet: Packet): Packet => new Packet(packet.bytes.slice());

/** Sends causal packets; what was sent before is forgotten. */
function causalOf(node: Node, count = 1): [Packet, Packet] {
  node.effects.take();
  for (let sent = 0; sent < count; sent++) node.send(CAUSAL);
  return multicast(node).filter(({ flavour }) => flavour === CAUSAL) as [Packet, Packet];
}

const scenarios = [fc.nat(), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 150 })] as const;

describe("an epoch", () => {
  test("D7: total and safe packets are delivered in one order; left alone, everybody delivers all of it", () => {
    fc.assert(
      fc.property(...scenarios, (seed, size, steps) => {
        const { nodes, network } = traffic(new Random(seed), size, steps);
        const longest = nodes.reduce((most, node) => (node.ordered.length > most.ordered.length ? node : most));
        for (const { ordered } of nodes)
          expect(texts(ordered)).toEqual(texts(longest.ordered).slice(0, ordered.length));
        for (let rounds = 0; rounds < 4; rounds++) {
          for (const node of nodes) node.turn();
          network.settle();
        }
        const all = texts(nodes[0]?.ordered ?? []);
        for (const { ordered, delivered } of nodes) {
          expect(texts(ordered)).toEqual(all);
          expect(texts(delivered).sort()).toEqual(texts(nodes[0]?.delivered ?? []).sort());
          let index = 0;
          for (const delivery of ordered) expect(delivery.index).toBe(index++);
        }
        expectCausal(nodes);
      }),
    );
  });

  test("D5: of each sender and flavour packets are delivered in the order of sending, without a gap", () => {
    fc.assert(
      fc.property(...scenarios, (seed, size, steps) => {
        const { nodes } = traffic(new Random(seed), size, steps);
        for (const { delivered } of nodes) {
          const last = new Map<string, number>();
          for (const { sender, flavour, seqno } of delivered) {
            const key = `${sender} ${flavour}`;
            expect(seqno).toBeGreaterThan(last.get(key) ?? -1);
            last.set(key, seqno);
          }
        }
      }),
    );
  });

  test("D8: a safe packet is delivered only when every member holds it", () => {
    fc.assert(
      fc.property(...scenarios, (seed, size, steps) => {
        const random = new Random(seed);
        const { nodes } = cluster(size, { relaysRows: random.chance(0.5) });
        const network = new Network(random);
        for (const node of nodes) {
          node.join(network);
          node.onDeliver = (packet) => {
            if (packet.flavour !== SAFE) return;
            for (const { epoch } of nodes) expect(epoch.held()[packet.sender]).toBeGreaterThan(packet.seqno);
          };
        }
        for (let step = 0; step < steps; step++) {
          if (random.chance(0.4)) random.pick(nodes).send(random.pick([SAFE, SAFE, TOTAL]));
          else network.step();
        }
      }),
    );
  });

  test("D3, C8: all that go on deliver the same; what was delivered as safe anywhere, in whatever order, is among it", () => {
    fc.assert(
      fc.property(...scenarios, fc.nat(30), (seed, size, steps, mask) => {
        const random = new Random(seed);
        const { nodes, network } = traffic(random, size, steps);
        const survivors = nodes.filter((_, rank) => ((mask >> rank) & 1) === 0);
        if (survivors.length === 0) return;
        // Some freeze before others, and packets go on coming.
        for (const { epoch } of survivors) {
          if (random.chance(0.7)) epoch.freeze();
          for (let late = random.below(6); late > 0; late--) network.step();
        }
        const cut = drainTogether(survivors);
        const [measure] = survivors;
        const expected = texts(measure?.ordered ?? []);
        for (const { ordered, delivered, epoch } of survivors) {
          expect(texts(ordered)).toEqual(expected);
          expect(texts(delivered).sort()).toEqual(texts(measure?.delivered ?? []).sort());
          expect(delivered.length).toBeLessThanOrEqual(cut.reduce((sum, count) => sum + count, 0));
          expect(epoch.gaps(cut)).toEqual([]);
        }
        for (const node of nodes) {
          const lastSafe = node.ordered.findLastIndex(({ flavour }) => flavour === SAFE);
          const safe = texts(node.ordered.slice(0, lastSafe + 1));
          expect(safe).toEqual(expected.slice(0, safe.length));
        }
        expectCausal(nodes);
      }),
    );
  });

  test("D6: a causal packet is delivered after those that its sender had delivered, over a chain of three", () => {
    const { nodes } = cluster(4);
    const [a, b, c, d] = nodes as [Node, Node, Node, Node];
    const [first] = causalOf(a);
    b.epoch.receive(0, first);
    const [second] = causalOf(b);
    c.epoch.receive(1, second);
    expect(texts(c.delivered)).toEqual([]);
    c.epoch.receive(0, copyOf(first));
    expect(texts(c.delivered)).toEqual(["a0", "b0"]);
    const [third, fourth] = causalOf(c, 2);
    d.epoch.receive(2, third);
    d.epoch.receive(2, fourth);
    d.epoch.receive(1, copyOf(second));
    expect(texts(d.delivered)).toEqual([]);
    d.epoch.receive(0, copyOf(first));
    expect(texts(d.delivered)).toEqual(["a0", "b0", "c0", "c1"]);
    expect(d.delivered.map(({ index }) => index)).toEqual([0, 0, 0, 1]);
  });

  test("C7: at the end what follows a causal packet beyond the cut is dropped, other flavours of its sender are not", () => {
    const { nodes } = cluster(4);
    const [a, b, c, d] = nodes as [Node, Node, Node, Node];
    const [lost] = causalOf(a);
    b.epoch.receive(0, lost);
    const [orphan] = causalOf(b);
    b.send(FIFO);
    const [fifo] = multicast(b);
    for (const node of [c, d]) {
      node.epoch.receive(1, copyOf(orphan));
      node.epoch.receive(1, copyOf(fifo as Packet));
    }
    const [concurrent] = causalOf(c);
    d.epoch.receive(2, concurrent);
    const cut = drainTogether([c, d]);
    expect(cut).toEqual([0, 2, 1, 0]);
    expect(texts(c.delivered)).toEqual(["b1", "c0"]);
    expect(texts(d.delivered)).toEqual(["b1", "c0"]);
  });

  test("a causal packet that waits is kept although all hold it", () => {
    const { nodes } = cluster(3);
    const [a, b, c] = nodes as [Node, Node, Node];
    const [first] = causalOf(a);
    b.epoch.receive(0, first);
    const [second] = causalOf(b);
    c.epoch.receive(1, second);
    c.epoch.receiveRow(0, [0, 1, 0]);
    expect(c.epoch.stability.stable(1)).toBe(1);
    expect(c.epoch.packets(1, 0, 1)).toHaveLength(1);
    c.epoch.receive(0, copyOf(first));
    expect(texts(c.delivered)).toEqual(["a0", "b0"]);
    expect(c.epoch.packets(1, 0, 1)).toEqual([]);
  });

  test("beyond a window, causal packets that wait are not acknowledged, until they are delivered", () => {
    const { nodes } = cluster(3, { windowBytes: 100 });
    const [a, b, c] = nodes as [Node, Node, Node];
    const [first] = causalOf(a);
    b.epoch.receive(0, first);
    const packets: Packet[] = [];
    for (let count = 0; count < 10; count++) {
      if (!b.epoch.hasCredit) b.epoch.receiveRow(0, b.epoch.held());
      b.epoch.receiveRow(2, [0, packets.length, 0]);
      packets.push(...causalOf(b));
    }
    for (const packet of packets) c.epoch.receive(1, packet);
    expect(c.epoch.held()).toEqual([0, 10, 0]);
    expect(c.epoch.row()).toEqual([0, 3, 0]);
    c.turn();
    c.effects.take();
    c.epoch.receive(0, copyOf(first));
    expect(c.delivered).toHaveLength(11);
    expect(c.epoch.row()).toEqual([1, 10, 0]);
    c.epoch.endTurn(0, 0);
    expect(sentOf(c.effects.take(), "row")).toHaveLength(1);
  });

  test("B3, C2: once frozen it neither delivers, acknowledges, orders nor sends", () => {
    const { nodes } = cluster(2);
    const [a, b] = nodes as [Node, Node];
    b.send(TOTAL);
    const [sent] = effectsOf(b.effects.take(), "multicast");
    const before = a.epoch.row();
    a.epoch.freeze();
    a.epoch.receive(1, (sent as { packet: Packet }).packet);
    a.epoch.receiveRow(1, [9, 9]);
    a.epoch.receiveSolicit(1, [1, 1]);
    a.epoch.receiveStable(1, [1, 1]);
    a.turn();
    expect(a.delivered).toEqual([]);
    expect(a.effects.empty).toBe(true);
    expect(a.epoch.row()).toEqual(before);
    expect(a.epoch.held()).toEqual([0, 1]);
    expect(a.epoch.stability.row(1)).toEqual([0, 0]);
    expect(a.epoch.hasCredit).toBe(false);
    expect(a.epoch.deadline).toBe(Number.POSITIVE_INFINITY);
    expect(() => a.epoch.send(packetOf(FIFO, 0, 0), 0)).toThrow("frozen");
  });

  test("C3: it is drained only when it is frozen and holds the cut", () => {
    const { nodes } = cluster(2);
    const [a] = nodes as [Node, Node];
    expect(() => a.epoch.drain([0, 0])).toThrow("frozen before");
    a.epoch.freeze();
    expect(a.epoch.gaps([0, 3])).toEqual([{ sender: 1, from: 0, to: 3 }]);
    expect(() => a.epoch.drain([0, 3])).toThrow("holds");
  });

  test("another's packet is taken from somebody else only in a flush, and one's own from nobody", () => {
    const { nodes } = cluster(3);
    const [a] = nodes as [Node, Node, Node];
    a.epoch.receive(1, packetOf(FIFO, 2, 0));
    a.epoch.receive(1, packetOf(FIFO, 0, 0));
    a.epoch.receive(1, packetOf(FIFO, 7, 0));
    a.epoch.receive(1, packetOf(FIFO, 1, 1));
    expect([a.epoch.irregular, a.delivered.length]).toEqual([4, 0]);
    a.epoch.freeze();
    a.epoch.receive(1, packetOf(FIFO, 2, 0));
    expect(a.epoch.held()).toEqual([0, 0, 1]);
  });

  test("what is dropped is let go of, and so is what both of two members hold", () => {
    const { nodes } = cluster(2);
    const [a] = nodes as [Node, Node];
    let released = 0;
    const slab = { retain: () => {}, release: () => released++ };
    a.epoch.receive(1, new Packet(packetOf(FIFO, 0, 0).bytes, slab));
    a.epoch.receive(1, new Packet(packetOf(FIFO, 1, 5).bytes, slab));
    a.epoch.receive(1, new Packet(packetOf(FIFO, 1, 0).bytes, slab));
    a.epoch.receive(1, new Packet(packetOf(FIFO, 1, 0).bytes, slab));
    expect(released).toBe(4);
  });

  test("order of anybody but the sequencer means nothing", () => {
    const { nodes } = cluster(3);
    const [, b] = nodes as [Node, Node, Node];
    const order = packetOf(ORDER, 2, 0);
    b.epoch.receive(2, order);
    expect(b.epoch.irregular).toBe(1);
  });

  test("a packet is forgotten when all hold it, and can be forwarded until then", () => {
    const { nodes } = cluster(2);
    const [a, b] = nodes as [Node, Node];
    a.send(FIFO);
    a.send(FIFO);
    expect(a.epoch.packets(0, 0, 9).map(textOf)).toEqual(["a0", "a1"]);
    a.epoch.receiveRow(1, [1, 0]);
    expect(a.epoch.packets(0, 0, 9)).toEqual([]);
    expect(a.epoch.packets(0, 1, 9).map(textOf)).toEqual(["a1"]);
    expect(a.epoch.packets(5, 0, 1)).toEqual([]);
    expect(b.epoch.packets(0, 0, 1)).toEqual([]);
  });

  test("an ordered packet that waits for its turn is kept although all hold it", () => {
    const { nodes } = cluster(3);
    const [, b] = nodes as [Node, Node, Node];
    b.epoch.receive(2, packetOf(TOTAL, 2, 0, "waits"));
    b.epoch.receiveRow(0, [0, 0, 1]);
    b.epoch.receiveRow(2, [0, 0, 1]);
    expect(b.epoch.stability.stable(2)).toBe(1);
    expect(b.epoch.packets(2, 0, 1).map(textOf)).toEqual(["waits"]);
    expect(b.epoch.awaitsOwn).toBe(false);
  });

  test("a sender has credit while fewer bytes than the window are held by not all", () => {
    const { nodes } = cluster(2, { windowBytes: 50 });
    const [a] = nodes as [Node, Node];
    a.send(FIFO);
    expect(a.epoch.hasCredit).toBe(true);
    a.send(FIFO);
    expect(a.epoch.hasCredit).toBe(false);
    a.epoch.receiveRow(1, [1, 0]);
    expect(a.epoch.hasCredit).toBe(true);
  });

  test("a row is sent when its time has come, at once when somebody waits for it, and when much has come", () => {
    const { nodes } = cluster(2, { windowBytes: 800 });
    const [a] = nodes as [Node, Node];
    const rows = (): Row[] => sentOf(a.effects.take(), "row").map(({ message }) => message.row);
    a.epoch.receive(1, packetOf(FIFO, 1, 0));
    a.epoch.endTurn(1000, 0);
    expect([rows(), a.epoch.deadline]).toEqual([[], 1100]);
    a.epoch.endTurn(1099, 0);
    expect(rows()).toEqual([]);
    a.epoch.endTurn(1100, 0);
    expect([rows(), a.epoch.deadline]).toEqual([[[0, 1]], Number.POSITIVE_INFINITY]);
    a.epoch.receiveSolicit(1, [0, 2]);
    a.epoch.endTurn(1101, 0);
    expect(rows()).toEqual([]);
    a.epoch.receive(1, packetOf(FIFO, 1, 1));
    a.epoch.endTurn(1102, 0);
    expect(rows()).toEqual([[0, 2]]);
    a.epoch.receive(1, packetOf(FIFO, 1, 2));
    a.epoch.receiveSolicit(1, [0, 3]);
    a.epoch.endTurn(1103, 0);
    expect(rows()).toEqual([[0, 3]]);
    for (let seqno = 3; seqno < 6; seqno++) a.epoch.receive(1, packetOf(FIFO, 1, seqno));
    a.epoch.endTurn(1104, 0);
    expect(rows()).toEqual([[0, 6]]);
  });

  test("what all hold is the sequencer's word, where rows are relayed, and never more than one has told oneself", () => {
    const { nodes } = cluster(3, { relaysRows: true });
    const [, b] = nodes as [Node, Node, Node];
    b.epoch.receive(0, packetOf(SAFE, 0, 0, "safe"));
    b.turn();
    expect(sentOf(b.effects.take(), "row").map(({ to }) => to)).toEqual([[nodes[0]?.id]]);
    b.epoch.receiveStable(2, [1, 0, 0]);
    b.epoch.receiveStable(0, [1, 0]);
    b.epoch.receiveStable(0, [1, 1, 0]);
    expect([b.epoch.irregular, b.delivered]).toEqual([3, []]);
    b.epoch.receiveStable(0, [1, 0, 0]);
    expect(texts(b.delivered)).toEqual(["safe"]);
    const [, other] = cluster(3).nodes as [Node, Node, Node];
    other.epoch.receiveStable(0, [0, 0, 0]);
    expect(other.epoch.irregular).toBe(1);
  });

  test("while it is paused it keeps what comes and does nothing with it; then it goes on as if it had just come", () => {
    const { nodes } = cluster(2);
    const [a] = nodes as [Node, Node];
    a.epoch.pause();
    expect(a.epoch.hasCredit).toBe(false);
    a.epoch.receive(1, packetOf(FIFO, 1, 0, "late"));
    a.turn();
    expect([a.delivered, a.effects.empty, a.epoch.row()]).toEqual([[], true, [0, 0]]);
    a.epoch.resume();
    expect(texts(a.delivered)).toEqual(["late"]);
    expect(a.epoch.row()).toEqual([0, 1]);
    a.turn();
    a.turn();
    a.turn();
    expect(sentOf(a.effects.take(), "row")).toHaveLength(1);
  });

  test("what came in a pause that ends in a flush is delivered by the drain", () => {
    const { nodes } = cluster(2);
    const [a] = nodes as [Node, Node];
    a.epoch.pause();
    a.epoch.receive(1, packetOf(TOTAL, 1, 0, "late"));
    a.epoch.freeze();
    a.epoch.resume();
    expect(a.delivered).toEqual([]);
    a.epoch.drain([0, 1]);
    expect(texts(a.delivered)).toEqual(["late"]);
  });

  test("B2: in the cluster group a quorum of rows makes a packet safe, of data and order", () => {
    const { nodes } = cluster(3, { safety: "quorum" });
    const [a, b] = nodes as [Node, Node, Node];
    a.send(SAFE);
    expect(a.delivered).toEqual([]);
    a.epoch.receiveRow(2, [1, 0, 0]);
    expect(texts(a.delivered)).toEqual(["a0"]);
    b.epoch.receive(0, packetOf(SAFE, 0, 0, "a0"));
    expect(texts(b.delivered)).toEqual(["a0"]);
    // b's own packet: a and b hold it, but only a and nobody else holds its place in the order until b does.
    b.send(SAFE);
    const [own] = effectsOf(b.effects.take(), "multicast").filter(({ packet }) => packet.flavour === SAFE);
    a.epoch.receive(1, (own as { packet: Packet }).packet);
    a.epoch.receiveRow(1, [1, 1, 0]);
    a.turn();
    expect(texts(a.delivered)).toEqual(["a0"]);
    a.epoch.receiveRow(1, [2, 1, 0]);
    expect(texts(a.delivered)).toEqual(["a0", "b0"]);
  });

  test("M1: there is no epoch of a view without oneself", () => {
    expect(() => new Node("z", ids(2))).toThrow("M1");
  });
});
