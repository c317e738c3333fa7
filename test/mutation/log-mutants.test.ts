/** The trials of the log catch every bug that is planted in it, and find none that is not. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { logMutants } from "../../src/simulation/log-mutants.ts";
import { flawOf, plantInLog } from "../../src/simulation/mutation.ts";

const isBuilt = existsSync(join(import.meta.dirname, "../../dist/simulation/log-trial.js"));
const SEEDS_MAX = 300;

describe.skipIf(!isBuilt)("in the compiled code", () => {
  test.each(logMutants.map((mutant) => [mutant.name, mutant] as const))("%s is caught", async (_, mutant) => {
    expect(flawOf(mutant)).toBeUndefined();
    const tryLog = await plantInLog(mutant);
    let seed = 0;
    let broken = false;
    while (!broken && seed < SEEDS_MAX) broken = tryLog(++seed).some(({ promise }) => promise === mutant.violates);
    expect(broken, `in ${SEEDS_MAX} seeds`).toBe(true);
  });
});
