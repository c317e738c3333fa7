/**
 * A binary heap of things that are due: least time first, and in the order of their arrival at equal times. Times and
 * arrivals lie in flat arrays, so that what is due costs no object of its own.
 */
export class DueHeap<T> {
  #times = new Float64Array(64);
  #arrivals = new Float64Array(64);
  readonly #values: (T | undefined)[] = [];
  #arrived = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get nextTime(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#times[0] as number);
  }

  push(time: number, value: T): void {
    if (this.#size === this.#times.length) this.#grow();
    const times = this.#times;
    const arrival = this.#arrived++;
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      // It is the newest: at equal times it stays below.
      if ((times[parent] as number) <= time) break;
      this.#move(parent, at);
      at = parent;
    }
    times[at] = time;
    this.#arrivals[at] = arrival;
    this.#values[at] = value;
  }

  pop(): T | undefined {
    if (this.#size === 0) return undefined;
    const top = this.#values[0];
    const last = --this.#size;
    const times = this.#times;
    const time = times[last] as number;
    const arrival = this.#arrivals[last] as number;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= last) break;
      if (child + 1 < last && this.#isBefore(child + 1, times[child] as number, this.#arrivals[child] as number))
        child++;
      if (!this.#isBefore(child, time, arrival)) break;
      this.#move(child, at);
      at = child;
    }
    times[at] = time;
    this.#arrivals[at] = arrival;
    this.#values[at] = this.#values[last];
    this.#values[last] = undefined;
    return top;
  }

  #isBefore(at: number, time: number, arrival: number): boolean {
    const other = this.#times[at] as number;
    return other < time || (other === time && (this.#arrivals[at] as number) < arrival);
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from] as number;
    this.#arrivals[to] = this.#arrivals[from] as number;
    this.#values[to] = this.#values[from];
  }

  #grow(): void {
    const times = new Float64Array(this.#times.length * 2);
    times.set(this.#times);
    this.#times = times;
    const arrivals = new Float64Array(times.length);
    arrivals.set(this.#arrivals);
    this.#arrivals = arrivals;
  }
}
