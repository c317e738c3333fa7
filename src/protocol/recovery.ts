/**
 * Brings back from a node's log what it has of a durable group (E3): its checkpoint, then all that was delivered since.
 * The log is asked for record by record, a bounded number at a time, so a long one neither fills the memory nor blocks the
 * node.
 */
import type { Packet } from "../wire/packet.ts";
import type { Effects } from "./effects.ts";
import type { Remains } from "./groups-memory.ts";
import type { JournalRecord } from "./journal-records.ts";
import { Replay, type ReplayEnd, type ReplayHost } from "./replay.ts";
import type { GroupView } from "./view.ts";

export interface RecoveryHost {
  /** The application has seen all that is in the log; the last epoch is still open. */
  replayed(replay: Replay): void;
  /** It cannot be had from the log. */
  failed(detail: string): void;
}

export class Recovery implements ReplayHost {
  readonly #remains: Remains;
  readonly #effects: Effects;
  readonly #host: RecoveryHost;
  readonly #replay: Replay;
  #phase: "checkpoint" | "loading" | "records" | "over" = "records";
  #next = 0;

  /** Beyond `limit`, if there is one, nothing of its epoch counts. */
  constructor(remains: Remains, effects: Effects, host: RecoveryHost, limit?: ReplayEnd) {
    const { group, checkpoint, from, flaw } = remains;
    this.#remains = remains;
    this.#effects = effects;
    this.#host = host;
    this.#replay = new Replay(group, checkpoint?.view ?? 0, this, limit);
    if (flaw !== undefined) {
      this.#fail(flaw);
      return;
    }
    if (checkpoint !== undefined) {
      this.#phase = "checkpoint";
      effects.perform({ kind: "load", group, since: checkpoint.view });
    }
    this.#recall(checkpoint?.at ?? from);
  }

  /** The records that were asked for, and the position behind them; or that there are no more, or that some are not intact. */
  recalled(records: readonly JournalRecord[], next: number | "end" | "damaged"): void {
    if (this.#phase !== "over" && next === "damaged") {
      this.#fail("a part of the log is not intact");
      return;
    }
    if (this.#phase === "checkpoint" && this.#pieces(records)) {
      this.#phase = "loading";
      return;
    }
    if (this.#phase === "records") for (const record of records) this.#replay.add(record);
    else if (this.#phase !== "checkpoint") return;
    if (typeof next === "number" && this.#replay.flaw === undefined) this.#recall(next);
    else this.#end();
  }

  /** The application has loaded the checkpoint of view `since`. */
  loaded(since: number): void {
    if (this.#phase !== "loading" || since !== this.#remains.checkpoint?.view) return;
    this.#phase = "records";
    this.#recall(this.#remains.from);
  }

  revisit(view: GroupView): void {
    this.#effects.perform({ kind: "revisit", group: this.#remains.group, view });
  }

  deliver(view: GroupView, packet: Packet, sender: number, index: number): void {
    packet.retain();
    const point = { view, sender: view.members[sender] ?? "", own: false, index };
    this.#effects.perform({ kind: "deliver", group: this.#remains.group, packet, point });
  }

  /** Hands on the pieces of the checkpoint; true after the last. */
  #pieces(records: readonly JournalRecord[]): boolean {
    const { group, checkpoint } = this.#remains;
    for (const record of records) {
      if (record.kind !== "checkpoint" || record.group !== group || record.view !== checkpoint?.view) continue;
      if (record.index !== this.#next) continue;
      this.#next++;
      const { view: since, chunk, last } = record;
      this.#effects.perform({ kind: "chunk", group, since, chunk, last });
      if (last) return true;
    }
    return false;
  }

  #recall(from: number): void {
    const { group, to = Number.POSITIVE_INFINITY } = this.#remains;
    this.#effects.perform({ kind: "recall", group, from, to });
  }

  #end(): void {
    const detail = this.#phase === "checkpoint" ? "a part of its checkpoint is missing" : this.#replay.flaw;
    if (detail !== undefined) {
      this.#fail(detail);
      return;
    }
    this.#phase = "over";
    this.#host.replayed(this.#replay);
  }

  #fail(detail: string): void {
    this.#phase = "over";
    this.#host.failed(detail);
  }
}
