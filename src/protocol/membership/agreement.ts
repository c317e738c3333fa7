/**
 * Agreement on the successor of one cluster view: a single-decree Paxos instance among the acceptors of that view,
 * thrown away with it (rules A2, A3, A6, A7; "Paxos made simple"). Phase 1 is the wedge: an acceptor that promises
 * freezes its epoch and reports what it holds and any proposal it has accepted. Phase 2 accepts {view, cut}; to accept is
 * to hold the cut. A proposal found in phase 1 is finished unchanged; what else is wanted goes into the view after it.
 *
 * Before it freezes anybody a proposer asks whether a quorum, too, hears nobody senior to it (the pre-vote), so that one
 * deaf node cannot freeze the cluster again and again.
 */
import type { Effects } from "../effects.ts";
import type { Epoch } from "../epoch.ts";
import type { Records } from "../journal.ts";
import { type Ballot, isLower, type Message, type Proposal, type Row } from "../messages.ts";
import { type ClusterView, hasQuorum, type NodeId } from "../view.ts";

/** What an agreement asks of the node it belongs to. */
export interface AgreementHost {
  /** A7: whether this acceptor leaves it to that one to propose: it suspects all that come before it. */
  yieldsTo(proposer: NodeId): boolean;
  /** Sends to those who speak for these acceptors. */
  tell(acceptors: readonly NodeId[], message: Message): void;
  /** The successor that this node would propose now, and who leaves by it; undefined when none can be proposed. */
  compose(): Pick<Proposal, "view" | "leavers"> | undefined;
  /** The proposal is decided, and this node knows first. */
  decided(proposal: Proposal, acceptedBy: ReadonlySet<NodeId>): void;
}

type Promise1 = Extract<Message, { kind: "promise" }>;

type Attempt =
  | { readonly phase: "prevote"; readonly round: number; readonly granted: Set<NodeId> }
  | { readonly phase: "prepare"; readonly ballot: Ballot; readonly promises: Map<NodeId, Promise1> }
  | { readonly phase: "accept"; readonly ballot: Ballot; readonly proposal: Proposal; readonly accepted: Set<NodeId> };

/** What an acceptor must not forget while the successor of its view is open: its disk remembers it over a restart (A1). */
export interface Pledge {
  readonly promised: Ballot;
  readonly accepted: { readonly ballot: Ballot; readonly proposal: Proposal } | undefined;
}

export const NO_BALLOT: Ballot = { round: 0, proposer: "" };
export const NO_PLEDGE: Pledge = { promised: NO_BALLOT, accepted: undefined };

export class Agreement {
  readonly view: ClusterView;
  readonly #self: NodeId;
  readonly #epoch: Epoch;
  readonly #effects: Effects;
  readonly #journal: Records;
  readonly #host: AgreementHost;
  /** As acceptor. */
  #promised: Ballot;
  #accepted: Pledge["accepted"];
  /** An accept that waits until its cut is held, and its proposer. */
  #accepting: { readonly ballot: Ballot; readonly proposal: Proposal } | undefined;
  /** As proposer. */
  #attempt: Attempt | undefined;
  #round = 0;

  /** `self`: the acceptor that this node speaks for; `pledge`: what that one has promised and accepted before. */
  constructor(
    view: ClusterView,
    self: NodeId,
    epoch: Epoch,
    effects: Effects,
    journal: Records,
    host: AgreementHost,
    pledge: Pledge = NO_PLEDGE,
  ) {
    this.view = view;
    this.#self = self;
    this.#epoch = epoch;
    this.#effects = effects;
    this.#journal = journal;
    this.#host = host;
    this.#promised = pledge.promised;
    this.#accepted = pledge.accepted;
  }

  get proposing(): boolean {
    return this.#attempt !== undefined;
  }

  /** Whether this node's pre-vote is under way. */
  get asking(): boolean {
    return this.#attempt?.phase === "prevote";
  }

  /** Starts an attempt, or starts it anew with a higher round. */
  propose(): void {
    this.#round = Math.max(this.#round, this.#promised.round) + 1;
    this.#attempt = { phase: "prevote", round: this.#round, granted: new Set() };
    this.#toAcceptors({ kind: "prevote", view: this.view.number, round: this.#round });
    this.#prevoteGranted(this.#self, this.#round);
  }

  abandon(): void {
    this.#attempt = undefined;
  }

  receive(from: NodeId, message: Message): void {
    if (!this.view.acceptors.includes(from)) return;
    switch (message.kind) {
      case "prevote":
        if (this.#host.yieldsTo(from)) {
          this.#host.tell([from], { kind: "prevoteGranted", view: this.view.number, round: message.round });
        }
        break;
      case "prevoteGranted":
        this.#prevoteGranted(from, message.round);
        break;
      case "prepare":
        this.#prepare(from, message.ballot);
        break;
      case "promise":
        this.#promise(from, message);
        break;
      case "accept":
        this.#accept(message.ballot, message.proposal);
        break;
      case "accepted":
        this.#acceptedBy(from, message.ballot);
        break;
      case "superseded":
        this.#round = Math.max(this.#round, message.promised.round);
        break;
      default:
    }
  }

  /** Packets have come: an accept may have been waiting for them (A6). */
  packetsCame(): void {
    const accepting = this.#accepting;
    if (accepting === undefined || this.#epoch.gaps(accepting.proposal.cut).length > 0) return;
    this.#accepting = undefined;
    this.#accepted = accepting;
    const { ballot, proposal } = accepting;
    const view = this.view.number;
    // E1: what was accepted, and all of its cut, is on disk before anybody hears of it.
    this.#epoch.keep(proposal.cut);
    this.#journal.write({ kind: "accepted", view, ballot, proposal });
    this.#journal.after(() => {
      this.#effects.perform({ kind: "accepted", number: proposal.view.number, proposal: proposalDigest(proposal) });
      if (ballot.proposer === this.#self) this.#acceptedBy(this.#self, ballot);
      else this.#host.tell([ballot.proposer], { kind: "accepted", view, ballot });
    });
  }

