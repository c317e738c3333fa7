/**
 * Whether there ought to be another view, and which: an acceptor that has given up all its seniors proposes one when
 * somebody is to go, wants to leave or is ready to come in, or when an attempt of another has left acceptors frozen.
 */
import type { Effects } from "../effects.ts";
import type { Proposal } from "../messages.ts";
import { type ClusterView, idsOf, isNodeOf, type NodeId, type NodeRecord, nodeName } from "../view.ts";
import type { FailureDetector } from "./failure-detector.ts";
import { Joiners } from "./joiners.ts";
import { nextView } from "./next-view.ts";
import { type Joiner, returning } from "./returning.ts";
import type { Succession } from "./succession.ts";
import { Suspicions } from "./suspicions.ts";

export interface ReconfigurationOptions {
  readonly self: NodeId;
  readonly failureTimeoutMs: number;
  /** An attempt that gets nowhere for so long is started anew. */
  readonly attemptMs: number;
  readonly directorySize: number;
}

export class Reconfiguration {
  readonly #options: ReconfigurationOptions;
  readonly #linked: ReadonlyMap<NodeId, NodeRecord>;
  readonly #effects: Effects;
  readonly #suspicions: Suspicions;
  readonly #joiners: Joiners;
  readonly #leavers = new Set<NodeId>();
  /** Who has said to be frozen by an attempt at the next view. */
  readonly #frozen = new Set<NodeId>();
  #attemptAt = 0;
  #attempts = 0;

  /** `linked`: everybody this node is linked with. */
  constructor(
    options: ReconfigurationOptions,
    detector: FailureDetector,
    linked: ReadonlyMap<NodeId, NodeRecord>,
    effects: Effects,
  ) {
    this.#options = options;
    this.#linked = linked;
    this.#effects = effects;
    this.#suspicions = new Suspicions(options.self, options.failureTimeoutMs, detector);
    this.#joiners = new Joiners(effects);
  }

  /** A view was installed; its leader tells those who are not in it yet whom to link with. */
  begin(view: ClusterView, leads: boolean): void {
    this.#attempts = 0;
    this.#attemptAt = 0;
    this.#suspicions.begin(view);
    this.#frozen.clear();
    for (const id of idsOf(view)) this.#joiners.delete(id);
    if (leads) this.#joiners.hintAll(view);
    for (const id of this.#leavers) if (!isNodeOf(view, id)) this.#leavers.delete(id);
  }

  suspects(id: NodeId, now: number): boolean {
    return this.#suspicions.suspects(id, now);
  }

  /** A node that is not in the view asks to be taken in. */
  joinWanted(joiner: Joiner, succession: Succession, now: number): void {
    const view = succession.view as ClusterView;
    const { node } = joiner;
    this.#joiners.wanted(joiner, view);
    const namesake = view.nodes.find(({ id }) => nodeName(id) === nodeName(node.id));
    if (namesake === undefined || !this.#proposes(succession, now) || this.suspects(namesake.id, now)) return;
    const detail = `${nodeName(namesake.id)} is the name of a node at ${namesake.address}`;
    this.#effects.send(node.id, { kind: "joinRefused", code: "name-taken", detail });
  }

  /** A node that has wanted to join is dead, or was left out of a view. */
  joinerGone(id: NodeId): void {
    this.#joiners.delete(id);
  }

  /** A node of the view wants to leave it. */
  leaveWanted(id: NodeId): void {
    this.#leavers.add(id);
  }

  /** A heartbeat says whom its sender suspects and whether it is frozen; returns whether it suspects anybody anew. */
  heard(from: NodeId, suspects: readonly NodeId[], frozen: boolean, now: number): boolean {
    if (frozen) this.#frozen.add(from);
    else this.#frozen.delete(from);
    return this.#suspicions.complained(from, suspects, now);
  }

  /** The next view that this node would propose now. */
  compose(view: ClusterView, now: number): Pick<Proposal, "view" | "leavers"> | undefined {
    const { self, directorySize } = this.#options;
    const condemned = this.#suspicions.condemned(view, now);
    const leavers = this.#leavers;
    const isLinked = (id: NodeId): boolean => this.#linked.has(id);
    const kept = view.acceptors.filter((id) => !condemned.has(id) && !leavers.has(id));
    const back = returning(view, (id) => condemned.has(id), this.#joiners.linked(isLinked), kept);
    const ready = (acceptors: readonly NodeId[]): readonly NodeRecord[] => this.#joiners.ready(acceptors, isLinked);
    return nextView(view, { self, condemned, leavers, returning: back, ready, directorySize });
  }

  /** Proposes another view if there ought to be one; at once if `isNews`, although an attempt has just begun. */
  consider(succession: Succession, now: number, isNews = false): void {
    const { view, epoch, agreement, handsOver } = succession;
    if (view === undefined || agreement === undefined || handsOver) return;
    // Whoever has refused this node's pre-vote until now may have suspected nobody yet.
    if (isNews && agreement.asking) this.#attemptAt = now;
    if (!this.#proposes(succession, now) || now < this.#attemptAt) return;
    const composed = this.compose(view, now);
    if (composed === undefined) return;
    const isFrozen = epoch?.frozen === true || view.acceptors.some((id) => this.#frozen.has(id));
    const isSame =
      composed.view.nodes.length === view.nodes.length &&
      composed.view.acceptors.length === view.acceptors.length &&
      composed.view.nodes.every(({ id }) => isNodeOf(view, id));
    if (isSame && !isFrozen) {
      agreement.abandon();
      return;
    }
    this.#attempts++;
    this.#attemptAt = now + this.#options.attemptMs * Math.min(4, this.#attempts);
    agreement.propose();
  }

  /** Whether this acceptor is the one to propose: it suspects all its seniors. */
  #proposes({ view, agreement }: Succession, now: number): boolean {
    if (view === undefined || agreement === undefined) return false;
    const seniors = view.acceptors.slice(0, view.acceptors.indexOf(this.#options.self));
    return seniors.every((id) => this.suspects(id, now));
  }
}
