/**
 * A small seeded generator (sfc32, by Chris Doty-Humphrey): four words of state, the same sequence on every engine.
 * It is for simulation, jitter and replicated `random()`; never for keys.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  constructor(...seed: readonly number[]) {
    this.#a = 0x9e3779b9;
    this.#b = 0x243f6a88;
    this.#c = 0xb7e15162;
    this.#counter = 1;
    for (const word of seed) {
      this.#a ^= word | 0;
      this.#b ^= Math.trunc(word / 0x1_0000_0000) | 0;
      for (let round = 0; round < 4; round++) this.word();
    }
    for (let round = 0; round < 12; round++) this.word();
  }

  /** A 32-bit unsigned integer. */
  word(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** A number in [0, 1). */
  fraction(): number {
    return this.word() / 0x1_0000_0000;
  }

  /** An integer in [0, below). */
  below(below: number): number {
    return Math.floor(this.fraction() * below);
  }

  /** An integer in [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  /** An independent generator, drawn from this one. */
  fork(): Random {
    return new Random(this.word(), this.word());
  }
}

/** FNV-1a over a string: 32 bits, for seeds and trace hashes. */
export function hashString(text: string, seed = 0x811c9dc5): number {
  let hash = seed;
  for (let index = 0; index < text.length; index++) {
    hash ^= text.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash >>> 0;
}

/** One more word into a running 32-bit hash; the order of the words matters. */
export function mix(hash: number, word: number): number {
  const mixed = Math.imul((hash ^ word) | 0, 0x85ebca6b);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
