/**
 * One node of an explored world, alone: the production driver and core with a counter on top, and ports that only note
 * what it wants. Nothing in it knows other nodes but by what comes in, so what it does is a function of its inputs:
 * whoever repeats them gets the same machine.
 */
import { hashString } from "../../base/random.ts";
import type { ClusterStatus } from "../../protocol/effects.ts";
import type { HistoryEvent } from "../../protocol/history.ts";
import { BOUNDS, timing } from "../../protocol/timing.ts";
import type { ClusterView, NodeId, NodeRecord } from "../../protocol/view.ts";
import { Driver } from "../../runtime/driver.ts";
import type { Lane, Network } from "../../runtime/ports.ts";
import { RAW } from "../../wire/packet.ts";
import { Counter } from "../counter.ts";
import { canonicalText } from "./canon.ts";

export type Input =
  /** `isHeld`: the node does not take its turn yet; more may come before. */
  | { readonly kind: "frame"; readonly from: NodeId; readonly bytes: Uint8Array; readonly isHeld: boolean }
  | { readonly kind: "datagram"; readonly from: NodeId; readonly bytes: Uint8Array }
  | { readonly kind: "turn" }
  | { readonly kind: "up"; readonly peer: NodeId }
  /** Nobody answers at this node's address. */
  | { readonly kind: "gone"; readonly peer: NodeId }
  /** This node dials, and is told that the cluster goes on without it. */
  | { readonly kind: "refused" }
  | { readonly kind: "send"; readonly flavour: number }
  | { readonly kind: "flush" | "join" | "leave" | "close" }
  /** Time goes on to the node's next deadline. */
  | { readonly kind: "wake" }
  | { readonly kind: "pass"; readonly to: number };

export type Output =
  | { readonly kind: "send"; readonly to: NodeId; readonly lane: Lane; readonly bytes: Uint8Array }
  | { readonly kind: "datagram"; readonly to: NodeId; readonly bytes: Uint8Array }
  | { readonly kind: "link" | "unlink"; readonly to: NodeId };

/** What a machine shows of its state. */
export interface Condition {
  readonly status: ClusterStatus;
  /** It has not left, and was not excluded. */
  readonly runs: boolean;
  readonly isLeaving: boolean;
  readonly turnWanted: boolean;
  readonly now: number;
  readonly hasDeadline: boolean;
  /** Of all that has happened here and checkers can see. */
  readonly witness: number;
  readonly isMember: boolean;
  readonly mayJoin: boolean;
  /** It has asked to join the group, and its membership has not ended. */
  readonly wantsGroup: boolean;
  readonly cluster: { readonly number: number; readonly nodes: string; readonly acceptors: readonly NodeId[] };
  readonly group: {
    readonly number: number;
    readonly members: string;
    readonly digest: string;
    readonly pending: number;
  };
}

export interface MachineOptions {
  readonly self: NodeRecord;
  readonly rank: number;
  readonly directorySize: number;
}

export const GROUP = "g";
/** Names of messages: this many for each node. */
const NAMES = 1000;
const FAILURE_MS = 3000;
const TURNS_MAX = 100;
const WALL_TIME = 1_700_000_000_000;

export class Machine {
  readonly id: NodeId;
  readonly driver: Driver;
  readonly counter: Counter;
  now = 0;
  wakeAt = Number.POSITIVE_INFINITY;
  turnWanted = false;
  status: ClusterStatus = "joining";
  view: ClusterView | undefined;
  /** Of all that has happened here and checkers can see. */
  witness = 0;
  isLeaving = false;
  hasJoined = false;
  hasEnded = false;
  readonly #linked = new Set<NodeId>();
  #outputs: Output[] = [];
  #events: HistoryEvent[] = [];

