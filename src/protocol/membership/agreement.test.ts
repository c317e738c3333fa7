/** M3's heart: however proposers meet, whatever is lost, at most one successor of a view is decided. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { effectsOf, ids, Network, packetOf, recordOf, sentOf, textOf } from "../../../test/protocol/kit.ts";
import { Random } from "../../base/random.ts";
import { type Packet, SAFE } from "../../wire/packet.ts";
import { Effects } from "../effects.ts";
import { Epoch } from "../epoch.ts";
import { VOLATILE } from "../journal.ts";
import type { Message, Proposal } from "../messages.ts";
import type { ClusterView, NodeId } from "../view.ts";
import { Agreement, type AgreementHost, proposalDigest } from "./agreement.ts";

function viewOf(acceptors: readonly NodeId[], number = 1): ClusterView {
  return { cluster: "x", number, nodes: acceptors.map(recordOf), acceptors };
}

/** One acceptor of view 1: its epoch, its agreement, and what its node would propose. */
class Acceptor implements AgreementHost {
  readonly id: NodeId;
  readonly effects = new Effects();
  readonly epoch: Epoch;
  readonly agreement: Agreement;
  readonly delivered: string[] = [];
  readonly suspected = new Set<NodeId>();
  readonly decisions: { readonly proposal: Proposal; readonly acceptedBy: ReadonlySet<NodeId> }[] = [];
  /** The nodes of the view that this one wants; undefined for none. */
  wants: readonly NodeId[] | undefined;
  readonly #members: readonly NodeId[];

  constructor(id: NodeId, members: readonly NodeId[]) {
    this.id = id;
    this.#members = members;
    this.wants = members;
    const options = {
      group: 0,
      view: { number: 1, members, synced: members, acceptors: [], lacking: [] },
      self: id,
      safety: "quorum" as const,
      relaysRows: false,
      windowBytes: 1e6,
      rowDelayMs: 0,
      journal: VOLATILE,
      deliver: (packet: Packet): void => void this.delivered.push(textOf(packet)),
    };
    this.epoch = new Epoch(options, this.effects);
    this.agreement = new Agreement(viewOf(members), id, this.epoch, this.effects, VOLATILE, this);
  }

  yieldsTo(proposer: NodeId): boolean {
    const seniors = this.#members.slice(0, this.#members.indexOf(proposer));
    return seniors.every((id) => id !== this.id && this.suspected.has(id));
  }

  tell(acceptors: readonly NodeId[], message: Message): void {
    this.effects.broadcast(acceptors, message);
  }

  compose(): Pick<Proposal, "view" | "leavers"> | undefined {
    return this.wants && { view: viewOf(this.wants, 2), leavers: [] };
  }

  decided(proposal: Proposal, acceptedBy: ReadonlySet<NodeId>): void {
    expect(this.epoch.gaps(proposal.cut)).toEqual([]);
    this.decisions.push({ proposal, acceptedBy });
  }

