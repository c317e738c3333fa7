/**
 * Histories written by hand, for tests of the checkers and of diagrams. A sketch has one step per line:
 *
 * ```
 * a,b cluster 1 a b : p1        the cluster view 1 with acceptors a and b, installed by a, then by b
 * a accept 2 p2
 * a adopt 2 a b : p2            with its disk as an acceptor, but not with this incarnation
 * a,b install 1 a b             view 1 of the group g
 * a send m1 total               in the sender's present view
 * a,b deliver m1                all else is taken from its send
 * a flush f1 / held f1 / rejected f1 / abandoned f1
 * a query q1 2 total            also its send, with audience=b+c to them only;  a reply q1 b value;  a done q1 complete
 * a state 1 x / loaded 1 x      the digest x for view 1
 * a directory 1 x;  a start (with disk=d), crash, close, exclude, blocked, unblocked;  a end left
 * ```
 *
 * Words with `=` override what would be taken: `b deliver m1 view=2 sender=c flavour=fifo group=h`. Text after `--` is a
 * comment. A node `a` is the incarnation `a#00000001`; another one is written `a#2`.
 */
import { assert } from "../../base/assert.ts";
import type { HistoryEvent, HistoryFlavour } from "../../protocol/history.ts";
import type { NodeId } from "../../protocol/view.ts";
import type { EventOf } from "./run.ts";

const GROUP = "g";

export function sketch(text: string): HistoryEvent[] {
  const history: HistoryEvent[] = [];
  const sent = new Map<string, EventOf<"send">>();
  const views = new Map<string, number>();
  for (const line of text.split("\n")) {
    const step = parse(line.split("--")[0] ?? "");
    if (step === undefined) continue;
    for (const node of step.nodes) {
      for (const event of eventsOf(step, idOf(node), history.length, sent, views)) {
        history.push(event);
        if (event.kind === "send") sent.set(event.message, event);
        if (event.kind === "install") views.set(`${event.node} ${event.group}`, event.number);
      }
    }
  }
  return history;
}

interface Step {
  readonly line: string;
  readonly nodes: readonly string[];
  readonly verb: string;
  readonly words: readonly string[];
  readonly overrides: ReadonlyMap<string, string>;
}

function parse(line: string): Step | undefined {
  const words = line.split(" ").filter((word) => word !== "");
  const [nodes, verb, ...rest] = words;
  if (nodes === undefined || verb === undefined) return undefined;
  const overrides = new Map<string, string>();
  for (const word of rest.filter((one) => one.includes("="))) {
    const [key, value] = word.split("=");
    overrides.set(key ?? "", value ?? "");
  }
  return { line, nodes: nodes.split(","), verb, words: rest.filter((word) => !word.includes("=")), overrides };
}

function idOf(name: string): NodeId {
  return name.includes("#")
    ? name.replace(/#(.*)$/, (_, digits: string) => `#${digits.padStart(8, "0")}`)
    : `${name}#00000001`;
}

function eventsOf(
  step: Step,
  node: NodeId,
  at: number,
  sent: ReadonlyMap<string, EventOf<"send">>,
  views: ReadonlyMap<string, number>,
): HistoryEvent[] {
  const { verb, overrides } = step;
  const word = (index: number): string => {
    const found = step.words[index];
    assert(found !== undefined, `"${step.line}" has a word more`);
    return found;
  };
  const group = overrides.get("group") ?? GROUP;
  const base = { at, node, group };
  const view = Number(overrides.get("view") ?? views.get(`${node} ${group}`));
  switch (verb) {
    case "start": {
      const disk = overrides.get("disk");
      return [disk === undefined ? { kind: "start", at, node } : { kind: "start", at, node, disk }];
    }
    case "crash":
    case "close":
    case "exclude":
    case "blocked":
    case "unblocked":
      return [{ kind: verb, at, node }];
    case "accept":
      return [{ kind: "accept", at, node, number: Number(word(0)), proposal: word(1) }];
    case "cluster": {
      const [number, ...names] = step.words;
      const colon = names.indexOf(":");
      const members = (colon === -1 ? names : names.slice(0, colon)).map(idOf);
      const nodes = overrides.get("nodes")?.split("+").map(idOf) ?? members;
      const install = { kind: "install", at, node, group: "", number: Number(number), members, nodes } as const;
      return [colon === -1 ? install : { ...install, proposal: word(colon + 2) }];
    }
    case "adopt": {
      const [number, ...names] = step.words;
      const colon = names.indexOf(":");
      const members = names.slice(0, colon).map(idOf);
      return [
        { kind: "adopt", at, node, number: Number(number), members, nodes: members, proposal: names[colon + 1] ?? "" },
      ];
    }
    case "install":
      return [{ kind: "install", ...base, number: Number(word(0)), members: step.words.slice(1).map(idOf) }];
    case "directory":
      return [{ kind: "directory", at, node, index: Number(word(0)), digest: word(1) }];
    case "send":
      return [{ kind: "send", ...base, view, message: word(0), flavour: word(1) as HistoryFlavour }];
    case "deliver": {
      const origin = sent.get(word(0));
      const sender = overrides.get("sender");
      return [
        {
          kind: "deliver",
          ...base,
          view: Number(overrides.get("view") ?? origin?.view ?? view),
          message: word(0),
          sender: sender === undefined ? (origin?.node ?? node) : idOf(sender),
          flavour: (overrides.get("flavour") ?? origin?.flavour ?? "fifo") as HistoryFlavour,
        },
      ];
    }
    case "flush": {
      const copies = overrides.get("copies");
      const begin = { kind: "flush-begin", ...base, flush: word(0) } as const;
      return [copies === undefined ? begin : { ...begin, copies: Number(copies) }];
    }
    case "held":
    case "rejected":
    case "abandoned":
      return [{ kind: "flush-end", ...base, flush: word(0), outcome: verb }];
    case "query": {
      const query = { kind: "query", ...base, query: word(0), wanted: Number(word(1)) } as const;
      const audience = overrides.get("audience")?.split("+").map(idOf);
      const send = { kind: "send", ...base, view, message: word(0), flavour: word(2) as HistoryFlavour } as const;
      return [audience === undefined ? query : { ...query, audience }, send];
    }
    case "reply": {
      const status = word(2) as EventOf<"reply">["status"];
      return [{ kind: "reply", ...base, query: word(0), member: idOf(word(1)), status }];
    }
    case "done":
      return [{ kind: "query-end", ...base, query: word(0), outcome: word(1) as EventOf<"query-end">["outcome"] }];
    case "state":
    case "loaded":
      return [{ kind: "state", ...base, view: Number(word(0)), digest: word(1), loaded: verb === "loaded" }];
    case "end":
      return [{ kind: "end", ...base, why: word(0) as EventOf<"end">["why"] }];
    default:
      throw new Error(`no such step: ${step.line}`);
  }
}