  constructor({ self, rank, directorySize }: MachineOptions) {
    this.id = self.id;
    const history = (event: HistoryEvent): void => {
      this.#events.push(event);
      this.witness = hashString(JSON.stringify({ ...event, at: 0 }), this.witness);
    };
    const now = (): number => this.now;
    const clock = {
      now,
      wallTime: () => WALL_TIME + this.now,
      requestTurn: () => {
        this.turnWanted = true;
      },
      wakeAt: (time: number) => {
        this.wakeAt = time;
      },
    };
    const listener = {
      statusChanged: (status: ClusterStatus) => {
        this.status = status;
      },
      clusterInstalled: (view: ClusterView) => {
        this.view = view;
      },
      joinRefused: () => {},
      noticed: () => {},
    };
    const options = { self, timing: timing(FAILURE_MS), bounds: BOUNDS, directorySize, history };
    this.driver = new Driver(options, clock, { word: () => rank }, listener);
    this.driver.attach(this.#network());
    const names = {
      mint: (_node: NodeId, _session: number, number: number) => (rank + 1) * NAMES + number,
      at: (number: number) => `${String.fromCharCode(96 + Math.floor(number / NAMES))}${number % NAMES}`,
    };
    const ended = (): void => {
      this.hasEnded = true;
    };
    this.counter = new Counter({ node: self.id, session: 0, now, history, names, joined: () => {}, ended });
  }

  /** Takes an input, and its turns unless they are held. */
  take(input: Input): void {
    this.#apply(input);
    if (input.kind === "frame" && input.isHeld) return;
    for (let turns = 0; this.turnWanted; turns++) {
      if (turns === TURNS_MAX) throw new Error("the node's turns do not end");
      this.turnWanted = false;
      this.driver.turn();
    }
  }

  /** What it has wanted, and what has happened, since the last call. */
  drain(): { readonly outputs: readonly Output[]; readonly events: readonly HistoryEvent[] } {
    const drained = { outputs: this.#outputs, events: this.#events };
    this.#outputs = [];
    this.#events = [];
    return drained;
  }

  /** Equal for machines that cannot be told apart by anything that may still happen, nor by what checkers have seen. */
  fingerprint(): string {
    const { driver, counter, now, wakeAt, turnWanted, witness, isLeaving, hasJoined } = this;
    return canonicalText([driver, counter, now, wakeAt, turnWanted, witness, isLeaving, hasJoined, this.#linked]);
  }

  condition(): Condition {
    const { status, view, counter, isLeaving, hasJoined, now, turnWanted, witness } = this;
    const { number, members } = counter.view;
    return {
      status,
      runs: this.runs,
      isLeaving,
      turnWanted,
      now,
      hasDeadline: this.wakeAt < Number.POSITIVE_INFINITY,
      witness,
      isMember: counter.membership !== undefined && number > 0 && !isLeaving,
      mayJoin: status === "primary" && !hasJoined && !isLeaving,
      wantsGroup: hasJoined && !this.hasEnded,
      cluster: { number: view?.number ?? 0, nodes: idsOf(view), acceptors: view?.acceptors ?? [] },
      group: { number, members: [...members].sort().join(), digest: counter.digest(), pending: counter.flushesPending },
    };
  }

  get runs(): boolean {
    return this.status !== "closed" && this.status !== "excluded";
  }

  #apply(input: Input): void {
    const { driver, counter } = this;
    switch (input.kind) {
      case "frame":
        driver.frame(input.from, input.bytes, undefined);
        break;
      case "datagram":
        driver.datagram(input.from, input.bytes);
        break;
      case "turn":
        this.turnWanted = true;
        break;
      case "up":
        driver.linkUp(input.peer);
        break;
      case "gone":
        driver.linkDown(input.peer, "refused");
        break;
      case "refused":
        driver.refused("", "excluded", "");
        break;
      case "send":
        if (input.flavour === RAW) counter.sendRaw();
        else counter.send(input.flavour);
        break;
      case "flush":
        counter.flush();
        break;
      case "join":
        this.hasJoined = true;
        driver.join(
          [{ name: GROUP, digest: "d", durable: false, operations: counter.operations, application: counter }],
          () => {},
        );
        break;
      case "leave":
        this.isLeaving = true;
        counter.membership?.leave();
        break;
      case "close":
        this.isLeaving = true;
        driver.close();
        break;
      case "wake":
        this.#pass(this.wakeAt);
        break;
      case "pass":
        this.#pass(input.to);
        break;
    }
  }

  #pass(to: number): void {
    this.now = Math.max(this.now, to);
    if (this.wakeAt > this.now) return;
    this.wakeAt = Number.POSITIVE_INFINITY;
    this.driver.wake();
  }

  #network(): Network {
    const linked = this.#linked;
    return {
      seek: () => {},
      link: ({ id: to }) => {
        if (linked.has(to)) return;
        linked.add(to);
        this.#outputs.push({ kind: "link", to });
      },
      unlink: (to) => {
        if (linked.delete(to)) this.#outputs.push({ kind: "unlink", to });
      },
      send: (to, lane, bytes) => {
        if (linked.has(to)) this.#outputs.push({ kind: "send", to, lane, bytes });
      },
      datagram: (to, bytes) => {
        if (linked.has(to)) this.#outputs.push({ kind: "datagram", to, bytes });
        return true;
      },
      flush: () => {},
      backlogBytes: () => 0,
      close: () => {},
    };
  }
}

function idsOf(view: ClusterView | undefined): string {
  const ids = view?.nodes.map(({ id }) => id) ?? [];
  return ids.sort().join();
}
