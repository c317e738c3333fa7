/**
 * Everything that takes bytes from the network or from a disk, each with good examples. What a target makes of bytes that
 * are not good is its own affair, as long as it ends, throws nothing, and believes nothing that it can tell to be wrong:
 * then `judge` says what was wrong.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "../../src/base/random.ts";
import { decodeAny, encodeAny } from "../../src/group/codec.ts";
import { parseRecord, recordFrame } from "../../src/protocol/journal-records.ts";
import { Directory, type Nodes } from "../../src/protocol/membership/directory.ts";
import { PUBLIC_KEY_BYTES, statementOf } from "../../src/protocol/membership/proof.ts";
import { controlFrame, parseControl } from "../../src/runtime/frames.ts";
import { Log } from "../../src/runtime/log/log.ts";
import { ClusterKeyError, keysIn } from "../../src/runtime/secure/cluster-key.ts";
import { GroupKey, isSigned } from "../../src/runtime/secure/group-key.ts";
import { Sealing } from "../../src/runtime/secure/sealing.ts";
import { envelopeFor, openEnvelope } from "../../src/runtime/tcp/envelope.ts";
import { handshakeFrame, readHandshake } from "../../src/runtime/tcp/handshake.ts";
import { SimulatedDisk } from "../../src/simulation/disk.ts";
import { eventProblem, headerProblem } from "../../src/simulation/history-lines.ts";
import { FRAME_CONTROL, Packet } from "../../src/wire/packet.ts";
import { directTo, GROUP, memberOf, packetAt, viewOf } from "../secure/attacks.ts";

export interface Target {
  readonly name: string;
  readonly from: "network" | "disk";
  readonly examples: readonly Uint8Array[];
  /** Whether four bytes at the start are the length of the rest, which may be put right after a change. */
  readonly hasLength: boolean;
  /** What is wrong with what was made of these bytes, none of the examples; undefined when nothing is. */
  readonly judge: (bytes: Uint8Array) => string | undefined;
}

const source = join(import.meta.dirname, "../../src");
const LOG = { segmentBytes: 16 * 1024, waitingBytesMax: 64 * 1024, id: [7, 9] as const };
const RECORDS = 24;

export function targets(): readonly Target[] {
  return [
    handshake(),
    control(),
    packets(),
    envelopes(),
    sealed(),
    proofs(),
    records(),
    logs(),
    directories(),
    states(),
    histories(),
    keyFiles(),
  ];
}

function vectors<T>(path: string): T {
  return JSON.parse(readFileSync(join(source, path), "utf8")) as T;
}

function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, "hex"));
}

/** What was understood is understood again when it is said anew. */
function said<T>(value: T | undefined, again: (value: T) => unknown): string | undefined {
  return value === undefined || again(value) !== undefined ? undefined : "it was understood, and cannot be said again";
}

function handshake(): Target {
  const examples = vectors<{ hex: string }[]>("runtime/tcp/handshake.vectors.json").map(({ hex }) => fromHex(hex));
  const judge = (bytes: Uint8Array) => said(readHandshake(bytes), (value) => readHandshake(handshakeFrame(value)));
  return { name: "handshake", from: "network", examples, hasLength: true, judge };
}

function control(): Target {
  const messages = Object.values(vectors<Record<string, string>>("protocol/messages.vectors.json")).map(fromHex);
  const examples = messages.map((message) => {
    const frame = Buffer.concat([Buffer.of(0, 0, 0, 0, FRAME_CONTROL), message]);
    frame.writeUInt32LE(frame.length - 4, 0);
    return new Uint8Array(frame);
  });
  const judge = (bytes: Uint8Array) => said(parseControl(bytes), (value) => parseControl(controlFrame(value)));
  return { name: "control messages", from: "network", examples, hasLength: true, judge };
}

function packets(): Target {
  const examples = [0, 1, 2].map((seqno) => packetAt(seqno, 1, seqno, { text: "x".repeat(seqno * 20) }).bytes);
  const judge = (bytes: Uint8Array): string | undefined => {
    const packet = Packet.parse(bytes);
    return packet !== undefined && packet.bodyEnd > bytes.length ? "its body ends behind its bytes" : undefined;
  };
  return { name: "packets", from: "network", examples, hasLength: true, judge };
}

function envelopes(): Target {
  const [ann, bob] = ["ann#0000000a", "bob#0000000b"];
  const head = envelopeFor("frame", "birds", ann as string, bob as string);
  const examples = [head.slice(), new Uint8Array([...head, ...packetAt(0, 1, 0).bytes])];
  const judge = (bytes: Uint8Array): string | undefined => {
    const opened = openEnvelope(bytes);
    return opened !== undefined && opened.body.length > bytes.length ? "its body is longer than it" : undefined;
  };
  return { name: "datagrams", from: "network", examples, hasLength: false, judge };
}

function sealed(): Target {
  const [ann, bob] = ["ann#0000000a", "bob#0000000b"] as const;
  const sealer = memberOf(Sealing, ann, viewOf(1));
  const opener = memberOf(Sealing, bob, viewOf(1));
  const examples = [0, 1, 2].map((seqno) => sealer.sealPacket(packetAt(0, 1, seqno)));
  examples.push(directTo(sealer, bob));
  // What counts is in the frame behind its length, which the network has taken off.
  const known = new Set(examples.map((frame) => Buffer.from(frame.subarray(4)).toString("hex")));
  const judge = (bytes: Uint8Array): string | undefined => {
    if (opener.open(ann, bytes).kind !== "opened") return undefined;
    return known.has(Buffer.from(bytes.subarray(4)).toString("hex")) ? undefined : "it was opened";
  };
  return { name: "sealed frames", from: "network", examples, hasLength: true, judge };
}

