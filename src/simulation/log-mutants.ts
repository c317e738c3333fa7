/** Planted bugs of the log, each with the promise of `log-trial.ts` that it must be seen to break. */
import type { LogPromise } from "./log-trial.ts";
import type { Mutant } from "./mutant.ts";

const BATCH = "runtime/log/batch.js";
const LOG = "runtime/log/log.js";
const RECOVERY = "runtime/log/recovery.js";
const SEGMENT = "runtime/log/segment.js";

export const logMutants: readonly Mutant<LogPromise>[] = [
  {
    name: "acknowledged-before-written",
    violates: "kept",
    file: LOG,
    find: "this.#isWriting = true;",
    replace: "this.#isWriting = true; this.#listener.persisted(this.#durable + count);",
    why: "A record is acknowledged when its write begins, and a crash loses it.",
  },
  {
    name: "failed-write-acknowledged",
    violates: "kept",
    file: LOG,
    find: "if (problem === undefined) {\n                segment.add(",
    replace: "if (true) {\n                segment.add(",
    why: "The disk says that a write has failed, and its records are acknowledged.",
  },
  {
    name: "full-write-dropped",
    violates: "true",
    file: LOG,
    find: "this.#full.unshift(batch);",
    replace: "",
    why: "A batch for which there was no room is not written again: the next takes its positions.",
  },
  {
    name: "goes-on-after-failure",
    violates: "kept",
    file: LOG,
    find: 'this.#setStatus("failed", problem.detail);\n            this.#closeFiles();',
    replace: "this.#durable += count;\n            this.#closeFiles();",
    why: "A failed write is skipped, and the next is acknowledged: recovery finds a gap, or the end.",
  },
  {
    name: "cut-at-the-first-damage",
    violates: "kept",
    file: SEGMENT,
    find: "for (let at = from; at < this.#file.bytes; at += BLOCK_BYTES) {",
    replace: "for (let at = from; at === from && at < this.#file.bytes; at += BLOCK_BYTES) {",
    why: "A batch that is not intact is taken for the torn end, although intact ones follow it.",
  },
  {
    name: "damage-forgotten",
    violates: "kept",
    file: RECOVERY,
    find: "if (this.#begun && number !== this.batch)",
    replace: "if (this.#begun && number < this.batch)",
    why: "A gap between batches is not noted as damage: nobody asks a peer for what was there.",
  },
  {
    name: "floor-before-its-time",
    violates: "true",
    file: LOG,
    find: "this.#segments[0].next <= this.#durableFloor",
    replace: "this.#segments[0].next <= this.#floor",
    why: "A segment is used again before the floor above it is on disk; after a crash its records are missing.",
  },
  {
    name: "floor-forgotten",
    violates: "true",
    file: RECOVERY,
    find: "this.floor = Math.max(this.floor, floor);",
    replace: "this.floor = floor > this.position ? floor : this.floor;",
    why: "Segments that were used again count as damaged after a restart.",
  },
  {
    name: "earlier-use-served",
    violates: "true",
    file: RECOVERY,
    find: "head.segment === number && head.number >= this.batch && this.#isOfThisLog(head)",
    replace: "this.#isOfThisLog(head)",
    why: "What is left of an earlier use of a file is taken for the end of the log.",
  },
  {
    name: "sum-not-looked-at",
    violates: "true",
    file: BATCH,
    find: "return view.getUint32(4, true) === sum;",
    replace: "return sum >= 0;",
    why: "A torn or damaged batch is served.",
  },
  {
    name: "filled-while-written",
    violates: "true",
    file: LOG,
    find: "this.#filling = this.#idle.pop() ?? new BatchBuilder();\n        const segment",
    replace: "this.#filling = batch;\n        const segment",
    why: "What is appended changes the batch that is being written.",
  },
  {
    name: "not-copied",
    violates: "true",
    file: BATCH,
    find: "else\n            for (let index = 0; index < length; index++)",
    replace: "else\n            for (let index = 1; index < length; index++)",
    why: "The first byte of a short record is what was there before.",
  },
  {
    name: "blocks-shared",
    violates: "kept",
    file: BATCH,
    find: "return Math.ceil((BATCH_HEADER_BYTES + bodyBytes) / BLOCK_BYTES) * BLOCK_BYTES;",
    replace: "return Math.ceil((BATCH_HEADER_BYTES + bodyBytes) / 512) * 512;",
    why: "A write touches a block that holds something acknowledged, and a crash tears it.",
  },
  {
    name: "waits-for-ever",
    violates: "alive",
    file: LOG,
    find: "this.#recycle();\n        this.flush();",
    replace: "this.#recycle();",
    why: "What was appended during a write is not written when that is over.",
  },
  {
    name: "room-not-made",
    violates: "alive",
    file: LOG,
    find: "this.#prepareSpare(spare === undefined ? bytes : 0);",
    replace: "this.#prepareSpare(0);",
    why: "A record that needs a larger file than others waits for one that nobody makes.",
  },
];
