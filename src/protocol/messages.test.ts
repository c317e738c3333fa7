/**
 * The wire format of control messages. `messages.vectors.json` holds the bytes of one message of every kind: a change of
 * it is a change of the protocol, after which old and new nodes do not understand each other (`vitest -u` rewrites it).
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decode, encode } from "../wire/layout.ts";
import { Writer } from "../wire/writer.ts";
import {
  type Ballot,
  CHUNK_BYTES_MAX,
  type DirectoryRequest,
  isLower,
  type Message,
  message,
  type Proposal,
  type Step,
} from "./messages.ts";
import type { ClusterView, GroupView, NodeRecord } from "./view.ts";

const a = "a#0a0a0a0a";
const b = "b#0b0b0b0b";
const node: NodeRecord = { id: a, address: "10.0.0.1:7000", livenessPort: 7001, features: 3, disk: "", weight: 1 };
const view: ClusterView = { cluster: "c0ffee", number: 7, nodes: [node], acceptors: [a] };
const group: GroupView = {
  number: 5,
  members: [a, b],
  synced: [a],
  acceptors: [a],
  lacking: [{ members: [b], operations: [0x1000_0009] }],
};
const ballot: Ballot = { round: 2, proposer: b };
const proposal: Proposal = { view, cut: [4, 0], leavers: [b], holders: [a] };
const step: Step = {
  from: 4,
  view: group,
  cut: [9, 1],
  holders: [a, b],
  transfers: [{ joiner: b, donor: a, since: 5, standing: { epoch: 3, held: [4, 0] } }],
  epochSecret: Uint8Array.from([1, 2]),
};
const requests: readonly DirectoryRequest[] = [
  {
    requester: a,
    number: 1,
    command: {
      kind: "join",
      groups: [{ name: "g", digest: "d", durable: false, acceptorsMax: 0, operations: [], proof: undefined }],
    },
  },
  { requester: a, number: 2, command: { kind: "leave", groups: [1, 2] } },
  { requester: b, number: 3, command: { kind: "synced", group: 1, target: 5 } },
  { requester: b, number: 4, command: { kind: "forget", name: "g", group: 1 } },
];
const addressed = { group: 1, directoryIndex: 300, target: 5 };

const examples: { readonly [K in Message["kind"]]: Extract<Message, { readonly kind: K }> } = {
  joinCluster: { kind: "joinCluster", node, linked: ["a#00000001"], left: 6 },
  joinRefused: { kind: "joinRefused", code: "closing", detail: "why" },
  clusterHint: { kind: "clusterHint", nodes: [node] },
  leaveCluster: { kind: "leaveCluster" },
  heartbeat: { kind: "heartbeat", view: 7, number: 9, heard: [300, 0], suspects: [b], frozen: true },
  excluded: { kind: "excluded", cluster: "c0ffee", view: 8 },
  foundingOffer: { kind: "foundingOffer", digest: "31.7", node },
  foundingCall: { kind: "foundingCall" },
  foundingVote: { kind: "foundingVote", fresh: true },
  foundingOver: { kind: "foundingOver" },
  prevote: { kind: "prevote", view: 7, round: 2 },
  prevoteGranted: { kind: "prevoteGranted", view: 7, round: 2 },
  prepare: { kind: "prepare", view: 7, ballot },
  promise: { kind: "promise", view: 7, ballot, held: [4, 0], accepted: { ballot, proposal } },
  accept: { kind: "accept", view: 7, ballot, proposal },
  accepted: { kind: "accepted", view: 7, ballot },
  superseded: { kind: "superseded", view: 7, promised: ballot },
  installCluster: { kind: "installCluster", decided: proposal, snapshot: Uint8Array.from([1, 2, 3]) },
  installedCluster: { kind: "installedCluster", view: 8 },
  directoryRequest: { kind: "directoryRequest", request: requests[0] as DirectoryRequest },
  directoryFeed: { kind: "directoryFeed", view: 7, index: 300, requests },
  row: { kind: "row", group: 1, epoch: 4, row: [9, 1] },
  solicit: { kind: "solicit", group: 1, epoch: 4, target: [9, 1] },
  fetch: { kind: "fetch", group: 1, epoch: 4, sender: 1, from: 0, to: 9 },
  report: {
    kind: "report",
    ...addressed,
    admitted: 2,
    epoch: 4,
    row: [9, 1],
    seen: { ballot: 5, step },
    standing: { epoch: 3, held: [4, 0] },
    astray: false,
  },
  cut: { kind: "cut", ...addressed, step },
  hold: { kind: "hold", ...addressed, from: 4 },
  install: { kind: "install", ...addressed, from: 4 },
  stateChunk: { kind: "stateChunk", group: 1, view: 5, index: 2, chunk: Uint8Array.from([7]), last: true },
  stateCredit: { kind: "stateCredit", group: 1, view: 5, index: 2 },
  answer: { kind: "answer", group: 1, query: 3, status: "null", value: Uint8Array.from([7]), more: false },
  stable: { kind: "stable", group: 1, epoch: 4, row: [9, 1] },
  tailChunk: { kind: "tailChunk", group: 1, view: 5, index: 2, chunk: Uint8Array.from([7]), last: true },
  keyOffer: { kind: "keyOffer", group: 1, view: 5, key: Uint8Array.from([8]) },
  keyTaken: { kind: "keyTaken", group: 1, view: 5, publicKey: Uint8Array.from([9]) },
};

describe("control messages", () => {
  test("every kind has the bytes of its vector", async () => {
    const vectors = Object.fromEntries(
      Object.entries(examples).map(([kind, example]) => [kind, Buffer.from(encode(message, example)).toString("hex")]),
    );
    await expect(`${JSON.stringify(vectors, undefined, 2)}\n`).toMatchFileSnapshot("messages.vectors.json");
  });

  test("every kind is read as it was written, and nothing shorter or longer is", () => {
    for (const example of Object.values(examples)) {
      const bytes = encode(message, example);
      expect(decode(message, bytes)).toEqual(example);
      for (let length = 0; length < bytes.length; length++) {
        expect(decode(message, bytes.subarray(0, length))).toBeUndefined();
      }
      expect(decode(message, Uint8Array.from([...bytes, 0]))).toBeUndefined();
    }
  });

  test("a message whose bytes were changed is another message or none, and never throws", () => {
    const all = Object.values(examples).map((example) => encode(message, example));
    fc.assert(
      fc.property(fc.nat(all.length - 1), fc.nat(), fc.integer({ min: 0, max: 255 }), (which, at, byte) => {
        const bytes = (all[which] ?? new Uint8Array(1)).slice();
        bytes[at % bytes.length] = byte;
        const value = decode(message, bytes);
        if (value !== undefined) expect(decode(message, encode(message, value))).toEqual(value);
      }),
      { numRuns: 1000 },
    );
  });

  test("garbage is no message", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        const value = decode(message, garbage);
        if (value !== undefined) expect(value.kind in examples).toBe(true);
      }),
    );
  });

  test("a chunk of the largest size is carried, one byte more is not", () => {
    const chunkOf = (length: number): Message => ({ ...examples.stateChunk, chunk: new Uint8Array(length) });
    const writer = new Writer(CHUNK_BYTES_MAX + 100);
    message.write(writer, chunkOf(CHUNK_BYTES_MAX));
    expect(decode(message, writer.finish())?.kind).toBe("stateChunk");
    expect(decode(message, encode(message, chunkOf(CHUNK_BYTES_MAX + 1)))).toBeUndefined();
  });
});

describe("ballots", () => {
  test("are compared by round, then by proposer (A2)", () => {
    const [low, other, high] = [
      { round: 1, proposer: "z" },
      { round: 2, proposer: "a" },
      { round: 2, proposer: "b" },
    ];
    const order = [low, other, high];
    for (const [i, x] of order.entries()) for (const [j, y] of order.entries()) expect(isLower(x, y)).toBe(i < j);
  });
});
