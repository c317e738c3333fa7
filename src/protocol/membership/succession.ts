/**
 * One view after the other at one node: the view in place with its epoch and its agreement, the way from a decision to the
 * view that was decided, and the help for those who are late. A node that leaves hands over: it stays until a quorum of
 * the view that goes on without it is in it (rule A5).
 */
import type { Packet } from "../../wire/packet.ts";
import type { Effects } from "../effects.ts";
import { Epoch } from "../epoch.ts";
import type { Journal } from "../journal.ts";
import type { Message, Proposal } from "../messages.ts";
import { BOUNDS, type Timing } from "../timing.ts";
import { type ClusterView, hasQuorum, isNodeOf, type NodeId, votesOf } from "../view.ts";
import { Agreement, type AgreementHost, proposalDigest } from "./agreement.ts";
import type { DirectoryReplica } from "./directory-replica.ts";
import { type Installation, remember } from "./memory.ts";
import type { Seats } from "./seats.ts";

const REMOVED_MAX = 4096;

export interface SuccessionHost extends Pick<AgreementHost, "compose"> {
  /** This node is in no cluster any more, and never will be. */
  readonly isOver: boolean;
  /** Whether this node suspects that one. */
  suspects(id: NodeId): boolean;
  /** Whether this may be the node's first view. */
  accepts(view: ClusterView): boolean;
  /** A node is not in the view that comes, and has not asked to leave unless it is one of the leavers. */
  departed(id: NodeId, isLeaver: boolean): void;
  /** The view is in place: everything that belongs to one view begins anew. */
  entered(view: ClusterView, proposal: string): void;
  /** The cluster goes on without this node. */
  excluded(): void;
  /** The others have taken over from this node, which leaves. */
  takenOver(): void;
}

export interface SuccessionOptions {
  readonly self: NodeId;
  readonly timing: Timing;
  readonly journal: Journal;
  readonly seats: Seats;
}

export class Succession implements AgreementHost {
  readonly #self: NodeId;
  readonly #timing: Timing;
  readonly #replica: DirectoryReplica;
  readonly #effects: Effects;
  readonly #journal: Journal;
  readonly #seats: Seats;
  readonly #host: SuccessionHost;
  #view: ClusterView | undefined;
  #epoch: Epoch | undefined;
  #agreement: Agreement | undefined;
  /** How this view was installed, for those that are late. */
  #installed: Installation | undefined;
  /** The successor view that goes on without this node, while it waits for a quorum of it to be in place (A5). */
  #handover: Installation | undefined;
  /** Who has said to be in a view that goes on without this node. */
  readonly #installedBy = new Map<NodeId, number>();
  /** Incarnations that a view has left out; they are told so when they come back. */
  readonly #removed = new Set<NodeId>();

  constructor(options: SuccessionOptions, replica: DirectoryReplica, effects: Effects, host: SuccessionHost) {
    this.#self = options.self;
    this.#timing = options.timing;
    this.#journal = options.journal;
    this.#seats = options.seats;
    this.#replica = replica;
    this.#effects = effects;
    this.#host = host;
  }

  get view(): ClusterView | undefined {
    return this.#view;
  }

  /** The acceptors' epoch, if this node is one of them. */
  get epoch(): Epoch | undefined {
    return this.#epoch;
  }

  get agreement(): Agreement | undefined {
    return this.#agreement;
  }

  /** Whether this node only waits for the others to take over. */
  get handsOver(): boolean {
    return this.#handover !== undefined;
  }

  hasRemoved(id: NodeId): boolean {
    return this.#removed.has(id);
  }

  /** This node takes part in nothing any more. */
  stop(): void {
    this.#agreement = undefined;
    this.#epoch?.freeze();
  }

  // The first view.

  found(view: ClusterView): void {
    this.#replica.clusterInstalled(view);
    const decided: Proposal = { view, cut: [], leavers: [], holders: [] };
    const installation = this.#remember(decided);
    // A8: what its coordinator has forgotten nobody has heard of or been in, not even itself.
    this.#journal.after(() => {
      if (this.#host.isOver) return;
      for (const peer of view.nodes) {
        if (peer.id === this.#self) continue;
        this.#effects.perform({ kind: "link", peer });
        this.#effects.send(peer.id, { kind: "installCluster", ...installation });
      }
      this.#enter(installation);
    });
  }

  // Agreement.

