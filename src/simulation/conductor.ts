/**
 * Performs the commands of a transcript in a simulated world; `transcript.ts` describes them. A command answers with
 * what went wrong, or with nothing.
 */
import type { HistoryEvent } from "../protocol/history.ts";
import { BOUNDS } from "../protocol/timing.ts";
import { type NodeId, nodeName } from "../protocol/view.ts";
import { CAUSAL, FIFO, SAFE, TOTAL } from "../wire/packet.ts";
import type { Narrator, Sent } from "./narrate.ts";
import { type Step, Steps } from "./steps.ts";
import { World, type WorldOptions } from "./world.ts";

type Outcome = string | undefined;

const FLAVOURS: Readonly<Record<string, number>> = { fifo: FIFO, causal: CAUSAL, total: TOTAL, safe: SAFE };
const CONVERGENCE_MS = 30_000;

export class Conductor {
  readonly #narrator: Narrator;
  /** What has happened and was not told yet. */
  #untold: (HistoryEvent | Sent)[] = [];
  readonly #shown = new Set<string>();
  #world = new World({ seed: 1 });
  #steps = new Steps(this.#world, (step) => this.#note(step));
  /** Whether the last command was a `converge` that succeeded. */
  converged = false;

  constructor(narrator: Narrator) {
    this.#narrator = narrator;
  }

  get world(): World {
    return this.#world;
  }

  /** Commands whose step has not come. */
  get waiting(): number {
    return this.#steps.waiting;
  }

  /** What has happened since the last call. */
  tell(): string[] {
    const untold = this.#untold;
    this.#untold = [];
    return this.#narrator.tell(untold);
  }

  #note(step: Step): void {
    if (step.kind === "event") this.#untold.push(step.event);
    else if (step.left && this.#shown.has(step.message.kind)) {
      const [node, to] = [step.from, step.to].map((name) => this.#world.hosts.get(name)?.id ?? "");
      if (node === undefined || to === undefined) return;
      this.#untold.push({ kind: "message", at: this.#world.now, node, to, message: step.message });
    }
  }

  perform(words: readonly string[]): Outcome {
    this.converged = false;
    const when = words.indexOf("when");
    const command = when < 0 ? words : words.slice(0, when);
    if (when < 0) return this.#act(command, false);
    const matches = this.#stepOf(words.slice(when + 1));
    if (matches === undefined) return "no such step";
    this.#steps.when(matches, () => this.#act(command, true));
    return undefined;
  }

  /** `amid`: in the midst of a node's turn, in which only the network may be changed at once. */
  #act(words: readonly string[], amid: boolean): Outcome {
    const [verb = "", ...rest] = words;
    const world = this.#world;
    const [first = "", second = ""] = rest;
    switch (verb) {
      case "partition":
        world.partition(sidesOf(rest));
        return undefined;
      case "cut":
      case "mend":
        world.fabric.setCut(first, rest[2] ?? "", verb === "cut");
        return undefined;
      case "slow":
        return this.#slow(rest);
      case "crash":
        if (amid) world.cutShort(first);
        else world.crash(first);
        return undefined;
      case "pause":
        world.pause(first, msOf(second), rest[2] === "stall" ? "stall" : "stop");
        return undefined;
      default:
    }
    if (amid) {
      world.at(world.now, () => this.#act(words, false));
      return undefined;
    }
    switch (verb) {
      case "world":
        return this.#begin(rest);
      case "cluster":
        return this.#cluster(rest);
      case "group":
        return this.#gather(rest);
      case "show":
        for (const kind of rest) this.#shown.add(kind);
        return undefined;
      case "skip":
        this.tell();
        return undefined;
      case "start": {
        const how = second === "found" ? "found" : second === "with" ? rest.slice(2).sort() : "join";
        world.start(first, how);
        return undefined;
      }
      case "run":
        world.run(msOf(first));
        return undefined;
      case "heal":
        world.heal();
        return undefined;
      case "close":
        world.close(first);
        return undefined;
      case "disconnect":
        return world.fabric.disconnect(this.#idOf(first), this.#idOf(second)) ? undefined : "there is no connection";
      case "accuse":
        if (rest.length > 2) return this.#accuse(first, second, rest.slice(2));
        return world.fabric.defame(this.#idOf(first), this.#idOf(second)) ? undefined : "there is no connection";
      case "join":
        if (world.hosts.get(first)?.running !== true) return `${first} does not run`;
        world.join(first, second);
        return undefined;
      case "expect":
        return this.#expect(rest);
      case "converge":
        return this.#converge(first === "" ? CONVERGENCE_MS : msOf(first));
      default:
        return this.#inGroup(verb, rest);
    }
  }

  /** The running incarnation on a host. */
  #idOf(host: string): NodeId {
    return this.#world.hosts.get(host)?.id ?? "";
  }

  #begin(words: readonly string[]): Outcome {
    if (this.#world.history.length > 0) return "the world has begun already";
    const value = (name: string): string | undefined =>
      words.includes(name) ? words[words.indexOf(name) + 1] : undefined;
    const options: WorldOptions = {
      seed: Number(value("seed") ?? 1),
      directorySize: Number(value("directory") ?? 5),
      failureTimeoutMs: msOf(value("failure") ?? "3s"),
      bounds: { windowBytes: Number(value("window") ?? BOUNDS.windowBytes) },
    };
    this.#world = new World(options);
    this.#steps = new Steps(this.#world, (step) => this.#note(step));
    return undefined;
  }

  /** The first node founds, the others join one after another. */
  #cluster([founder = "", ...others]: readonly string[]): Outcome {
    const world = this.#world;
    world.start(founder, "found");
    for (const name of others) {
      world.start(name);
      const isIn = (): boolean => world.hosts.get(name)?.status === "primary";
      if (!world.runUntilTrue(isIn, CONVERGENCE_MS)) return `${name} does not get in`;
    }
    world.run(100);
    return undefined;
  }