  #prevoteGranted(from: NodeId, round: number): void {
    const attempt = this.#attempt;
    if (attempt?.phase !== "prevote" || attempt.round !== round) return;
    attempt.granted.add(from);
    if (!hasQuorum(this.view, (id) => attempt.granted.has(id))) return;
    const ballot = { round, proposer: this.#self };
    this.#attempt = { phase: "prepare", ballot, promises: new Map() };
    // A2: once anybody has heard of a ballot, its proposer remembers it and uses a higher one after a restart.
    this.#journal.write({ kind: "promise", view: this.view.number, ballot });
    this.#journal.after(() => this.#toAcceptors({ kind: "prepare", view: this.view.number, ballot }));
    this.#prepare(this.#self, ballot);
  }

  #prepare(from: NodeId, ballot: Ballot): void {
    if (ballot.proposer !== from || !isLower(this.#promised, ballot)) {
      this.#host.tell([from], { kind: "superseded", view: this.view.number, promised: this.#promised });
      return;
    }
    this.#promised = ballot;
    this.#accepting = undefined;
    this.#epoch.freeze();
    const promise: Promise1 = {
      kind: "promise",
      view: this.view.number,
      ballot,
      held: this.#epoch.held(),
      accepted: this.#accepted,
    };
    if (from !== this.#self) this.#journal.write({ kind: "promise", view: this.view.number, ballot });
    this.#journal.after(() => {
      if (from === this.#self) this.#promise(from, promise);
      else this.#host.tell([from], promise);
    });
  }

  #promise(from: NodeId, promise: Promise1): void {
    const attempt = this.#attempt;
    if (attempt?.phase !== "prepare" || !isSame(attempt.ballot, promise.ballot)) return;
    if (promise.held.length !== this.view.acceptors.length) return;
    attempt.promises.set(from, promise);
    if (!hasQuorum(this.view, (id) => attempt.promises.has(id))) return;
    const proposal = this.#inherited(attempt.promises) ?? this.#fresh(attempt.promises);
    if (proposal === undefined) {
      this.#attempt = undefined;
      return;
    }
    const { ballot } = attempt;
    this.#attempt = { phase: "accept", ballot, proposal, accepted: new Set() };
    this.#toAcceptors({ kind: "accept", view: this.view.number, ballot, proposal });
    this.#accept(ballot, proposal);
  }

  /** A2: the accepted view and cut of the highest ballot, unchanged; who holds the cut is known anew. */
  #inherited(promises: ReadonlyMap<NodeId, Promise1>): Proposal | undefined {
    let highest: Promise1["accepted"];
    for (const { accepted } of promises.values()) {
      if (accepted !== undefined && (highest === undefined || isLower(highest.ballot, accepted.ballot)))
        highest = accepted;
    }
    if (highest === undefined) return undefined;
    return { ...highest.proposal, holders: holdersOf(highest.proposal.cut, promises) };
  }

  /** B2: the cut takes the maximum over the reports of the phase-1 quorum. */
  #fresh(promises: ReadonlyMap<NodeId, Promise1>): Proposal | undefined {
    const composed = this.#host.compose();
    if (composed === undefined) return undefined;
    const cut: Row = this.view.acceptors.map((_, sender) =>
      Math.max(...[...promises.values()].map(({ held }) => held[sender] ?? 0)),
    );
    return { ...composed, cut, holders: holdersOf(cut, promises) };
  }

  #accept(ballot: Ballot, proposal: Proposal): void {
    if (isLower(ballot, this.#promised)) {
      this.#host.tell([ballot.proposer], { kind: "superseded", view: this.view.number, promised: this.#promised });
      return;
    }
    this.#promised = ballot;
    this.#epoch.freeze();
    this.#accepting = { ballot, proposal };
    const from = proposal.holders.find((holder) => holder !== this.#self) ?? ballot.proposer;
    for (const gap of this.#epoch.gaps(proposal.cut)) {
      const { sender, from: first, to } = gap;
      this.#host.tell([from], { kind: "fetch", group: 0, epoch: this.view.number, sender, from: first, to });
    }
    this.packetsCame();
  }

  #acceptedBy(from: NodeId, ballot: Ballot): void {
    const attempt = this.#attempt;
    if (attempt?.phase !== "accept" || !isSame(attempt.ballot, ballot)) return;
    attempt.accepted.add(from);
    // Who decides installs at once, so it must hold the cut itself.
    if (!attempt.accepted.has(this.#self)) return;
    if (!hasQuorum(this.view, (id) => attempt.accepted.has(id))) return;
    this.#attempt = undefined;
    this.#host.decided(attempt.proposal, attempt.accepted);
  }

  #toAcceptors(message: Message): void {
    this.#host.tell(
      this.view.acceptors.filter((id) => id !== this.#self),
      message,
    );
  }
}

function holdersOf(cut: Row, promises: ReadonlyMap<NodeId, Promise1>): NodeId[] {
  const holders: NodeId[] = [];
  for (const [id, { held }] of promises)
    if (cut.every((count, sender) => (held[sender] ?? 0) >= count)) holders.push(id);
  return holders;
}

function isSame(a: Ballot, b: Ballot): boolean {
  return a.round === b.round && a.proposer === b.proposer;
}

/** Names a proposal in histories. */
export function proposalDigest({ view, cut }: Proposal): string {
  return `${view.number}:${view.acceptors.join(",")}|${view.nodes.map(({ id }) => id).join(",")}@${cut.join(",")}`;
}
