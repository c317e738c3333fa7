/**
 * A group at work, in which members come and go, and a stranger that all nodes have linked. It is in none of their views, knows
 * at every moment where each of them stands, and says to each what would harm it most if it were believed.
 */
import type { Random } from "../../src/base/random.ts";
import type { DirectoryCommand, Message, Step } from "../../src/protocol/messages.ts";
import type { GroupView, NodeId, NodeRecord } from "../../src/protocol/view.ts";
import { controlFrame } from "../../src/runtime/frames.ts";
import type { Network, NetworkSink } from "../../src/runtime/ports.ts";
import { check } from "../../src/simulation/axioms/index.ts";
import type { Counter } from "../../src/simulation/counter.ts";
import type { Host, World } from "../../src/simulation/world.ts";
import { CAUSAL, FIFO, FRAME_CONTROL, PacketBuilder, SAFE, TOTAL } from "../../src/wire/packet.ts";
import { recordOf } from "../protocol/kit.ts";

const SIEGE_MS = 5000;
const SETTLING_MS = 2000;
const LIES_PER_MS = 4;
const GROUP = "g";
const FLAVOURS = [SAFE, TOTAL, CAUSAL, FIFO];

/** What the stranger has brought about: nothing, in code that heeds no strangers. */
export function besiege(Worlds: typeof World, seed: number): string[] {
  const world = new Worlds({ seed, directorySize: 3, failureTimeoutMs: 1000 });
  const damage: string[] = [];
  try {
    const liar = prepare(world, damage);
    const begun = numberOf(world);
    for (let ms = 0; ms < SIEGE_MS; ms++) {
      play(world, ms, 3200 + 3 * (seed % 8));
      liar.speak();
      world.run(1);
    }
    const isSettled = (): boolean => unsettled(world, begun).length === 0;
    if (!world.runUntilTrue(isSettled, SETTLING_MS)) damage.push(...unsettled(world, begun));
  } catch (error) {
    damage.push(String(error));
  }
  for (const { property, message } of check(world.history)) damage.push(`${property}: ${message}`);
  return damage;
}

function prepare(world: World, damage: string[]): Liar {
  for (const name of ["a", "b", "c", "d"]) world.start(name, name === "a" ? "found" : "join");
  if (!world.runUntilTrue(() => world.running.every(({ view }) => view?.nodes.length === 4), 5000))
    throw new Error("there is no cluster");
  for (const name of ["a", "b", "d"]) world.join(name, GROUP);
  const isFull = (): boolean => countersOf(world).every(({ view }) => view.members.length === 3);
  if (!world.runUntilTrue(isFull, 5000)) throw new Error("there is no group");
  return new Liar(world, damage);
}

function countersOf(world: World): Counter[] {
  return world.running.flatMap(({ groups }) => [...groups.values()]);
}

/** Of the newest view of the cluster. */
function numberOf(world: World): number {
  return Math.max(...world.running.map(({ view }) => view?.number ?? 0));
}

/** What the nodes do meanwhile: one of them joins the cluster, and one dies. */
function play(world: World, ms: number, crashAt: number): void {
  const counter = (name: string): Counter | undefined => world.hosts.get(name)?.counter(GROUP);
  if (ms === 300) world.join("c", GROUP);
  if (ms === 1000) counter("b")?.leave();
  if (ms === 1600) world.join("b", GROUP);
  if (ms === 2200) world.start("e", "join");
  if (ms === 3200) world.join("e", GROUP);
  if (ms > 3180 && ms < 3250) counter("d")?.send(SAFE);
  // In the midst of what its last messages and the newcomer have brought about.
  if (ms === crashAt) world.crash("d");
  if (ms % 7 === 0) {
    const counters = countersOf(world).filter(({ isLeaving }) => !isLeaving);
    counters[ms % counters.length]?.send(world.random.pick(FLAVOURS), ms % 5 === 0 ? 3000 : 0);
  }
  if (ms % 101 === 0) counter("a")?.query({ flavour: SAFE, wanted: 3 });
}

