/** ST1's bytes: a captured state arrives at the joiner once, in order, a bounded number of chunks at a time. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { effectsOf, ids, sentOf } from "../../../test/protocol/kit.ts";
import { Effects } from "../effects.ts";
import { GroupJournal } from "../group-journal.ts";
import { VOLATILE } from "../journal.ts";
import { CHUNK_BYTES_MAX } from "../messages.ts";
import { Donation, Loading } from "./transfer.ts";

const [donor = "", joiner = ""] = ids(2);
const CHUNKS_MAX = 3;

describe("a transfer", () => {
  test("brings all chunks in order, never more than the bound of them unacknowledged", () => {
    fc.assert(
      fc.property(fc.nat(12), fc.infiniteStream(fc.nat(2)), (count, dice) => {
        const effects = new Effects();
        const donation = new Donation(1, joiner, 5, CHUNKS_MAX, effects);
        const loading = new Loading(1, donor, 5, new GroupJournal(VOLATILE, 1, "g", joiner, 1e6), effects);
        const chunks = Array.from({ length: count }, (_, index) => Uint8Array.from([index]));
        const underWay: Parameters<Loading["receive"]>[0][] = [];
        const credits: number[] = [];
        const arrived: number[][] = [];
        let next = 0;
        let pulls = 0;
        let isLast = false;
        let released = false;
        while (!isLast) {
          const recorded = effects.take();
          pulls += effectsOf(recorded, "pull").length;
          for (const { message } of sentOf(recorded, "stateChunk")) underWay.push(message);
          for (const { message } of sentOf(recorded, "stateCredit")) credits.push(message.index);
          for (const { chunk, last } of effectsOf(recorded, "chunk")) {
            if (chunk.length > 0) arrived.push([...chunk]);
            isLast = last;
          }
          if (effectsOf(recorded, "release").length > 0) released = true;
          expect(underWay.length + credits.length).toBeLessThanOrEqual(CHUNKS_MAX);
          const die = dice.next().value;
          const [chunk, credit] = [underWay[0], credits[0]];
          if (die === 0 && pulls > 0) {
            pulls--;
            donation.chunk(chunks[next++]);
          } else if (die === 1 && chunk !== undefined) {
            underWay.shift();
            loading.receive(chunk);
          } else if (die === 2 && credit !== undefined) {
            credits.shift();
            donation.credit(credit);
          }
        }
        expect(arrived).toEqual(chunks.map((chunk) => [...chunk]));
        expect(released).toBe(true);
      }),
    );
  });

  test("begins with the capture, and with the load at the joiner", () => {
    const effects = new Effects();
    new Donation(1, joiner, 5, CHUNKS_MAX, effects);
    new Loading(1, donor, 5, new GroupJournal(VOLATILE, 1, "g", joiner, 1e6), effects);
    expect(effects.take().map(({ kind }) => kind)).toEqual(["capture", "pull", "load"]);
  });

  test("chunks of another transfer, out of order or twice, are dropped", () => {
    const effects = new Effects();
    const loading = new Loading(1, donor, 5, new GroupJournal(VOLATILE, 1, "g", joiner, 1e6), effects);
    const chunk = { kind: "stateChunk", group: 1, view: 5, index: 0, chunk: new Uint8Array(1), last: false } as const;
    effects.take();
    loading.receive({ ...chunk, view: 4 });
    loading.receive({ ...chunk, index: 1 });
    expect(effects.empty).toBe(true);
    loading.receive(chunk);
    loading.receive(chunk);
    expect(effectsOf(effects.take(), "chunk")).toHaveLength(1);
  });

  test("a donation that has ended is released once and sends nothing more", () => {
    const effects = new Effects();
    const donation = new Donation(1, joiner, 5, CHUNKS_MAX, effects);
    donation.end();
    donation.chunk(new Uint8Array(1));
    donation.credit(7);
    expect(effects.take().map(({ kind }) => kind)).toEqual(["capture", "pull", "release"]);
  });

  test("a chunk that does not fit into a message is a programmer's error", () => {
    const donation = new Donation(1, joiner, 5, CHUNKS_MAX, new Effects());
    expect(() => donation.chunk(new Uint8Array(CHUNK_BYTES_MAX + 1))).toThrow("broken rule");
  });
});
