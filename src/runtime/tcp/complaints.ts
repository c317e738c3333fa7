/**
 * Tells what strangers have done to this node, each kind of it at most once a second, with how often it was left untold: who
 * floods a node is not to flood its log as well. Everything is counted elsewhere.
 */

const REPEAT_MS = 1000;

export class Complaints<Kind extends string> {
  readonly #tell: (from: string, what: string) => void;
  readonly #now: () => number;
  readonly #recent = new Map<Kind, { readonly since: number; untold: number }>();

  constructor(tell: (from: string, what: string) => void, now = () => performance.now()) {
    this.#tell = tell;
    this.#now = now;
  }

  complain(kind: Kind, from: string, what: string): void {
    const recent = this.#recent.get(kind);
    const now = this.#now();
    if (recent !== undefined && now - recent.since < REPEAT_MS) {
      recent.untold++;
      return;
    }
    this.#recent.set(kind, { since: now, untold: 0 });
    const untold = recent?.untold ?? 0;
    this.#tell(from, untold === 0 ? what : `${what} (and ${untold} times more since the last time that this was told)`);
  }
}
