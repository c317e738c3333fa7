/**
 * The directory: the cluster group's replicated state machine. It says which groups exist and what the newest *target*
 * of each is: the view that its members are to flush to. Every node executes the same steps in the same order (commands
 * that were safely delivered, and cluster views), so every node learns the same sequence of targets. Creation is atomic,
 * and one command may join or leave several groups in one step.
 */
import { hashString } from "../../base/random.ts";
import { bytes, decode, encode, flag, list, record, text, u32, varint, word } from "../../wire/layout.ts";
import type { JoinRefusal } from "../effects.ts";
import { type DirectoryCommand, type DirectoryRequest, GROUPS_MAX } from "../messages.ts";
import {
  type ClusterView,
  type GroupView,
  groupAcceptors,
  isAcceptor,
  isQuorum,
  NODES_MAX,
  type NodeId,
  nodeId,
  nodeIds,
  operationCodes,
} from "../view.ts";
import { isProven, isSuccession, PUBLIC_KEY_BYTES, type Verify } from "./proof.ts";
import { incomparable, isSubset, lackingIn, type Version, withMember, withOnly } from "./versions.ts";

/** `lost`: all members that held the state are gone (rule C10); the name is kept until it is safe to use again. */
export type GroupStatus = "live" | "lost";

export interface DirectoryGroup {
  readonly id: number;
  readonly name: string;
  readonly digest: string;
  /** By which joins are proved, of a group that has a key of its own; else no bytes. */
  publicKey: Uint8Array;
  /** What its members hold is on their disks, and outlives them all. */
  readonly durable: boolean;
  /** So many acceptors at most, of a durable group; 0: all its members. */
  readonly acceptorsMax: number;
  status: GroupStatus;
  /** The number of the newest target and its members, oldest first. */
  number: number;
  members: readonly NodeId[];
  /** Those members that hold the state (rule C9). */
  synced: readonly NodeId[];
  /** On whose disks safe messages of this target must be, if not on those of all (C8). */
  acceptors: readonly NodeId[];
  /** The number of the target in which the group was made, or recovered last. */
  since: number;
  /**
   * Of a durable group: those that hold the state, and their disks. When all of them are gone the acceptors stay: each of
   * these disks has all that was ever safe (C10, E3).
   */
  keepers: readonly Keeper[];
  /** Keepers that have gone while others in their place may not have begun; they are asked if these turn out not to have. */
  former: readonly FormerKeeper[];
  /**
   * While a keeper brings the group back: the others, who are asked if its disk turns out not to be able to, or if it dies.
   * It says when it has the state (`synced`), and goes on only when that is known.
   */
  reserve: readonly Keeper[];
  /** The operations that the members' definitions have, and those of keepers (C14). */
  versions: readonly Version[];
  /** Members of this target that others find too slow, and who does. */
  slow: readonly Finding[];
}

export interface Keeper {
  readonly node: NodeId;
  readonly disk: string;
  /** The target in which it became an acceptor, until it is known to have begun this or a later one; else 0. */
  readonly since: number;
}

export interface FormerKeeper extends Keeper {
  /** The target in which it was an acceptor no more. */
  readonly until: number;
}

/** What the directory needs to know of the cluster's nodes. */
export interface Nodes {
  /** The disk of a node, "" when it has none; undefined when there is no such node. */
  diskOf(id: NodeId): string | undefined;
  /** Whether what the directory says is on disk. */
  readonly durable: boolean;
  /** The cluster that they are. */
  readonly cluster: string;
  readonly verify: Verify;
}

const NO_BYTES = new Uint8Array(0);

type Wish = Extract<DirectoryCommand, { kind: "join" }>["groups"][number];

export interface Finding {
  readonly member: NodeId;
  readonly by: readonly NodeId[];
}

/** Of a durable group whose state lies on disks of which none is here (C10): whoever wants to join waits. */
export interface Awaiting {
  readonly code: "group-awaited";
  readonly name: string;
  readonly keepers: readonly NodeId[];
}

/** What a request came to, for its requester. */
export interface DirectoryOutcome {
  readonly request: DirectoryRequest;
  readonly refusals: readonly (JoinRefusal | Awaiting)[];
}

const keeper = record({ node: nodeId, disk: text(16), since: u32 });
const formerKeeper = record({ node: nodeId, disk: text(16), since: u32, until: u32 });

