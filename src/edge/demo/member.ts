/**
 * One member process of the demo: starts a node, joins the group of prices, and does what the demo tells it.
 *
 *     node member.js NAME DIRECTORY JOURNAL [CREDENTIALS]
 */
import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { CoterieError } from "../../group/errors.ts";
import type { Group } from "../../group/group.ts";
import type { Node } from "../../group/node.ts";
import { start } from "../../group/start.ts";
import type { MemberCredentials } from "./credentials.ts";
import { Journal } from "./journal.ts";
import { Load } from "./load.ts";
import { type FromMember, machineTime, type ToMember } from "./messages.ts";
import { type Audience, type Prices, pricesFor } from "./prices.ts";
import { digestOf, Tickets } from "./tickets.ts";

const TICK_MS = 100;

const [name = "", directory = "", journalPath = "", secured] = process.argv.slice(2);
const credentials = secured === undefined ? undefined : (JSON.parse(secured) as MemberCredentials);
const warnings: string[] = [];
let isLeaving = false;

function tell(message: FromMember): void {
  if (process.connected) process.send?.(message);
}

/** Calls of the demo come one at a time; they wait for each other. */
async function obey(order: ToMember, node: Node, group: Group<Prices>, load: Load, report: () => void): Promise<void> {
  switch (order.kind) {
    case "traffic":
      load.start(order.updatesPerSecond);
      break;
    case "stop":
      await load.stop();
      tell({ kind: "quiet" });
      break;
    case "report":
      report();
      break;
    case "leave":
      isLeaving = true;
      await group.leave();
      await node.close();
      process.disconnect();
      break;
  }
}

async function main(): Promise<void> {
  const journal = new Journal(journalPath);
  const tickets = new Tickets();
  const node = await start({
    name,
    discovery: directory,
    history: journal.write,
    ...(credentials && { secure: credentials.secure }),
    log: ({ level, message }) => {
      if (level === "warn" || level === "error") warnings.push(message);
    },
  });
  tell({ kind: "started", at: machineTime(), node: node.self });
  const audience: Audience = {
    onSet: tickets.add,
    onView: ({ number, members }) => tell({ kind: "view", at: machineTime(), number, members }),
  };
  const prices = pricesFor(audience, credentials !== undefined);
  const group = await node.join(prices, credentials && { key: credentials.groupKey });
  tell({ kind: "joined", at: machineTime(), entries: group.read(({ state }) => state.size) });

  const load = new Load(group, name);
  const ticks = setInterval(() => tell({ kind: "tick", at: machineTime(), delivered: tickets.count }), TICK_MS);
  ticks.unref();
  const report = (): void => {
    const entries = group.read(({ state }) => [...state]);
    const { issued, flushes, queries, answers, complaints } = load;
    tell({
      kind: "report",
      node: node.self,
      digest: digestOf(entries),
      entries: entries.length,
      events: journal.events,
      seen: tickets.report(),
      issued,
      flushes,
      queries,
      answers,
      complaints: [...complaints, ...warnings],
    });
  };
  let last = Promise.resolve();
  process.on("message", (order: ToMember) => {
    last = last.then(() => obey(order, node, group, load, report)).catch(fail);
  });
}

function fail(error: unknown): void {
  const code = error instanceof CoterieError ? error.code : "internal-error";
  const message = error instanceof Error ? error.message : String(error);
  tell({ kind: "failed", code, message });
}

/** Without the demo there is nothing to stay for, and nobody else to tidy up. */
function abandoned(): void {
  if (!isLeaving) rmSync(dirname(journalPath), { recursive: true, force: true, maxRetries: 3 });
  process.exit();
}

// Ctrl-C reaches all processes of a terminal; what it means is for the demo to say.
process.on("SIGINT", () => {});
process.on("disconnect", abandoned);
// The demo may have ended before this process could listen for that.
if (process.connected) main().catch(fail);
else abandoned();
