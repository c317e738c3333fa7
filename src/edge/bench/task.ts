/**
 * What one process of a measurement is to do, and what it and the command tell each other.
 */

export const FLAVOURS = ["send", "causalSend", "orderedSend", "safeSend"] as const;

/**
 * What takes time: a flavour, a query of all members, or a raw message. How many of these get through says nothing, because
 * nothing holds their sender back.
 */
export const LATENCIES = ["rawSend", ...FLAVOURS, "query"] as const;
export type Way = (typeof LATENCIES)[number];

/**
 * How messages are handed over. Bytes: a borrowed view of each. Kept: a view that may be kept. Batch: a handler for many, which looks at them where they lie. Typed:
 * a string and a number.
 */
export const APIS = ["bytes", "kept", "batch", "typed"] as const;
export type Api = (typeof APIS)[number];

/** So many updates, one right after the other, then perhaps a flush; the next when these are delivered everywhere. */
export interface Burst {
  readonly count: number;
  /** Held by so many members, or by all. */
  readonly flush: number | "all" | "none";
}

export interface Work {
  readonly members: number;
  /** The first so many members send. */
  readonly senders: number;
  /** Of a message's payload; of the string in a typed message. */
  readonly bytes: number;
  readonly api: Api;
  readonly flavour: Way;
  readonly seconds: number;
  /** Messages a second from each sender, sent whether earlier ones have arrived or not; 0: as fast as they are taken. */
  readonly perSecond: number;
  /** Each message is sent when the one before has arrived. */
  readonly oneInFlight: boolean;
  readonly burst?: Burst;
  /** Over TLS 1.3, in a secure group; else everything goes in clear. */
  readonly secure?: boolean;
  /** The group is durable, and every node has a data directory. */
  readonly durable?: boolean;
  /** For the disks of so many members a durable group waits; for all by default. */
  readonly acceptors?: number;
}

export interface Task extends Work {
  /** A group; or sockets with frames on them, or a file with records in it, and no protocol at all. */
  readonly system: "group" | "raw" | "disk";
  readonly rank: number;
  /** Where the nodes find each other. */
  readonly directory: string;
  /** The file with the cluster's key, if the work is secure. */
  readonly clusterKey?: string;
  /** Where the disk is that is measured, if one is: each process has a directory of its own in it. */
  readonly disk?: string;
}

export interface Outcome {
  /** Messages whose handler ran at this member. */
  readonly delivered: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  /** How much larger the process was at the end of the measurement than at its beginning. */
  readonly rssGrowthBytes: number;
  /** From the call at the sender (of a burst: the first) to the handler (the last), in microseconds, as counts of a `Histogram`. */
  readonly arrival: readonly number[];
  /** From the call to its result at the sender, or the end of the flush, likewise. */
  readonly result: readonly number[];
}

export type FromMember =
  | { readonly kind: "port"; readonly port: number }
  | { readonly kind: "ready" }
  | { readonly kind: "warm" }
  | { readonly kind: "outcome"; readonly outcome: Outcome }
  | { readonly kind: "failed"; readonly message: string };

export type ToMember =
  | { readonly kind: "ports"; readonly ports: readonly number[] }
  | { readonly kind: "warm" }
  | { readonly kind: "measure" }
  | { readonly kind: "end" };

/** Microseconds of a clock that all processes of this machine share. */
export function machineMicroseconds(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
