/** ST1 for who comes back: its own records up to the survivors' cut and the donor's since make the state that the others have. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { effectsOf, ids, packetOf, sentOf, textOf } from "../../../test/protocol/kit.ts";
import { FIFO, FRAME_BYTES_MAX } from "../../wire/packet.ts";
import { type Effect, Effects } from "../effects.ts";
import type { Stretch } from "../group-journal.ts";
import { GroupsMemory, type Remains } from "../groups-memory.ts";
import { DurableJournal, VOLATILE } from "../journal.ts";
import { type JournalRecord, recordFrame } from "../journal-records.ts";
import { Tail, type TailChunk, TailDonation } from "./tail.ts";

const [donor = "", joiner = "", other = ""] = ids(3);
const CHUNKS_MAX = 3;
const CHUNK_BYTES = 64 * 1024;

/** The joiner falls out of epoch 3; epochs 4 and 5 go on without it, and view 6 has it again. */
const LAST = 3;
const SINCE = 6;

function began(self: string, number: number, from: number, cut: number[]): JournalRecord {
  const members = number === LAST ? [donor, joiner] : number === SINCE ? [donor, joiner, other] : [donor, other];
  const synced = members.filter((member) => number === LAST || member !== joiner);
  return {
    kind: "began",
    group: 1,
    name: "g",
    self,
    view: { number, members, synced, acceptors: [], lacking: [] },
    target: number,
    from,
    cut,
  };
}

const packet = (epoch: number, sender: number, seqno: number, text = ""): JournalRecord => ({
  kind: "packet",
  packet: packetOf(FIFO, sender, seqno, text, epoch),
});

/** A text that tells its place, of so many letters. */
const textAt = (epoch: number, sender: number, seqno: number, letters = 5): string =>
  `${epoch}.${sender}.${seqno}`.padEnd(letters, "-");

/** Packets of an epoch, the senders' in turns; `sizes` says how long each is. */
function packets(epoch: number, counts: readonly number[], sizes: (place: number) => number): JournalRecord[] {
  const records: JournalRecord[] = [];
  for (let seqno = 0; seqno < Math.max(...counts); seqno++) {
    for (const [sender, count] of counts.entries()) {
      if (seqno < count) records.push(packet(epoch, sender, seqno, textAt(epoch, sender, seqno, sizes(seqno))));
    }
  }
  return records;
}

function remainsOf(log: readonly JournalRecord[]): Remains {
  const memory = new GroupsMemory();
  for (const [position, record] of log.entries()) memory.add(position, record);
  return memory.remains().get(1) as Remains;
}

const small = (): number => 5;

/** What the donor's log has from the joiner's last epoch on, in which `cut` packets went on. */
function donorLog(cut: number[], later: number[], sizes: (place: number) => number = small): JournalRecord[] {
  return [
    began(donor, LAST, 0, []),
    ...packets(LAST, cut, sizes),
    began(donor, 4, LAST, cut),
    ...packets(4, later, sizes),
    began(donor, 5, 4, later),
    began(donor, SINCE, 5, [0, 0]),
  ];
}

const joinerLog = (held: number[], sizes: (place: number) => number = small): JournalRecord[] => [
  began(joiner, LAST, 0, []),
  ...packets(LAST, held, sizes),
];

const stretchOf = (log: readonly JournalRecord[], cut: number[]): Stretch => ({
  from: 0,
  to: log.length,
  end: { from: LAST, cut },
  next: 4,
});

/** The donor's side, whose reader has the log at hand. */
class Giver {
  readonly effects = new Effects();
  readonly wanted: number[] = [];
  readonly donation: TailDonation;
  readonly #log: readonly JournalRecord[];

  constructor(log: readonly JournalRecord[], cut: number[], held: number[], journal = VOLATILE as DurableJournal) {
    this.#log = log;
    this.donation = new TailDonation(
      1,
      { joiner, donor, since: SINCE, standing: { epoch: LAST, held } },
      stretchOf(log, cut),
      CHUNKS_MAX,
      journal,
      this.effects,
      (from) => void this.wanted.push(from),
    );
  }

