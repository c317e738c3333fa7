/**
 * Space-time diagrams of histories, as plain text: a column for each node, time downwards.
 *
 * ```
 * ○ start   ✖ crash   □ close   ⊘ excluded   ▒ blocked      ══ view 3 {a b c} ══ installed
 * ● send    ▽ deliver   ⟦f1 f1⟧ flush   ?q1 query   q1←b its answer from b
 * ✓ accept of a cluster view   § directory step   ≡ state at the start of a view   ⇩ state loaded   ⊥ end
 * ```
 *
 * A row holds what several nodes did alike, at the time of the first: an event is moved up to such a row as long as its
 * node's own events stay in order. So the rows of two nodes show the order of their events only through messages.
 * `◀` marks the events that were asked for.
 */
import type { HistoryEvent } from "../protocol/history.ts";
import { type NodeId, nodeName } from "../protocol/view.ts";

export interface DiagramOptions {
  /** The index of the event to look at. Without it the whole history is drawn. */
  readonly around?: number;
  /** Only events of this group are drawn, and those of nodes. */
  readonly group?: string;
  /** How many events are drawn around it; 50 by default. */
  readonly events?: number;
  /** How many characters wide; 110 by default. More when there are many nodes. */
  readonly width?: number;
  /** Events to mark with a property, such as the violations that `check` finds. */
  readonly marks?: readonly { readonly event: number; readonly property: string }[];
}

const EVENTS = 50;
const WIDTH = 110;
const CELL_MIN = 9;
const CELL_MAX = 18;
const NOTE_WIDTH = 14;
/** How many rows an event may be moved up. */
const ROWS_BACK = 10;

type Install = Extract<HistoryEvent, { kind: "install" }>;

interface Row {
  readonly at: number;
  readonly key: string;
  readonly cells: Map<NodeId, string>;
  readonly lines: ReadonlyMap<NodeId, string>;
  readonly install: Install | undefined;
  note: string;
}

export function diagram(history: readonly HistoryEvent[], options: DiagramOptions = {}): string {
  const window = windowOf(history, options);
  const names = namesOf(history);
  const scene = new Scene(history, names);
  const begin = window[0] ?? 0;
  for (let index = 0; index < begin; index++) scene.pass(history[index] as HistoryEvent);
  const views = begin === 0 ? undefined : scene.views(history[options.around ?? 0]);
  for (const index of window) scene.show(history[index] as HistoryEvent, markOf(index, options));
  const acting = new Set(window.map((index) => history[index]?.node));
  const nodes = [...names.keys()].filter((id) => acting.has(id));
  return print(scene, nodes, views, options.width ?? WIDTH);
}

/** The indexes of the events to draw. */
function windowOf(history: readonly HistoryEvent[], { around, group, events = EVENTS }: DiagramOptions): number[] {
  const indexes = [...history.keys()];
  const drawn = group === undefined ? indexes : indexes.filter((index) => isOf(history[index], group));
  if (around === undefined) return drawn;
  const middle = drawn.findIndex((index) => index >= around);
  const first = Math.max(0, middle - Math.floor(events / 2));
  return drawn.slice(first, first + events);
}

/** Whether an event is about a group, or about no group at all. */
function isOf(event: HistoryEvent | undefined, group: string): boolean {
  return event !== undefined && (!("group" in event) || event.group === group);
}

function markOf(index: number, { around, marks = [] }: DiagramOptions): string {
  const properties = marks.filter(({ event }) => event === index).map(({ property }) => property);
  if (properties.length === 0) return index === around ? "◀" : "";
  return `◀ ${[...new Set(properties)].join(" ")}`;
}

/** Short names: the name without the incarnation, with primes from the second incarnation on. */
function namesOf(history: readonly HistoryEvent[]): ReadonlyMap<NodeId, string> {
  const names = new Map<NodeId, string>();
  const counts = new Map<string, number>();
  const add = (id: NodeId): void => {
    if (names.has(id)) return;
    const name = nodeName(id);
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    names.set(id, count < 4 ? name + "′".repeat(count) : `${name}′${count}`);
  };
  for (const event of history) {
    add(event.node);
    if (event.kind === "install") for (const id of event.members) add(id);
  }
  return names;
}

