/**
 * Planted bugs in what nodes remember on their disks, and in how a cluster and its groups are brought back from there.
 */
import type { Mutant } from "./mutant.ts";

const AGREEMENT = "protocol/membership/agreement.js";
const CLUSTER = "protocol/membership/cluster.js";
const DIRECTORY = "protocol/membership/directory.js";
const DRIVER = "runtime/driver.js";
const FLUSH = "protocol/membership/flush.js";
const GROUP_JOURNAL = "protocol/group-journal.js";
const MEMBER = "protocol/member.js";
const MEMORY = "protocol/membership/memory.js";

const mutants: readonly Omit<Mutant, "durable">[] = [
  {
    name: "held-before-disk",
    violates: "R1",
    file: "protocol/multicast/custody.js",
    find: "this.#journal.after(() => {",
    replace: "[0].forEach(() => {",
    why: "E1: a member's row says what is on its way to the disk; what was safe is gone when all have failed.",
  },
  {
    name: "hold-before-disk",
    violates: "R1",
    file: FLUSH,
    find: "journal.after(() => {",
    replace: "[0].forEach(() => {",
    why: "E1: a member holds a cut before that is on its disk; others go on from it, and it goes back behind them.",
  },
  {
    name: "cut-not-kept",
    violates: "R3",
    file: FLUSH,
    find: 'journal.write({ kind: "cut", group, ballot: target.number, from, to: step.view.number, cut });',
    replace: "",
    why: "E3: a member does not remember the cut that it has acknowledged, and replays the epoch up to another one.",
  },
  {
    name: "promise-before-disk",
    violates: "M2",
    file: AGREEMENT,
    find: "this.#journal.after(() => {\n            if (from === this.#self)",
    replace: "[0].forEach(() => {\n            if (from === this.#self)",
    why: "E1: an acceptor promises, forgets it in a crash, and accepts what it has promised not to.",
  },
  {
    name: "accepted-before-disk",
    violates: "M2",
    file: AGREEMENT,
    find: "this.#journal.after(() => {\n            this.#effects",
    replace: "[0].forEach(() => {\n            this.#effects",
    why: "E1: a view is decided by acceptors that forget it in a crash, and decide another one.",
  },
  {
    name: "pledge-forgotten",
    violates: "M2",
    file: CLUSTER,
    find: "memory.installed, memory.pledge,",
    replace: "memory.installed, NO_PLEDGE,",
    why: "A1: an acceptor comes back on its disk without what it has promised and accepted.",
  },
  {
    name: "packets-forgotten",
    violates: "B1",
    file: CLUSTER,
    find: "memory.pledge, memory.packets);",
    replace: "memory.pledge, []);",
    why: "E2: an acceptor comes back without the commands that it has acknowledged.",
  },
  {
    name: "damage-passed-over",
    violates: "R1",
    file: DRIVER,
    find: "groups.missed(damage.to);",
    replace: "",
    why: "A group is brought back from a log of which a part is not intact, without what was there.",
  },
  {
    name: "damaged-acceptor-votes",
    violates: "B1",
    file: DRIVER,
    find: "cluster.missed();",
    replace: "",
    why: "A1: an acceptor votes though what it has held or promised was in a part of the log that is not intact.",
  },
  {
    name: "founds-again",
    violates: "M3",
    file: MEMORY,
    find: "return this.#installed !== undefined || this.#coordinator !== undefined || !this.#isWhole;",
    replace: "return false;",
    why: "A8: a founder whose disk has been in a cluster founds another one.",
  },
  {
    name: "excluded-keeper",
    violates: "R1",
    file: DIRECTORY,
    find: "group.keepers = group.keepers.filter(({ node }) => members.includes(node));",
    replace: "",
    why: "C10: a member that the group has gone on without brings it back as it was when it left.",
  },
  {
    name: "joiner-is-keeper",
    violates: "R1",
    file: DIRECTORY,
    find: "group.members = [...group.members, node];",
    replace:
      'group.members = [...group.members, node]; if (durable) group.keepers = [...group.keepers, { node, disk: nodes.diskOf(node) ?? "" }];',
    why: "C9: a joiner that does not hold the state brings the group back without it.",
  },
  {
    name: "checkpoint-half-done",
    violates: "M5",
    file: GROUP_JOURNAL,
    find: "if (last && open",
    replace: "if (open",
    why: "A checkpoint counts when its first piece is on disk, and what it is to replace is given up.",
  },
  {
    name: "checkpoint-of-another-time",
    violates: "R2",
    file: MEMBER,
    find: "this.#host.requestRenewal(this.group, view.number);",
    replace: "this.#beginCheckpoint(view);",
    why: "The state is captured in the midst of a view, which is then replayed from its start.",
  },
  {
    name: "recovered-from-nothing",
    violates: "R1",
    file: MEMBER,
    find: "before === undefined ? (this.#recovered ?? NOTHING) : step",
    replace: "before === undefined ? NOTHING : step",
    why: "A group that was brought back does not say what it goes on from, and the next time begins with nothing.",
  },
  {
    name: "log-cut-for-one",
    violates: "M5",
    file: "protocol/process.js",
    find: "new DurableJournal(effects, log.next, needsOf(log))",
    replace: "new DurableJournal(effects, log.next)",
    why: "The first group that says from where on it needs the log gives up what the others need.",
  },
];

export const durableMutants: readonly Mutant[] = mutants.map((mutant) => ({ ...mutant, durable: true }));
