/**
 * What a log's files say after a crash. Only one write is ever under way, so a batch that is not intact is one of two
 * things: the last one, which was never acknowledged, and then nothing of this use of the files follows it; or a damaged
 * one, which intact later batches prove to have been acknowledged. The first is cut off. The second is a range of
 * positions that this log must get from elsewhere, and never serves.
 */
import type { Disk, DiskFile } from "../ports.ts";
import { type BatchHead, blocksBytes, type LogId } from "./batch.ts";
import { Scan, Segment } from "./segment.ts";

/** Positions from `from` up to but not including `to`. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface Recovered {
  /** Undefined when nothing was ever written. */
  readonly id: LogId | undefined;
  /** In use, by number. */
  readonly segments: Segment[];
  readonly spares: DiskFile[];
  readonly damage: Range[];
  /** Records below this position are not needed. */
  readonly floor: number;
  readonly nextPosition: number;
  readonly nextBatch: number;
}

export const SEGMENT_NAME = /^segment-(\d{1,9})\.log$/;

export function recover(disk: Disk): Recovered {
  const files = disk
    .names()
    .filter((name) => SEGMENT_NAME.test(name))
    .sort()
    .map((name) => disk.open(name));
  const used: Segment[] = [];
  const spares: DiskFile[] = [];
  for (const file of files) {
    const number = numberOf(file);
    if (number === 0) spares.push(file);
    else used.push(new Segment(file, number));
  }
  used.sort((a, b) => a.number - b.number);
  const walk = new Walk();
  for (const segment of used) walk.segment(segment);
  const { floor } = walk;
  // A segment whose records are all below the floor may be overwritten at any time; what is missing there is not missed.
  const segments = used.filter((segment) => segment === used.at(-1) || segment.next > floor);
  for (const segment of used) if (!segments.includes(segment)) spares.push(segment.file);
  const damage = walk.damage.map((each) => ({ ...each, from: Math.max(each.from, floor) }));
  const begins = segments[0]?.first ?? floor;
  const isFirstKnown = damage.some(({ to }) => to === begins);
  // A whole file is gone.
  if (begins > floor && begins !== Number.POSITIVE_INFINITY && !isFirstKnown) {
    damage.unshift({ from: floor, to: begins });
  }
  return {
    id: walk.id,
    segments,
    spares,
    damage: damage.filter(({ from, to }) => to > from),
    floor,
    nextPosition: walk.position,
    nextBatch: walk.batch,
  };
}

/** The number of the newest use of a file: that of its first batch, or, if that is damaged, the highest in it. */
function numberOf(file: DiskFile): number {
  const scan = new Scan(file);
  const first = scan.batchAt(0, () => true);
  if (first !== undefined) return first.segment;
  let highest = 0;
  let at = 0;
  for (;;) {
    const found = scan.next(at, ({ segment }) => segment > highest);
    if (found === undefined) return highest;
    highest = found.head.segment;
    at = found.at + blocksBytes(found.head.bodyBytes);
  }
}

/** Goes through the segments in order, and notes where a batch should be and is not. */
class Walk {
  id: LogId | undefined;
  position = 0;
  batch = 0;
  floor = 0;
  readonly damage: Range[] = [];
  #begun = false;

  segment(segment: Segment): void {
    const { file, number } = segment;
    const scan = new Scan(file);
    const isWanted = (head: BatchHead): boolean =>
      head.segment === number && head.number >= this.batch && this.#isOfThisLog(head);
    for (;;) {
      const from = segment.end;
      const found = scan.next(from, isWanted);
      if (found === undefined) return;
      this.#expect(found.head, found.at > from);
      const { bodyBytes, first, count } = found.head;
      segment.add({ at: found.at, bodyBytes, number: found.head.number, first, count });
      this.#pass(found.head);
    }
  }

  #isOfThisLog({ id }: BatchHead): boolean {
    return this.id === undefined || (this.id[0] === id[0] && this.id[1] === id[1]);
  }

  /** `isBehindGap`: something lies before this batch in its segment that is none. */
  #expect({ first, number }: BatchHead, isBehindGap: boolean): void {
    if (this.#begun && number !== this.batch) this.damage.push({ from: this.position, to: first });
    // The beginning of the oldest segment: what was there is known only to lie before this batch.
    else if (!this.#begun && isBehindGap) this.damage.push({ from: 0, to: first });
  }

  #pass({ id, first, count, number, floor }: BatchHead): void {
    this.#begun = true;
    this.id ??= id;
    this.position = first + count;
    this.batch = number + 1;
    this.floor = Math.max(this.floor, floor);
  }
}
