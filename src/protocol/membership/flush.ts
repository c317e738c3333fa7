/**
 * View change is flush: it takes the members of a group from the epoch that they are in to the newest target of the
 * directory (rules C1 to C6). It outlives epochs and ends them:
 *
 *     report   a member that learns of a newer target freezes its epoch and tells the target's leader (its oldest
 *              member) what it holds and the newest step it has seen
 *     cut      the leader has all reports and issues one step: a step that was seen and can be held is issued again, as it
 *              was; else a fresh one, with the most that anybody holds of each sender
 *     hold     a member fetches what it lacks of the cut and says that it holds it
 *     install  all hold: everybody drains, and builds the next epoch
 *
 * The target's number is a ballot: whoever has reported to a newer target refuses cuts and installs of older ones. When the
 * leader dies, the directory makes a newer target, and its leader begins anew with reports.
 */
import type { Effects } from "../effects.ts";
import type { Epoch } from "../epoch.ts";
import type { Records } from "../journal.ts";
import type { Message, Row, SeenStep, Standing, Step, Transfer } from "../messages.ts";
import type { GroupView, NodeId } from "../view.ts";

/** What a flush asks of the member it belongs to. */
export interface FlushHost {
  readonly group: number;
  readonly self: NodeId;
  /**
   * The newest target when this membership began. The node may have been in earlier views as another membership, of which
   * this one knows nothing.
   */
  readonly admitted: number;
  readonly epoch: Epoch | undefined;
  /** Whether the primary partition is out of reach: nothing is delivered then. */
  readonly blocked: boolean;
  /** The transfers that go on in the epoch that is installed. */
  readonly transfers: readonly Transfer[];
  /** Where this joiner stands by what is on its disk; undefined if it needs the whole state. */
  readonly standing: Standing | undefined;
  /** The transfer to this joiner has come to nothing: it needs another. */
  readonly astray: boolean;
  /** What a member says that it holds is there first (E1). */
  readonly journal: Records;
  directoryIndex(): number;
  /** F-1: a fresh secret for an epoch; empty when the group is not a secure one. */
  mintSecret(): Uint8Array;
  /** Takes note of the secret of the epoch that the step leads to; false when it cannot be one. */
  learnSecret(step: Step): boolean;
  /** Ends the epoch at the step's cut and begins the next. */
  install(step: Step): void;
}

export type Report = Extract<Message, { kind: "report" }>;

export class Flush {
  readonly #host: FlushHost;
  readonly #effects: Effects;
  #target: GroupView | undefined;
  #seen: SeenStep | undefined;
  /** Whether the step that was seen last must still be fetched before it can be acknowledged. */
  #fetching = false;
  /** The epoch that is to be left once the primary partition is within reach again. */
  #postponed: number | undefined;
  // As leader of the target:
  readonly #reports = new Map<NodeId, Report>();
  readonly #holds = new Set<NodeId>();
  #issued: { readonly step: Step; readonly participants: readonly NodeId[] } | undefined;

  constructor(host: FlushHost, effects: Effects) {
    this.#host = host;
    this.#effects = effects;
  }

  /** Whether a view change is under way: the newest target is not installed. */
  get underWay(): boolean {
    return this.#target !== undefined && (this.#host.epoch?.number ?? 0) < this.#target.number;
  }

  /** The directory has a newer target, with this member in it. */
  begin(target: GroupView): void {
    this.#target = target;
    this.#postponed = undefined;
    this.#fetching = false;
    this.#reports.clear();
    this.#holds.clear();
    this.#issued = undefined;
    this.#host.epoch?.freeze();
    this.#report(target);
  }

  receive(from: NodeId, message: Message): void {
    const target = this.#target;
    // C1: only what is said for the newest target counts; nothing can come for a newer one, because messages wait until
    // the directory has caught up with their sender's.
    if (target === undefined || !("target" in message) || message.target !== target.number) return;
    switch (message.kind) {
      case "report":
        if (target.members[0] === this.#host.self && target.members.includes(from)) {
          this.#reports.set(from, message);
          this.#decide(target);
        }
        break;
      case "cut":
        if (from === target.members[0]) this.#cut(target, message.step);
        break;
      case "hold":
        this.#held(target, from, message.from);
        break;
      case "install":
        if (from === target.members[0]) this.#install(target, message.from);
        break;
      default:
    }
  }