  yieldsTo(proposer: NodeId): boolean {
    const view = this.#view as ClusterView;
    // Who is back on its disk leaves it to those that have lived on.
    if (this.#seats.speaker(view, proposer) !== proposer) return false;
    const seniors = view.acceptors.slice(0, view.acceptors.indexOf(proposer));
    return seniors.every((senior) => senior !== this.#self && this.#host.suspects(senior));
  }

  tell(acceptors: readonly NodeId[], message: Message): void {
    const view = this.#view as ClusterView;
    this.#effects.broadcast(
      acceptors.map((id) => this.#seats.speaker(view, id)),
      message,
    );
  }

  compose(): Pick<Proposal, "view" | "leavers"> | undefined {
    return this.#host.compose();
  }

  decided(proposal: Proposal, acceptedBy: ReadonlySet<NodeId>): void {
    const before = this.#view as ClusterView;
    // While the disk was waited for, others may have decided the same and told of it.
    if (proposal.view.number !== before.number + 1 || this.#handover !== undefined) return;
    this.#drain(proposal);
    const { snapshot } = this.#installation(proposal);
    for (const id of new Set([...before.nodes, ...proposal.view.nodes].map((node) => node.id))) {
      if (id === this.#self) continue;
      if (!isNodeOf(proposal.view, id) && !proposal.leavers.includes(id)) {
        this.#sendExcluded(id, proposal.view);
        continue;
      }
      const to = this.#seats.speaker(proposal.view, id);
      const held = to === id && acceptedBy.has(id) ? undefined : snapshot;
      this.#effects.send(to, { kind: "installCluster", decided: proposal, snapshot: held });
    }
    this.#goOn(proposal);
  }

  /** A message of the agreement on the successor of this view, or of an earlier one. */
  agree(from: NodeId, number: number, message: Message): void {
    const view = this.#view;
    if (view === undefined) return;
    if (this.#handover !== undefined) this.#effects.send(from, { kind: "installCluster", ...this.#handover });
    else if (number < view.number) this.sendInstalled(from);
    else this.#agreement?.receive(this.#seats.seat(view, from) ?? from, message);
  }

  // Going on.

  /** To a node of the view that is still in an earlier one. */
  sendInstalled(to: NodeId): void {
    const installed = this.#installed;
    if (installed === undefined) return;
    const { view, leavers } = installed.decided;
    // It was a member of an earlier view and is none of this one, so some view in between has left it out for good.
    const isSeated = this.#seats.seat(view, to) !== undefined;
    if (!isSeated && !leavers.includes(to)) this.#sendExcluded(to, view);
    else this.#effects.send(to, { kind: "installCluster", ...installed });
  }

  /** The news of a view that was decided; with a snapshot for those who may not hold its cut. */
  install(decided: Proposal, snapshot: Uint8Array | undefined): void {
    const { view } = decided;
    if (view.number <= (this.#view?.number ?? 0) || this.#handover !== undefined) return;
    if (this.#view === undefined) {
      if (snapshot === undefined || !isNodeOf(view, this.#self) || !this.#host.accepts(view)) return;
    } else if (view.cluster !== this.#view.cluster) return;
    if (!isNodeOf(view, this.#self) && !decided.leavers.includes(this.#self)) {
      this.#host.excluded();
      return;
    }
    // Who leaves by this view may have to give it, with its directory, to those that are late.
    const epoch = this.#epoch;
    if (epoch !== undefined && view.number === epoch.number + 1 && epoch.gaps(decided.cut).length === 0) {
      this.#drain(decided);
    } else if (snapshot === undefined || !this.#replica.restore(snapshot, view)) return;
    this.#goOn(decided);
  }

  /** A node is in a view that goes on without this one. */
  peerInstalled(from: NodeId, number: number): void {
    // Who comes in with that view has not been in one with this node, and need not tell it.
    if (this.#view === undefined || !isNodeOf(this.#view, from)) return;
    this.#installedBy.set(from, number);
    this.#endIfTakenOver();
  }

  /** The last steps of this view's directory, up to the cut, and the new view as the step after them. */
  #drain(decided: Proposal): void {
    this.#epoch?.freeze();
    this.#epoch?.drain(decided.cut);
    this.#replica.clusterInstalled(decided.view);
  }

  /** The view is in place here; a node that leaves by it hands over. */
  #goOn(decided: Proposal): void {
    const before = this.#view;
    const { view, leavers } = decided;
    const installation = isNodeOf(view, this.#self) ? this.#remember(decided) : this.#installation(decided);
    for (const { id } of before?.nodes ?? []) {
      if (isNodeOf(view, id) || id === this.#self) continue;
      this.#removed.add(id);
      const isLeaver = leavers.includes(id);
      if (isLeaver) {
        this.#journal.after(() => this.#effects.send(id, { kind: "installedCluster", view: view.number }));
      }
      this.#host.departed(id, isLeaver);
    }
    while (this.#removed.size > REMOVED_MAX) this.#removed.delete(this.#removed.values().next().value as NodeId);
    if (isNodeOf(view, this.#self)) this.#enter(installation);
    else if (!leavers.includes(this.#self)) this.#host.excluded();
    else {
      this.#epoch?.freeze();
      this.#handover = installation;
      this.#endIfTakenOver();
    }
  }

  /** A5: a leaver stays until a quorum of the view that goes on without it is in it. */
  #endIfTakenOver(): void {
    const view = this.#handover?.decided.view;
    if (view === undefined) return;
    if (hasQuorum(view, (id) => (this.#installedBy.get(id) ?? 0) >= view.number)) this.#host.takenOver();
  }

  #enter(installation: Installation): void {
    const { decided } = installation;
    const { view } = decided;
    this.#view = view;
    this.#installed = installation;
    this.#epoch = undefined;
    this.#agreement = undefined;
    const members = view.acceptors;
    if (members.includes(this.#self)) {
      const options = {
        group: 0,
        view: { number: view.number, members, synced: members, acceptors: [], lacking: [] },
        self: this.#self,
        safety: "quorum" as const,
        votes: votesOf(view),
        relaysRows: false,
        windowBytes: BOUNDS.windowBytes,
        rowDelayMs: this.#timing.rowDelayMs,
        journal: this.#journal,
        deliver: (packet: Packet): void => this.#replica.deliver(packet),
      };
      this.#epoch = new Epoch(options, this.#effects);
      this.#agreement = new Agreement(view, this.#self, this.#epoch, this.#effects, this.#journal, this);
    }
    this.#replica.begin(view, this.#epoch);
    this.#host.entered(view, proposalDigest(decided));
  }

  #installation(decided: Proposal): Installation {
    return { decided, snapshot: this.#replica.directory.snapshot() };
  }

  /** E1: the view is on disk before this node votes in it, or says that it holds anything; what came before is not needed. */
  #remember(decided: Proposal): Installation {
    const installation = this.#installation(decided);
    remember(this.#journal, installation);
    return installation;
  }

  #sendExcluded(to: NodeId, { cluster, number: view }: ClusterView): void {
    this.#effects.send(to, { kind: "excluded", cluster, view });
  }
}
