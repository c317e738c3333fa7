// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is code that is to be changed.
/**
 * Planted bugs in the sealing of groups: each is something that is easily got wrong, or left out for speed, and that no
 * working group would ever notice. Some attack must succeed on each of them.
 */
import type { Mutant } from "../../src/simulation/mutants.ts";
import { plantInSealing } from "../../src/simulation/mutation.ts";
import { successful } from "./attacks.ts";
import { huntAll } from "./hunt.ts";

const file = "runtime/secure/sealing.js";
const aead = "runtime/secure/aead.js";

function mutant(name: string, find: string, replace: string, why: string, where = file): Mutant {
  return { name, violates: "assert", file: where, find, replace, why };
}

const MUTANTS: readonly Mutant[] = [
  mutant("tag-unchecked", "decipher.final();", "", "Whoever can change bytes on the wire is believed.", aead),
  mutant("nonce-constant", "this.#nonce.writeUInt32LE(number, 0);", "", "A key and a nonce serve twice."),
  mutant(
    "nonce-short",
    "this.#nonce.writeUInt32LE(number, 0);",
    "this.#nonce[0] = number;",
    "Nonces come round again.",
  ),
  mutant("counter-stuck", "return ++this.#count;", "return 1;", "Direct messages share a nonce."),
  mutant("place-unbound", "decipher.setAAD(associated);", "", "What is outside is not authenticated.", aead),
  mutant(
    "receiver-unbound",
    'return to === "" ? header',
    "return to !== undefined ? header",
    "A message for one is taken by another.",
  ),
  mutant("epoch-unbound", "${view.number}\\0${about}", "${about}", "One secret makes the same keys in two epochs."),
  mutant("group-unbound", "\\0${this.#group}\\0", "\\0", "One secret makes the same keys in two groups."),
  mutant(
    "one-key-for-all",
    "`coterie 1 sender\\0${sender}`",
    "`coterie 1 sender`",
    "Members share a key, and so their nonces.",
  ),
  mutant("group-key-ignored", "secret, this.#key,", 'secret, "",', "The group's own key protects nothing."),
  mutant("keys-kept", "if (number < epoch)", "if (number < 0)", "What was recorded can be read later."),
  mutant(
    "dropped-step-kept",
    "if (number > this.current)",
    "if (number < 0)",
    "F-2: the secret of a dropped step lives on.",
  ),
  mutant(
    "reissue-forgets",
    "return this.#origin.length === origin.length &&",
    "return false &&",
    "A step that comes again is another one.",
  ),
  mutant(
    "replay-window-open",
    "if (number <= (this.#newest.get(sender) ?? 0))",
    "if (number < 0)",
    "What was recorded can be sent again.",
  ),
  mutant("left-but-listening", "this.#groups.delete(group);", "", "Who has left has the keys still."),
];

huntAll("the sealing", file, MUTANTS, async (planted) => successful(await plantInSealing(planted)));
