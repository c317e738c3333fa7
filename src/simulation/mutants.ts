/**
 * Planted bugs: every checker has some that it must catch, and so has every rule of the protocols that is easily got
 * wrong. A mutant is a change of one place in the compiled code, so that production code knows nothing of it; a test
 * sees to it that each place is still there. `mutation.ts` plants them.
 */
import { durableMutants } from "./durable-mutants.ts";
import { membershipMutants } from "./membership-mutants.ts";
import type { Mutant } from "./mutant.ts";
import { rawMutants } from "./raw-mutants.ts";

export type { Mutant } from "./mutant.ts";

const AGREEMENT = "protocol/membership/agreement.js";
const CAUSAL = "protocol/multicast/causal.js";
const CLUSTER = "protocol/membership/cluster.js";
const DIRECTORY = "protocol/membership/directory.js";
const DIRECTORY_REPLICA = "protocol/membership/directory-replica.js";
const EPOCH = "protocol/epoch.js";
const FLUSH = "protocol/membership/flush.js";
const FLUSHES = "protocol/flushes.js";
const ENTRANCE = "protocol/membership/entrance.js";
const MEMBER = "protocol/member.js";
const QUERIES = "protocol/query.js";
const ROWS = "protocol/multicast/rows.js";
const SUCCESSION = "protocol/membership/succession.js";
const TOTAL = "protocol/multicast/total.js";

const memoryMutants: readonly Mutant[] = [
  {
    name: "sent-memory-let-go",
    violates: "D5",
    file: EPOCH,
    find: 'packet.retain();\n        this.#effects.perform({ kind: "multicast"',
    replace: 'this.#effects.perform({ kind: "multicast"',
    why: "A packet's memory is used again while the packet is on its way.",
  },
  {
    name: "delivered-memory-let-go",
    violates: "M5",
    file: MEMBER,
    find: "packet.retain();\n        const id = view.members[sender];",
    replace: "const id = view.members[sender];",
    why: "A packet's memory is used again while its messages wait to be delivered.",
  },
];

