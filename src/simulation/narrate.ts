/**
 * Tells a history in short lines, for transcripts: times in milliseconds, nodes by their names (an apostrophe for
 * each earlier incarnation), messages by their sender and a number. Several sends or
 * deliveries in one turn of a node are one line.
 */
import type { HistoryEvent } from "../protocol/history.ts";
import type { Message } from "../protocol/messages.ts";
import { type NodeId, nodeName } from "../protocol/view.ts";

/** A control message that was sent, for those who follow the protocol. */
export interface Sent {
  readonly kind: "message";
  readonly at: number;
  readonly node: NodeId;
  readonly to: NodeId;
  readonly message: Message;
}

interface Line {
  readonly at: number;
  readonly node: NodeId;
  readonly text: string;
  /** Lines of one turn of a node that begin alike and follow each other are told as one. */
  readonly items?: string[];
}

export class Narrator {
  readonly #names = new Map<NodeId, string>();
  readonly #incarnations = new Map<string, number>();
  readonly #messages = new Map<string, string>();
  readonly #counts = new Map<string, number>();
  readonly #groups = new Map<string, string>();

  /** The events as lines; names go on from one call to the next. */
  tell(events: readonly (HistoryEvent | Sent)[]): string[] {
    const lines: Line[] = [];
    const latest = new Map<NodeId, Line>();
    for (const event of events) {
      const line = this.#line(event);
      if (line === undefined) continue;
      const before = latest.get(line.node);
      if (before?.items !== undefined && before.at === line.at && before.text === line.text) {
        before.items.push(...(line.items ?? []));
        continue;
      }
      latest.set(line.node, line);
      lines.push(line);
    }
    return lines.map(({ at, node, text, items }) => {
      const what = items === undefined ? text : `${text} ${items.join(" ")}`;
      return `${at.toFixed(1).padStart(8)}  ${this.name(node).padEnd(4)}${what}`;
    });
  }

  name(id: NodeId): string {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const host = nodeName(id);
    const earlier = this.#incarnations.get(host) ?? 0;
    this.#incarnations.set(host, earlier + 1);
    const name = host + "'".repeat(earlier);
    this.#names.set(id, name);
    return name;
  }

  /** `a3`: the third message of `a` that was told of; flushes are `fa1`. */
  message(id: string, prefix = ""): string {
    const known = this.#messages.get(id);
    if (known !== undefined) return known;
    const sender = `${prefix}${this.name(id.slice(0, id.lastIndexOf(":")))}`;
    const number = (this.#counts.get(sender) ?? 0) + 1;
    this.#counts.set(sender, number);
    this.#messages.set(id, `${sender}${number}`);
    return `${sender}${number}`;
  }

  /** A group's name; one that was made anew carries its number. */
  #group(name: string): string {
    const known = this.#groups.get(name);
    if (known !== undefined) return known;
    const short = name.slice(0, name.lastIndexOf("/"));
    const told = [...this.#groups.values()].includes(short) ? name : short;
    this.#groups.set(name, told);
    return told;
  }

  #line(event: HistoryEvent | Sent): Line | undefined {
    const { at, node } = event;
    switch (event.kind) {
      case "send": {
        const text = `${this.#group(event.group)} sends ${event.flavour}`;
        return { at, node, text, items: [this.message(event.message)] };
      }
      case "deliver":
        return { at, node, text: `${this.#group(event.group)} delivers`, items: [this.message(event.message)] };
      case "reply": {
        const text = `${this.#group(event.group)} ${this.message(event.query)} is answered`;
        return { at, node, text, items: [`${this.name(event.member)}:${event.status}`] };
      }
      case "message":
        return { at, node, text: `· ${event.message.kind}${detailOf(event.message)} to`, items: [this.name(event.to)] };
      default: {
        const text = this.#text(event);
        return text === undefined ? undefined : { at, node, text };
      }
    }
  }

  #text(event: Exclude<HistoryEvent, { kind: "send" | "deliver" | "reply" | "message" }>): string | undefined {
    switch (event.kind) {
      case "start":
        return "starts";
      case "crash":
        return "crashes";
      case "close":
        return "has left the cluster";
      case "exclude":
        return "learns that it is excluded";
      case "blocked":
        return "blocks";
      case "unblocked":
        return "serves again";
      case "install": {
        const members = event.members.map((id) => this.name(id)).join(" ");
        if (event.group !== "") return `${this.#group(event.group)} view ${event.number}: ${members}`;
        const attached = event.nodes?.filter((id) => !event.members.includes(id)).map((id) => this.name(id)) ?? [];
        return `cluster view ${event.number}: ${[members, ...(attached.length > 0 ? ["+", ...attached] : [])].join(" ")}`;
      }
      case "flush-begin": {
        const copies = event.copies === undefined ? "" : ` to ${event.copies} copies`;
        return `${this.#group(event.group)} flushes ${this.message(event.flush, "f")}${copies}`;
      }
      case "flush-end":
        return `${this.#group(event.group)} flush ${this.message(event.flush, "f")} is ${event.outcome}`;
      case "query":
        return `${this.#group(event.group)} asks ${this.message(event.query)}, wants ${event.wanted}`;
      case "query-end":
        return `${this.#group(event.group)} ${this.message(event.query)} ends: ${event.outcome}`;
      case "end":
        return `${this.#group(event.group)} is over: ${event.why}`;
      case "recover":
        return `${this.#group(event.group)} is brought back with ${event.messages.length} messages`;
      case "adopt":
        return `is back as an acceptor of cluster view ${event.number}`;
      case "state":
        return event.loaded ? `${this.#group(event.group)} begins with the state of view ${event.view}` : undefined;
      case "accept":
      case "directory":
        return undefined;
    }
  }
}

function detailOf(message: Message): string {
  switch (message.kind) {
    case "report":
      return ` for ${message.target} from ${message.epoch} holding ${message.row.join(",") || "nothing"}`;
    case "cut":
      return ` for ${message.target}: ${message.step.from}→${message.step.view.number} at ${message.step.cut.join(",") || "nothing"}`;
    case "hold":
    case "install":
      return ` for ${message.target} from ${message.from}`;
    case "fetch":
      return ` ${message.from}…${message.to - 1} of rank ${message.sender}`;
    case "promise":
      return ` holding ${message.held.join(",")}${message.accepted === undefined ? "" : ", accepted before"}`;
    case "accept":
      return ` of view ${message.proposal.view.number} at ${message.proposal.cut.join(",")}`;
    default:
      return "";
  }
}
