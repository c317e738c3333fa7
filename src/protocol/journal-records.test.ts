/**
 * The format of records on disk. `journal-records.vectors.json` holds the bytes of one record of every kind: a change of it
 * is a change of the format, after which a node does not understand its own log (`vitest -u` rewrites it).
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { packetOf } from "../../test/protocol/kit.ts";
import { SAFE } from "../wire/packet.ts";
import { type JournalRecord, parseRecord, recordFrame } from "./journal-records.ts";
import type { Ballot, Proposal } from "./messages.ts";

const a = "a#0a0a0a0a";
const node = { id: a, address: "10.0.0.1:7000", livenessPort: 7001, features: 0, disk: "0123456789abcdef", weight: 1 };
const ballot: Ballot = { round: 2, proposer: a };
const proposal: Proposal = {
  view: { cluster: "c0ffee", number: 7, nodes: [node], acceptors: [a] },
  cut: [4],
  leavers: [],
  holders: [a],
};

const examples: { readonly [K in JournalRecord["kind"]]: Extract<JournalRecord, { readonly kind: K }> } = {
  packet: { kind: "packet", packet: packetOf(SAFE, 0, 3, "text") },
  founding: { kind: "founding", digest: "31.7", coordinator: "0123456789abcdef" },
  view: { kind: "view", decided: proposal, snapshot: Uint8Array.from([1, 2, 3]) },
  promise: { kind: "promise", view: 7, ballot },
  accepted: { kind: "accepted", view: 7, ballot, proposal },
  began: {
    kind: "began",
    group: 3,
    name: "prices",
    self: a,
    view: { number: 6, members: [a], synced: [a], acceptors: [], lacking: [] },
    target: 8,
    from: 5,
    cut: [7, 9],
  },
  cut: { kind: "cut", group: 3, ballot: 7, from: 6, to: 7, cut: [12] },
  checkpoint: { kind: "checkpoint", group: 3, view: 6, index: 2, chunk: Uint8Array.from([4, 5]), last: true },
  minted: { kind: "minted", disk: "0123456789abcdef" },
  again: {
    kind: "again",
    decided: proposal,
    snapshot: Uint8Array.from([1, 2, 3]),
    promised: ballot,
    accepted: { ballot, proposal },
    packets: [packetOf(SAFE, 0, 3, "text").bytes],
  },
};

function gist(record: JournalRecord | undefined): unknown {
  return record?.kind === "packet" ? { kind: record.kind, bytes: [...record.packet.bytes] } : record;
}

describe("records", () => {
  test("of every kind have the bytes of their vector", async () => {
    const vectors = Object.fromEntries(
      Object.entries(examples).map(([kind, example]) => [kind, Buffer.from(recordFrame(example)).toString("hex")]),
    );
    await expect(`${JSON.stringify(vectors, undefined, 2)}\n`).toMatchFileSnapshot("journal-records.vectors.json");
  });

  test("are read as they were written, and nothing shorter or longer is", () => {
    for (const example of Object.values(examples)) {
      const frame = recordFrame(example).slice();
      expect(gist(parseRecord(frame))).toEqual(gist(example));
      for (let length = 0; length < frame.length; length++) {
        expect(parseRecord(frame.subarray(0, length))).toBeUndefined();
      }
      expect(parseRecord(Uint8Array.from([...frame, 0]))).toBeUndefined();
    }
  });

  test("a packet is recorded as it travels, without a copy", () => {
    expect(recordFrame(examples.packet)).toBe(examples.packet.packet.bytes);
  });

  test("of another version are not understood", () => {
    const frame = recordFrame(examples.promise).slice();
    frame[5] = 1;
    expect(parseRecord(frame)).toBeUndefined();
  });

  test("garbage is no record, and never throws", () => {
    const all = Object.values(examples).map((example) => recordFrame(example).slice());
    fc.assert(
      fc.property(fc.nat(all.length - 1), fc.nat(), fc.integer({ min: 0, max: 255 }), (which, at, byte) => {
        const frame = (all[which] ?? new Uint8Array(1)).slice();
        frame[at % frame.length] = byte;
        const record = parseRecord(frame);
        if (record !== undefined) expect(gist(parseRecord(recordFrame(record).slice()))).toEqual(gist(record));
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        const record = parseRecord(garbage);
        if (record !== undefined) expect(record.kind in examples).toBe(true);
      }),
    );
  });
});