function proofs(): Target {
  const key = new GroupKey(new Uint8Array(32).fill(GROUP), "vault");
  const statement = statementOf("birds", "vault", "ann#0000000a");
  const signature = key.prove("birds", "ann#0000000a");
  const judge = (bytes: Uint8Array): string | undefined => {
    const isKey = bytes.length <= PUBLIC_KEY_BYTES;
    const isTaken = isKey ? isSigned(bytes, statement, signature) : isSigned(key.publicKey, statement, bytes);
    return isTaken ? "it is taken for a proof" : undefined;
  };
  const examples = [signature, key.publicKey];
  return { name: "proofs of a group's key", from: "network", examples, hasLength: false, judge };
}

function records(): Target {
  const examples = Object.values(vectors<Record<string, string>>("protocol/journal-records.vectors.json")).map(fromHex);
  const judge = (bytes: Uint8Array) => said(parseRecord(bytes), (value) => parseRecord(recordFrame(value).slice()));
  return { name: "records of the log", from: "disk", examples, hasLength: true, judge };
}

function logs(): Target {
  const written = Array.from({ length: RECORDS }, (_, index) => new Uint8Array(1 + index * 9).fill(index));
  const disk = diskWith([]);
  const log = openLog(disk);
  for (const record of written) {
    log.append(record);
    log.flush();
  }
  const files = disk.names().map((name) => contentOf(disk, name));
  const examples = files.filter((content) => content.some((byte) => byte !== 0));
  const judge = (bytes: Uint8Array): string | undefined => {
    const found = openLog(diskWith([bytes]));
    let position = found.floor;
    for (const record of found.read(position)) {
      if (Buffer.compare(record, written[position] ?? new Uint8Array(0)) !== 0) return `record ${position} is another`;
      position++;
    }
    return undefined;
  };
  return { name: "segments of the log", from: "disk", examples, hasLength: false, judge };
}

function diskWith(contents: readonly Uint8Array[]): SimulatedDisk {
  const disk = new SimulatedDisk({ later: (_, action) => action(), random: new Random(1) });
  for (const [index, content] of contents.entries()) {
    const name = `segment-${index + 1}.log`;
    disk.create(name, content.length, () => {});
    disk.open(name).write(0, content, () => {});
  }
  return disk;
}

function contentOf(disk: SimulatedDisk, name: string): Uint8Array {
  const file = disk.open(name);
  const content = new Uint8Array(file.bytes);
  file.read(0, content);
  return content;
}

function openLog(disk: SimulatedDisk): Log {
  const ignore = (): void => {};
  return new Log(disk, LOG, { persisted: ignore, statusChanged: ignore, room: ignore, damaged: ignore });
}

function directories(): Target {
  const nodes: Nodes = { diskOf: () => "d", durable: true, cluster: "birds", verify: () => true };
  const directory = new Directory();
  const proof = { publicKey: new Uint8Array(32).fill(3), signature: new Uint8Array(64) };
  for (const [index, requester] of ["ann#0000000a", "bob#0000000b"].entries()) {
    const groups = ["g", "h"].map((name) => ({
      name,
      digest: "d",
      durable: name === "h",
      acceptorsMax: index,
      operations: [1, 2 + index],
      proof: name === "h" ? proof : undefined,
    }));
    directory.execute({ requester, number: 1, command: { kind: "join", groups } }, nodes);
  }
  const judge = (bytes: Uint8Array) => said(Directory.restore(bytes), (value) => Directory.restore(value.snapshot()));
  return { name: "directories", from: "disk", examples: [directory.snapshot()], hasLength: false, judge };
}

/** Checkpoints and transferred states. */
function states(): Target {
  const values = [
    new Map([["a", [1, 2n, "x", null]]]),
    { at: new Date(0), set: new Set([undefined]) },
    "text",
    [[[1.5]]],
  ];
  const examples = values.map((value) => encodeAny(value) as Uint8Array);
  const judge = (bytes: Uint8Array): undefined => {
    decodeAny(bytes);
  };
  return { name: "states", from: "disk", examples, hasLength: false, judge };
}

/** What is in a file of keys: a key is whole or refused, and no error shows one. */
function keyFiles(): Target {
  const words = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(255)].map(
    (bytes) => `coterie_${Buffer.from(bytes).toString("base64url")}`,
  );
  const examples = [`${words[0]}\n`, `${words.join("\n")}\n`].map((text) => new Uint8Array(Buffer.from(text)));
  const judge = (bytes: Uint8Array): string | undefined => {
    try {
      const keys = keysIn(Buffer.from(bytes).toString());
      return keys.every(({ length }) => length === 32) ? undefined : "a key of another length is taken";
    } catch (error) {
      if (!(error instanceof ClusterKeyError)) throw error;
      return words.some((word) => error.message.includes(word.slice(8, 20))) ? "it shows a key" : undefined;
    }
  };
  return { name: "key files", from: "disk", examples, hasLength: false, judge };
}

function histories(): Target {
  const lines = [
    { coterie: "history", version: 1, origin: 0, node: "ann#0000000a" },
    { kind: "start", at: 0, node: "ann#0000000a" },
    { kind: "install", at: 1, node: "ann#0000000a", group: "g", number: 1, members: ["ann#0000000a"] },
  ];
  const examples = lines.map((line) => new Uint8Array(Buffer.from(JSON.stringify(line))));
  const judge = (bytes: Uint8Array): undefined => {
    let value: unknown;
    try {
      value = JSON.parse(Buffer.from(bytes).toString());
    } catch {
      return;
    }
    headerProblem(value);
    eventProblem(value);
  };
  return { name: "lines of histories", from: "disk", examples, hasLength: false, judge };
}
