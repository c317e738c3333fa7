/**
 * A simulated disk: what was written is kept apart from what was acknowledged. A crash loses or tears what was under way,
 * block by block; bits flip; the disk may be full, slow, or fail.
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
  /** Calls back after as long as the disk takes for so many bytes. */
  readonly later: (bytes: number, action: () => void) => void;
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
  /** The next write fails; of what it wrote any blocks may be on disk. */
  failing = false;

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
      const used = [...this.#files.values()].reduce((sum, content) => sum + content.length, 0);
      if (used + bytes > this.capacityBytes) {
        done({ code: "full", detail: "no space left on the simulated disk" });
        return;
      }
      this.#files.set(name, new Uint8Array(bytes));
      done(undefined);
    });
  }

  remove(name: string): void {
    this.#files.delete(name);
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
      this.#files.get(name)?.set(write.bytes, at);
      done(undefined);
    });
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
    this.#hooks.later(bytes, () => {
      if (boot === this.#boot) action();
    });
  }
}

/** What is beyond the end comes as zeros. */
function readFrom(content: Uint8Array, at: number, into: Uint8Array): void {
  const bytes = content.subarray(at, at + into.length);
  into.set(bytes);
  into.fill(0, bytes.length);
}
