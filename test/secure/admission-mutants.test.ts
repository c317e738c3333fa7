// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is code that is to be changed.
/**
 * Planted bugs in what decides who may join a group that has a key of its own. Members that all have the key never notice
 * one of them; some attempt of a node that has it not must succeed on each.
 */
import type { Mutant } from "../../src/simulation/mutants.ts";
import { plantInAdmission } from "../../src/simulation/mutation.ts";
import { admitted } from "./admissions.ts";
import { huntAll } from "./hunt.ts";

const PROOF = "protocol/membership/proof.js";
const DIRECTORY = "protocol/membership/directory.js";

function mutant(name: string, file: string, find: string, replace: string, why: string): Mutant {
  return { name, violates: "assert", file, find, replace, why };
}

const MUTANTS: readonly Mutant[] = [
  mutant(
    "proof-unchecked",
    PROOF,
    "at.verify(key, statementOf(",
    "true || at.verify(key, statementOf(",
    "The public key is enough.",
  ),
  mutant(
    "no-proof-is-one",
    PROOF,
    "return key.length === 0;",
    "return true;",
    "Who shows nothing is taken for a member of old.",
  ),
  mutant(
    "node-unbound",
    PROOF,
    "cluster, group, node });",
    'cluster, group, node: "" });',
    "A proof can be passed on.",
  ),
  mutant(
    "group-unbound",
    PROOF,
    "cluster, group, node });",
    'cluster, group: "", node });',
    "It serves in all groups.",
  ),
  mutant(
    "cluster-unbound",
    PROOF,
    "cluster, group, node });",
    'cluster: "", group, node });',
    "It serves in another cluster.",
  ),
  mutant(
    "one-pair-for-all",
    "runtime/secure/group-key.js",
    "${purpose}\\0${group}`",
    "${purpose}`",
    "Groups with the same key are one.",
  ),
  mutant(
    "key-not-kept",
    DIRECTORY,
    "directory.#groups.set(group.id, { ...group });",
    "directory.#groups.set(group.id, { ...group, publicKey: NO_BYTES });",
    "A replica that comes later lets everybody in.",
  ),
  mutant(
    "rekey-unchecked",
    PROOF,
    "return at.verify(key, successionOf(",
    "return true || at.verify(key, successionOf(",
    "Any member gives the group a key that the others do not have.",
  ),
  mutant(
    "rekey-by-anybody",
    DIRECTORY,
    "const isMember = group?.members.includes(node) === true;",
    "const isMember = true;",
    "Who was a member once, and knows the key, takes the group over.",
  ),
  mutant(
    "rekey-late",
    DIRECTORY,
    "const isHeld = group?.number === command.target;",
    "const isHeld = true;",
    "Members of a view that did not get the key are left without it.",
  ),
  mutant(
    "rekey-not-bound-to-the-key",
    PROOF,
    "cluster, group, node, publicKey });",
    "cluster, group, node, publicKey: new Uint8Array(0) });",
    "Whoever sees the signature puts a key of his own in.",
  ),
  mutant(
    "old-key-good-for-ever",
    DIRECTORY,
    "group.publicKey = command.publicKey;",
    "",
    "The group says that it has another key, and lets in who has the old one.",
  ),
  mutant(
    "told-in-retrospect",
    DIRECTORY,
    'if (!this.#isProven(node, wish, nodes))\n                return { code: "refused", name };\n            const isAwaited',
    "const isAwaited",
    "Who is refused learns about the definition.",
  ),
];

huntAll("the admission to groups", PROOF, MUTANTS, async (planted) => admitted(await plantInAdmission(planted)));
