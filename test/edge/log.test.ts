import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type JournalRecord, recordFrame } from "../../src/protocol/journal-records.ts";
import { Directory } from "../../src/protocol/membership/directory.ts";
import { Folder } from "../../src/runtime/log/folder.ts";
import { Log } from "../../src/runtime/log/log.ts";
import { type Packet, SAFE } from "../../src/wire/packet.ts";
import { packetOf } from "../protocol/kit.ts";
import { run } from "./run.ts";

let path = "";

beforeEach(async () => {
  path = mkdtempSync(join(tmpdir(), "coterie-log-"));
  await written(Array.from({ length: 20 }, (_, position) => new Uint8Array(100).fill(position)));
});

afterEach(() => rmSync(path, { recursive: true, force: true }));

/** One batch for each record, so that a damaged one lies before others that are intact. */
function written(records: readonly Uint8Array[]): Promise<void> {
  return new Promise((resolve) => {
    const options = { segmentBytes: 64 * 1024, waitingBytesMax: 1024 * 1024, id: [1, 2] as const };
    const log = new Log(new Folder(path), options, {
      persisted: (upTo) => (upTo % records.length === 0 ? end() : append()),
      statusChanged: () => {},
      room: () => {},
      damaged: () => {},
    });
    const append = (): void => {
      log.append(records[log.next % records.length] as Uint8Array);
      log.flush();
    };
    const end = (): void => {
      log.close();
      resolve();
    };
    append();
  });
}

function damage(): void {
  for (const name of readdirSync(path)) {
    const bytes = readFileSync(join(path, name));
    bytes.fill(0xaa, 5 * 4096 + 70, 5 * 4096 + 80);
    writeFileSync(join(path, name), bytes);
  }
}

describe("coterie log", () => {
  test("verify: a log that is intact", async () => {
    const { code, json } = await run(["log", "verify", path, "--json"]);
    expect(code).toBe(0);
    expect(json).toMatchObject({ ok: true, floor: 0, next: 20, damage: [] });
  });

  test("verify: what is damaged is named, and the exit code is 1", async () => {
    damage();
    const { code, json } = await run(["log", "verify", path, "--json"]);
    expect(code).toBe(1);
    expect(json).toMatchObject({ ok: false, damage: [{ from: 5, to: 6 }] });
    const { stdout } = await run(["log", "verify", path]);
    expect(stdout).toContain("records 5 to 5 are damaged");
  });

  test("inspect: every segment", async () => {
    const { code, stdout } = await run(["log", "inspect", path]);
    expect(code).toBe(0);
    expect(stdout).toContain("records 0 to 15 in 16 batches");
    expect(stdout).toContain("records 16 to 19 in 4 batches");
  });

  test("inspect: what the records are, and of which groups", async () => {
    rmSync(path, { recursive: true });
    mkdirSync(path);
    const node = {
      id: "a#0a0a0a0a",
      address: "10.0.0.1:7000",
      livenessPort: 0,
      features: 0,
      disk: "0000000200000001",
      weight: 1,
    };
    const directory = new Directory();
    const command = {
      kind: "join",
      groups: [{ name: "bank", digest: "d", durable: false, acceptorsMax: 0, operations: [], proof: undefined }],
    } as const;
    directory.execute(
      { requester: node.id, number: 1, command },
      {
        diskOf: () => node.disk,
        durable: true,
        cluster: "c0ffee",
        verify: () => false,
      },
    );
    const view = { cluster: "c0ffee", number: 7, nodes: [node], acceptors: [node.id] };
    const decided = { view, cut: [], leavers: [], holders: [] };
    const ballot = { round: 2, proposer: node.id };
    const packet = (group: number, epoch: number): Packet => {
      const of = packetOf(SAFE, 0, 0, "one");
      of.stamp(group, epoch, 0, 0, 0);
      return of;
    };
    const records: JournalRecord[] = [
      { kind: "view", decided, snapshot: directory.snapshot() },
      { kind: "promise", view: 7, ballot },
      { kind: "packet", packet: packet(0, 7) },
      { kind: "packet", packet: packet(1, 3) },
      { kind: "packet", packet: packet(1, 4) },
    ];
    await written([...records.map((record) => recordFrame(record).slice()), Uint8Array.of(1, 2, 3)]);
    const { code, json } = await run(["log", "inspect", path, "--json"]);
    expect(code).toBe(0);
    expect(json).toMatchObject({
      kinds: {
        view: { records: 1 },
        promise: { records: 1 },
        packet: { records: 3 },
        unknown: { records: 1, bytes: 3 },
      },
      groups: [
        { group: 0, packets: { records: 1 }, messages: 1, epochs: [7, 7], others: { view: { records: 1 } } },
        { group: 1, name: "bank", packets: { records: 2 }, messages: 2, epochs: [3, 4], others: {} },
      ],
      view: { cluster: "c0ffee", number: 7 },
    });
    const { stdout } = await run(["log", "inspect", path]);
    expect(stdout).toContain("The last view of the cluster c0ffee is number 7");
    expect(stdout).toMatch(/bank +3 to 4 +2 +2/);
  });

  test("a folder that holds no log, or is none", async () => {
    for (const wrong of [join(path, "none"), tmpdir()]) {
      const { code, stderr } = await run(["log", "verify", wrong]);
      expect(code).toBe(2);
      expect(stderr).toContain(wrong);
    }
  });
});
