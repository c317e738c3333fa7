/**
 * What a replica does about members that hold the group's senders back, by its definition's policy: it reports them, and
 * after longer it says to the directory that it wants them excluded, or that it does so no more.
 */
import type { NodeId } from "../protocol/view.ts";
import type { Membership } from "../runtime/application.ts";
import type { SlowMemberPolicy } from "./define.ts";
import type { Diagnostics } from "./diagnostics.ts";

const REPORT_AFTER_MS = 2000;

export class SlowMembers {
  readonly #policy: SlowMemberPolicy;
  readonly #diagnostics: Diagnostics;
  readonly #reported = new Set<NodeId>();
  readonly #accused = new Set<NodeId>();

  constructor(policy: SlowMemberPolicy, diagnostics: Diagnostics) {
    this.#policy = policy;
    this.#diagnostics = diagnostics;
  }

  /** A view begins: everybody is judged anew. */
  begin(): void {
    this.#reported.clear();
    this.#accused.clear();
  }

  /** The member has been too slow for so long; 0 when it has caught up. */
  note(member: NodeId, forMs: number, membership: Membership | undefined): void {
    const { reportAfterMs = REPORT_AFTER_MS, excludeAfterMs = Number.POSITIVE_INFINITY } = this.#policy;
    if (forMs === 0) {
      this.#reported.delete(member);
      if (this.#accused.delete(member)) membership?.findSlow(member, false);
      return;
    }
    if (forMs >= reportAfterMs && !this.#reported.has(member)) {
      this.#reported.add(member);
      this.#diagnostics.counters.slowMembers++;
      const problem = `${member} has held back what members send for ${Math.round(forMs)} ms`;
      this.#diagnostics.report("warn", "slow-member", member, problem);
    }
    if (forMs >= excludeAfterMs && !this.#accused.has(member)) {
      this.#accused.add(member);
      membership?.findSlow(member, true);
    }
  }
}
