/**
 * A simulated disk: what was written is kept apart from what was acknowledged. A crash loses or tears what was under way,
 * block by block; bits flip; the disk may be full, slow, or fail, or be replaced by an empty one.
 */
import type { Random } from "../base/random.ts";
import type { Disk, DiskFile, DiskProblem } from "../runtime/ports.ts";

const BLOCK_BYTES = 4096;

type Done = (problem: DiskProblem | undefined) => void;

interface UnderWay {
  readonly name: string;
  readonly at: number;
  readonly bytes: Uint8Array;
}

export interface DiskHooks {
  /** Calls back after as long as the disk takes for so many bytes, and `delayMs` more. */
  readonly later: (bytes: number, action: () => void, delayMs: number) => void;
  readonly random: Random;
}

export class SimulatedDisk implements Disk {
  readonly #files = new Map<string, Uint8Array>();
  readonly #hooks: DiskHooks;
  readonly #underWay = new Set<UnderWay>();
  /** Bumped by a crash: what was asked before is never answered. */
  #boot = 0;
  /** How many bytes all files together may have. */
  capacityBytes = Number.POSITIVE_INFINITY;
  /** Writes into files that are there find no room, as on storage that is thin; of what they wrote any blocks may be on disk. */
  isThin = false;
  /** The next write fails; of what it wrote any blocks may be on disk. */
  failing = false;
  /** By how much everything is late. */
  delayMs = 0;
  /** What was written last, the only thing whose damage looks like a write that was under way (docs/STORAGE.md). */
  #last: UnderWay | undefined;
  #trap: { left: number; readonly isTold: boolean; readonly strike: () => void } | undefined;

  constructor(hooks: DiskHooks) {
    this.#hooks = hooks;
  }

  names(): readonly string[] {
    return [...this.#files.keys()].sort();
  }

  open(name: string): DiskFile {
    const content = this.#files.get(name);
    if (content === undefined) throw new Error(`no file ${name}`);
    return {
      name,
      bytes: content.length,
      read: (at, into) => readFrom(content, at, into),
      fetch: (at, into, done) => {
        this.#later(into.length, () => {
          readFrom(content, at, into);
          done();
        });
      },
      write: (at, bytes, done) => this.#write(name, at, bytes, done),
      close: () => {},
    };
  }

  create(name: string, bytes: number, done: Done): void {
    this.#later(bytes, () => {
      if (this.usedBytes + bytes > this.capacityBytes) {
        done({ code: "full", detail: "no space left on the simulated disk" });
        return;
      }
      this.#files.set(name, new Uint8Array(bytes));
      done(undefined);
    });
  }

  remove(name: string, done: () => void): void {
    this.#files.delete(name);
    this.#later(0, done);
  }

  /** The machine loses power: of what was under way any blocks may be on disk, and nothing is answered any more. */
  crash(): void {
    this.#boot++;
    for (const write of this.#underWay) this.#tear(write);
    this.#underWay.clear();
  }

  /** Flips one bit of what is on the disk. */
  flip(name: string, at: number): void {
    const content = this.#files.get(name);
    if (content !== undefined && at < content.length)
      content[at] = (content[at] as number) ^ (1 << this.#hooks.random.below(8));
  }

  /** Flips one bit of what was written, but not of the last write; false when there is nothing else. */
  decay(): boolean {
    const { random } = this.#hooks;
    const written = [...this.#files].flatMap(([name, content]) => {
      const blocks = Array.from({ length: content.length / BLOCK_BYTES }, (_, index) => index * BLOCK_BYTES);
      return blocks.filter((at) => content[at] !== 0 && !this.#isLast(name, at)).map((at) => ({ name, at }));
    });
    if (written.length === 0) return false;
    const { name, at } = random.pick(written);
    this.flip(name, at + random.pick([random.below(64), random.below(BLOCK_BYTES)]));
    return true;
  }

  /** All that was on it is gone. */
  wipe(): void {
    this.crash();
    this.#files.clear();
    this.#last = undefined;
    this.failing = false;
  }

  /** Strikes when `skipped` more writes are done, and one: before its writer is told of it, or just after. */
  trap(skipped: number, isTold: boolean, strike: () => void): void {
    this.#trap = { left: skipped, isTold, strike };
  }

  /** Nothing is wrong with it any more. */
  heal(): void {
    this.capacityBytes = Number.POSITIVE_INFINITY;
    this.isThin = false;
    this.failing = false;
    this.delayMs = 0;
    this.#trap = undefined;
  }

  /** How many bytes its files have. */
  get usedBytes(): number {
    return [...this.#files.values()].reduce((sum, content) => sum + content.length, 0);
  }

  #write(name: string, at: number, bytes: Uint8Array, done: Done): void {
    const write = { name, at, bytes: bytes.slice() };
    this.#underWay.add(write);
    this.#later(bytes.length, () => {
      this.#underWay.delete(write);
      if (this.failing) {
        this.failing = false;
        this.#tear(write);
        done({ code: "failed", detail: "the simulated disk failed" });
        return;
      }
      if (this.isThin) {
        this.#tear(write);
        done({ code: "full", detail: "no space left behind the simulated disk" });
        return;
      }
      this.#files.get(name)?.set(write.bytes, at);
      this.#last = write;
      const trap = this.#trap;
      if (trap === undefined || trap.left-- > 0) {
        done(undefined);
        return;
      }
      this.#trap = undefined;
      if (trap.isTold) done(undefined);
      trap.strike();
    });
  }

  #isLast(name: string, at: number): boolean {
    const last = this.#last;
    return last !== undefined && last.name === name && at >= last.at && at < last.at + last.bytes.length;
  }

  /** Often all of it is on disk, or nothing; else each block by itself. */
  #tear({ name, at, bytes }: UnderWay): void {
    const content = this.#files.get(name);
    const share = this.#hooks.random.pick([0, 0.5, 0.5, 1]);
    for (let from = 0; from < bytes.length; from += BLOCK_BYTES) {
      if (this.#hooks.random.chance(share)) content?.set(bytes.subarray(from, from + BLOCK_BYTES), at + from);
    }
  }

  #later(bytes: number, action: () => void): void {
    const boot = this.#boot;
    const answer = (): void => {
      if (boot === this.#boot) action();
    };
    this.#hooks.later(bytes, answer, this.delayMs);
  }
}

/** What is beyond the end comes as zeros. */
function readFrom(content: Uint8Array, at: number, into: Uint8Array): void {
  const bytes = content.subarray(at, at + into.length);
  into.set(bytes);
  into.fill(0, bytes.length);
}
