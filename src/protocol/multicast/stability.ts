/**
 * Who holds what: a square table of counts, a row per member, a column per sender, that only grows within an epoch
 * (the shared state table of Derecho). Its columns' minima say what every member holds; safe delivery, flush, flow
 * control and garbage collection are all read off it, so nothing is ever acknowledged per message.
 */
import type { Row } from "../messages.ts";

export class Stability {
  readonly size: number;
  readonly #counts: Uint32Array;
  readonly #minima: Uint32Array;

  constructor(size: number) {
    this.size = size;
    this.#counts = new Uint32Array(size * size);
    this.#minima = new Uint32Array(size);
  }

  /** How many packets of `sender` `member` is known to hold. */
  count(member: number, sender: number): number {
    return this.#counts[member * this.size + sender] as number;
  }

  /** How many packets of `sender` every member holds. */
  stable(sender: number): number {
    return this.#minima[sender] as number;
  }

  /** Raises one count; true when it grew. */
  raise(member: number, sender: number, count: number): boolean {
    const at = member * this.size + sender;
    const before = this.#counts[at] as number;
    if (count <= before) return false;
    this.#counts[at] = count;
    if (before === this.#minima[sender]) this.#minima[sender] = this.#minimum(sender);
    return true;
  }

  /** Raises a member's counts to its row; a row of another length is not of this epoch and is ignored. */
  raiseRow(member: number, row: Row): boolean {
    if (row.length !== this.size) return false;
    let grew = false;
    for (let sender = 0; sender < this.size; sender++) {
      if (this.raise(member, sender, row[sender] as number)) grew = true;
    }
    return grew;
  }

  /** Raises every member's counts to what all of them are said to hold; true when any grew. */
  raiseAll(row: Row): boolean {
    let grew = false;
    for (let sender = 0; sender < this.size; sender++) {
      const least = row[sender] as number;
      if (least <= this.stable(sender)) continue;
      grew = true;
      for (let at = sender; at < this.#counts.length; at += this.size) {
        if ((this.#counts[at] as number) < least) this.#counts[at] = least;
      }
      this.#minima[sender] = least;
    }
    return grew;
  }

  /** What every member holds. */
  minima(): Row {
    return Array.from(this.#minima);
  }

  row(member: number): Row {
    return Array.from(this.#counts.subarray(member * this.size, (member + 1) * this.size));
  }

  /** Whether `member` holds all that `target` names. */
  covers(member: number, target: Row): boolean {
    for (let sender = 0; sender < this.size; sender++) {
      if (this.count(member, sender) < (target[sender] ?? 0)) return false;
    }
    return true;
  }

  #minimum(sender: number): number {
    let least = Number.MAX_SAFE_INTEGER;
    for (let member = 0; member < this.size; member++) {
      const count = this.#counts[member * this.size + sender] as number;
      if (count < least) least = count;
    }
    return least;
  }
}
