/**
 * What somebody who has a node's disk may try on its sealed log; each attempt says what it got, or nothing. The same list
 * judges the code as it is, and with planted bugs.
 */
import { createDecipheriv, hkdfSync } from "node:crypto";
import type { RecordSeal as RealSeal } from "../../src/runtime/secure/sealed-log.ts";

export interface SealedLogs {
  readonly RecordSeal: typeof RealSeal;
}

const CANARY = Buffer.from("canary-on-a-platter");
const KEY = new Uint8Array(32).fill(9);

/** The log as one process opens it, the `run`th. */
function openedBy({ RecordSeal }: SealedLogs, run: number, key = KEY): RealSeal {
  return new RecordSeal(key, new Uint8Array(16).fill(run));
}

function textOf(record: Uint8Array | undefined): string | undefined {
  return record && Buffer.from(record).toString("latin1");
}

/** Opens a record by the documents alone, with code of its own. */
function openedByTheBook(sealed: Uint8Array, position: number): string {
  const key = new Uint8Array(hkdfSync("sha256", KEY, sealed.subarray(8, 24), "coterie 1 data records", 32));
  const nonce = Buffer.alloc(12);
  nonce.writeDoubleLE(position, 0);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce);
  decipher.setAAD(sealed.subarray(0, 24));
  decipher.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(24, -16)), decipher.final()]).toString("latin1");
}

export const intrusions: Readonly<Record<string, (logs: SealedLogs) => string | undefined>> = {
  "a sealed record is what the documents say": (logs) => {
    const sealed = openedBy(logs, 1).seal(CANARY, 7);
    const text = openedByTheBook(sealed, 7);
    return text === CANARY.toString() ? undefined : `it says ${text}`;
  },
  "what was written is read by later processes": (logs) => {
    const sealed = openedBy(logs, 1).seal(CANARY, 2 ** 40);
    const text = textOf(openedBy(logs, 2).open(sealed, 2 ** 40));
    return text === CANARY.toString() ? undefined : `it is ${text}`;
  },
  "nothing of a record can be read on the disk": (logs) =>
    Buffer.from(openedBy(logs, 1).seal(CANARY, 0)).includes(CANARY) ? "the record is there" : undefined,
  "no bit can be changed": (logs) => {
    const sealed = openedBy(logs, 1).seal(CANARY, 3).slice();
    const reader = openedBy(logs, 2);
    // The length belongs to the log, which has a checksum of its own, and is sealed all the same.
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const at = bit >> 3;
      sealed[at] = (sealed[at] as number) ^ (1 << (bit & 7));
      if (reader.open(sealed, 3) !== undefined) return `bit ${bit} was changed`;
      sealed[at] = (sealed[at] as number) ^ (1 << (bit & 7));
    }
    return undefined;
  },
  "no record can be moved to another position": (logs) => {
    const sealed = openedBy(logs, 1).seal(CANARY, 3);
    const reader = openedBy(logs, 2);
    return [0, 2, 4, 3 + 2 ** 32].find((position) => reader.open(sealed, position) !== undefined)?.toString();
  },
  "no record of another directory is taken": (logs) =>
    textOf(openedBy(logs, 1).open(openedBy(logs, 1, new Uint8Array(32)).seal(CANARY, 3), 3)),
  "a record in clear is not taken": (logs) => {
    const clear = Buffer.concat([Buffer.from([0, 0, 0, 0, 3, 1]), Buffer.alloc(60)]);
    return textOf(openedBy(logs, 1).open(clear, 0));
  },
  "positions that are given again after a crash have another key": (logs) => {
    const before = openedBy(logs, 1).seal(CANARY, 5).slice();
    const other = Buffer.from(CANARY.map((byte) => byte ^ 0xff));
    const after = openedBy(logs, 2).seal(other, 5).slice();
    // With one key and one nonce the sums of what is sealed are the sums of what is in clear.
    const reveals = before.subarray(24, -16).every((byte, at) => (byte ^ (after[24 + at] as number)) === 0xff);
    return reveals ? "the sums are those of the records" : undefined;
  },
  "two records of a process have nonces of their own": (logs) => {
    const seal = openedBy(logs, 1);
    const [one, two] = [seal.seal(CANARY, 0).slice(), seal.seal(CANARY, 1).slice()];
    return Buffer.from(one.subarray(24, -16)).equals(two.subarray(24, -16)) ? "they are alike" : undefined;
  },
  "a position is never given twice by one process": (logs) => {
    const seal = openedBy(logs, 1);
    seal.seal(CANARY, 5);
    try {
      seal.seal(CANARY, 5);
    } catch {
      return undefined;
    }
    return "it was";
  },
};

/** The names of those that succeed. */
export function intrusive(logs: SealedLogs): string[] {
  return Object.keys(intrusions).filter((name) => {
    try {
      return intrusions[name]?.(logs) !== undefined;
    } catch {
      return true;
    }
  });
}