const snapshotLayout = record({
  index: varint,
  nextGroup: u32,
  groups: list(
    record({
      id: u32,
      name: text(256),
      digest: text(128),
      publicKey: bytes(PUBLIC_KEY_BYTES),
      durable: flag,
      acceptorsMax: varint,
      status: word("live", "lost"),
      number: u32,
      members: nodeIds,
      synced: nodeIds,
      acceptors: nodeIds,
      since: u32,
      keepers: list(keeper, NODES_MAX),
      former: list(formerKeeper, NODES_MAX),
      reserve: list(keeper, NODES_MAX),
      versions: list(record({ operations: operationCodes, members: nodeIds }), 2 * NODES_MAX),
      slow: list(record({ member: nodeId, by: nodeIds }), NODES_MAX),
    }),
    GROUPS_MAX,
  ),
  executed: list(record({ node: nodeId, number: u32 }), NODES_MAX),
});

export class Directory {
  #index = 0;
  #nextGroup = 1;
  #groups = new Map<number, DirectoryGroup>();
  #names = new Map<string, number>();
  #executed = new Map<NodeId, number>();

  /** How many steps were executed since the cluster was founded. */
  get index(): number {
    return this.#index;
  }

  get groups(): IterableIterator<DirectoryGroup> {
    return this.#groups.values();
  }

  group(id: number): DirectoryGroup | undefined {
    return this.#groups.get(id);
  }

  named(name: string): DirectoryGroup | undefined {
    const id = this.#names.get(name);
    return id === undefined ? undefined : this.#groups.get(id);
  }

  /** The newest target of a group as a view. */
  static target(group: DirectoryGroup): GroupView {
    const { number, members, synced, acceptors, versions } = group;
    return { number, members, synced, acceptors, lacking: lackingIn(versions) };
  }

  /** The number of the requester's last executed request. */
  executed(node: NodeId): number {
    return this.#executed.get(node) ?? 0;
  }