  receive(from: NodeId, message: Message): void {
    if (message.kind === "row") this.epoch.receiveRow(this.#members.indexOf(from), message.row);
    else if (message.kind === "fetch") {
      for (const packet of this.epoch.packets(message.sender, message.from, message.to)) {
        this.effects.perform({ kind: "multicast", to: [from], packet });
      }
    } else this.agreement.receive(from, message);
    this.epoch.endTurn(0, 0);
  }

  packet(from: NodeId, packet: Packet): void {
    this.epoch.receive(this.#members.indexOf(from), packet);
    this.agreement.packetsCame();
    this.epoch.endTurn(0, 0);
  }
}

function acceptors(size: number): Acceptor[] {
  const members = ids(size);
  return members.map((id) => new Acceptor(id, members));
}

function isQuorumOf(size: number, by: ReadonlySet<NodeId>): boolean {
  return by.size * 2 > size || (by.size * 2 === size && by.has(ids(size)[0] ?? ""));
}

describe("agreement among several", () => {
  test("M2, M3: at most one proposal is decided, by a quorum, whoever proposes what, with loss, duplicates and crashes", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 5 }), (seed, size) => {
        const random = new Random(seed);
        const nodes = acceptors(size);
        const network = new Network(random);
        for (const node of nodes) network.add(node.id, node);
        const trouble = random.pick([0, 0, 0.1, 0.3]);
        network.copies = (_from, _to, { kind }) =>
          kind === "fetch" || random.fraction() >= trouble ? 1 : random.pick([0, 0, 2]);
        const [leader] = nodes;
        for (let step = 0; step < 250; step++) {
          const node = random.pick(nodes);
          if (!network.isUp(node.id)) continue;
          const die = random.below(100);
          if (die < 4 && leader !== undefined && network.isUp(leader.id) && leader.epoch.hasCredit) {
            leader.epoch.send(packetOf(SAFE, 0, 0, `${step}`), 0);
          } else if (die < 8) {
            // Anybody may want anything, and suspect anybody.
            node.wants = nodes.map(({ id }) => id).filter(() => random.chance(0.8));
            for (const { id } of nodes) if (random.chance(0.7)) node.suspected.add(id);
            node.agreement.propose();
          } else if (die < 9 && nodes.filter(({ id }) => network.isUp(id)).length * 2 > size + 2) {
            network.crash(node.id);
          } else {
            network.step();
          }
        }
        const decisions = nodes.flatMap((node) => node.decisions);
        expect(new Set(decisions.map(({ proposal }) => proposalDigest(proposal))).size).toBeLessThanOrEqual(1);
        for (const { proposal, acceptedBy } of decisions) {
          expect(isQuorumOf(size, acceptedBy)).toBe(true);
          // B2: what anybody delivered, the crashed included, is within the cut.
          for (const { delivered } of nodes) expect(delivered.length).toBeLessThanOrEqual(proposal.cut[0] ?? 0);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("M5: when nothing more is lost and the oldest proposes again, a successor is decided", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 5 }), (seed, size) => {
        const random = new Random(seed);
        const nodes = acceptors(size);
        const network = new Network(random);
        for (const node of nodes) network.add(node.id, node);
        network.copies = () => random.below(2);
        for (const node of nodes) {
          for (const { id } of nodes) node.suspected.add(id);
          node.agreement.propose();
          for (let step = random.below(20); step > 0; step--) network.step();
        }
        network.copies = () => 1;
        network.settle();
        const [oldest] = nodes;
        for (let attempt = 0; attempt < 5; attempt++) {
          oldest?.agreement.propose();
          network.settle();
        }
        expect(nodes.some(({ decisions }) => decisions.length > 0)).toBe(true);
      }),
    );
  });
});

