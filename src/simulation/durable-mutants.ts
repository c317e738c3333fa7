/**
 * Planted bugs in what nodes remember on their disks, and in how a cluster and its groups are brought back from there.
 */
import type { Mutant } from "./mutant.ts";

const AGREEMENT = "protocol/membership/agreement.js";
const CLUSTER = "protocol/membership/cluster.js";
const DIRECTORY = "protocol/membership/directory.js";
const FLUSH = "protocol/membership/flush.js";
const GROUP_JOURNAL = "protocol/group-journal.js";
const MEMBER = "protocol/member.js";
const MEMORY = "protocol/membership/memory.js";

const mutants: readonly Mutant[] = [
  {
    name: "held-before-disk",
    violates: "R1",
    file: "protocol/multicast/custody.js",
    find: "this.#journal.afterwards(() => {",
    replace: "[0].forEach(() => {",
    why: "E1: a member's row says what is on its way to the disk; what was safe is gone when all have failed.",
  },
  {
    name: "behind-brings-back",
    violates: "R1",
    file: "protocol/replay.js",
    find: "return this.#epoch !== undefined && !this.#isAcceptors && this.#cut === undefined;",
    replace: "return false;",
    simulation: {
      acceptors: 1,
      members: 5,
      faults: ["crash", "crash-leader", "total", "disk-slow", "close"],
      faultsEveryMs: 250,
    },
    why: "E3: a disk for which safe messages did not wait brings the group back.",
  },
  {
    name: "handover-from-before",
    violates: "B1",
    file: "protocol/membership/succession.js",
    find: "if (!isNodeOf(view, this.#self) && !decided.leavers.includes(this.#self)) {",
    replace:
      "if (decided.leavers.includes(this.#self)) { this.#goOn(decided); return; }\n        if (!isNodeOf(view, this.#self)) {",
    simulation: { members: 5, faults: ["close", "crash", "partial", "herd", "slow"], faultsEveryMs: 250 },
    why: "A5: who leaves gives late nodes the directory as it was before the view that goes on without it.",
  },
  {
    name: "checkpoint-too-late",
    violates: "M5",
    file: "protocol/process.js",
    find: "member.journal.end();",
    replace: "",
    simulation: { members: 5 },
    why: "A membership that is over gives up what the next one needs of the log.",
  },
  {
    name: "former-for-good",
    violates: "M5",
    file: DIRECTORY,
    find: "const others = [...group.reserve, ...wereThere];",
    replace: "const others = [...group.reserve];",
    why: "E3: the disks of former acceptors are not asked when those in their places have never begun.",
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
    name: "hold-before-disk",
    violates: "R1",
    file: FLUSH,
    find: "journal.after(() => {\n            // C1",
    replace: "[0].forEach(() => {\n            // C1",
    why: "C3: a member says that it holds the cut while it is on its way to the disk; others deliver it, and all fail.",
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
    find: "const kept = group.keepers.filter(({ node }) => members.includes(node));",
    replace: "const kept = group.keepers;",
    why: "C10: a member that the group has gone on without brings it back as it was when it left.",
  },
  {
    name: "reserve-kept",
    violates: "R1",
    file: MEMBER,
    find: "if (this.#host.hasReserve(this.group))",
    replace: "if (false)",
    why: "A keeper goes on while others may still bring the group back as it was before.",
  },
  {
    name: "joiner-is-keeper",
    violates: "R3",
    file: DIRECTORY,
    find: "group.members = [...group.members, node];",
    replace:
      'group.members = [...group.members, node]; if (durable) group.keepers = [...group.keepers, { node, disk: nodes.diskOf(node) ?? "" }];',
    why: "C9: a joiner that does not hold the state brings the group back without it.",
  },
  {
    name: "checkpoint-of-another-time",
    violates: "R2",
    file: MEMBER,
    find: "this.#host.requestRenewal(this.group, view.number);",
    replace: "this.#donations.begin(view, this.transfers, true);",
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
    name: "checkpoint-half-done",
    violates: "R1",
    file: GROUP_JOURNAL,
    find: "if (last && open !== undefined && this.#open === open)",
    replace: "if (open !== undefined && this.#open === open)",
    why: "A checkpoint counts when its first piece is on disk, and what it is to replace is given up.",
  },
  {
    name: "replayed-from-the-start",
    violates: "R2",
    file: "protocol/recovery.js",
    find: "this.#replay = new Replay(group, checkpoint?.view ?? 0, this, limit);",
    replace: "this.#replay = new Replay(group, 0, this, limit);\n        remains.from = 0;",
    why: "What the checkpoint contains is replayed as well.",
  },
  {
    name: "truncated-at-damage",
    violates: "R1",
    file: "runtime/log/segment.js",
    find: "for (let at = from; at < this.#file.bytes; at += BLOCK_BYTES) {",
    replace: "for (let at = from; at === from && at < this.#file.bytes; at += BLOCK_BYTES) {",
    why: "A log ends where it is damaged, and its node goes on as if nothing had followed.",
  },
  {
    name: "beyond-the-survivors-cut",
    violates: "ST1",
    file: "protocol/replay.js",
    find: "if (limit?.from === epoch.number && packet.seqno >= (limit.cut[packet.sender] ?? 0))\n            return;",
    replace: "",
    why: "Who comes back replays what it alone held of the epoch in which it fell out.",
  },
  {
    name: "gate-after-tail",
    violates: "R2",
    file: "protocol/membership/entrance.js",
    find: "this.#drop();\n        this.#tail?.end();\n        this.#tail = undefined;",
    replace: "this.#tail?.end();\n        this.#tail = undefined;",
    why: "What was kept back for one transfer is delivered on top of the next, which contains it.",
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

export const durableMutants: readonly Mutant[] = mutants.map((mutant) => ({
  ...mutant,
  simulation: { ...mutant.simulation, durable: true },
}));
