/**
 * Mutants cannot rot: each place that one changes is in the compiled code, exactly once. And the checkers catch them: some
 * here, which take few seeds or a transcript; all of them with `MUTANTS=all`, which takes a quarter of an hour and writes
 * `record.txt`.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CHECKERS } from "../../src/simulation/axioms/index.ts";
import { listMutants, type Mutant } from "../../src/simulation/mutants.ts";
import { flawOf, hunt, plantInReplay } from "../../src/simulation/mutation.ts";

const mutants = listMutants();
const all = process.env["MUTANTS"] === "all";
const isBuilt = existsSync(join(import.meta.dirname, "../../dist/simulation/simulate.js"));
/** Found by nearly every seed; one for each file of checkers. */
const QUICK = [
  "serves-while-blocked",
  "sent-again",
  "order-skips-gap",
  "flush-rejected-by-view",
  "query-complete-early",
  "recovered-from-nothing",
];
const SEEDS_MAX = 500;

test("names are not used twice", () => {
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
});

test("every checker has a mutant", () => {
  const caught = new Set<string>(mutants.map(({ violates }) => violates));
  const missing = CHECKERS.map(({ property }) => property).filter((property) => !caught.has(property));
  expect(missing).toEqual([]);
});

describe.skipIf(!isBuilt)("in the compiled code", () => {
  test.each(mutants.map((mutant): [string, Mutant] => [mutant.name, mutant]))("%s can be planted", (_, mutant) => {
    expect(flawOf(mutant)).toBeUndefined();
  });

  const shown = mutants.filter(({ transcript }) => transcript !== undefined);
  test.each(shown.map((mutant): [string, Mutant] => [mutant.name, mutant]))("%s is shown", async (_, mutant) => {
    const replay = await plantInReplay(mutant);
    const path = join(import.meta.dirname, `../scenarios/${mutant.transcript}.txt`);
    const { violations, failures } = replay(readFileSync(path, "utf8"));
    const broken = [...violations.map(({ property }) => property as string), ...(failures.length > 0 ? ["M5"] : [])];
    expect(broken).toContain(mutant.violates);
  });

  const hunted = mutants.filter(({ name, transcript }) => transcript === undefined && (all || QUICK.includes(name)));
  const record: string[] = [];
  test.each(hunted.map((mutant): [string, Mutant] => [mutant.name, mutant]))(
    "%s is caught",
    async (_, mutant) => {
      const { seeds, found } = await hunt(mutant, { seedsMax: SEEDS_MAX });
      const properties = found?.properties.join(" ") ?? "nothing";
      record.push(`${mutant.name.padEnd(28)}${String(seeds).padStart(4)}  ${mutant.violates.padEnd(8)}${properties}`);
      expect(found).toBeDefined();
      if (all) writeFileSync(join(import.meta.dirname, "record.txt"), `${record.join("\n")}\n`);
    },
    1_000_000,
  );
});