  /** This member is in no newer target: what it may still say once its disk is done is nothing to anybody. */
  end(): void {
    this.#target = undefined;
    this.#postponed = undefined;
    this.#fetching = false;
  }

  /** The primary partition is within reach again. */
  resume(): void {
    if (this.#target !== undefined && this.#postponed !== undefined) this.#install(this.#target, this.#postponed);
  }

  /** Packets have come: the cut may be complete. */
  packetsCame(): void {
    if (this.#fetching) this.#acknowledge();
  }

  /** C2, C4: what this member holds, and the newest step it has seen, under the ballot under which it saw it. */
  #report(target: GroupView): void {
    const { epoch, group } = this.#host;
    this.#tellLeader(target, {
      kind: "report",
      group,
      directoryIndex: this.#host.directoryIndex(),
      target: target.number,
      admitted: this.#host.admitted,
      epoch: epoch?.number ?? 0,
      row: epoch?.held() ?? [],
      seen: this.#seen,
      standing: this.#host.standing,
      astray: this.#host.astray,
    });
  }

  #tellLeader(target: GroupView, message: Message): void {
    const leader = target.members[0] as NodeId;
    if (leader === this.#host.self) this.receive(leader, message);
    else this.#effects.send(leader, message);
  }

  // The leader's part.

  #decide(target: GroupView): void {
    if (this.#issued !== undefined || target.members.some((member) => !this.#reports.has(member))) return;
    const reports = [...this.#reports.values()];
    const current = Math.max(...reports.map(({ epoch }) => epoch));
    const step = this.#behind(current) ?? this.#reissue(current, reports) ?? this.#fresh(target, current);
    // Who left and was admitted again since is none of the step's members, although it has the name of one.
    const isPart = (member: NodeId): boolean => (this.#reports.get(member)?.admitted ?? 0) <= step.view.number;
    const participants = target.members.filter((member) => step.view.members.includes(member) && isPart(member));
    this.#issued = { step, participants };
    this.#holds.clear();
    for (const member of participants) this.#reports.delete(member);
    const { group, self } = this.#host;
    const directoryIndex = this.#host.directoryIndex();
    const message: Message = { kind: "cut", group, directoryIndex, target: target.number, step };
    this.#effects.broadcast(
      participants.filter((member) => member !== self),
      message,
    );
    this.#cut(target, step);
  }

  /** The step into the newest installed epoch, when some member of its view has not taken it yet. */
  #behind(current: number): Step | undefined {
    if (current === 0) return undefined;
    let entry: Step | undefined;
    for (const { seen } of this.#reports.values()) if (seen?.step.view.number === current) entry = seen.step;
    if (entry === undefined) return undefined;
    for (const [member, { epoch, admitted }] of this.#reports) {
      if (epoch < current && admitted <= current && entry.view.members.includes(member)) return entry;
    }
    return undefined;
  }

  /**
   * C5: the step of the highest ballot, with its view, cut and key unchanged, if the reporters together hold its cut:
   * somebody may have passed its barrier. If they do not, nobody has, and it is dropped.
   */
  #reissue(current: number, reports: readonly Report[]): Step | undefined {
    let newest: SeenStep | undefined;
    for (const { seen } of reports) if (seen !== undefined && seen.ballot > (newest?.ballot ?? 0)) newest = seen;
    if (newest === undefined || newest.step.from !== current || newest.step.view.number <= current) return undefined;
    const { cut, holders } = this.#mostHeld(current);
    if (newest.step.cut.some((count, sender) => count > (cut[sender] ?? 0))) return undefined;
    return { ...newest.step, holders };
  }

  #fresh(target: GroupView, current: number): Step {
    const { cut, holders } = this.#mostHeld(current);
    const transfers = this.#transfers(target, current);
    return { from: current, view: target, cut, holders, transfers, epochSecret: this.#host.mintSecret() };
  }

  /** A joiner keeps its donor while both are there; who has none gets one of those that hold the state, in turn. */
  #transfers(target: GroupView, current: number): Transfer[] {
    const transfers: Transfer[] = [];
    const isDonor = (member: NodeId): boolean => current > 0 && this.#reports.get(member)?.epoch === current;
    const donors = target.synced.filter((member) => target.members.includes(member) && isDonor(member));
    for (const [rank, joiner] of target.members.entries()) {
      if (target.synced.includes(joiner)) continue;
      const { admitted = 0, standing, astray } = this.#reports.get(joiner) ?? {};
      const kept = this.#host.transfers.find(
        ({ joiner: to, donor, since }) =>
          to === joiner && since >= admitted && donors.includes(donor) && astray !== true,
      );
      // A donor that has not entered an epoch yet is the creator: it has the state from the start of its first view.
      const donor = donors[rank % donors.length] ?? target.synced[0];
      if (kept !== undefined) transfers.push(kept);
      else if (donor !== undefined) transfers.push({ joiner, donor, since: target.number, standing });
    }
    return transfers;
  }

  /** The cut of an epoch: of each sender the most that any reporter in it holds, and who holds that. */
  #mostHeld(current: number): { readonly cut: Row; readonly holders: readonly NodeId[] } {
    const cut: number[] = [];
    const holders: NodeId[] = [];
    for (const [member, { epoch, row }] of this.#reports) {
      if (epoch !== current) continue;
      for (const [sender, count] of row.entries()) {
        if (count <= (cut[sender] ?? -1)) continue;
        cut[sender] = count;
        holders[sender] = member;
      }
    }
    return { cut, holders };
  }

  #held(target: GroupView, member: NodeId, from: number): void {
    const issued = this.#issued;
    if (issued === undefined || issued.step.from !== from) return;
    this.#holds.add(member);
    if (!issued.participants.every((participant) => this.#holds.has(participant))) return;
    this.#issued = undefined;
    const { group, self } = this.#host;
    const directoryIndex = this.#host.directoryIndex();
    this.#effects.broadcast(
      issued.participants.filter((participant) => participant !== self),
      { kind: "install", group, directoryIndex, target: target.number, from },
    );
    this.#install(target, from);
  }

  // Every member's part.

  #cut(target: GroupView, step: Step): void {
    const epoch = this.#host.epoch;
    const isMine = epoch === undefined || epoch.number === step.from || epoch.number === step.view.number;
    // Only a liar issues a step to who has no part in it, or past its own target.
    const isSound = step.view.members.includes(this.#host.self) && step.view.number <= target.number;
    if (!isMine || !isSound || !this.#host.learnSecret(step)) return;
    this.#seen = { ballot: target.number, step };
    this.#fetching = true;
    if (epoch !== undefined && epoch.number === step.from) {
      for (const { sender, from, to } of epoch.gaps(step.cut)) {
        const holder = step.holders[sender] ?? (target.members[0] as NodeId);
        this.#effects.send(holder, { kind: "fetch", group: this.#host.group, epoch: epoch.number, sender, from, to });
      }
    }
    this.#acknowledge();
  }

  /** C3: says that this member holds the cut, as soon as it does; a member that has taken this very step holds it. */
  #acknowledge(): void {
    const target = this.#target;
    const step = this.#seen?.step;
    const epoch = this.#host.epoch;
    if (target === undefined || step === undefined) return;
    if (epoch !== undefined && epoch.number === step.from && epoch.gaps(step.cut).length > 0) return;
    this.#fetching = false;
    const { group, journal } = this.#host;
    const { from, cut } = step;
    if (epoch?.number === from) {
      epoch.keep(cut);
      journal.write({ kind: "cut", group, ballot: target.number, from, to: step.view.number, cut });
    }
    journal.after(() => {
      // C1: this member may have reported to a newer target since.
      if (this.#target !== target || this.#seen?.step !== step) return;
      const directoryIndex = this.#host.directoryIndex();
      this.#tellLeader(target, { kind: "hold", group, directoryIndex, target: target.number, from });
    });
  }

  #install(target: GroupView, from: number): void {
    const seen = this.#seen;
    if (seen === undefined || seen.ballot !== target.number || seen.step.from !== from || this.#fetching) return;
    this.#postponed = this.#host.blocked ? from : undefined;
    if (this.#host.blocked) return;
    const { number } = seen.step.view;
    if ((this.#host.epoch?.number ?? 0) < number) this.#host.install(seen.step);
    if (number < target.number) {
      // C6: born wedged.
      this.#host.epoch?.freeze();
      this.#report(target);
    }
  }
}
