/**
 * What the records of a log are, and of which groups: counted while all of it is read once, a batch at a time. Of a sealed log
 * without its key only how many there are.
 */
import { groupOf, type JournalRecord, parseRecord } from "../../protocol/journal-records.ts";
import { Directory } from "../../protocol/membership/directory.ts";
import type { ClusterView } from "../../protocol/view.ts";
import { recordsOf } from "../../runtime/log/batch.ts";
import type { Segment } from "../../runtime/log/segment.ts";
import { isSealedRecord, type RecordSeal } from "../../runtime/secure/sealed-log.ts";

export interface Tally {
  records: number;
  bytes: number;
}

/** Of one group; the cluster itself is group 0. */
export interface GroupContents {
  readonly group: number;
  /** "" when the log does not say. */
  name: string;
  /** The first and the last epoch that packets are there of; undefined when there are none. */
  epochs: readonly [number, number] | undefined;
  readonly packets: Tally;
  messages: number;
  /** Records that are not packets, by kind. */
  readonly others: Record<string, Tally>;
}

export interface Contents {
  /** By kind; `unknown` are those that this version does not understand, `sealed` those that there is no key for. */
  readonly kinds: Readonly<Record<string, Tally>>;
  readonly groups: readonly GroupContents[];
  /** The last view of the cluster that is recorded. */
  readonly view: ClusterView | undefined;
  /** Of a sealed log with its key: the positions of intact records that it does not open. */
  readonly unopened: readonly number[];
}

/** So many positions are named. */
const UNOPENED_MAX = 1000;

/** Of all intact records from position `floor` on. `seal`: opens those that are sealed. */
export function contentsOf(segments: readonly Segment[], floor: number, seal: RecordSeal | undefined): Contents {
  const counting = new Counting();
  const unopened: number[] = [];
  for (const segment of segments) {
    for (const placed of segment.batches) {
      const batch = placed.first + placed.count > floor ? segment.read(placed) : undefined;
      if (batch === undefined) continue;
      const skipped = Math.max(0, floor - placed.first);
      for (const [index, frame] of recordsOf(batch).slice(skipped).entries()) {
        const position = placed.first + skipped + index;
        const record = isSealedRecord(frame) ? seal?.open(frame, position) : frame;
        if (record !== undefined) counting.add(frame.length, parseRecord(record));
        else if (seal === undefined) counting.addSealed(frame.length);
        else if (unopened.length < UNOPENED_MAX) unopened.push(position);
      }
    }
  }
  return { ...counting.contents(), unopened };
}

class Counting {
  readonly #kinds: Record<string, Tally> = {};
  readonly #groups = new Map<number, GroupContents>();
  readonly #names = new Map<number, string>();
  #view: ClusterView | undefined;

  add(bytes: number, record: JournalRecord | undefined): void {
    tally(this.#kinds, record?.kind ?? "unknown", bytes);
    if (record === undefined) return;
    if (record.kind === "packet") {
      const { packet } = record;
      const { epoch } = packet;
      const of = this.#group(packet.group);
      of.epochs = [Math.min(of.epochs?.[0] ?? epoch, epoch), Math.max(of.epochs?.[1] ?? epoch, epoch)];
      of.packets.records++;
      of.packets.bytes += bytes;
      of.messages += packet.count;
      return;
    }
    tally(this.#group(groupOf(record)).others, record.kind, bytes);
    if (record.kind === "began") this.#names.set(record.group, record.name);
    if (record.kind !== "view") return;
    this.#view = record.decided.view;
    for (const { id, name } of Directory.restore(record.snapshot)?.groups ?? []) this.#names.set(id, name);
  }

  addSealed(bytes: number): void {
    tally(this.#kinds, "sealed", bytes);
  }

  contents(): Omit<Contents, "unopened"> {
    const groups = [...this.#groups.values()].sort((a, b) => a.group - b.group);
    for (const each of groups) each.name = this.#names.get(each.group) ?? "";
    return { kinds: this.#kinds, groups, view: this.#view };
  }

  #group(group: number): GroupContents {
    const found = this.#groups.get(group);
    if (found !== undefined) return found;
    const fresh = { group, name: "", epochs: undefined, packets: { records: 0, bytes: 0 }, messages: 0, others: {} };
    this.#groups.set(group, fresh);
    return fresh;
  }
}

function tally(tallies: Record<string, Tally>, kind: string, bytes: number): void {
  const each = tallies[kind] ?? { records: 0, bytes: 0 };
  tallies[kind] = each;
  each.records++;
  each.bytes += bytes;
}
