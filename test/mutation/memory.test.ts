/**
 * Memory of packets is used again when all have let it go. Nobody looks at it after that: runs are the same to the letter
 * when every slab is overwritten as soon as it is free.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Mutant } from "../../src/simulation/mutants.ts";
import { plant } from "../../src/simulation/mutation.ts";
import { simulate } from "../../src/simulation/simulate.ts";

const isBuilt = existsSync(join(import.meta.dirname, "../../dist/simulation/simulate.js"));
const SEEDS = 10;
const LET_GO = "this.#retained--;";

/** Not a bug, but what makes one show. */
const OVERWRITTEN: Mutant = {
  name: "memory-overwritten",
  file: "base/slabs.js",
  find: LET_GO,
  replace: `${LET_GO} if (this.#retained === 0) this.bytes.fill(0xdd);`,
  violates: "D1",
  why: "Whoever looks at memory that it has let go sees something else.",
};

test.skipIf(!isBuilt)(
  "memory that was let go is not looked at any more",
  async () => {
    const overwriting = await plant(OVERWRITTEN);
    for (let seed = 1; seed <= SEEDS; seed++) {
      expect(overwriting({ seed }).traceHash, `seed ${seed}`).toBe(simulate({ seed }).traceHash);
    }
  },
  600_000,
);