const clusterMutants: readonly Mutant[] = [
  {
    name: "leaver-stays",
    violates: "M1",
    file: SUCCESSION,
    find: "if (isNodeOf(view, this.#self))\n            this.#enter(installation);",
    replace: "if (true)\n            this.#enter(installation);",
    why: "A5: a leaver enters the view that goes on without it instead of handing over.",
  },
  {
    name: "older-view-installed",
    violates: "M2",
    file: SUCCESSION,
    find: "if (view.number <= (this.#view?.number ?? 0) || this.#handover !== undefined)",
    replace: "if (view.number === this.#view?.number || this.#handover !== undefined)",
    why: "A late install of an earlier view takes the node back to it.",
  },
  {
    name: "inherited-ignored",
    violates: "M2",
    file: AGREEMENT,
    find: "const proposal = this.#inherited(attempt.promises) ?? this.#fresh(attempt.promises);",
    replace: "const proposal = this.#fresh(attempt.promises) ?? this.#inherited(attempt.promises);",
    why: "A2: a proposal that may have been decided is not finished; the next proposer decides another one.",
  },
  {
    name: "merged-into-inherited",
    violates: "M2",
    file: AGREEMENT,
    find: "return { ...highest.proposal, holders:",
    replace: "return { ...highest.proposal, ...this.#host.compose(), holders:",
    why: "A2: what the new proposer wants is merged into an inherited proposal, which is then another one.",
  },
  {
    name: "tie-without-oldest",
    violates: "M3",
    file: "protocol/view.js",
    find: "return count * 2 === all && oldest !== undefined && present(oldest);",
    replace: "return count * 2 === all;",
    why: "M3: of two halves of a view both go on, not only the one with the oldest acceptor.",
  },
  {
    name: "weights-ignored",
    violates: "M3",
    file: "protocol/view.js",
    find: "const vote = votes === undefined ? 1 : votes[rank];",
    replace: "const vote = 1;",
    why: "M3: acceptors are counted, whatever they weigh, and a majority of light ones decides against the heavy one.",
  },
  {
    name: "serves-while-blocked",
    violates: "M3",
    file: MEMBER,
    find: "this.#epoch?.pause();\n            const messages = this.#raw.drop();",
    replace: "const messages = this.#raw.drop();",
    why: "C10: a member that has lost the primary partition goes on delivering.",
  },
  {
    name: "excluded-goes-on",
    violates: "M4",
    file: "protocol/process.js",
    find: 'else if (status === "excluded" || status === "closed")',
    replace: 'else if (status === "excluded") member.setBlocked(false); else if (status === "closed")',
    why: "A node that knows that it was excluded stays in its groups and delivers what it had kept.",
  },
  {
    name: "exclusion-not-learnt",
    violates: "M5",
    file: CLUSTER,
    find: 'this.#end(this.#leaving ? "closed" : "excluded");',
    replace: 'if (this.#leaving) this.#end("closed");',
    why: "A node that is told that it was excluded does not heed it, and never comes back.",
  },
  {
    name: "accept-without-hold",
    violates: "assert",
    file: AGREEMENT,
    find: "if (accepting === undefined || this.#epoch.gaps(accepting.proposal.cut).length > 0)",
    replace: "if (accepting === undefined)",
    why: "A6: a cut is accepted by those who do not hold it, and its messages die with their only holder (trace 8).",
  },
  {
    name: "cluster-cut-minimum",
    violates: "B1",
    file: AGREEMENT,
    find: "Math.max(...[...promises",
    replace: "Math.min(...[...promises",
    why: "B2: the cut takes the minimum over the reports, and undoes commands that a quorum held (trace 12).",
  },
  {
    name: "directory-optimistic",
    violates: "B1",
    file: DIRECTORY_REPLICA,
    find: "new PacketBuilder(SAFE, bytes)",
    replace: "new PacketBuilder(2, bytes)",
    why: "B1: directory commands are executed before they are safe (trace 7).",
  },
  {
    name: "promise-without-freeze",
    violates: "B1",
    file: AGREEMENT,
    find: "this.#accepting = undefined;\n        this.#epoch.freeze();",
    replace: "this.#accepting = undefined;",
    why: "B3: an acceptor that has promised goes on acknowledging commands which the cut does not cover.",
  },
];

const flushMutants: readonly Mutant[] = [
  {
    name: "no-hold-barrier",
    violates: "D8",
    file: FLUSH,
    find: "if (!issued.participants.every((participant) => this.#holds.has(participant)))",
    replace: "if (this.#holds.size === 0)",
    why: "C3: the first hold suffices, so a member drains what it alone holds and dies with it (trace 1).",
  },
  {
    name: "report-without-freeze",
    violates: "D3",
    file: FLUSH,
    find: "this.#host.epoch?.freeze();\n        this.#report(target);\n    }\n    receive(",
    replace:
      "const { epoch } = this.#host;\n" +
      "        if (epoch !== undefined) epoch.drain = (cut) => (epoch.freeze(), Object.getPrototypeOf(epoch).drain.call(epoch, cut));\n" +
      "        this.#report(target);\n    }\n    receive(",
    why: "C2: a member acknowledges and delivers after its report what the cut does not cover (trace 5).",
  },
  {
    name: "blind-reissue",
    violates: "M5",
    file: FLUSH,
    find: "if (newest.step.cut.some((count, sender) => count > (cut[sender] ?? 0)))",
    replace: "if (newest.step.cut.length === 0)",
    why: "C5: a cut is issued again that nobody alive holds, and the flush never ends (trace 4).",
  },
  {
    name: "laggards-skipped",
    violates: "M5",
    file: FLUSH,
    find: "const step = this.#behind(current) ?? ",
    replace: "const step = ",
    why: "C5: a member that has not taken the last step yet is taken on by a step that begins after it (trace 3).",
  },
  {
    name: "cut-minimum",
    violates: "D3",
    file: FLUSH,
    find: "if (count <= (cut[sender] ?? -1))",
    replace: "if (count >= (cut[sender] ?? Infinity))",
    why: "The cut takes of each sender the least that anybody holds.",
  },
  {
    name: "cut-drops-own",
    violates: "D4",
    file: FLUSH,
    find: "row: epoch?.held() ?? [],",
    replace:
      "row: epoch?.held().map((count, sender) => (sender === epoch.rank ? epoch.stability.stable(sender) : count)) ?? [],",
    why: "C4: a report names of the member's own packets only those that all have acknowledged.",
  },
  {
    name: "leave-without-flush",
    violates: "D4",
    file: MEMBER,
    find: "if (epoch.frozen || !this.#outgoing.empty || epoch.awaitsOwn || !this.#flushes.empty)",
    replace: "if (epoch.frozen)",
    why: "C11: a leaver asks to go before it has delivered what it sent (trace 18).",
  },
];

