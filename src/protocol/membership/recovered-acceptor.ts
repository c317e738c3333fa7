/**
 * An acceptor that has come back on its disk, in the view that it was left in (rules A1, B3, E2). Its epoch of that view is
 * frozen; it votes on the view's successor with what it has promised, accepted and held before. When a quorum of the view's
 * acceptors is there, back or never gone, the ordinary view change goes on from where all were left; members of the view
 * that have lived on propose it, and if there is none, the oldest that is back. The successor replaces the ids of those
 * who are back. Who is in an earlier view is given this one.
 *
 * The node itself is in no view meanwhile, and asks to be taken into one like any other.
 */
import type { Packet } from "../../wire/packet.ts";
import { Effects } from "../effects.ts";
import { Epoch } from "../epoch.ts";
import { type Journal, VOLATILE } from "../journal.ts";
import type { Message, Proposal } from "../messages.ts";
import { BOUNDS, type Timing } from "../timing.ts";
import { type ClusterView, idsOf, isNodeOf, type NodeId, type NodeRecord } from "../view.ts";
import { Agreement, type AgreementHost, type Pledge } from "./agreement.ts";
import { Directory, nodesOf } from "./directory.ts";
import { requestsOf } from "./directory-replica.ts";
import type { Installation } from "./memory.ts";
import { nextView } from "./next-view.ts";
import type { Verify } from "./proof.ts";
import { type Joiner, returning } from "./returning.ts";
import type { Seats } from "./seats.ts";

export interface RecoveredOptions {
  readonly self: NodeRecord;
  readonly timing: Timing;
  readonly directorySize: number;
  readonly verify: Verify;
  /** Everybody this node is linked with. */
  readonly linked: ReadonlyMap<NodeId, NodeRecord>;
  readonly seats: Seats;
  readonly journal: Journal;
  /** The successor is decided, with the directory at its beginning. */
  readonly decided: (installation: Installation) => void;
}

export class RecoveredAcceptor implements AgreementHost {
  readonly view: ClusterView;
  readonly #options: RecoveredOptions;
  readonly #effects: Effects;
  readonly #installed: Installation;
  /** The id under which this node is in the view. */
  readonly #seat: NodeId;
  readonly #directory: Directory;
  readonly #epoch: Epoch;
  readonly #agreement: Agreement;
  /** Those who ask to be taken in, and when they did last. */
  readonly #joiners = new Map<NodeId, Joiner & { readonly at: number }>();
  #now = 0;
  #attemptAt = 0;
  #attempts = 0;

  private constructor(
    options: RecoveredOptions,
    installed: Installation,
    seat: NodeId,
    directory: Directory,
    pledge: Pledge,
    effects: Effects,
  ) {
    const { view } = installed.decided;
    this.view = view;
    this.#options = options;
    this.#effects = effects;
    this.#installed = installed;
    this.#seat = seat;
    this.#directory = directory;
    const epoch = {
      group: 0,
      view: { number: view.number, members: view.acceptors, synced: view.acceptors, acceptors: [], lacking: [] },
      self: seat,
      safety: "quorum" as const,
      relaysRows: false,
      windowBytes: BOUNDS.windowBytes,
      rowDelayMs: options.timing.rowDelayMs,
      // What comes for it is written before it is regained.
      journal: VOLATILE,
      deliver: (packet: Packet): void => this.#deliver(packet),
    };
    this.#epoch = new Epoch(epoch, new Effects());
    // B3: it was frozen by the crash, and is so until the successor is decided.
    this.#epoch.freeze();
    this.#agreement = new Agreement(view, seat, this.#epoch, effects, options.journal, this, pledge);
  }

  /** The acceptor of this view that the node's disk is; undefined when it is none, or the directory is not readable. */
  static revive(
    options: RecoveredOptions,
    installed: Installation,
    pledge: Pledge,
    packets: readonly Packet[],
    effects: Effects,
  ): RecoveredAcceptor | undefined {
    const { view } = installed.decided;
    const seat = view.nodes.find(({ disk }) => disk === options.self.disk)?.id ?? "";
    const directory = Directory.restore(installed.snapshot);
    if (directory === undefined || !view.acceptors.includes(seat)) return undefined;
    const acceptor = new RecoveredAcceptor(options, installed, seat, directory, pledge, effects);
    for (const packet of packets) acceptor.#epoch.regain(packet);
    return acceptor;
  }

