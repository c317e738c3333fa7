/**
 * M1 to M4 and B1: who is in, and that all agree on it.
 *
 * M3 is judged by what acceptors did: a cluster view other than the first may be installed only if the view numbered one
 * less was installed too, and a quorum of its acceptors accepted exactly this proposal for this number. What the later
 * view's members look like does not matter, so {a, b} may shrink to {b} when both accepted (rule A5). Two primaries show
 * themselves as two proposals installed under one number; the first view has nobody to accept it and so must be unique.
 * An acceptor with a disk is its disk: whoever runs on it later accepts in its place (rule A1).
 */
import type { NodeId } from "../../protocol/view.ts";
import { CLUSTER, type Delivery, type EventOf, type Member, NEVER, type Run, type Stay, type ViewRun } from "./run.ts";
import { type Checker, Findings, type Violation } from "./violation.ts";

const FIRST_CLUSTER_VIEW = 1;

export const membershipCheckers: readonly Checker[] = [
  {
    property: "M1",
    title: "Self-inclusion: a member installs only views that contain it.",
    check: checkSelfInclusion,
  },
  {
    property: "M2",
    title: "Monotonicity: view numbers grow at every member, and a number names one view only.",
    check: checkMonotonicity,
  },
  {
    property: "M3",
    title:
      "Primary partition: installed cluster views form one chain, in which a quorum of each view accepted the next; " +
      "a node that is blocked delivers nothing.",
    check: checkPrimaryPartition,
  },
  {
    property: "M4",
    title: "Exclusion: nothing is delivered from a node outside the view, nor by a node that knows it was excluded.",
    check: checkExclusion,
  },
  {
    property: "B1",
    title: "One directory: all nodes, crashed ones too, have the same directory after the same number of steps.",
    check: checkDirectory,
  },
];

function checkSelfInclusion(run: Run): Violation[] {
  const found = new Findings("M1", run);
  for (const stay of run.stays) {
    const event = installOf(run, stay);
    if ((event.nodes ?? event.members).includes(event.node)) continue;
    found.add(
      stay.installedAt,
      `${event.node} installed ${stay.view}, which does not contain it`,
      event.node,
      event.group,
    );
  }
  return found.violations;
}

function checkMonotonicity(run: Run): Violation[] {
  const found = new Findings("M2", run);
  const newest = new Map<Member, Stay>();
  for (const stay of run.stays) {
    const event = installOf(run, stay);
    const previous = newest.get(stay.member);
    newest.set(stay.member, stay);
    if (previous !== undefined && previous.view.number >= stay.view.number) {
      found.add(
        stay.installedAt,
        `${event.node} installed ${stay.view} after ${previous.view}`,
        event.node,
        event.group,
      );
    }
    if (!sameView(event, stay.view)) {
      const others = run.history[stay.view.installedAt]?.node;
      found.add(
        stay.installedAt,
        `${event.node} installed ${stay.view} as ${describe(event)}, ${others} as ${describe(stay.view)}`,
        event.node,
        event.group,
      );
    }
  }
  return found.violations;
}

function checkPrimaryPartition(run: Run): Violation[] {
  const found = new Findings("M3", run);
  const cluster = run.groups.get(CLUSTER);
  if (cluster !== undefined) {
    const accepted = acceptersByProposal(run);
    const numbers = [...cluster.views.keys()].sort((a, b) => a - b);
    for (const number of numbers) {
      const view = cluster.view(number);
      const earlier = cluster.views.get(number - 1);
      if (number > FIRST_CLUSTER_VIEW) checkSuccession(run, view, earlier, accepted, found);
      else checkFounding(run, view, found);
    }
  }
  for (const delivery of run.deliveries) {
    if (!delivery.blocked) continue;
    const { node, group } = delivery.member;
    found.add(delivery.event, `${node.id} delivered ${delivery.message.name} while blocked`, node.id, group.name);
  }
  return found.violations;
}

/** The acceptors that accepted a proposal, by the proposal's number and digest. */
function acceptersByProposal(run: Run): ReadonlyMap<string, ReadonlySet<string>> {
  const accepters = new Map<string, Set<string>>();
  for (const index of run.accepts) {
    const event = run.history[index] as EventOf<"accept">;
    const key = `${event.number} ${event.proposal}`;
    const acceptor = acceptorOf(run, event.node);
    const acceptors = accepters.get(key);
    if (acceptors === undefined) accepters.set(key, new Set([acceptor]));
    else acceptors.add(acceptor);
  }
  return accepters;
}

/** A1: what remembers the promises of a node: its disk, or itself. */
function acceptorOf(run: Run, id: NodeId): string {
  return run.nodes.get(id)?.disk ?? id;
}

function checkFounding(run: Run, view: ViewRun, found: Findings): void {
  for (const index of [...view.stays.map(({ installedAt }) => installedAt), ...view.adoptedAt]) {
    const event = run.history[index] as EventOf<"install" | "adopt">;
    if (sameView(event, view)) continue;
    found.add(index, `${event.node} founded a second cluster, of ${describe(event)}`, event.node, CLUSTER);
    return;
  }
}

