/**
 * Planted bugs in what surrounds the agreement and the flush: the lease, the directory, state transfer, what is kept for
 * later, and what may be forgotten.
 */
import type { Mutant } from "./mutant.ts";

const AGREEMENT = "protocol/membership/agreement.js";
const CLUSTER = "protocol/membership/cluster.js";
const DIRECTORY = "protocol/membership/directory.js";
const FLUSH = "protocol/membership/flush.js";
const MEMBER = "protocol/member.js";
const PROCESS = "protocol/process.js";

export const membershipMutants: readonly Mutant[] = [
  {
    name: "accepted-not-reported",
    violates: "M2",
    file: AGREEMENT,
    find: "accepted: this.#accepted,",
    replace: "accepted: undefined,",
    why: "A2: a promise does not say what its acceptor has accepted, and a decided proposal is not found again.",
  },
  {
    name: "early-news-dropped",
    violates: "M5",
    file: CLUSTER,
    find: "this.#early.push({ from, message, packet });",
    replace: "void from;",
    why: "What comes for a cluster view before the view itself is lost; the stream of its directory has a gap from then on.",
  },
  {
    name: "lease-of-another",
    violates: "M5",
    file: "protocol/membership/lease.js",
    find: "heard[view.nodes.findIndex(({ id }) => id === this.#self)]",
    replace: "heard[view.nodes.findIndex(({ id }) => id === from)]",
    why: "C10: a node reads what a heartbeat says of its sender instead of itself, and never serves again.",
  },
  {
    name: "capability-ignored",
    violates: "ST1",
    file: DIRECTORY,
    find: "lacking: lackingIn(versions)",
    replace: "lacking: []",
    why: "C14: a view does not say who lacks an operation; those who have it run what the others cannot.",
  },
  {
    name: "requests-forgotten",
    violates: "B1",
    file: DIRECTORY,
    find: "executed: [...this.#executed].map(([node, number]) => ({ node, number })),",
    replace: "executed: [],",
    why: "B4: who gets the directory as it stands does not know which requests were executed, and goes on differently.",
  },
  {
    name: "dead-donor-kept",
    violates: "M5",
    file: FLUSH,
    find: "&& donors.includes(transfer.donor)",
    replace: "",
    why: "A joiner whose donor is gone gets no other one, and waits for ever.",
  },
  {
    name: "born-open",
    violates: "D3",
    file: FLUSH,
    find: "this.#host.epoch?.freeze();\n            this.#report(target);\n        }\n    }\n}",
    replace: "this.#report(target);\n        }\n    }\n}",
    why: "C6: a view that is outdated when it is installed takes sends, after its members have reported what they hold.",
  },
  {
    name: "early-packets-dropped",
    violates: "M5",
    file: MEMBER,
    find: "this.#early.push({ from, packet });",
    replace: "packet.release();",
    why: "Packets of the next epoch that overtake its install are lost, and their stream has a gap from then on.",
  },
  {
    name: "ahead-dropped",
    violates: "M5",
    file: PROCESS,
    find: "this.#deferred.push({ from, message, index: message.directoryIndex });",
    replace: "void from;",
    why: "A message of a flush that is ahead of this node's directory is dropped instead of kept.",
  },
  {
    name: "forgotten-too-early",
    violates: "M5",
    file: "protocol/epoch.js",
    find: "const stable = this.#stability.stable(sender);",
    replace: "const stable = this.#stability.count(this.rank, sender);",
    why: "A member forgets what it has delivered itself, and cannot forward it to those who lack it in a flush.",
  },
  {
    name: "minimum-of-one",
    violates: "D8",
    file: "protocol/multicast/stability.js",
    find: "if (before === this.#minima[sender])\n            this.#minima[sender] = this.#minimum(sender);",
    replace: "if (before === this.#minima[sender])\n            this.#minima[sender] = count;",
    why: "C8: the least count of a column follows whoever had it, although others may have had the same.",
  },
  {
    name: "duplicates-accepted",
    violates: "ST1",
    file: "protocol/multicast/stream.js",
    find: 'if (seqno < this.received)\n            return "duplicate";',
    replace: "",
    why: "A packet that comes from its sender and in a flush from a holder is kept twice, and those who fetched nothing go on with another state.",
  },
];
