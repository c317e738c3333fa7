/**
 * The flushes that a member waits for (F1). A flush covers what was queued before it and all that the member holds once
 * that has entered the epoch: its *target*. All members are asked, once, to say when they hold a target; flushes that
 * become ready in one turn share it, and so do later ones until something new has come. A new view starts them anew (F2).
 */
import type { Epoch } from "./epoch.ts";
import type { Row } from "./messages.ts";
import { isAcceptor, type NodeId } from "./view.ts";

interface PendingFlush {
  readonly id: number;
  readonly copies: number | undefined;
  /** Queued packets below this mark are covered. */
  readonly mark: number;
  /** What must be held, once all of it is in the present epoch. */
  target: Row | undefined;
}

export class Flushes {
  #pending: PendingFlush[] = [];
  #next = 1;
  /** The newest target that the members of this epoch were asked about. */
  #asked: Row | undefined;

  get empty(): boolean {
    return this.#pending.length === 0;
  }

  /** The number under which the flush will be reported. */
  begin(copies: number | undefined, mark: number): number {
    const id = this.#next++;
    this.#pending.push({ id, copies, mark, target: undefined });
    return id;
  }

  /** Nobody waits for this flush any more. */
  cancel(id: number): void {
    this.#pending = this.#pending.filter((flush) => flush.id !== id);
  }

  /** Another epoch has begun, with other members and rows of its own. */
  installed(): void {
    this.#asked = undefined;
    for (const flush of this.#pending) flush.target = undefined;
  }

  /** The flushes that are held now; queued packets below `taken` have entered the epoch. */
  settle(epoch: Epoch, taken: number, isSynced: (member: NodeId) => boolean): number[] {
    this.#aim(epoch, taken);
    const { members } = epoch.view;
    const held: number[] = [];
    let counted: Row | undefined;
    let holders: readonly NodeId[] = [];
    let copies = 0;
    const acceptors = members.filter((member) => isAcceptor(epoch.view, member)).length;
    this.#pending = this.#pending.filter(({ id, target, copies: wanted = members.length }) => {
      if (target === undefined) return true;
      if (target !== counted) {
        counted = target;
        // D-1: what was delivered before a joiner came is held only by those that have the state.
        holders = members.filter((member, rank) => epoch.stability.covers(rank, target) && isSynced(member));
        // What is to outlive failures of the whole group is on the disks of acceptors.
        copies = holders.filter((member) => isAcceptor(epoch.view, member)).length;
      }
      const isHeld =
        holders.length === members.length || (wanted < members.length && copies >= Math.min(wanted, acceptors));
      if (isHeld) held.push(id);
      return !isHeld;
    });
    return held;
  }

  /** All that were pending; they are over. */
  end(): number[] {
    return this.#pending.splice(0).map(({ id }) => id);
  }

  /** Gives a target to those flushes that have none and whose packets are all in the epoch. */
  #aim(epoch: Epoch, taken: number): void {
    const ready = this.#pending.filter(({ target, mark }) => target === undefined && mark <= taken);
    if (ready.length === 0) return;
    const row = epoch.walked();
    const asked = this.#asked;
    let target = asked;
    if (target === undefined || row.some((count, sender) => count > (asked?.[sender] ?? 0))) {
      target = row;
      this.#asked = row;
      epoch.solicit(row);
    }
    for (const flush of ready) flush.target = target;
  }
}