function checkSuccession(
  run: Run,
  view: ViewRun,
  earlier: ViewRun | undefined,
  accepted: ReadonlyMap<string, ReadonlySet<string>>,
  found: Findings,
): void {
  const judged = new Set<string | undefined>();
  for (const index of [...view.stays.map(({ installedAt }) => installedAt), ...view.adoptedAt]) {
    const event = run.history[index] as EventOf<"install" | "adopt">;
    if (judged.has(event.proposal)) continue;
    judged.add(event.proposal);
    const accepters = accepted.get(`${event.number} ${event.proposal}`);
    if (earlier === undefined || earlier.installedAt === NEVER) {
      found.add(index, `nobody installed the predecessor of ${view}`, event.node, CLUSTER);
    } else if (
      event.proposal === undefined ||
      !isQuorum(earlier, (id) => accepters?.has(acceptorOf(run, id)) ?? false)
    ) {
      const proposal = event.proposal ?? "without a proposal";
      const who = accepters === undefined ? "nobody" : [...accepters].join(" ");
      found.add(
        index,
        `${view} (${proposal}) was accepted by ${who}, no quorum of {${earlier.members.join(" ")}} of ${earlier}`,
        event.node,
        CLUSTER,
      );
    }
  }
}

/** A message counts as sent by an excluded node when its sender is no member of the view it is delivered in. */
function checkExclusion(run: Run): Violation[] {
  const found = new Findings("M4", run);
  for (const delivery of run.deliveries) {
    const { node, group } = delivery.member;
    if (node.excludedAt !== NEVER && delivery.event > node.excludedAt) {
      found.add(
        delivery.event,
        `${node.id} delivered ${delivery.message.name} after its exclusion`,
        node.id,
        group.name,
      );
    } else if (isFromOutside(delivery)) {
      found.add(
        delivery.event,
        `${node.id} delivered ${delivery.message.name} of ${delivery.sender} in ${delivery.stay?.view}, which has no ` +
          "such member",
        node.id,
        group.name,
      );
    }
  }
  for (const stay of run.stays) {
    const { node } = stay;
    if (node.excludedAt === NEVER || stay.installedAt < node.excludedAt) continue;
    found.add(
      stay.installedAt,
      `${node.id} installed ${stay.view} after its exclusion`,
      node.id,
      stay.member.group.name,
    );
  }
  return found.violations;
}

function isFromOutside(delivery: Delivery): boolean {
  const { sender, stay } = delivery;
  if (stay === undefined) return false;
  const stream = delivery.message.stream;
  if (stream?.view === stay.view && stream.sender.id === sender) {
    stream.fromMember ??= stay.view.members.includes(sender);
    if (stream.fromMember) return false;
  }
  return !stay.view.members.includes(sender);
}

function checkDirectory(run: Run): Violation[] {
  const found = new Findings("B1", run);
  const digests = new Map<number, { readonly digest: string; readonly node: NodeId }>();
  const newest = new Map<NodeId, number>();
  for (const index of run.directorySteps) {
    const event = run.history[index] as EventOf<"directory">;
    const before = newest.get(event.node);
    if (before !== undefined && before >= event.index) {
      found.add(
        index,
        `${event.node} executed directory step ${event.index} after step ${before}`,
        event.node,
        CLUSTER,
      );
    }
    newest.set(event.node, event.index);
    const first = digests.get(event.index);
    if (first === undefined) digests.set(event.index, { digest: event.digest, node: event.node });
    else if (first.digest !== event.digest) {
      found.add(
        index,
        `after directory step ${event.index} ${event.node} has ${event.digest}, ${first.node} has ${first.digest}`,
        event.node,
        CLUSTER,
      );
    }
  }
  return found.violations;
}

/** M3's own words, apart from the protocol's, which are what is judged. */
function isQuorum({ members, votes }: ViewRun, accepted: (id: NodeId) => boolean): boolean {
  const voters = members.map((id, rank) => ({ id, vote: votes?.[rank] ?? 1 })).filter(({ vote }) => vote > 0);
  const sum = (of: typeof voters): number => of.reduce((all, { vote }) => all + vote, 0);
  const count = sum(voters.filter(({ id }) => accepted(id)));
  const [oldest] = voters;
  return count * 2 > sum(voters) || (count * 2 === sum(voters) && oldest !== undefined && accepted(oldest.id));
}

function installOf(run: Run, stay: Stay): EventOf<"install"> {
  return run.history[stay.installedAt] as EventOf<"install">;
}

function sameView(event: EventOf<"install" | "adopt">, view: ViewRun): boolean {
  return event.proposal === view.proposal && sameList(event.members, view.members) && sameList(event.nodes, view.nodes);
}

function sameList(left: readonly NodeId[] | undefined, right: readonly NodeId[] | undefined): boolean {
  if (left === right) return true;
  if (left === undefined || right === undefined || left.length !== right.length) return false;
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false;
  return true;
}

function describe(view: { readonly members: readonly NodeId[]; readonly proposal?: string | undefined }): string {
  return `{${view.members.join(" ")}}${view.proposal === undefined ? "" : ` (${view.proposal})`}`;
}