  /** The hosts join a group, one after another. */
  #gather([group = "", ...names]: readonly string[]): Outcome {
    const world = this.#world;
    for (const name of names) {
      if (world.hosts.get(name)?.running !== true) return `${name} does not run`;
      const counter = world.join(name, group);
      if (!world.runUntilTrue(() => counter.view.number > 0, CONVERGENCE_MS)) return `${name} does not get in`;
    }
    world.run(100);
    return undefined;
  }

  #inGroup(verb: string, words: readonly string[]): Outcome {
    const [host = "", group = "", third = "", fourth] = words;
    const counter = this.#world.hosts.get(host)?.counter(group);
    if (counter?.membership === undefined) return `${host} has not joined ${group}, or no such command`;
    switch (verb) {
      case "send": {
        const flavour = FLAVOURS[third];
        if (flavour === undefined) return `no flavour ${third}`;
        for (let count = Number(fourth ?? 1); count > 0; count--) if (!counter.send(flavour)) return "no room";
        return undefined;
      }
      case "flush":
        counter.flush(third === "" ? undefined : Number(third));
        return undefined;
      case "query": {
        const flavour = FLAVOURS[third];
        if (flavour === undefined) return `no flavour ${third}`;
        const wanted = fourth === "all" || fourth === undefined ? counter.view.members.length : Number(fourth);
        counter.query({ flavour, wanted });
        return undefined;
      }
      case "leave":
        counter.membership.leave();
        return undefined;
      default:
        return "no such command";
    }
  }

  /** A member waits no longer for the answers of these to its newest query. */
  #accuse(host: string, group: string, accused: readonly string[]): Outcome {
    const counter = this.#world.hosts.get(host)?.counter(group);
    const members = accused.map((name) => this.#idOf(name));
    return counter?.accuse(counter.newestQuery, members) === true ? undefined : `${host} awaits nothing in ${group}`;
  }

  #slow(words: readonly string[]): Outcome {
    const [from = "", arrow, to = "", time] = words;
    const { fabric, hosts } = this.#world;
    if (arrow === ">") {
      fabric.rule(from, to).delayMs = msOf(time ?? "");
      return undefined;
    }
    for (const other of hosts.keys()) {
      if (other === from) continue;
      fabric.rule(from, other).delayMs = msOf(arrow ?? "");
      fabric.rule(other, from).delayMs = msOf(arrow ?? "");
    }
    return undefined;
  }

  // What is expected.

  #expect(words: readonly string[]): Outcome {
    const [what = "", first = "", second = "", third = ""] = words;
    const host = this.#world.hosts.get(first);
    const { history } = this.#world;
    const happened = (matches: (event: HistoryEvent) => boolean): Outcome =>
      history.some((event) => event.node === host?.id && matches(event)) ? undefined : "it did not happen";
    switch (what) {
      case "cluster": {
        const expected = words.slice(1).join(" ");
        for (const { view, name } of this.#world.running) {
          const nodes = view?.nodes.map(({ id }) => nodeName(id)).join(" ") ?? "none";
          if (words.slice(1).includes(name) && nodes !== expected) return `${name} is in a cluster view of ${nodes}`;
        }
        return undefined;
      }
      case "status":
        return host?.status === second ? undefined : `it is ${host?.status}`;
      case "excluded":
        return happened(({ kind }) => kind === "exclude");
      case "ended":
        return happened((event) => event.kind === "end" && event.group.startsWith(`${second}/`) && event.why === third);
      case "group":
        return this.#expectGroup(first, words.slice(2));
      case "no":
        return this.#expectNone(second, words.slice(3));
      case "delivered":
        for (const name of words.slice(3)) {
          const delivered = this.#world.hosts.get(name)?.counter(first)?.delivered;
          if (delivered !== Number(second)) return `${name} delivered ${delivered}`;
        }
        return undefined;
      default:
        return "no such expectation";
    }
  }

  /** None of these hosts, or of all, is a member. */
  #expectNone(group: string, names: readonly string[]): Outcome {
    const isIn = this.#world.running.filter((host) => host.counter(group)?.membership !== undefined);
    const found = isIn.find(({ name }) => names.length === 0 || names.includes(name));
    return found === undefined ? undefined : `${found.name} is a member`;
  }

  /** These hosts are in one view of the group, of just them in this order of age, in one state. Others may be left behind. */
  #expectGroup(group: string, names: readonly string[]): Outcome {
    let digest: string | undefined;
    for (const name of names) {
      const counter = this.#world.hosts.get(name)?.counter(group);
      if (counter?.membership === undefined) return `${name} has not joined`;
      const members = counter.view.members.map(nodeName).join(" ");
      if (members !== names.join(" ")) return `${name} is in view ${counter.view.number} of ${members}`;
      digest ??= counter.digest();
      if (counter.digest() !== digest) return `${name} has another state`;
    }
    return undefined;
  }

  /** M5: all running hosts are in one view of just them; groups agree; nothing is pending. */
  #converge(withinMs: number): Outcome {
    this.#world.runUntilTrue(() => this.#unsettled() === undefined, withinMs);
    // What is still on its way in a quiet cluster arrives.
    this.#world.run(500);
    const unsettled = this.#unsettled();
    this.converged = unsettled === undefined;
    return unsettled;
  }

  #unsettled(): Outcome {
    const { running } = this.#world;
    const all = running
      .map(({ id }) => id)
      .sort()
      .join();
    for (const { name, status, view } of running) {
      if (status !== "primary") return `${name} is ${status}`;
      if (
        view?.nodes
          .map(({ id }) => id)
          .sort()
          .join() !== all
      )
        return `${name} is in cluster view ${view?.number}`;
      if (view.number !== running[0]?.view?.number) return `${name} is in cluster view ${view.number}`;
    }
    for (const group of new Set(running.flatMap((host) => [...host.groups.keys()]))) {
      const members = running.filter((host) => host.groups.has(group));
      const ids = members
        .map(({ id }) => id)
        .sort()
        .join();
      const digest = members[0]?.counter(group)?.digest();
      for (const host of members) {
        const counter = host.counter(group);
        if (counter?.membership === undefined) return `${host.name} has not joined ${group}`;
        if ([...counter.view.members].sort().join() !== ids)
          return `${host.name} is in view ${counter.view.number} of ${group}`;
        if (counter.digest() !== digest) return `${host.name} has another state of ${group} than ${members[0]?.name}`;
        if (counter.flushesPending + counter.queriesPending > 0) return `${host.name} waits for something in ${group}`;
      }
    }
    return undefined;
  }

  // Steps.

  #stepOf(words: readonly string[]): ((step: Step) => boolean) | undefined {
    const [node = "", ...rest] = words;
    const [verb = "", first = "", second = "", third = ""] = rest;
    if (verb === "sends") return messageStep(node, first, third, true);
    if (verb === "about") return messageStep(node, third, rest[5] ?? "", false);
    const eventStep =
      (matches: (event: HistoryEvent) => boolean) =>
      (step: Step): boolean =>
        step.kind === "event" && nodeName(step.event.node) === node && matches(step.event);
    switch (verb) {
      case "installs": {
        const group = first === "cluster" ? "" : `${first}/`;
        return eventStep(
          (event) =>
            event.kind === "install" &&
            event.number === Number(third) &&
            (group === "" ? event.group === "" : event.group.startsWith(group)),
        );
      }
      case "delivers":
        return eventStep((event) => event.kind === "deliver" && this.#narrator.message(event.message) === first);
      case "flushed":
        return eventStep(({ kind }) => kind === "flush-end");
      case "joins":
        return eventStep((event) => event.kind === "install" && event.group.startsWith(`${first}/`) && second === "");
      default:
        return undefined;
    }
  }
}

function messageStep(from: string, kind: string, to: string, left: boolean): (step: Step) => boolean {
  return (step) =>
    step.kind === "message" &&
    step.left === left &&
    step.from === from &&
    step.message.kind === kind &&
    (to === "" || step.to === to);
}

function sidesOf(words: readonly string[]): string[][] {
  const sides: string[][] = [[]];
  for (const word of words) {
    if (word === "|") sides.push([]);
    else sides.at(-1)?.push(word);
  }
  return sides;
}

/** `50ms` or `2s`, in milliseconds. */
function msOf(text: string): number {
  const [, number = "", unit = ""] = /^([0-9.]+)(ms|s)$/.exec(text) ?? [];
  return Number(number) * (unit === "s" ? 1000 : 1);
}