/** The rows so far, and what is known of each node at this point. */
class Scene {
  readonly rows: Row[] = [];
  readonly #names: ReadonlyMap<NodeId, string>;
  readonly #isOneGroup: boolean;
  /** How each node's life is drawn where it does nothing. */
  readonly #lines = new Map<NodeId, string>();
  readonly #views = new Map<string, Map<NodeId, number>>();
  readonly #lastRow = new Map<NodeId, number>();

  constructor(history: readonly HistoryEvent[], names: ReadonlyMap<NodeId, string>) {
    this.#names = names;
    const groups = new Set<string>();
    const starting = new Set<NodeId>();
    for (const event of history) {
      if (event.kind === "start") starting.add(event.node);
      if (event.kind === "install" && event.group !== "") groups.add(event.group);
    }
    this.#isOneGroup = groups.size < 2;
    for (const id of names.keys()) this.#lines.set(id, starting.has(id) ? " " : "│");
  }

  /** Takes notice of an event that is not drawn. */
  pass(event: HistoryEvent): void {
    const { kind, node } = event;
    if (kind === "start") this.#lines.set(node, "│");
    else if (kind === "crash" || kind === "close") this.#lines.set(node, " ");
    else if (kind === "exclude") this.#lines.set(node, "┊");
    else if (kind === "install") {
      const views = this.#views.get(event.group) ?? new Map<NodeId, number>();
      this.#views.set(event.group, views.set(node, event.number));
    }
  }