  /**
   * Executes one command; undefined, and only a step, when it is not the requester's next one (rule B4: it was executed
   * before, or an earlier one has been dropped on the way and will come again) or the requester is not in the cluster.
   */
  execute(request: DirectoryRequest, nodes: Nodes): DirectoryOutcome | undefined {
    this.#index++;
    const { requester, number, command } = request;
    if (nodes.diskOf(requester) === undefined || number !== this.executed(requester) + 1) return undefined;
    this.#executed.set(requester, number);
    return { request, refusals: this.#apply(requester, command, nodes) };
  }

  /** A cluster view was installed: the nodes that are not in it leave all groups. */
  clusterInstalled(nodes: ReadonlySet<NodeId>): void {
    this.#index++;
    for (const id of [...this.#executed.keys()]) if (!nodes.has(id)) this.#executed.delete(id);
    for (const group of [...this.#groups.values()]) {
      if (group.status === "live")
        this.#retarget(
          group,
          group.members.filter((member) => nodes.has(member)),
          true,
        );
    }
  }

  snapshot(): Uint8Array {
    return encode(snapshotLayout, {
      index: this.#index,
      nextGroup: this.#nextGroup,
      groups: [...this.#groups.values()],
      executed: [...this.#executed].map(([node, number]) => ({ node, number })),
    });
  }

  /** The directory that `snapshot` describes, or undefined when it is malformed. */
  static restore(snapshot: Uint8Array): Directory | undefined {
    const value = decode(snapshotLayout, snapshot);
    if (value === undefined) return undefined;
    const directory = new Directory();
    directory.#index = value.index;
    directory.#nextGroup = value.nextGroup;
    for (const group of value.groups) {
      directory.#groups.set(group.id, { ...group });
      directory.#names.set(group.name, group.id);
    }
    for (const { node, number } of value.executed) directory.#executed.set(node, number);
    return directory;
  }

  /** Of the whole state: equal at equal indexes on all nodes. */
  digest(): string {
    let hash = 0x811c9dc5;
    for (const byte of this.snapshot()) hash = Math.imul(hash ^ byte, 0x01000193);
    return hashString(String(hash >>> 0)).toString(16);
  }

  /**
   * What became of a node's command that was executed while the node was behind: a join that came to nothing shows in the
   * groups' members, everything else cannot be refused.
   */
  refusalsInRetrospect(node: NodeId, command: DirectoryCommand, nodes: Nodes): (JoinRefusal | Awaiting)[] {
    if (command.kind !== "join") return [];
    const isIn = (group: DirectoryGroup | undefined): boolean =>
      group?.status === "live" && group.members.includes(node);
    const missing = command.groups.filter(({ name }) => !isIn(this.named(name)));
    return missing.map((wish) => {
      const { name } = wish;
      const group = this.named(name);
      if (!this.#isProven(node, wish, nodes)) return { code: "refused", name };
      const isAwaited = group?.status === "lost" && group.durable;
      return this.#mismatch(node, wish) ?? (isAwaited ? awaiting(group) : { code: "group-lost", name });
    });
  }

  #apply(node: NodeId, command: DirectoryCommand, nodes: Nodes): (JoinRefusal | Awaiting)[] {
    switch (command.kind) {
      case "join": {
        // All or nothing: joinAll is one atomic step.
        const refusals = command.groups.flatMap((wish) => this.#joinRefusal(node, wish, nodes) ?? []);
        if (refusals.length === 0) for (const wish of command.groups) this.#join(node, wish, nodes);
        return refusals;
      }
      case "leave":
        for (const id of command.groups) {
          const group = this.#groups.get(id);
          if (group?.status !== "live") continue;
          const rest = group.members.filter((member) => member !== node);
          // Who alone holds the state stays until somebody else does; it asks again then.
          if (rest.length === 0 || rest.some((member) => group.synced.includes(member)))
            this.#retarget(group, rest, false);
        }
        return [];
      case "synced": {
        const group = this.#groups.get(command.group);
        if (group?.status !== "live" || !group.members.includes(node)) return [];
        // From now on the group goes on; what others had kept is what it was before.
        group.reserve = [];
        if (group.synced.includes(node)) return [];
        group.synced = [...group.synced, node];
        // Who was an acceptor before it held the state may not have begun to be.
        const keeper = { node, disk: nodes.diskOf(node) ?? "", since: group.acceptorsMax > 0 ? group.number : 0 };
        if (group.durable) group.keepers = [...group.keepers, keeper];
        return [];
      }
      case "begun": {
        const group = this.#groups.get(command.group);
        const isProven = (keeper: Keeper): boolean => keeper.node === node && keeper.since <= command.target;
        if (group === undefined) return [];
        group.keepers = group.keepers.map((keeper) => (isProven(keeper) ? { ...keeper, since: 0 } : keeper));
        forgetFormer(group);
        return [];
      }
      case "slow": {
        const group = this.#groups.get(command.group);
        if (group?.status === "live" && group.number === command.target) this.#findSlow(group, node, command);
        return [];
      }
      case "forget": {
        const group = this.named(command.name);
        if (group?.id === command.group && group.status === "lost" && !group.durable) this.#remove(group);
        return [];
      }
      case "exclude":
        this.#exclude(node, command);
        return [];
      case "refuse":
        return command.names.map((name) => ({ code: "refused", name }));
      case "renew": {
        // The same members flush to another epoch, at whose start all of them are. Who joins asks when its transfer went astray.
        const group = this.#groups.get(command.group);
        if (group?.status === "live" && group.number === command.target && group.members.includes(node)) {
          this.#advance(group);
        }
        return [];
      }
      case "unrecoverable":
        this.#giveBack(node, command);
        return [];
      case "rekey": {
        const group = this.#groups.get(command.group);
        const { cluster, verify } = nodes;
        // The members of this target have the new key; the next one is sealed with it.
        const isHeld = group?.number === command.target;
        const isMember = group?.members.includes(node) === true;
        if (group?.status !== "live" || !isHeld || !isMember) return [];
        if (!isSuccession(group.publicKey, command, { cluster, group: group.name, node, verify })) return [];
        group.publicKey = command.publicKey;
        this.#advance(group);
        return [];
      }
    }
  }

  #joinRefusal(node: NodeId, wish: Wish, nodes: Nodes): JoinRefusal | Awaiting | undefined {
    const { name, durable } = wish;
    const group = this.named(name);
    // Before anything else, because who is refused learns nothing of the group.
    if (!this.#isProven(node, wish, nodes)) return { code: "refused", name };
    // E4.
    if (durable && nodes.diskOf(node) === "") return { code: "data-dir-needed", name };
    if (durable && group === undefined && !nodes.durable) return { code: "directory-not-durable", name };
    const mismatch = this.#mismatch(node, wish);
    if (mismatch !== undefined || group?.status !== "lost") return mismatch;
    if (!group.durable) return { code: "group-lost", name };
    const keeper = keeperOn(group, nodes.diskOf(node));
    if (keeper === undefined) return awaiting(group);
    // C14: what is on its disk was done with these operations.
    const { operations = [] } = group.versions.find(({ members }) => members.includes(keeper.node)) ?? {};
    if (isSubset(operations, wish.operations)) return undefined;
    return { code: "definition-mismatch", name, expected: group.digest, operations };
  }

  /** Whoever makes a group proves it to nobody: what it proves is for those who come later. */
  #isProven(node: NodeId, { name, proof }: Wish, { cluster, verify }: Nodes): boolean {
    const group = this.named(name);
    const key = group?.publicKey ?? proof?.publicKey ?? NO_BYTES;
    return isProven(key, proof, { cluster, group: name, node, verify });
  }

  #mismatch(node: NodeId, { name, digest, operations }: Wish): JoinRefusal | undefined {
    const group = this.named(name);
    if (group === undefined || (group.status === "lost" && !group.durable)) return undefined;
    if (group.digest !== digest) return { code: "definition-mismatch", name, expected: group.digest };
    if (group.status === "lost") return undefined;
    if (group.members.includes(node)) return { code: "already-member", name };
    // C14.
    const other = incomparable(group.versions, operations);
    if (other === undefined) return undefined;
    return { code: "definition-mismatch", name, expected: group.digest, operations: other.operations };
  }

  #join(node: NodeId, { name, digest, durable, acceptorsMax, operations, proof }: Wish, nodes: Nodes): void {
    const group = this.named(name);
    if (group?.status === "live") {
      group.members = [...group.members, node];
      group.versions = withMember(group.versions, node, operations);
      this.#advance(group);
      return;
    }
    const sole = [node];
    const disk = nodes.diskOf(node) ?? "";
    const { since = 0 } = (group && keeperOn(group, disk)) ?? {};
    const keepers = durable ? [{ node, disk, since }] : [];
    const versions = [{ operations, members: sole }];
    if (group !== undefined) {
      // C10: a keeper is back; the group goes on with what is on its disk.
      group.status = "live";
      group.members = sole;
      group.synced = sole;
      group.reserve = group.keepers.filter((keeper) => keeper.disk !== disk);
      group.keepers = keepers;
      group.versions = versions;
      group.number++;
      group.since = group.number;
      return;
    }
    const id = this.#nextGroup++;
    const created: DirectoryGroup = {
      id,
      name,
      digest,
      publicKey: proof?.publicKey ?? NO_BYTES,
      durable,
      acceptorsMax,
      status: "live",
      number: 1,
      members: sole,
      synced: sole,
      acceptors: [],
      since: 1,
      keepers,
      former: [],
      reserve: [],
      versions,
      slow: [],
    };
    this.#groups.set(id, created);
    this.#names.set(name, id);
  }

  /**
   * A member accuses others of not answering. They go if a quorum of the members stays, the accuser and its state among
   * them; if most are accused it is the accuser that has waited too short. An accusation is for the view in which it was
   * made: whoever has left since, and come back, has done nothing wrong.
   */
  #exclude(accuser: NodeId, command: Extract<DirectoryCommand, { kind: "exclude" }>): void {
    const { members: accused, target } = command;
    const group = this.#groups.get(command.group);
    if (group?.status !== "live" || group.number !== target) return;
    if (!group.synced.includes(accuser) || accused.includes(accuser)) return;
    const rest = group.members.filter((member) => !accused.includes(member));
    if (isQuorum(group.members, (member) => rest.includes(member))) this.#retarget(group, rest, true);
  }

  #retarget(group: DirectoryGroup, members: readonly NodeId[], byFailure: boolean): void {
    if (members.length === group.members.length) return;
    group.members = members;
    group.synced = group.synced.filter((member) => members.includes(member));
    if (group.synced.length > 0) {
      group.versions = withOnly(group.versions, members);
      this.#advance(group);
      return;
    }
    group.slow = [];
    group.number++;
    // C9: joiners without the state do not continue a group. A group in memory that all left in good order simply ends.
    if (members.length === 0 && !byFailure && !group.durable) this.#remove(group);
    else {
      group.status = "lost";
      // Nobody has gone on from the state that was being brought back: it is on these disks, too.
      group.keepers = [...keepersOf(group), ...group.reserve];
      group.acceptors = [];
      group.reserve = [];
    }
  }

  /** The group has a new target: `members` and those of them that are `synced` are set. */
  #advance(group: DirectoryGroup): void {
    const { members, synced, acceptorsMax } = group;
    const before = keepersOf(group);
    group.slow = [];
    group.number++;
    const until = group.number;
    group.acceptors = groupAcceptors(members, synced, acceptorsMax);
    const kept = group.keepers.filter(({ node }) => members.includes(node));
    group.keepers = kept.map((keeper) =>
      isAcceptor(group, keeper.node) && !before.includes(keeper) ? { ...keeper, since: until } : keeper,
    );
    const gone = before.filter(({ node }) => !members.includes(node) || !isAcceptor(group, node));
    group.former = [...group.former, ...gone.map((keeper) => ({ ...keeper, until }))].slice(-NODES_MAX);
    forgetFormer(group);
  }

