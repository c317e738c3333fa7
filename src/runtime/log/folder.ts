/**
 * A folder of the file system as a `Disk`. Files are opened so that every write is on disk when it returns (O_DSYNC), and
 * are written to the end when they are made, so that later writes change nothing but content.
 */
import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  fsync,
  open as openFile,
  openSync,
  readdirSync,
  read as readFile,
  readSync,
  statfs,
  unlink,
  write as writeFile,
} from "node:fs";
import { join } from "node:path";
import type { Disk, DiskFile, DiskProblem } from "../ports.ts";

const ZEROS = new Uint8Array(1024 * 1024);

type Done = (problem: DiskProblem | undefined) => void;

export class Folder implements Disk {
  readonly #path: string;
  readonly #access: number;

  /** `mode` "read": nothing can be written, and nothing is changed. */
  constructor(path: string, mode: "read" | "write" = "write") {
    this.#path = path;
    this.#access = mode === "read" ? constants.O_RDONLY : constants.O_RDWR | constants.O_DSYNC;
  }

  names(): readonly string[] {
    return readdirSync(this.#path).sort();
  }

  open(name: string): DiskFile {
    return new FolderFile(name, openSync(join(this.#path, name), this.#access));
  }

  create(name: string, bytes: number, done: Done): void {
    // Whoever looks for room must not take the last of it from others every time.
    statfs(this.#path, (error, room) => {
      if (error === null && room.bavail * room.bsize < bytes)
        done({ code: "full", detail: `${this.#path} has no room for ${bytes} bytes more` });
      else this.#create(name, bytes, done);
    });
  }

  #create(name: string, bytes: number, done: Done): void {
    openFile(join(this.#path, name), constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600, (error, fd) => {
      if (error !== null) {
        done(problemOf(error));
        return;
      }
      const end = (problem: NodeJS.ErrnoException | null): void => {
        closeSync(fd);
        if (problem === null) this.#syncNames(done);
        else unlink(join(this.#path, name), () => done(problemOf(problem)));
      };
      fill(fd, 0, bytes, (problem) => (problem === null ? fsync(fd, end) : end(problem)));
    });
  }

  remove(name: string, done: () => void): void {
    unlink(join(this.#path, name), () => done());
  }

  /** The name of a new file is on disk once its folder is. */
  #syncNames(done: Done): void {
    openFile(this.#path, constants.O_RDONLY, (error, fd) => {
      if (error !== null) {
        done(problemOf(error));
        return;
      }
      fdatasync(fd, (problem) => {
        closeSync(fd);
        done(problem === null ? undefined : problemOf(problem));
      });
    });
  }
}

class FolderFile implements DiskFile {
  readonly name: string;
  readonly bytes: number;
  readonly #fd: number;

  constructor(name: string, fd: number) {
    this.name = name;
    this.#fd = fd;
    this.bytes = fstatSync(fd).size;
  }

  read(at: number, into: Uint8Array): void {
    let end = 0;
    try {
      for (let count = 1; count > 0 && end < into.length; end += count) {
        count = readSync(this.#fd, into, end, into.length - end, at + end);
      }
    } catch {
      // A block that the disk does not give back is as damaged as one with wrong bytes.
    }
    into.fill(0, end);
  }

  fetch(at: number, into: Uint8Array, done: () => void): void {
    readFile(this.#fd, into, 0, into.length, at, (error, count) => {
      if (error === null && count > 0 && count < into.length) this.fetch(at + count, into.subarray(count), done);
      else {
        into.fill(0, error === null ? count : 0);
        done();
      }
    });
  }

  write(at: number, bytes: Uint8Array, done: Done): void {
    writeAll(this.#fd, bytes, at, (error) => done(error === null ? undefined : problemOf(error)));
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function fill(fd: number, at: number, end: number, done: (error: NodeJS.ErrnoException | null) => void): void {
  if (at >= end) {
    done(null);
    return;
  }
  const bytes = ZEROS.subarray(0, Math.min(ZEROS.length, end - at));
  writeAll(fd, bytes, at, (error) => (error === null ? fill(fd, at + bytes.length, end, done) : done(error)));
}

function writeAll(
  fd: number,
  bytes: Uint8Array,
  at: number,
  done: (error: NodeJS.ErrnoException | null) => void,
): void {
  writeFile(fd, bytes, 0, bytes.length, at, (error, count) => {
    if (error !== null || count === bytes.length) done(error);
    else writeAll(fd, bytes.subarray(count), at + count, done);
  });
}

function problemOf(error: NodeJS.ErrnoException): DiskProblem {
  const isFull = error.code === "ENOSPC" || error.code === "EDQUOT" || error.code === "EFBIG";
  return { code: isFull ? "full" : "failed", detail: error.message };
}