/** What is not as it has to be once nobody does anything any more; the siege has begun in this view of the cluster. */
function unsettled(world: World, begun: number): string[] {
  const found: string[] = [];
  if (numberOf(world) !== begun + 2) found.push(`the cluster has gone from view ${begun} to ${numberOf(world)}`);
  const ids = world.running.map(({ id }) => id).sort();
  const members = ["a", "b", "c", "e"].flatMap((name) => world.hosts.get(name)?.id ?? []).sort();
  const digests = new Set<string>();
  for (const { name, status, view, groups, driver } of world.running) {
    if (status !== "primary") found.push(`${name} is ${status}`);
    const nodes = view?.nodes.map(({ id }) => id).sort() ?? [];
    if (nodes.join() !== ids.join()) found.push(`${name} has a view of ${nodes}`);
    const counter = groups.get(GROUP);
    const inside = [...(counter?.view.members ?? [])].sort();
    const isSynced = driver?.process.cluster.directory.named(GROUP)?.synced.length === members.length;
    if (inside.join() !== members.join()) found.push(`${name} has a group of ${inside}`);
    if (!isSynced) found.push(`${name} knows members without the state`);
    if (counter !== undefined && counter.queriesPending > 0) found.push(`${name} has open queries`);
    if (counter !== undefined) digests.add(counter.digest());
  }
  if (digests.size !== 1) found.push("states differ");
  return found;
}

class Liar {
  readonly #world: World;
  readonly #random: Random;
  readonly #self: NodeRecord = recordOf("mallory#00000666");
  readonly #network: Network;
  readonly #linked = new Set<NodeId>();

