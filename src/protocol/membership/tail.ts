/**
 * State transfer to who comes back to a durable group with an earlier state on its disk: the donor gives what its own log
 * says that the joiner lacks, if that is less than the state. It is a run of records, cut into chunks without regard to
 * where one ends:
 *
 *     cut      where the joiner's last epoch has ended for those who went on
 *     packets  of that epoch that the joiner does not have
 *     began, packets  for each epoch since
 *     began    of the view at whose start the state is wanted
 *
 * The joiner replays its own records up to that cut, and then these. What it held beyond the cut nobody else went on with,
 * so its application sees nothing before the cut is known.
 */

import { wordAt } from "../../base/arena.ts";
import { FRAME_BYTES_MAX } from "../../wire/packet.ts";
import type { Effects } from "../effects.ts";
import type { Stretch } from "../group-journal.ts";
import type { Remains } from "../groups-memory.ts";
import type { Journal } from "../journal.ts";
import { type JournalRecord, parseRecord, recordFrame } from "../journal-records.ts";
import type { Message, Transfer } from "../messages.ts";
import { Recovery } from "../recovery.ts";
import type { Replay } from "../replay.ts";
import type { NodeId } from "../view.ts";

export type TailChunk = Extract<Message, { kind: "tailChunk" }>;

const CHUNK_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;

/** The donor's side. */
export class TailDonation {
  readonly joiner: NodeId;
  readonly since: number;
  readonly #group: number;
  readonly #held: readonly number[];
  readonly #stretch: Stretch;
  readonly #chunksMax: number;
  readonly #effects: Effects;
  readonly #recall: (from: number, to: number) => void;
  /** Records that are to be sent, the first of them from `#at` on. */
  readonly #frames: Uint8Array[] = [];
  #at = 0;
  #bytes = 0;
  /** Where the log is to be read next; undefined while it is read, and at the end. */
  #next: number | undefined;
  #isRead = false;
  #sent = 0;
  #credited = 0;
  #finished = false;

  /** `recall` asks for records of the log: `recalled` is called with them. */
  constructor(
    group: number,
    { joiner, since, standing }: Transfer,
    stretch: Stretch,
    chunksMax: number,
    journal: Journal,
    effects: Effects,
    recall: (from: number, to: number) => void,
  ) {
    this.#group = group;
    this.joiner = joiner;
    this.since = since;
    this.#held = standing?.held ?? [];
    this.#stretch = stretch;
    this.#chunksMax = chunksMax;
    this.#effects = effects;
    this.#recall = recall;
    const { end, next } = stretch;
    this.#push(recordFrame({ kind: "cut", group, ballot: 0, from: end.from, to: next, cut: end.cut }));
    // What is read is what is on disk.
    journal.after(() => {
      this.#next = stretch.from;
      this.#go();
    });
  }