describe("an acceptor", () => {
  const [a = "", b = "", c = ""] = ids(3);
  const proposal: Proposal = { view: viewOf([a, b], 2), cut: [0, 0, 0], leavers: [], holders: [a] };

  /** Acceptor b of a, b, c, and a way to read what it answers. */
  function acceptor(): { readonly node: Acceptor; sent<K extends Message["kind"]>(kind: K): unknown[] } {
    const node = acceptors(3)[1] as Acceptor;
    return { node, sent: (kind) => sentOf(node.effects.take(), kind).map(({ message }) => message) };
  }

  test("A2: promises a higher ballot only, accepts nothing below its promise, and says why", () => {
    const { node, sent } = acceptor();
    node.receive(a, { kind: "prepare", view: 1, ballot: { round: 2, proposer: a } });
    expect(sent("promise")).toMatchObject([{ ballot: { round: 2, proposer: a } }]);
    node.receive(c, { kind: "prepare", view: 1, ballot: { round: 1, proposer: c } });
    expect(sent("superseded")).toEqual([{ kind: "superseded", view: 1, promised: { round: 2, proposer: a } }]);
    node.receive(c, { kind: "prepare", view: 1, ballot: { round: 2, proposer: c } });
    expect(sent("promise")).toHaveLength(1);
    node.receive(a, { kind: "accept", view: 1, ballot: { round: 2, proposer: a }, proposal });
    expect(sent("superseded")).toHaveLength(1);
    node.receive(c, { kind: "accept", view: 1, ballot: { round: 2, proposer: c }, proposal });
    expect(sent("accepted")).toEqual([{ kind: "accepted", view: 1, ballot: { round: 2, proposer: c } }]);
  });

  test("A2: nobody prepares another's ballot", () => {
    const { node, sent } = acceptor();
    node.receive(c, { kind: "prepare", view: 1, ballot: { round: 9, proposer: a } });
    expect(sent("superseded")).toHaveLength(1);
    expect(node.epoch.frozen).toBe(false);
  });

  test("B3: its promise freezes the epoch, and reports what it holds and has accepted", () => {
    const { node, sent } = acceptor();
    node.packet(a, packetOf(SAFE, 0, 0));
    node.receive(a, { kind: "prepare", view: 1, ballot: { round: 1, proposer: a } });
    expect(node.epoch.frozen).toBe(true);
    expect(sent("promise")).toMatchObject([{ held: [1, 0, 0], accepted: undefined }]);
    node.receive(a, { kind: "accept", view: 1, ballot: { round: 1, proposer: a }, proposal });
    node.receive(c, { kind: "prepare", view: 1, ballot: { round: 2, proposer: c } });
    expect(sent("promise")).toMatchObject([{ accepted: { ballot: { round: 1, proposer: a }, proposal } }]);
  });

  test("A6: it accepts when it holds the cut, which it fetches from one that reported to hold it", () => {
    const { node } = acceptor();
    const ballot = { round: 1, proposer: a };
    node.packet(a, packetOf(SAFE, 0, 0));
    node.effects.take();
    node.receive(a, { kind: "accept", view: 1, ballot, proposal: { ...proposal, cut: [3, 0, 0], holders: [c] } });
    const effects = node.effects.take();
    expect(sentOf(effects, "accepted")).toEqual([]);
    expect(effectsOf(effects, "accepted")).toEqual([]);
    expect(sentOf(effects, "fetch")).toEqual([
      { to: [c], message: { kind: "fetch", group: 0, epoch: 1, sender: 0, from: 1, to: 3 } },
    ]);
    node.packet(c, packetOf(SAFE, 0, 1));
    expect(sentOf(node.effects.take(), "accepted")).toEqual([]);
    node.packet(c, packetOf(SAFE, 0, 2));
    const done = node.effects.take();
    expect(sentOf(done, "accepted")).toHaveLength(1);
    expect(effectsOf(done, "accepted")).toHaveLength(1);
  });

  test("A6: a promise to somebody else meanwhile takes the accept back", () => {
    const { node } = acceptor();
    node.receive(a, {
      kind: "accept",
      view: 1,
      ballot: { round: 1, proposer: a },
      proposal: { ...proposal, cut: [1, 0, 0] },
    });
    node.receive(c, { kind: "prepare", view: 1, ballot: { round: 2, proposer: c } });
    node.effects.take();
    node.packet(a, packetOf(SAFE, 0, 0));
    expect(sentOf(node.effects.take(), "accepted")).toEqual([]);
  });

  test("A7: it lets nobody prepare whose seniors it hears, and is not frozen by being asked", () => {
    const { node, sent } = acceptor();
    node.receive(a, { kind: "prevote", view: 1, round: 1 });
    expect(sent("prevoteGranted")).toHaveLength(1);
    node.receive(c, { kind: "prevote", view: 1, round: 1 });
    node.suspected.add(a);
    node.receive(c, { kind: "prevote", view: 1, round: 1 });
    expect(sent("prevoteGranted")).toEqual([]);
    expect(node.epoch.frozen).toBe(false);
  });

  test("what comes from nobody of the view counts nothing", () => {
    const { node } = acceptor();
    node.receive("z#99999999", { kind: "prepare", view: 1, ballot: { round: 9, proposer: "z#99999999" } });
    expect(node.effects.empty).toBe(true);
    expect(node.epoch.frozen).toBe(false);
  });
});