const multicastMutants: readonly Mutant[] = [
  {
    name: "sent-again",
    violates: "D1",
    file: MEMBER,
    find: "before.drain(step.cut);",
    replace: `for (const { bytes, flavour, bodyEnd } of before.packets(before.rank, before.stability.stable(before.rank), 1e9)) {
                const view = new DataView(bytes.buffer, bytes.byteOffset);
                for (let at = 32, size = 0; flavour !== 4 && at < bodyEnd; at += 8 + size) {
                    size = view.getUint32(at, true);
                    this.#outgoing.append(flavour, view.getUint32(at + 4, true), bytes.subarray(at + 8, at + 8 + size));
                }
            }
            before.drain(step.cut);`,
    why: "What a member does not know to be held by all it sends again in the next view, although the drain delivers it.",
  },
  {
    name: "view-before-deliveries",
    violates: "D2",
    file: "runtime/driver.js",
    find: "for (const effect of this.#effects.take())",
    replace:
      'for (const effect of [...this.#effects.take()].sort((a, b) => (b.kind === "install") - (a.kind === "install")))',
    why: "A new view is shown before the last deliveries of the old one.",
  },
  {
    name: "safe-jumps-queue",
    violates: "D5",
    file: TOTAL,
    find: "this.#unordered[sender]?.push(packet);",
    replace:
      "packet.flavour === SAFE ? this.#unordered[sender]?.unshift(packet) : this.#unordered[sender]?.push(packet);",
    why: "A safe packet jumps the queue of its sender's ordered packets.",
  },
  {
    name: "order-by-rank",
    violates: "D7",
    file: TOTAL,
    find: "this.#runs.push({ sender, upTo, announcedBy: packet.seqno });",
    replace: "this.#runs.unshift({ sender, upTo, announcedBy: packet.seqno });",
    why: "The newest run of the order is delivered first, by those who have it.",
  },
  {
    name: "order-skips-gap",
    violates: "D7",
    file: TOTAL,
    find: "if (received(run.sender) <= run.upTo)",
    replace: "if (received(run.sender) < run.upTo)",
    why: "The order goes on before the last packet of a run has come.",
  },
  {
    name: "drain-forgets-order",
    violates: "D7",
    file: TOTAL,
    find: "if (run.announcedBy < (cut[SEQUENCER] ?? 0))",
    replace: "if (run.announcedBy < 0)",
    why: "The drain delivers by rank, though the sequencer has announced another order.",
  },
  {
    name: "safe-at-once",
    violates: "D8",
    file: EPOCH,
    find: 'if (this.#options.safety === "all")\n            return false;',
    replace: 'if (this.#options.safety === "all")\n            return true;',
    why: "C8: safe messages are delivered before all members hold them.",
  },
  {
    name: "safe-by-quorum",
    violates: "D8",
    file: MEMBER,
    find: 'safety: "all",',
    replace: 'safety: "quorum",',
    why: "C8: in a group a quorum must not suffice, because the survivors may be one member.",
  },
  {
    name: "rows-of-data-only",
    violates: "D7",
    file: EPOCH,
    find: "if (this.#stability.stable(sender) > seqno && this.#stability.stable(SEQUENCER) > announcedBy)",
    replace: "if (this.#stability.stable(sender) > seqno)",
    why: "C8: a safe message is delivered though not all members hold its place in the order (trace 6).",
  },
  {
    name: "relay-of-own-row",
    violates: "D7",
    file: ROWS,
    find: "if (this.#answering)\n            this.#answer();",
    replace: `const { group, epoch, rank } = this.#options;
        const row = this.#stability.row(rank);
        if (this.#isRelay)
            this.#effects.broadcast(this.#audience, { kind: "stable", group, epoch, row });
        if (this.#answering)
            this.#answer();`,
    why: "C8: in a large view the sequencer tells in each turn what it holds itself, as if all held it.",
  },
  {
    name: "causal-past-ignored",
    violates: "D6",
    file: CAUSAL,
    find: "return source.awaits === NOBODY;",
    replace: "return true;",
    why: "A causal message is delivered when it comes, whatever happened before it.",
  },
  {
    name: "causal-orphans",
    violates: "D6",
    file: EPOCH,
    find: "this.#order.drain(cut, (packet) => this.#deliverOrdered(packet));",
    replace: `for (let sender = 0; sender < this.#streams.length; sender++) {
            for (let seqno = this.#causal.firstWaiting(sender) ?? cut[sender]; seqno < cut[sender]; seqno++) {
                const packet = this.#streams[sender].get(seqno);
                if (packet.flavour === CAUSAL)
                    this.#deliverCausal(packet);
            }
        }
        this.#order.drain(cut, (packet) => this.#deliverOrdered(packet));`,
    why: "C7: what follows a causal message beyond the cut is delivered without it (trace 16).",
  },
  {
    name: "causal-past-kept",
    violates: "D6",
    file: EPOCH,
    find: "this.#causal = new CausalOrder(size, this.rank);",
    replace: `effects.causal ??= new Map();
        this.#causal = effects.causal.get(options.group) ?? new CausalOrder(64, this.rank);
        effects.causal.set(options.group, this.#causal);`,
    why: "The counts of an epoch go on in the next, where ranks are others', and which joiners begin with none.",
  },
  {
    name: "causal-own-uncounted",
    violates: "D3",
    file: CAUSAL,
    find: "this.#delivered[sender] = this.#delivered[sender] + 1;",
    replace: "if (sender !== this.#self)\n                this.#delivered[sender] = this.#delivered[sender] + 1;",
    why: "A member does not count its own messages as delivered, and waits for them before what follows them.",
  },
];