  /**
   * The keeper that was to bring the group back has found that it cannot; nobody has gone on from its state. If it is behind,
   * nothing was safe in the targets that it was an acceptor of: those before have all that was.
   */
  #giveBack(node: NodeId, { group: id, isBehind }: Extract<DirectoryCommand, { kind: "unrecoverable" }>): void {
    const group = this.#groups.get(id);
    if (group?.status !== "live" || group.synced.join() !== node) return;
    group.status = "lost";
    group.members = [];
    group.synced = [];
    group.acceptors = [];
    group.slow = [];
    group.number++;
    const since = group.keepers.find((keeper) => keeper.node === node)?.since ?? 0;
    const wereThere = group.former.filter(({ until }) => isBehind && since > 0 && until >= since);
    const others = [...group.reserve, ...wereThere];
    if (others.length > 0) group.keepers = others;
    group.former = group.former.filter((former) => !wereThere.includes(former));
    group.reserve = [];
  }

  /**
   * C13: a member leaves the group against its will when a quorum of the group, by the rule of M3, finds it too slow. A
   * word counts for the target for which it was said, until it is taken back.
   */
  #findSlow(group: DirectoryGroup, by: NodeId, command: Extract<DirectoryCommand, { kind: "slow" }>): void {
    const { member, isSlow } = command;
    if (by === member || !group.members.includes(by) || !group.members.includes(member)) return;
    const before = group.slow.find((finding) => finding.member === member)?.by ?? [];
    const finders = before.filter((id) => id !== by);
    if (isSlow) finders.push(by);
    group.slow = group.slow.filter((finding) => finding.member !== member);
    if (finders.length > 0) group.slow = [...group.slow, { member, by: finders }];
    const rest = group.members.filter((id) => id !== member);
    const isAgreed = isQuorum(group.members, (id) => finders.includes(id));
    // Who alone holds the state stays, however slow.
    if (isAgreed && rest.some((id) => group.synced.includes(id))) this.#retarget(group, rest, true);
  }

  #remove(group: DirectoryGroup): void {
    this.#groups.delete(group.id);
    this.#names.delete(group.name);
  }
}

