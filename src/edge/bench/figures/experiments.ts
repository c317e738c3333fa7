/**
 * The experiments by which groups with early delivery are compared with those that deliver as Paxos does: how long a burst
 * of updates takes, how steady that is, and what a flush costs, each against the size of the group.
 */
import type { Histogram } from "../histogram.ts";
import { measure } from "../measure.ts";
import type { Way, Work } from "../task.ts";

export const BURST = 5;

/** How a burst is sent; "send + flush": early, and then made certain. */
export const SENDINGS = [
  "rawSend",
  "send",
  "causalSend",
  "orderedSend",
  "safeSend",
  "send + flush",
  "safeSend, 3 disks",
  "safeSend, all disks",
] as const;
export type Sending = (typeof SENDINGS)[number];

export const COPIES = [2, 3, 5, "all"] as const;
export type Copies = (typeof COPIES)[number];

export interface BurstTimes {
  readonly sending: Sending;
  readonly members: number;
  /** In microseconds. */
  readonly times: Histogram;
}

export interface FlushTimes {
  readonly copies: Copies;
  readonly members: number;
  /** In microseconds. */
  readonly times: Histogram;
}

/** From the first call to the last handler at the other members; with a flush, to its end at the sender. */
export async function burst(sending: Sending, members: number, seconds: number): Promise<BurstTimes> {
  const flushes = sending === "send + flush";
  const isDurable = sending === "safeSend, 3 disks" || sending === "safeSend, all disks";
  const flavour: Way = flushes ? "send" : isDurable ? "safeSend" : sending;
  const work = workOf(flavour, members, seconds);
  const { arrival, result } = await measure("group", {
    ...work,
    ...(isDurable ? { durable: true } : {}),
    ...(sending === "safeSend, 3 disks" ? { acceptors: 3 } : {}),
    burst: { count: BURST, flush: flushes ? "all" : "none" },
  });
  return { sending, members, times: flushes ? result : arrival };
}

/** From one early update to the end of the flush that makes it certain. */
export async function flush(copies: Copies, members: number, seconds: number): Promise<FlushTimes> {
  const work = workOf("send", members, seconds);
  const { result } = await measure("group", { ...work, burst: { count: 1, flush: copies } });
  return { copies, members, times: result };
}

function workOf(flavour: Way, members: number, seconds: number): Work {
  return { flavour, members, seconds, senders: 1, bytes: 100, api: "bytes", perSecond: 0, oneInFlight: false };
}