  show(event: HistoryEvent, mark: string): void {
    const key = mark === "" ? this.#keyOf(event) : "";
    let index = this.rows.length - 1;
    const lowest = Math.max((this.#lastRow.get(event.node) ?? -1) + 1, this.rows.length - ROWS_BACK);
    while (index >= lowest && (key === "" || this.rows[index]?.key !== key)) index--;
    let row = index < lowest ? undefined : this.rows[index];
    this.pass(event);
    if (row === undefined) {
      index = this.rows.length;
      const install = event.kind === "install" ? event : undefined;
      row = { at: event.at, key, cells: new Map(), lines: new Map(this.#lines), install, note: mark };
      this.rows.push(row);
    }
    row.cells.set(event.node, this.#textOf(event));
    this.#lastRow.set(event.node, index);
  }

  /** The present views, by node, of the group that the event is about. */
  views(event: HistoryEvent | undefined): ReadonlyMap<NodeId, number> | undefined {
    return event !== undefined && "group" in event ? new Map(this.#views.get(event.group)) : undefined;
  }

  nameOf(id: NodeId): string {
    return this.#names.get(id) ?? id;
  }

  viewName(group: string, number: number): string {
    if (group === "") return `cluster view ${number}`;
    return this.#isOneGroup ? `view ${number}` : `${group} view ${number}`;
  }

  /** What nodes do alike has one key. */
  #keyOf(event: HistoryEvent): string {
    return event.kind === "install"
      ? `${event.kind} ${event.group} ${event.number} ${(event.nodes ?? event.members).join()}`
      : `${event.kind} ${this.#textOf(event)}`;
  }

  #textOf(event: HistoryEvent): string {
    switch (event.kind) {
      case "start":
        return "○";
      case "crash":
        return "✖";
      case "close":
        return "□ close";
      case "exclude":
        return "⊘ excluded";
      case "blocked":
        return "▒ blocked";
      case "unblocked":
        return "▒ serves";
      case "accept":
        return `✓ ${event.number} ${event.proposal}`;
      case "directory":
        return `§ ${event.index} ${event.digest}`;
      case "install":
        return this.viewName(event.group, event.number);
      case "send":
        return `●${shortMessage(event.message)}${event.flavour === "fifo" ? "" : ` ${event.flavour}`}`;
      case "deliver":
        return `▽${shortMessage(event.message)}`;
      case "flush-begin":
        return `⟦${shortMessage(event.flush)}`;
      case "flush-end":
        return `${shortMessage(event.flush)}⟧${event.outcome === "held" ? "" : " rejected"}`;
      case "query":
        return `?${shortMessage(event.query)}`;
      case "reply":
        return `${shortMessage(event.query)}←${this.nameOf(event.member)} ${event.status}`;
      case "query-end":
        return `?${shortMessage(event.query)} ${event.outcome}`;
      case "recover":
        return `↻ ${event.messages.length}`;
      case "adopt":
        return `↻ ${this.viewName("", event.number)}`;
      case "state":
        return `${event.loaded ? "⇩" : "≡"} ${event.view} ${event.digest}`;
      case "end":
        return `⊥ ${event.why}`;
    }
  }
}

/** Message ids without the incarnations in them. */
function shortMessage(message: string): string {
  return message.replaceAll(/#[0-9a-f]{8}/g, "");
}

function print(
  scene: Scene,
  nodes: readonly NodeId[],
  views: ReadonlyMap<NodeId, number> | undefined,
  width: number,
): string {
  const gutter = scene.rows.reduce((longest, { at }) => Math.max(longest, formatTime(at).length), 4);
  const free = Math.floor((width - gutter - 2 - NOTE_WIDTH) / Math.max(1, nodes.length));
  const cell = Math.min(CELL_MAX, Math.max(CELL_MIN, free));
  const line = (time: string, texts: readonly string[], note = ""): string => {
    const cells = texts.map((text) => padded(text, cell)).join("");
    return `${time.padStart(gutter)}  ${cells}${note}`.trimEnd();
  };
  const lines = [
    line(
      "ms",
      nodes.map((id) => scene.nameOf(id)),
    ),
  ];
  if (views !== undefined) {
    lines.push(
      line(
        "⋮",
        nodes.map((id) => (views.has(id) ? `(view ${views.get(id)})` : "")),
      ),
    );
  }
  for (const row of scene.rows) {
    const time = formatTime(row.at);
    if (row.install !== undefined) {
      lines.push(`${time.padStart(gutter)}  ${installLine(row, row.install, scene, nodes, cell)}`);
    } else {
      const texts = nodes.map((id) => row.cells.get(id) ?? row.lines.get(id) ?? "");
      lines.push(line(time, texts, row.note));
    }
  }
  return `${lines.join("\n")}\n`;
}

/** A double line through the columns of those who install the view, with its name and members where they fit. */
function installLine(row: Row, install: Install, scene: Scene, nodes: readonly NodeId[], cell: number): string {
  const name = scene.viewName(install.group, install.number);
  const members = (install.nodes ?? install.members).map((id) => scene.nameOf(id)).join(" ");
  const whole = `${name} {${members}}`;
  let text = "";
  let isNamed = false;
  for (let index = 0; index < nodes.length; ) {
    const start = index;
    while (index < nodes.length && row.cells.has(nodes[index] as NodeId)) index++;
    if (index === start) {
      text += padded(row.lines.get(nodes[index++] as NodeId) ?? "", cell);
      continue;
    }
    const length = (index - start) * cell - 1;
    const label = length > whole.length + 4 ? whole : name;
    isNamed ||= label === whole;
    text += `${centred(label, length)} `;
  }
  const note = [isNamed ? "" : `{${members}}`, row.note].filter((part) => part !== "").join(" ");
  return `${text}${note}`.trimEnd();
}

function centred(label: string, length: number): string {
  const free = length - label.length - 2;
  if (free < 1) return padded(`═ ${label}`, length);
  const left = Math.max(1, Math.floor(free / 2));
  return `${"═".repeat(left)} ${label} ${"═".repeat(free - left)}`;
}

/** The text in exactly `length` characters, the last of which is blank. */
function padded(text: string, length: number): string {
  return text.length < length ? text.padEnd(length) : `${text.slice(0, length - 2)}… `;
}

function formatTime(at: number): string {
  return String(Math.round(at * 10) / 10);
}