  /** Answers the oldest request for records with so many. */
  read(count = this.#log.length): void {
    const from = this.wanted.shift() ?? 0;
    const next = from + count;
    this.donation.recalled(this.#log.slice(from, next), next >= this.#log.length ? "end" : next);
  }

  sent(): TailChunk[] {
    return sentOf(this.effects.take(), "tailChunk").map(({ message }) => message);
  }
}

/** The joiner's side. */
class Taker {
  readonly effects = new Effects();
  readonly tail: Tail;
  readonly happened: string[] = [];
  readonly delivered: string[] = [];
  readonly credits: number[] = [];
  readonly wanted: number[] = [];
  readonly #log: readonly JournalRecord[];

  constructor(log: readonly JournalRecord[], remains = remainsOf(log)) {
    this.#log = log;
    const host = {
      ...{ group: 1, donor, since: SINCE, remains },
      began: (): void => void this.happened.push("began"),
      arrived: (): void => void this.happened.push("arrived"),
      failed: (): void => void this.happened.push("failed"),
    };
    this.tail = new Tail(host, CHUNKS_MAX, this.effects);
  }

  /** What the joiner's side has asked for and shown. */
  take(): readonly Effect[] {
    const recorded = [...this.effects.take()];
    for (const { from } of effectsOf(recorded, "recall")) this.wanted.push(from);
    for (const { packet: shown } of effectsOf(recorded, "deliver")) this.delivered.push(textOf(shown));
    for (const { message } of sentOf(recorded, "stateCredit")) this.credits.push(message.index);
    return recorded;
  }

