/**
 * A double-ended queue over a ring that doubles when full. Taking from the front is constant time, and the slots
 * that were taken no longer hold their values.
 */
export class Deque<T> {
  #ring: (T | undefined)[] = new Array(16);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = value;
    this.#length++;
  }

  unshift(value: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = value;
    this.#length++;
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const value = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length--;
    return value;
  }

  pop(): T | undefined {
    if (this.#length === 0) return undefined;
    this.#length--;
    const at = (this.#head + this.#length) & (this.#ring.length - 1);
    const value = this.#ring[at];
    this.#ring[at] = undefined;
    return value;
  }

  /** The value at `index` from the front, or undefined beyond the end. */
  at(index: number): T | undefined {
    if (index < 0 || index >= this.#length) return undefined;
    return this.#ring[(this.#head + index) & (this.#ring.length - 1)];
  }

  first(): T | undefined {
    return this.at(0);
  }

  last(): T | undefined {
    return this.at(this.#length - 1);
  }

  clear(): void {
    this.#ring = new Array(16);
    this.#head = 0;
    this.#length = 0;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let index = 0; index < this.#length; index++) yield this.at(index) as T;
  }

  #grow(): void {
    const ring: (T | undefined)[] = new Array(this.#ring.length * 2);
    for (let index = 0; index < this.#length; index++) ring[index] = this.at(index);
    this.#ring = ring;
    this.#head = 0;
  }
}
