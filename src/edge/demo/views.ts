/**
 * Puts together what the members tell of their views: a view is told when all of its members that run have installed it.
 */
import { type NodeId, nodeName } from "../../protocol/view.ts";

export interface InstalledView {
  readonly number: number;
  /** By rank: the oldest first. */
  readonly members: readonly NodeId[];
  /** When a member installed it, by the member's name. */
  readonly installedAt: ReadonlyMap<string, number>;
}

interface Pending extends InstalledView {
  readonly installedAt: Map<string, number>;
}

export class Views {
  readonly #onInstalled: (view: InstalledView, before: InstalledView | undefined) => void;
  readonly #pending = new Map<number, Pending>();
  readonly #newest = new Map<string, Pending>();
  readonly all: InstalledView[] = [];

  constructor(onInstalled: (view: InstalledView, before: InstalledView | undefined) => void) {
    this.#onInstalled = onInstalled;
  }

  /** The member of this name has installed a view. */
  add(name: string, at: number, number: number, members: readonly NodeId[]): void {
    let view = this.#pending.get(number);
    if (view === undefined) {
      view = { number, members, installedAt: new Map() };
      this.#pending.set(number, view);
    }
    view.installedAt.set(name, at);
    this.#newest.set(name, view);
  }

  /** Tells what is complete, or was overtaken; `isRunning` says who need not be waited for. */
  settle(isRunning: (name: string) => boolean): void {
    for (const view of [...this.#pending.values()].sort((a, b) => a.number - b.number)) {
      const isComplete = view.members.every((id) => {
        const name = nodeName(id);
        return view.installedAt.has(name) || !isRunning(name) || (this.#newest.get(name)?.number ?? 0) > view.number;
      });
      if (!isComplete) return;
      this.#pending.delete(view.number);
      const before = this.all.at(-1);
      this.all.push(view);
      this.#onInstalled(view, before);
    }
  }

  /** Whether these, and only these, are in one view, at all of them. */
  areTogether(names: readonly string[]): boolean {
    const [first] = names;
    const view = first === undefined ? undefined : this.#newest.get(first);
    if (view === undefined || view.members.length !== names.length) return false;
    return names.every((name) => this.#newest.get(name) === view && view.members.some((id) => nodeName(id) === name));
  }

  /** The member that is gone from the views. */
  forget(name: string): void {
    this.#newest.delete(name);
  }
}
