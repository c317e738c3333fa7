/** Planted bugs that attacks find; they are planted in what was built, so without that there is nothing to hunt. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Mutant } from "../../src/simulation/mutants.ts";

/** `attack`: plants a bug, or none, and says which attacks succeeded. */
export function huntAll(
  what: string,
  file: string,
  mutants: readonly Mutant[],
  attack: (planted: Mutant | undefined) => Promise<readonly unknown[]>,
): void {
  describe.skipIf(!existsSync(join(import.meta.dirname, "../../dist", file)))(`a bug in ${what}`, () => {
    test("as it is there is none", async () => {
      expect(await attack(undefined)).toEqual([]);
    });

    test.each(mutants.map((each): [string, Mutant] => [each.name, each]))("%s is found", async (_name, planted) => {
      expect(await attack(planted)).not.toEqual([]);
    });
  });
}