  /** The acceptors that are neither back nor alive. */
  get awaited(): readonly NodeRecord[] {
    const absent = this.view.acceptors.filter((id) => id !== this.#seat && !this.#isAlive(id) && !this.#isBack(id));
    return this.view.nodes.filter(({ id }) => absent.includes(id));
  }

  // Events.

  /** A node asks to be taken in, this one for example; one that was left in an earlier view is given this one. */
  joinWanted(node: NodeRecord, linked: readonly NodeId[], left: number, now: number): void {
    this.#joiners.set(node.id, { node, linked: new Set(linked), view: left, at: now });
    if (left < this.view.number) this.#help(node.id);
    this.consider(now);
  }

  linkDown(id: NodeId): void {
    this.#joiners.delete(id);
  }

  receive(from: NodeId, message: Message, now: number): void {
    this.#now = now;
    if (message.kind === "fetch") {
      if (message.epoch !== this.view.number) return;
      for (const packet of this.#epoch.packets(message.sender, message.from, message.to))
        this.#effects.perform({ kind: "multicast", to: [from], packet });
    } else if ("view" in message && typeof message.view === "number") {
      const acceptor = this.#options.seats.seat(this.view, from);
      if (message.view < this.view.number) this.#help(from);
      else if (message.view === this.view.number && acceptor !== undefined) this.#agreement.receive(acceptor, message);
    }
  }

  /** A packet that was fetched, for a cut that is to be accepted. */
  packet(packet: Packet): void {
    if (packet.epoch !== this.view.number || !this.#epoch.regain(packet)) packet.release();
    else {
      this.#options.journal.write({ kind: "packet", packet });
      this.#agreement.packetsCame();
    }
  }

  /** Proposes the successor if a quorum is there and nobody else is to do so. */
  consider(now: number): void {
    this.#now = now;
    if (now < this.#attemptAt || !this.#proposes || this.compose() === undefined) return;
    this.#attempts++;
    this.#attemptAt = now + this.#options.timing.attemptMs * Math.min(4, this.#attempts);
    this.#agreement.propose();
  }

  // The agreement's questions.

  yieldsTo(proposer: NodeId): boolean {
    const seniors = this.view.acceptors.slice(0, this.view.acceptors.indexOf(proposer));
    // Those that live on know more than those that are back.
    if (this.#isAlive(proposer)) return !seniors.some((id) => this.#isAlive(id));
    if (this.view.acceptors.some((id) => this.#isAlive(id))) return false;
    return !seniors.some((id) => id === this.#seat || this.#isBack(id));
  }

  compose(): Pick<Proposal, "view" | "leavers"> | undefined {
    const { self, directorySize } = this.#options;
    const condemned = new Set(this.view.nodes.map(({ id }) => id).filter((id) => !this.#isAlive(id)));
    const present = [...this.#joiners.values()].filter(({ node, at }) => this.#isPresent(node.id, at));
    present.push({
      node: self,
      linked: new Set([...this.#options.linked.keys(), self.id]),
      view: this.view.number,
      at: 0,
    });
    const alive = this.view.acceptors.filter((id) => !condemned.has(id));
    const back = returning(this.view, (id) => condemned.has(id), present, [...alive, self.id]);
    return nextView(this.view, {
      self: this.#seat,
      condemned,
      returning: back,
      leavers: new Set(),
      ready: () => [],
      directorySize,
    });
  }

  tell(acceptors: readonly NodeId[], message: Message): void {
    const { seats } = this.#options;
    this.#effects.broadcast(
      acceptors.map((id) => seats.speaker(this.view, id)),
      message,
    );
  }

  decided(decided: Proposal): void {
    const { view } = decided;
    const { self, seats } = this.#options;
    this.#epoch.drain(decided.cut);
    this.#directory.clusterInstalled(idsOf(view));
    const installation = { decided, snapshot: this.#directory.snapshot() };
    for (const id of new Set([...idsOf(this.view), ...idsOf(view)])) {
      const to = isNodeOf(view, id) ? seats.speaker(view, id) : seats.speaker(this.view, id);
      if (to === self.id || id === this.#seat) continue;
      if (seats.seat(view, to) !== undefined) this.#effects.send(to, { kind: "installCluster", ...installation });
      else this.#effects.send(to, { kind: "excluded", cluster: view.cluster, view: view.number });
    }
    this.#options.decided(installation);
  }

  // Inside.

  get #proposes(): boolean {
    if (this.view.acceptors.some((id) => this.#isAlive(id))) return false;
    const seniors = this.view.acceptors.slice(0, this.view.acceptors.indexOf(this.#seat));
    return !seniors.some((id) => this.#isBack(id));
  }

  /** Whether the node of the view still runs as the incarnation that it was. */
  #isAlive(id: NodeId): boolean {
    return this.#options.linked.has(id) && this.#options.seats.speaker(this.view, id) === id;
  }

  /** Whether somebody is there for this acceptor who was left in this very view. */
  #isBack(id: NodeId): boolean {
    const joiner = this.#joiners.get(this.#options.seats.speaker(this.view, id));
    return joiner !== undefined && joiner.view === this.view.number && this.#isPresent(joiner.node.id, joiner.at);
  }

  #isPresent(id: NodeId, at: number): boolean {
    return this.#options.linked.has(id) && this.#now - at < this.#options.timing.failureTimeoutMs;
  }

  #help(to: NodeId): void {
    if (this.#options.seats.seat(this.view, to) === undefined) return;
    this.#effects.send(to, { kind: "installCluster", ...this.#installed });
  }

  #deliver(packet: Packet): void {
    const nodes = nodesOf(this.view, this.#options.verify);
    for (const request of requestsOf(packet)) this.#directory.execute(request, nodes);
  }
}
