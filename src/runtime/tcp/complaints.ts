/**
 * Tells what strangers have done to this node, each kind of it a few times a second, with how often it was left untold: who
 * floods a node is not to flood its log as well. Everything is counted elsewhere.
 */

const PERIOD_MS = 1000;
const TOLD_PER_PERIOD = 5;

interface Period {
  readonly since: number;
  told: number;
  untold: number;
}

export class Complaints<Kind extends string> {
  readonly #tell: (from: string, what: string) => void;
  readonly #now: () => number;
  readonly #periods = new Map<Kind, Period>();

  constructor(tell: (from: string, what: string) => void, now = () => performance.now()) {
    this.#tell = tell;
    this.#now = now;
  }

  complain(kind: Kind, from: string, what: string): void {
    const now = this.#now();
    const last = this.#periods.get(kind);
    const isOver = last === undefined || now - last.since >= PERIOD_MS;
    const period = isOver ? { since: now, told: 0, untold: 0 } : last;
    this.#periods.set(kind, period);
    if (period.told === TOLD_PER_PERIOD) {
      period.untold++;
      return;
    }
    period.told++;
    const untold = isOver ? (last?.untold ?? 0) : 0;
    this.#tell(from, untold === 0 ? what : `${what} (and ${untold} times more since the last time that this was told)`);
  }
}