/** A cluster's nodes, as the directory sees them. */
export function nodesOf(view: ClusterView, verify: Verify): Nodes {
  const disks = new Map(view.nodes.map(({ id, disk }) => [id, disk]));
  const durable = view.acceptors.every((id) => disks.get(id) !== "");
  return { diskOf: (id) => disks.get(id), durable, cluster: view.cluster, verify };
}

function awaiting({ name, keepers }: DirectoryGroup): Awaiting {
  return { code: "group-awaited", name, keepers: keepers.map(({ node }) => node) };
}

/** Whether the group may be needed from this disk: it has all that was ever safe, or had when the group was brought back. */
export function isKept(group: DirectoryGroup, disk: string | undefined): boolean {
  return [...group.keepers, ...group.reserve, ...group.former].some((keeper) => keeper.disk === disk);
}

/** Who can bring a durable group back (E3): of those that hold the state, the acceptors. */
export function keepersOf(group: DirectoryGroup): readonly Keeper[] {
  return group.keepers.filter(({ node }) => isAcceptor(group, node));
}

/** Former keepers are needed only while somebody in their place, or in the place of one who was, may not have begun. */
function forgetFormer(group: DirectoryGroup): void {
  const unproven = keepersOf(group).filter(({ since }) => since > 0);
  let from = Math.min(...unproven.map(({ since }) => since));
  const needed: FormerKeeper[] = [];
  // From the last to go to the first.
  for (const former of group.former.toReversed()) {
    if (former.until < from) continue;
    needed.unshift(former);
    if (former.since > 0) from = Math.min(from, former.since);
  }
  group.former = needed;
}

function keeperOn(group: DirectoryGroup, disk: string | undefined): Keeper | undefined {
  return group.keepers.find((keeper) => keeper.disk === disk);
}