describe("a proposer", () => {
  const [a = "", b = "", c = ""] = ids(3);

  function proposer(): Acceptor {
    const node = acceptors(3)[0] as Acceptor;
    node.agreement.propose();
    return node;
  }

  const promise = (
    from: Acceptor,
    by: NodeId,
    held: number[],
    accepted?: Extract<Message, { kind: "promise" }>["accepted"],
  ): void => from.receive(by, { kind: "promise", view: 1, ballot: { round: 1, proposer: a }, held, accepted });

  test("A7: asks before it freezes anybody, itself included", () => {
    const node = proposer();
    expect(sentOf(node.effects.take(), "prevote")[0]?.to).toEqual([b, c]);
    expect(node.epoch.frozen).toBe(false);
    node.receive(b, { kind: "prevoteGranted", view: 1, round: 9 });
    expect(node.effects.empty).toBe(true);
    node.receive(b, { kind: "prevoteGranted", view: 1, round: 1 });
    expect(sentOf(node.effects.take(), "prepare")[0]?.to).toEqual([b, c]);
    expect(node.epoch.frozen).toBe(true);
  });

  test("B2: the cut is the most that anybody of the quorum holds", () => {
    const node = proposer();
    node.receive(b, { kind: "prevoteGranted", view: 1, round: 1 });
    node.effects.take();
    promise(node, b, [5, 0, 0]);
    const [sent] = sentOf(node.effects.take(), "accept");
    expect(sent?.message.proposal).toMatchObject({ cut: [5, 0, 0], holders: [b], view: { number: 2 } });
  });

  test("A2: it finishes the accepted proposal of the highest ballot, unchanged", () => {
    const members = ids(5);
    const node = new Acceptor(members[0] ?? "", members);
    node.agreement.propose();
    for (const by of members.slice(1, 3)) node.receive(by, { kind: "prevoteGranted", view: 1, round: 1 });
    node.effects.take();
    const proposalOf = (acceptorsLeft: readonly NodeId[]): Proposal => {
      return { view: viewOf(acceptorsLeft, 2), cut: [0, 0, 0, 0, 0], leavers: [], holders: [] };
    };
    const [lower, higher] = [proposalOf(members.slice(0, 4)), proposalOf(members.slice(0, 3))];
    promise(node, b, [0, 0, 0, 0, 0], { ballot: { round: 3, proposer: b }, proposal: higher });
    promise(node, c, [0, 0, 0, 0, 0], { ballot: { round: 2, proposer: c }, proposal: lower });
    const [sent] = sentOf(node.effects.take(), "accept");
    expect(proposalDigest(sent?.message.proposal as Proposal)).toBe(proposalDigest(higher));
    expect(sent?.message.proposal.holders).toEqual([a, b, c]);
  });

  test("A2: its next attempt has a higher round than any that it has heard of", () => {
    const node = proposer();
    node.receive(c, { kind: "superseded", view: 1, promised: { round: 41, proposer: c } });
    node.effects.take();
    node.agreement.propose();
    expect(sentOf(node.effects.take(), "prevote")[0]?.message.round).toBe(42);
  });

  test("it gives up when it wants nothing any more, and when it is told to", () => {
    const node = proposer();
    node.wants = undefined;
    node.receive(b, { kind: "prevoteGranted", view: 1, round: 1 });
    promise(node, b, [0, 0, 0]);
    expect(node.agreement.proposing).toBe(false);
    node.agreement.propose();
    expect(node.agreement.proposing).toBe(true);
    node.agreement.abandon();
    expect(node.agreement.proposing).toBe(false);
    node.receive(b, { kind: "prevoteGranted", view: 1, round: 2 });
    expect(sentOf(node.effects.take(), "prepare")).toHaveLength(1);
  });

  test("a report of the wrong length is of no use", () => {
    const node = proposer();
    node.receive(b, { kind: "prevoteGranted", view: 1, round: 1 });
    node.effects.take();
    promise(node, b, [0, 0]);
    expect(node.effects.empty).toBe(true);
  });

  test("it decides when a quorum, with itself, has accepted this very ballot", () => {
    const node = proposer();
    node.receive(b, { kind: "prevoteGranted", view: 1, round: 1 });
    promise(node, b, [0, 0, 0]);
    node.receive(b, { kind: "accepted", view: 1, ballot: { round: 9, proposer: a } });
    expect(node.decisions).toEqual([]);
    node.receive(b, { kind: "accepted", view: 1, ballot: { round: 1, proposer: a } });
    expect(node.decisions).toHaveLength(1);
    expect([...(node.decisions[0]?.acceptedBy ?? [])].sort()).toEqual([a, b]);
    expect(node.agreement.proposing).toBe(false);
  });

  test("who decides installs at once, so it decides nothing that it does not hold itself", () => {
    const node = proposer();
    node.receive(b, { kind: "prevoteGranted", view: 1, round: 1 });
    promise(node, b, [1, 0, 0]);
    for (const by of [b, c]) node.receive(by, { kind: "accepted", view: 1, ballot: { round: 1, proposer: a } });
    expect(node.decisions).toEqual([]);
  });
});