  /** The records that were asked for, and the position behind them, or why there is none. */
  recalled(records: readonly JournalRecord[], next: number | "end" | "damaged"): void {
    if (this.#finished) return;
    // Without its last record a tail is none: who gets it asks for something else.
    if (next !== "damaged") for (const record of records) this.#add(record);
    if (typeof next === "number") this.#next = next;
    else this.#isRead = true;
    this.#go();
  }

  credit(index: number): void {
    this.#credited = Math.max(this.#credited, Math.min(index + 1, this.#sent));
    this.#go();
  }

  end(): void {
    this.#finished = true;
    this.#frames.length = 0;
  }

  #add(record: JournalRecord): void {
    const { from } = this.#stretch.end;
    if (record.kind === "packet") {
      const { epoch, seqno, sender, bytes } = record.packet;
      if (epoch > from || seqno >= (this.#held[sender] ?? 0)) this.#push(bytes);
    } else if (record.kind === "began" && record.view.number > from) this.#push(recordFrame(record));
  }

  #push(frame: Uint8Array): void {
    this.#frames.push(frame.slice());
    this.#bytes += frame.length;
  }

  /** Sends as much as the joiner has granted credit for, and reads on when little is left. */
  #go(): void {
    while (!this.#finished && this.#sent - this.#credited < this.#chunksMax) {
      if (this.#bytes < CHUNK_BYTES && !this.#isRead) break;
      const last = this.#bytes <= CHUNK_BYTES && this.#isRead;
      const index = this.#sent++;
      const { joiner, since: view } = this;
      const chunk = this.#take();
      this.#effects.send(joiner, { kind: "tailChunk", group: this.#group, view, index, chunk, last });
      if (last) this.end();
    }
    if (this.#finished || this.#next === undefined || this.#bytes >= CHUNK_BYTES) return;
    const from = this.#next;
    this.#next = undefined;
    this.#recall(from, this.#stretch.to);
  }

  #take(): Uint8Array {
    const chunk = new Uint8Array(Math.min(this.#bytes, CHUNK_BYTES));
    let length = 0;
    while (length < chunk.length) {
      const frame = this.#frames[0] as Uint8Array;
      const part = frame.subarray(this.#at, this.#at + chunk.length - length);
      chunk.set(part, length);
      length += part.length;
      this.#at += part.length;
      if (this.#at < frame.length) continue;
      this.#frames.shift();
      this.#at = 0;
    }
    this.#bytes -= chunk.length;
    return chunk;
  }
}

export interface TailHost {
  readonly group: number;
  readonly donor: NodeId;
  readonly since: number;
  /** What the joiner's own log has. */
  readonly remains: Remains;
  /** The application begins to see what is in the joiner's log: it cannot be replayed again. */
  began(): void;
  /** The application has the state at the start of view `since`. */
  arrived(): void;
  /** It will not come this way. */
  failed(): void;
}

/** The joiner's side. */
export class Tail {
  readonly #host: TailHost;
  readonly #effects: Effects;
  readonly #chunksMax: number;
  /** Chunks that wait until the joiner's own records are replayed, and the one that is being read. */
  readonly #waiting: TailChunk[] = [];
  #chunk: TailChunk | undefined;
  #index = 0;
  /** What has come and was not read. */
  #rest = new Uint8Array(0);
  #recovery: Recovery | undefined;
  #replay: Replay | undefined;
  #isOver = false;

  constructor(host: TailHost, chunksMax: number, effects: Effects) {
    this.#host = host;
    this.#chunksMax = chunksMax;
    this.#effects = effects;
  }

  /** Whether records of the joiner's own log are awaited. */
  get isReading(): boolean {
    return !this.#isOver && this.#recovery !== undefined && this.#replay === undefined;
  }

  receive(chunk: TailChunk): void {
    if (this.#isOver || chunk.index !== this.#index || this.#waiting.length > this.#chunksMax) return;
    this.#index++;
    this.#waiting.push(chunk);
    this.#go();
  }

  recalled(records: readonly JournalRecord[], next: number | "end" | "damaged"): void {
    if (!this.#isOver) this.#recovery?.recalled(records, next);
  }

  loaded(since: number): void {
    if (!this.#isOver) this.#recovery?.loaded(since);
  }

  end(): void {
    this.#isOver = true;
    this.#waiting.length = 0;
  }

  #go(): void {
    for (;;) {
      this.#read();
      if (this.#isOver || this.isReading) return;
      const { group, donor, since: view } = this.#host;
      const read = this.#chunk;
      // The last record would have ended it.
      if (read?.last === true) this.#fail();
      else if (read !== undefined) this.#effects.send(donor, { kind: "stateCredit", group, view, index: read.index });
      this.#chunk = this.#waiting.shift();
      if (this.#chunk === undefined) return;
      this.#rest = joined(this.#rest, this.#chunk.chunk);
    }
  }

  /** Takes the records that are complete, but nothing behind the first before the joiner's own are replayed. */
  #read(): void {
    let at = 0;
    while (!this.#isOver && !this.isReading && at + LENGTH_BYTES <= this.#rest.length) {
      const end = at + LENGTH_BYTES + wordAt(this.#rest, at);
      if (end - at > FRAME_BYTES_MAX) this.#fail();
      if (end > this.#rest.length) break;
      const record = parseRecord(this.#rest.slice(at, end));
      at = end;
      if (record === undefined) this.#fail();
      else this.#add(record);
    }
    this.#rest = this.#rest.subarray(at);
  }

  #add(record: JournalRecord): void {
    const { since, remains } = this.#host;
    const replay = this.#replay;
    if (replay === undefined) {
      if (record.kind === "cut" && record.from === remains.standing?.epoch) this.#begin(record);
      else this.#fail();
    } else if (record.kind === "began" && record.view.number >= since) {
      replay.endAt(record);
      if (replay.flaw === undefined && record.view.number === since) this.#arrive();
      else this.#fail();
    } else {
      replay.add(record);
      if (replay.flaw !== undefined) this.#fail();
    }
  }

  #begin(limit: Extract<JournalRecord, { kind: "cut" }>): void {
    const host = {
      replayed: (replay: Replay): void => {
        this.#replay = replay;
        this.#go();
      },
      failed: (): void => this.#fail(),
    };
    this.#host.began();
    this.#recovery = new Recovery(this.#host.remains, this.#effects, host, limit);
  }

  #arrive(): void {
    this.end();
    this.#host.arrived();
  }

  #fail(): void {
    if (this.#isOver) return;
    this.end();
    this.#host.failed();
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}
