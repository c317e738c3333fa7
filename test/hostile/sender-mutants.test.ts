/**
 * Planted bugs in what asks who has said something. A group whose nodes all keep to the protocol never notices one of them; a
 * stranger that knows where everybody stands must do damage with each. Believed rows and installs do damage only together
 * with a crash at the right moment, and a state is asked twice who sends it; these checks are tested beside the code.
 */
import type { Mutant } from "../../src/simulation/mutants.ts";
import { plantInWorld } from "../../src/simulation/mutation.ts";
import { huntAll } from "../secure/hunt.ts";
import { besiege } from "./siege.ts";

const SEEDS_MAX = 8;
const CLUSTER = "protocol/membership/cluster.js";
const MEMBER = "protocol/member.js";
const FLUSH = "protocol/membership/flush.js";

function mutant(name: string, file: string, find: string, replace: string, why: string): Mutant {
  return { name, violates: "assert", file, find, replace, why };
}

const MUTANTS: readonly Mutant[] = [
  mutant(
    "excluded-by-anybody",
    CLUSTER,
    "if (this.#mayMove(from))\n                        this.excluded();",
    "this.excluded();",
    "Whoever says so ends a node.",
  ),
  mutant(
    "moved-by-anybody",
    CLUSTER,
    "if (this.#mayMove(from))\n                    this.#install(",
    "this.#install(",
    "A view that nobody has decided is installed.",
  ),
  mutant(
    "joins-for-others",
    CLUSTER,
    "if (message.node.id === from)",
    "",
    "A node is said to be linked with nobody, and is never taken in.",
  ),
  mutant(
    "asks-for-others",
    CLUSTER,
    "message.request.requester === from && this.view !== undefined && isNodeOf(this.view, from)",
    "this.view !== undefined",
    "Members are made to leave by requests in their names.",
  ),
  mutant(
    "fed-by-anybody",
    CLUSTER,
    " && from === this.view.acceptors[0])",
    ")",
    "The directory of an attached node goes another way.",
  ),
  mutant(
    "agreed-with-anybody",
    "protocol/membership/agreement.js",
    "if (!this.view.acceptors.includes(from))\n            return;",
    "",
    "A stranger freezes the acceptors.",
  ),
  mutant(
    "packets-of-anybody",
    MEMBER,
    "if (rank < 0) {\n                packet.release();\n                return;\n            }\n            epoch.receive(rank,",
    "epoch.receive(Math.max(0, rank),",
    "A stranger speaks in the name of a member.",
  ),
  mutant(
    "packets-to-anybody",
    MEMBER,
    " || !epoch.view.members.includes(from))\n",
    ")\n",
    "A stranger reads what members say.",
  ),
  mutant(
    "answers-of-anybody",
    "protocol/query.js",
    "open.awaited?.has(from) ?? (this.#members.has(from) && !open.early.has(from))",
    "open.awaited?.has(from) ?? !open.early.has(from)",
    "A stranger answers before the query is delivered.",
  ),
  mutant(
    "reports-of-anybody",
    FLUSH,
    " && target.members.includes(from)) {",
    ") {",
    "The cut is of packets that nobody has.",
  ),
  mutant(
    "cuts-of-anybody",
    FLUSH,
    "if (from === target.members[0])\n                    this.#cut(",
    "this.#cut(",
    "Members hold a cut that the leader has not issued.",
  ),
];

huntAll("the checks of senders", CLUSTER, MUTANTS, async (planted) => {
  const Worlds = await plantInWorld(planted);
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    const damage = besiege(Worlds, seed);
    if (damage.length > 0) return damage;
  }
  return [];
});
