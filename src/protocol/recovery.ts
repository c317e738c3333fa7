/**
 * Brings a durable group back from the log of one of its keepers (E3): its checkpoint, then all that was delivered since.
 * The log is asked for record by record, a bounded number at a time, so a long one neither fills the memory nor blocks the
 * node.
 */
import type { Packet } from "../wire/packet.ts";
import type { Effects } from "./effects.ts";
import type { Remains } from "./groups-memory.ts";
import type { JournalRecord } from "./journal-records.ts";
import { Replay, type ReplayEnd, type ReplayHost } from "./replay.ts";
import type { GroupView } from "./view.ts";

export class Recovery implements ReplayHost {
  readonly #remains: Remains;
  readonly #effects: Effects;
  readonly #done: (end: ReplayEnd | undefined) => void;
  readonly #replay: Replay;
  #phase: "checkpoint" | "loading" | "records" | "over" = "records";
  #next = 0;

  /** `done` is called when the application has seen it all; without an end if the group cannot be had from the log. */
  constructor(remains: Remains, effects: Effects, done: (end: ReplayEnd | undefined) => void) {
    const { group, checkpoint, from, flaw } = remains;
    this.#remains = remains;
    this.#effects = effects;
    this.#done = done;
    this.#replay = new Replay(group, checkpoint?.view ?? 0, this);
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
    this.#effects.perform({ kind: "recall", group: this.#remains.group, from });
  }

  #end(): void {
    const end = this.#replay.end();
    const detail = this.#phase === "checkpoint" ? "a part of its checkpoint is missing" : this.#replay.flaw;
    if (detail !== undefined) {
      this.#fail(detail);
      return;
    }
    this.#phase = "over";
    this.#done(end);
  }

  #fail(detail: string): void {
    this.#phase = "over";
    this.#effects.perform({ kind: "unrecoverable", group: this.#remains.group, detail });
    this.#done(undefined);
  }
}
