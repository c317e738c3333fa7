/**
 * The planted bugs by name.
 */
import { CoterieError } from "../../group/errors.ts";
import { listMutants, type Mutant } from "../../simulation/mutants.ts";

export function mutantNamed(name: string): Mutant {
  const mutant = listMutants().find((each) => each.name === name);
  if (mutant !== undefined) return mutant;
  throw new CoterieError("invalid-option", `--mutant has no ${JSON.stringify(name)}`, {
    remedy: "See --list-mutants.",
  });
}
