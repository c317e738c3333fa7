/**
 * Reads the histories that nodes have written, and makes one of them, for `check` and `diagram`. Each node's events stay
 * in its file's order, which is all that the checkers look at; among nodes they are ordered by their clocks, for people.
 *
 * A history that does not say how its node ended is that of a process that was killed, or runs on. It gets a `crash` at
 * its end, which demands nothing of what the node would have done. In a history that has settled the nodes of the newest
 * cluster view are those that run on.
 */
import { readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { DueHeap } from "../base/heap.ts";
import type { HistoryEvent } from "../protocol/history.ts";
import type { NodeId } from "../protocol/view.ts";
import type { HistoryHeader } from "../runtime/history-files.ts";
import { eventProblem, headerProblem } from "./history-lines.ts";
import { readJsonLines, type UnreadableLine } from "./json-lines.ts";

export type { UnreadableLine } from "./json-lines.ts";

export interface Histories {
  /** All events; `at` is in milliseconds since the first. */
  readonly events: readonly HistoryEvent[];
  readonly files: readonly string[];
  readonly nodes: readonly NodeId[];
  /** Those whose history does not say how they ended, and that are taken for crashed. */
  readonly crashed: readonly NodeId[];
  /** If there are any, nothing should be judged. */
  readonly unreadable: readonly UnreadableLine[];
  /** Where an event was read; the line of a crash that was added is the last of its file. */
  placeOf(event: number): { readonly file: string; readonly line: number };
}

export interface HistoriesOptions {
  /** See `CheckOptions.quiescent`. */
  readonly quiescent?: boolean;
}

/** The events of one file, with the lines on which they were. */
class Part {
  readonly file: string;
  readonly events: HistoryEvent[] = [];
  readonly lines: number[] = [];
  unreadable: readonly UnreadableLine[] = [];

  constructor(file: string) {
    this.file = file;
  }

  add(event: HistoryEvent, line: number): void {
    this.events.push(event);
    this.lines.push(line);
  }
}

/** Reads files, and all files `*.jsonl` of directories. Throws what the file system throws. */
export function readHistories(paths: readonly string[], options: HistoriesOptions = {}): Histories {
  const files = [...new Set(paths.flatMap(filesAt))];
  const texts = new Map<string, string>();
  const parts = files.map((file) => readPart(file, texts));
  const unreadable = parts.flatMap((part) => part.unreadable);
  const nodes = nodesOf(parts, unreadable);
  const crashed = addCrashes(nodes, options.quiescent === true ? newestNodes(parts) : new Set());
  const { events, sources } = merge(parts);
  const [first] = events;
  const begin = first?.at ?? 0;
  for (const event of events) (event as { at: number }).at -= begin;
  return {
    events,
    files,
    nodes: [...nodes.keys()],
    crashed,
    unreadable,
    placeOf: (event) => {
      const part = parts[sources[event * 2] ?? 0] as Part;
      return { file: part.file, line: part.lines[sources[event * 2 + 1] ?? 0] ?? 0 };
    },
  };
}

function filesAt(path: string): string[] {
  if (!statSync(path).isDirectory()) return [realpathSync(path)];
  return readdirSync(path)
    .filter((name) => name.endsWith(".jsonl"))
    .sort()
    .map((name) => realpathSync(join(path, name)));
}

/** `texts` has one copy of each text, because most are in many events. */
function readPart(file: string, texts: Map<string, string>): Part {
  const part = new Part(file);
  let header: HistoryHeader | undefined;
  const shared = (text: string): string => {
    const known = texts.get(text);
    if (known === undefined) texts.set(text, text);
    return known ?? text;
  };
  part.unreadable = readJsonLines(file, (value, line) => {
    if (header === undefined) {
      const problem = headerProblem(value);
      header = problem === undefined ? (value as HistoryHeader) : { coterie: "history", version: 0 };
      return problem;
    }
    const event = value as { [field: string]: unknown; at: number; node?: string };
    if (typeof value === "object" && value !== null && header.node !== undefined) event.node ??= header.node;
    const problem = eventProblem(value);
    if (problem !== undefined) return problem;
    for (const field in event) {
      const text = event[field];
      if (typeof text === "string") event[field] = shared(text);
      else if (Array.isArray(text)) event[field] = text.map(shared);
    }
    event.at += header.origin ?? 0;
    part.add(event as unknown as HistoryEvent, line);
    return undefined;
  });
  return part;
}

/** The nodes, and where they wrote. The order of one node's events in two files would not be known. */
function nodesOf(parts: readonly Part[], unreadable: UnreadableLine[]): ReadonlyMap<NodeId, Part> {
  const nodes = new Map<NodeId, Part>();
  for (const part of parts) {
    for (const [index, { node }] of part.events.entries()) {
      const other = nodes.get(node);
      if (other === undefined) nodes.set(node, part);
      if (other === undefined || other === part) continue;
      const problem = `there are events of ${node} in ${other.file}, too`;
      unreadable.push({ file: part.file, line: part.lines[index] ?? 0, problem });
      break;
    }
  }
  return nodes;
}

/** The nodes of the newest cluster view. */
function newestNodes(parts: readonly Part[]): ReadonlySet<NodeId> {
  let newest: Extract<HistoryEvent, { kind: "install" }> | undefined;
  for (const { events } of parts) {
    for (const event of events) {
      if (event.kind === "install" && event.group === "" && event.number >= (newest?.number ?? 0)) newest = event;
    }
  }
  return new Set(newest?.nodes ?? newest?.members);
}

function addCrashes(nodes: ReadonlyMap<NodeId, Part>, running: ReadonlySet<NodeId>): NodeId[] {
  const ended = new Set<NodeId>();
  for (const part of new Set(nodes.values())) {
    for (const { kind, node } of part.events) {
      if (kind === "crash" || kind === "close" || kind === "exclude") ended.add(node);
    }
  }
  const crashed = [...nodes.keys()].filter((node) => !ended.has(node) && !running.has(node));
  for (const node of crashed) {
    const part = nodes.get(node) as Part;
    part.add({ kind: "crash", at: part.events.at(-1)?.at ?? 0, node }, part.lines.at(-1) ?? 0);
  }
  return crashed;
}

/** `sources` has two numbers for each event: its part, and its place there. */
function merge(parts: readonly Part[]): { readonly events: HistoryEvent[]; readonly sources: Int32Array } {
  const sources = new Int32Array(parts.reduce((sum, part) => sum + part.events.length, 0) * 2);
  const events: HistoryEvent[] = [];
  const places = parts.map(() => 0);
  const heads = new DueHeap<number>();
  const wait = (index: number): void => {
    const next = parts[index]?.events[places[index] as number];
    if (next !== undefined) heads.push(next.at, index);
  };
  for (const index of parts.keys()) wait(index);
  for (let index = heads.pop(); index !== undefined; index = heads.pop()) {
    const place = places[index] as number;
    sources[events.length * 2] = index;
    sources[events.length * 2 + 1] = place;
    events.push(parts[index]?.events[place] as HistoryEvent);
    places[index] = place + 1;
    wait(index);
  }
  return { events, sources };
}
