/**
 * Nodes that have sent garbage over their links. No node that keeps to the protocol does, and what it meant to say is
 * missing from then on; a few times are borne and told of, then the incarnation is cut off, and not linked again.
 */
import type { NodeId } from "../protocol/view.ts";

const BORNE_MAX = 16;
/** Of so many incarnations this is remembered. */
const REMEMBERED_MAX = 4096;

export class Offenders {
  /** By incarnation, the last to offend last. */
  readonly #times = new Map<NodeId, number>();
  /** How many were cut off. */
  cutOff = 0;

  /** Once more; true when that is too much, and was not before. */
  offended(id: NodeId): boolean {
    const times = (this.#times.get(id) ?? 0) + 1;
    this.#times.delete(id);
    this.#times.set(id, times);
    const [first] = this.#times.keys();
    if (this.#times.size > REMEMBERED_MAX && first !== undefined) this.#times.delete(first);
    if (times !== BORNE_MAX + 1) return false;
    this.cutOff++;
    return true;
  }

  isCutOff(id: NodeId): boolean {
    return (this.#times.get(id) ?? 0) > BORNE_MAX;
  }
}