  read(count = this.#log.length): void {
    const from = this.wanted.shift() ?? 0;
    const next = from + count;
    this.tail.recalled(this.#log.slice(from, next), next >= this.#log.length ? "end" : next);
    this.take();
  }

  /** Chunk `index`, of these records or bytes. */
  receive(index: number, content: readonly JournalRecord[] | Uint8Array, last = false): void {
    const chunk =
      content instanceof Uint8Array
        ? content
        : Uint8Array.from(content.flatMap((record) => [...recordFrame(record).slice()]));
    this.tail.receive({ kind: "tailChunk", group: 1, view: SINCE, index, chunk, last });
    this.take();
  }
}

const cutAt = (cut: number[], from = LAST): JournalRecord => ({
  ...{ kind: "cut", group: 1, ballot: 0, from, to: 4, cut },
});

describe("a tail", () => {
  test("brings the joiner to what the others have, however its records are cut and read", () => {
    const counts = fc.tuple(fc.nat(3), fc.nat(3));
    const sizes = fc.array(fc.constantFrom(5, 700, 40_000, CHUNK_BYTES, 150_000), { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(counts, counts, counts, sizes, fc.infiniteStream(fc.nat(4)), (cut, held, later, sizeOf, dice) => {
        const size = (place: number): number => sizeOf[place] ?? 5;
        const giver = new Giver(donorLog(cut, later, size), cut, held);
        const taker = new Taker(joinerLog(held, size));
        const underWay: TailChunk[] = [];
        while (taker.happened.at(-1) !== "arrived") {
          underWay.push(...giver.sent());
          taker.take();
          expect(taker.happened).not.toContain("failed");
          expect(underWay.length + taker.credits.length).toBeLessThanOrEqual(CHUNKS_MAX);
          const die = dice.next().value;
          const [chunk, credit] = [underWay[0], taker.credits[0]];
          if (die === 0 && giver.wanted.length > 0) giver.read(2);
          else if (die === 1 && taker.wanted.length > 0) taker.read(2);
          else if (die === 2 && chunk !== undefined) {
            expect(chunk.chunk.length).toBeLessThanOrEqual(CHUNK_BYTES);
            underWay.shift();
            taker.tail.receive(chunk);
          } else if (die === 3 && credit !== undefined) {
            taker.credits.shift();
            giver.donation.credit(credit);
          }
        }
        taker.take();
        const all = [...packets(LAST, cut, size), ...packets(4, later, size)];
        const texts = all.map((record) => (record.kind === "packet" ? textOf(record.packet) : ""));
        expect([...taker.delivered].sort()).toEqual([...texts].sort());
        for (const place of ["3.0", "3.1", "4.0", "4.1"]) {
          const ofSender = (text: string): boolean => text.startsWith(place);
          expect(taker.delivered.filter(ofSender)).toEqual(texts.filter(ofSender));
        }
        expect(taker.happened).toEqual(["began", "arrived"]);
      }),
      { numRuns: 60 },
    );
  });
});

describe("a donor of a tail", () => {
  test("gives the cut, of the joiner's epoch what it lacks, and all that came since", () => {
    const giver = new Giver(donorLog([2, 1], [1, 0]), [2, 1], [1, 1]);
    giver.read();
    const [chunk, ...more] = giver.sent();
    expect(more).toEqual([]);
    expect(chunk).toMatchObject({ kind: "tailChunk", group: 1, view: SINCE, index: 0, last: true });
    const given = [
      cutAt([2, 1]),
      packet(LAST, 0, 1, textAt(LAST, 0, 1)),
      began(donor, 4, LAST, [2, 1]),
      packet(4, 0, 0, textAt(4, 0, 0)),
      began(donor, 5, 4, [1, 0]),
      began(donor, SINCE, 5, [0, 0]),
    ];
    expect([...(chunk?.chunk ?? [])]).toEqual(given.flatMap((record) => [...recordFrame(record)]));
  });

  test("reads nothing that is not on disk yet", () => {
    const journal = new DurableJournal(new Effects(), 0);
    journal.write(began(donor, SINCE, 5, [0, 0]));
    const giver = new Giver(donorLog([0, 0], [0, 0]), [0, 0], [0, 0], journal);
    expect(giver.wanted).toEqual([]);
    journal.persisted(1);
    expect(giver.wanted).toEqual([0]);
  });

  test("reads on when little is left, and sends as much as there is credit for", () => {
    const giver = new Giver(
      donorLog([3, 0], [3, 0], () => 150_000),
      [3, 0],
      [0, 0],
    );
    giver.read(2);
    expect(giver.sent()).toHaveLength(2);
    giver.read(2);
    // What is left is more than a chunk: no more is read before there is credit.
    expect(giver.sent()).toHaveLength(1);
    expect(giver.wanted).toEqual([]);
    giver.donation.credit(1);
    expect(giver.sent().map(({ index }) => index)).toEqual([3, 4]);
    giver.donation.credit(0);
    expect(giver.sent()).toEqual([]);
  });

  test("whose log is damaged ends without the last record", () => {
    const giver = new Giver(donorLog([1, 0], [0, 0]), [1, 0], [0, 0]);
    giver.donation.recalled([began(donor, LAST, 0, []), packet(LAST, 0, 0)], "damaged");
    const [chunk] = giver.sent();
    expect([...(chunk?.chunk ?? [])]).toEqual([...recordFrame(cutAt([1, 0]))]);
    expect(chunk?.last).toBe(true);
  });

  test("that has ended sends nothing more", () => {
    const giver = new Giver(donorLog([1, 0], [0, 0]), [1, 0], [0, 0]);
    giver.donation.end();
    giver.read();
    giver.donation.credit(7);
    expect(giver.sent()).toEqual([]);
    expect(giver.wanted).toEqual([]);
  });
});

describe("a joiner with a tail", () => {
  test("shows nothing before the cut is known, and nothing beyond it", () => {
    const taker = new Taker(joinerLog([2, 2]));
    const first = recordFrame(cutAt([1, 2])).slice();
    taker.receive(0, first.subarray(0, 7));
    expect(taker).toMatchObject({ happened: [], wanted: [], credits: [0] });
    taker.receive(1, first.subarray(7));
    expect(taker).toMatchObject({ happened: ["began"], wanted: [0], credits: [0] });
    taker.read();
    expect(taker.delivered).toEqual([textAt(LAST, 0, 0), textAt(LAST, 1, 0), textAt(LAST, 1, 1)]);
    expect(taker.credits).toEqual([0, 1]);
  });

  test("reads what has come only after its own checkpoint and records", () => {
    const log: JournalRecord[] = [...joinerLog([1, 0])];
    log.push({ kind: "checkpoint", group: 1, view: LAST, index: 0, chunk: new Uint8Array(3), last: true });
    const taker = new Taker(log);
    taker.receive(0, [cutAt([1, 0]), began(donor, 4, LAST, [1, 0]), packet(4, 0, 0, "since")]);
    taker.receive(1, [began(donor, SINCE, 4, [1, 0])], true);
    expect(taker.wanted).toEqual([2]);
    taker.read();
    expect(taker).toMatchObject({ wanted: [], delivered: [], credits: [] });
    expect(taker.tail.isReading).toBe(true);
    taker.tail.loaded(LAST);
    taker.take();
    taker.read();
    expect(taker.delivered).toEqual([textAt(LAST, 0, 0), "since"]);
    expect(taker.happened).toEqual(["began", "arrived"]);
    expect(taker.tail.isReading).toBe(false);
  });

  test("drops chunks out of order, twice, or beyond the bound, and after the end", () => {
    const taker = new Taker(joinerLog([0, 0]));
    taker.receive(1, [cutAt([0, 0])]);
    expect(taker.happened).toEqual([]);
    taker.receive(0, [cutAt([0, 0])]);
    taker.receive(0, [cutAt([0, 0])]);
    // Nothing is read while the joiner's own records are awaited.
    for (let index = 1; index <= CHUNKS_MAX + 5; index++) taker.receive(index, new Uint8Array(0));
    taker.read();
    expect(taker.credits).toEqual(Array.from({ length: CHUNKS_MAX + 2 }, (_, index) => index));
    const next = CHUNKS_MAX + 2;
    taker.receive(next, [began(donor, SINCE, LAST, [0, 0])]);
    taker.receive(next + 1, Uint8Array.of(3, 0, 0, 0, 9, 9, 9));
    expect(taker.happened).toEqual(["began", "arrived"]);
  });

  test.each<[string, readonly JournalRecord[] | Uint8Array]>([
    ["a record that is not a cut", [began(donor, 4, LAST, [0, 0])]],
    ["the cut of another epoch", [cutAt([0, 0], LAST - 1)]],
    ["bytes that are no record", Uint8Array.of(3, 0, 0, 0, 9, 9, 9)],
    ["a length that no record has", recordLength(FRAME_BYTES_MAX)],
  ])("goes astray without having shown anything when the tail begins with %s", (_, content) => {
    const taker = new Taker(joinerLog([1, 1]));
    taker.receive(0, content);
    expect(taker).toMatchObject({ happened: ["failed"], wanted: [], delivered: [], credits: [] });
  });

  test.each<[string, readonly JournalRecord[] | Uint8Array]>([
    ["a packet is missing", [packet(LAST, 1, 0), began(donor, 4, LAST, [1, 1]), packet(4, 0, 1)]],
    ["packets that the cut names are missing", [began(donor, 4, LAST, [1, 1])]],
    ["an epoch is missing", [packet(LAST, 1, 0), began(donor, 5, 4, [1, 1])]],
    ["the last epoch is missing", [packet(LAST, 1, 0), began(donor, SINCE, 5, [0, 0])]],
    ["it ends in another view", [packet(LAST, 1, 0), began(donor, SINCE + 1, LAST, [1, 1])]],
    ["there are bytes that are no record", Uint8Array.of(3, 0, 0, 0, 9, 9, 9)],
    ["there is a length that no record has", recordLength(FRAME_BYTES_MAX)],
  ])("goes astray when %s", (_, content) => {
    const taker = new Taker(joinerLog([1, 0]));
    taker.receive(0, [cutAt([1, 1])]);
    taker.read();
    taker.receive(1, content);
    expect(taker.happened).toEqual(["began", "failed"]);
    taker.receive(2, [began(donor, SINCE, LAST, [1, 1])], true);
    expect(taker.happened).toEqual(["began", "failed"]);
  });

  test("goes astray when the last chunk has come without the last record", () => {
    const taker = new Taker(joinerLog([1, 0]));
    taker.receive(0, [cutAt([1, 0])], true);
    expect(taker.happened).toEqual(["began"]);
    taker.read();
    expect(taker).toMatchObject({ happened: ["began", "failed"], credits: [] });
  });

  test("goes astray when its own log is damaged, or is not what it was", () => {
    const damaged = new Taker(joinerLog([1, 0]));
    damaged.receive(0, [cutAt([1, 0])]);
    damaged.tail.recalled([], "damaged");
    expect(damaged.happened).toEqual(["began", "failed"]);
    const flawed = new Taker([], { ...remainsOf(joinerLog([1, 0])), flaw: "a part of the log is not intact" });
    flawed.receive(0, [cutAt([1, 0])]);
    expect(flawed.happened).toEqual(["began", "failed"]);
  });

  test("that has ended reads and shows nothing more", () => {
    const taker = new Taker(joinerLog([1, 0]));
    taker.receive(0, [cutAt([1, 0])]);
    taker.tail.end();
    expect(taker.tail.isReading).toBe(false);
    taker.read();
    expect(taker).toMatchObject({ happened: ["began"], delivered: [], credits: [] });
  });
});

/** The first bytes of a frame that says to be so long. */
function recordLength(length: number): Uint8Array {
  return Uint8Array.of(length, length >>> 8, length >>> 16, length >>> 24);
}
