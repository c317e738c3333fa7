/**
 * Planted bugs in the sealing of logs, which no node would ever notice while its disk is left alone. Some intrusion must
 * succeed on each of them.
 */
import type { Mutant } from "../../src/simulation/mutants.ts";
import { plantInSealedLog } from "../../src/simulation/mutation.ts";
import { huntAll } from "./hunt.ts";
import { intrusive } from "./log-attacks.ts";

const file = "runtime/secure/sealed-log.js";
const aead = "runtime/secure/aead.js";

function mutant(name: string, find: string, replace: string, why: string, where = file): Mutant {
  return { name, violates: "assert", file: where, find, replace, why };
}

const MUTANTS: readonly Mutant[] = [
  mutant("tag-unchecked", "decipher.final();", "", "Whoever has the disk is believed.", aead),
  mutant("nonce-constant", "this.#nonce.writeDoubleLE(position, 0);", "", "A key and a nonce serve twice."),
  mutant(
    "nonce-short",
    "this.#nonce.writeDoubleLE(position, 0);",
    "this.#nonce.writeUInt32LE(position % 2 ** 32, 0);",
    "Nonces come round again.",
  ),
  mutant(
    "salt-ignored",
    "this.#dataKey, salt)",
    'this.#dataKey, "")',
    "After a crash positions, and so nonces, serve again with the same key.",
  ),
  mutant("header-unbound", "decipher.setAAD(associated);", "", "The header can be changed.", aead),
  mutant("position-twice", 'assert(position >= this.#next, "a nonce serves once");', "", "A nonce serves twice."),
];

huntAll("the sealing of logs", file, MUTANTS, async (planted) => intrusive(await plantInSealedLog(planted)));
