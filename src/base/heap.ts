/** A binary heap of things that are due: least time first, and in the order of their arrival at equal times. */
interface Due<T> {
  readonly time: number;
  readonly order: number;
  readonly value: T;
}

export class DueHeap<T> {
  readonly #heap: Due<T>[] = [];
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  get nextTime(): number {
    return this.#heap[0]?.time ?? Number.POSITIVE_INFINITY;
  }

  push(time: number, value: T): void {
    const heap = this.#heap;
    const due = { time, order: this.#order++, value };
    let at = heap.length;
    heap.push(due);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Due<T>;
      if (!isBefore(due, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = due;
  }

  pop(): T | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined) return undefined;
    if (heap.length === 0) return top.value;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Due<T>, heap[child] as Due<T>)) child++;
      if (!isBefore(heap[child] as Due<T>, last)) break;
      heap[at] = heap[child] as Due<T>;
      at = child;
    }
    heap[at] = last;
    return top.value;
  }
}

function isBefore<T>(a: Due<T>, b: Due<T>): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