const serviceMutants: readonly Mutant[] = [
  {
    name: "flush-at-once",
    violates: "F1",
    file: FLUSHES,
    find: "const isHeld = holders.length === members.length ||",
    replace: "const isHeld = true ||",
    why: "A flush is held as soon as the member itself holds what it covers.",
  },
  {
    name: "flush-shares-an-old-round",
    violates: "F1",
    file: FLUSHES,
    find: "if (target === undefined || row.some((count, sender) => count > (asked?.[sender] ?? 0)))",
    replace: "if (target === undefined)",
    why: "A flush is held when all hold what an earlier flush of the view covers, whatever has come since.",
  },
  {
    name: "flush-target-of-old-view",
    violates: "F2",
    file: FLUSHES,
    find: "flush.target = undefined;",
    replace: "void flush;",
    why: "A flush that meets a view change waits for a row of the old view for ever.",
  },
  {
    name: "flush-rejected-by-view",
    violates: "F2",
    file: MEMBER,
    find: "this.#flushes.installed();",
    replace:
      "for (const flush of this.#flushes.end())\n" +
      '            this.#effects.perform({ kind: "flushed", group: this.group, flush, ending: "left" });',
    why: "A flush that meets a view change is rejected instead of being held in the next view.",
  },
  {
    name: "query-awaits-the-dead",
    violates: "Q1",
    file: QUERIES,
    find: "const isGone = !this.#members.has(member);",
    replace: "const isGone = false;",
    why: "Who leaves before it has answered is not reported, and the query never ends.",
  },
  {
    name: "query-awaits-joiner",
    violates: "Q1",
    file: QUERIES,
    find: "this.#answersFrom.set(member, view);",
    replace: "this.#answersFrom.set(member, 0);",
    why: "A joiner whose transfer begins anew never runs the queries before it, and the query never ends.",
  },
  {
    name: "query-complete-early",
    violates: "Q1",
    file: QUERIES,
    find: "if (open.awaited?.size !== 0)",
    replace: "if (open.awaited === undefined || open.awaited.size > 1)",
    why: "A query is complete though one member has not answered.",
  },
  {
    name: "query-awaits-the-accused",
    violates: "Q1",
    file: QUERIES,
    find: "if (open.accused.includes(member))",
    replace: "if (open.accused.length > 1e9)",
    why: "Who is accused and stays a member is still waited for, and the query never ends.",
  },
  {
    name: "accused-stays",
    violates: "M5",
    file: MEMBER,
    find: 'if (this.#leaving !== "asked")\n            this.end("excluded");',
    replace: 'if (this.#leaving === "flushing")\n            this.end("excluded");',
    why: "A member that the directory has excluded from its group waits to be told for ever.",
  },
  {
    name: "silence-of-the-unasked",
    violates: "Q1",
    file: QUERIES,
    find: "open.awaited = new Set(members.filter((member) => !open.early.has(member)));",
    replace:
      "open.awaited = new Set(members.filter((member) => !open.early.has(member) && !this.#answersFrom.has(member)));",
    why: "Who has once joined while others were members is not waited for, as if it had answered.",
  },
  {
    name: "query-out-of-turn",
    violates: "Q2",
    file: EPOCH,
    find: "this.#order.add(packet);",
    replace:
      "if (this.rank === sender && packet.flavour !== SAFE) this.#deliverOrdered(packet);\n                    else this.#order.add(packet);",
    why: "A member delivers its own ordered messages, and so runs its own queries, before their turn.",
  },
  {
    name: "state-before-drain",
    violates: "ST1",
    file: MEMBER,
    find: 'before.drain(step.cut);\n        }\n        this.journal.begin(view, before === undefined ? (this.#recovered ?? NOTHING) : step, this.#target.number);\n        if (this.#options.mintSecret !== undefined) {\n            this.#effects.perform({ kind: "useKey", group: this.group, number: view.number });\n        }\n        this.#startTransfers(step, before === undefined);',
    replace:
      "this.#startTransfers(step, false);\n            before.drain(step.cut);\n        }\n        else this.#startTransfers(step, true);\n        this.journal.begin(view, before === undefined ? (this.#recovered ?? NOTHING) : step);",
    why: "A joiner gets the state before the last deliveries of the old view.",
  },
  {
    name: "joiner-not-gated",
    violates: "ST1",
    file: ENTRANCE,
    find: "if (this.#gate === undefined) {\n            this.#effects.perform(effect);",
    replace: 'if (this.#gate === undefined || effect.kind === "deliver") {\n            this.#effects.perform(effect);',
    why: "A joiner delivers before its state is there.",
  },
  {
    name: "backlog-dropped",
    violates: "ST1",
    file: ENTRANCE,
    find: "const gated = this.#gate ?? [];",
    replace: 'const gated = (this.#gate ?? []).filter((effect) => effect.kind !== "deliver");',
    why: "What was delivered while the state was under way is not replayed.",
  },
  {
    name: "stateless-heirs",
    violates: "M5",
    file: DIRECTORY,
    find: "if (group.synced.length > 0)",
    replace: "if (group.members.length > 0)",
    why: "C9: joiners go on with a group that nobody can give them the state of (trace 15).",
  },
];

export function listMutants(): readonly Mutant[] {
  return [
    ...memoryMutants,
    ...clusterMutants,
    ...membershipMutants,
    ...flushMutants,
    ...multicastMutants,
    ...rawMutants,
    ...serviceMutants,
    ...durableMutants,
  ];
}