  constructor(world: World, damage: string[]) {
    this.#world = world;
    this.#random = world.random.fork();
    const cluster = world.running[0]?.view?.cluster ?? "";
    const ignore = (): void => {};
    const sink: NetworkSink = {
      identity: () => ({ record: this.#self, cluster }),
      report: () => "",
      admit: () => undefined,
      met: ignore,
      called: ignore,
      unreachable: ignore,
      refused: ignore,
      linkUp: (id) => void this.#linked.add(id),
      linkDown: (id) => void this.#linked.delete(id),
      frame: (from, frame) => {
        if (frame[4] !== FRAME_CONTROL) damage.push(`${from} has sent a packet to a stranger`);
      },
      datagram: ignore,
      alive: ignore,
      garbage: ignore,
    };
    this.#network = world.fabric.attach(this.#self, sink);
  }

  /** Says something to everybody. */
  speak(): void {
    for (const host of this.#world.running) {
      if (!this.#linked.has(host.id)) this.#network.link(recordOf(host.id));
      const nodes = this.#world.running.map(({ id }) => recordOf(id));
      const lies = liesTo(host, this.#self, nodes, this.#random);
      for (let told = 0; told < LIES_PER_MS && lies.length > 0; told++)
        this.#network.send(host.id, "control", this.#random.pick(lies)());
    }
    this.#network.flush();
  }
}

/** What may harm this node at this moment. */
function liesTo(host: Host, self: NodeRecord, nodes: readonly NodeRecord[], random: Random): (() => Uint8Array)[] {
  const { view } = host;
  const process = host.driver?.process;
  if (view === undefined || process === undefined) return [];
  const { directory } = process.cluster;
  const others = view.nodes.filter(({ id }) => id !== host.id);
  const next = { ...view, number: view.number + 1 };
  const ballot = { round: random.pick([1, 5, 99]), proposer: self.id };
  const someone = random.pick(view.nodes).id;
  const without = { ...next, nodes: others, acceptors: others.map(({ id }) => id) };
  const proposal = { view: random.pick([next, without]), cut: [], leavers: [], holders: [] };
  const row = view.acceptors.map(() => random.pick([1, 50, 5000]));
  const request = (requester: NodeId, command: DirectoryCommand): Message => {
    return { kind: "directoryRequest", request: { requester, number: directory.executed(requester) + 1, command } };
  };
  const lies: Message[] = [
    { kind: "excluded", cluster: view.cluster, view: view.number + 1 },
    { kind: "installCluster", decided: proposal, snapshot: directory.snapshot() },
    { kind: "prevote", view: view.number, round: ballot.round },
    { kind: "prepare", view: view.number, ballot },
    { kind: "row", group: 0, epoch: view.number, row },
    { kind: "fetch", group: 0, epoch: view.number, sender: 0, from: 0, to: 9999 },
    request(someone, { kind: "leave", groups: [1] }),
    { kind: "directoryFeed", view: view.number, index: directory.index, requests: [] },
    { kind: "joinCluster", node: random.pick([...nodes, recordOf("ghost#00000001")]), linked: [], left: 0 },
  ];
  const known = directory.named(GROUP);
  const feed = { requester: someone, number: directory.executed(someone) + 1 };
  if (known !== undefined) {
    const command = { kind: "exclude", group: known.id, target: known.number, members: [someone] } as const;
    lies.push({
      kind: "directoryFeed",
      view: view.number,
      index: directory.index,
      requests: [{ ...feed, command: random.pick([command, { kind: "leave", groups: [known.id] } as const]) }],
    });
  }
  const frames = lies.map((lie) => () => controlFrame(lie));
  const starting = [...(host.driver?.process.members.values() ?? [])];
  for (const { group, target, epoch } of starting) {
    const at = { group, index: directory.index, target, epoch: epoch?.number ?? 0, held: epoch?.held() ?? [] };
    for (const lie of groupLies(at, host.id, random)) frames.push(() => controlFrame(lie));
    frames.push(() => packet(at, random));
  }
  return frames;
}

interface Standing {
  readonly group: number;
  readonly index: number;
  readonly target: GroupView;
  readonly epoch: number;
  readonly held: readonly number[];
}

/** What may harm a member of a group. */
function groupLies({ group, index, target, epoch, held }: Standing, receiver: NodeId, random: Random): Message[] {
  const directoryIndex = index;
  const number = target.number;
  const from = epoch;
  const cut = held.map((count) => count + random.pick([0, 0, 3]));
  const holders = cut.map(() => receiver);
  const view = { ...target, number: random.pick([number, number, number + 1]) };
  const epochSecret = new Uint8Array(0);
  const step: Step = { from, view, cut, holders, transfers: [], epochSecret };
  const seen = random.chance(0.5) ? undefined : { ballot: number, step };
  const said = { group, directoryIndex, target: number };
  const row = random.chance(0.5) ? held.map((count) => count + 5) : held.map(() => 0xffff);
  const chunk = new Uint8Array(random.pick([0, 10])).fill(1);
  const at = { group, view: random.pick([number, epoch, number + 1]), index: random.pick([0, 0, 1]) };
  return [
    { kind: "report", ...said, admitted: 0, epoch, row: cut, seen, standing: undefined, astray: random.chance(0.1) },
    { kind: "cut", ...said, step },
    { kind: "report", ...said, admitted: 0, epoch, row: cut, seen: undefined, standing: undefined, astray: false },
    { kind: "hold", ...said, from },
    { kind: "install", ...said, from },
    { kind: "install", ...said, from },
    { kind: "row", group, epoch, row },
    { kind: "stable", group, epoch, row },
    { kind: "fetch", group, epoch, sender: random.below(4), from: 0, to: 9999 },
    { kind: "stateChunk", ...at, chunk, last: random.chance(0.5) },
    { kind: "stateChunk", ...at, chunk, last: random.chance(0.5) },
    { kind: "stateCredit", ...at },
    { kind: "answer", group, query: 1 + random.below(40), status: "null", value: new Uint8Array(0), more: false },
  ];
}

/** A packet in the place of the next one of some member. */
function packet({ group, epoch, held }: Standing, random: Random): Uint8Array {
  const builder = new PacketBuilder(random.pick(FLAVOURS), new Uint8Array(256));
  builder.append(1, new Uint8Array(16).fill(7));
  const made = builder.finish();
  const sender = random.below(Math.max(1, held.length));
  made.stamp(group, epoch, sender, held[sender] ?? 0, 0);
  return made.bytes.slice();
}
