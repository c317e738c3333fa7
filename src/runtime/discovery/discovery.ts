/**
 * How a node that is in no cluster finds one, and when it may found one (rule A8: founding happens once). A discovery
 * never decides by time: whoever might be founding, or might live in a cluster, is waited for.
 */

/** What a node that found no live cluster may do now. */
export type Founding =
  /** Somebody else may be founding, or is alive and in a cluster; `why` says who, for people. */
  | { readonly kind: "wait"; readonly why: string }
  /** This node, and no other, founds the cluster alone. */
  | { readonly kind: "found" }
  /** All of these, this node among them, found the cluster together: all present, fresh and agreed on this list. */
  | { readonly kind: "founders"; readonly addresses: readonly string[] };

export interface Discovery {
  /** Addresses (host:port) worth seeking for a live cluster, the likeliest first; never this node's own. */
  candidates(): Promise<readonly string[]>;
  /** What this node may do now; asked again and again while no live cluster was found. Asking means being in none. */
  founding(): Promise<Founding>;
  /**
   * Records the cluster that this node is now in. The record is written before the call returns; the node must not
   * act as a member (promise, accept, acknowledge, deliver) before the promise resolves. It rejects with a
   * `DiscoveryError` of field `cluster` when another cluster has been founded meanwhile: then this node must not act.
   */
  joined(cluster: string): Promise<void>;
  /** Stops being seen. To be called when this node no longer acts as a member: afterwards it counts as dead. */
  close(): Promise<void>;
}

/** A discovery that cannot work as configured; `field` names the option at fault. */
export class DiscoveryError extends Error {
  override readonly name = "DiscoveryError";
  readonly field: string;

  constructor(field: string, problem: string, options?: ErrorOptions) {
    super(`${field}: ${problem}`, options);
    this.field = field;
  }
}

/** The code of an operating system error, "" for anything else. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
