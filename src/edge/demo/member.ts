/**
 * One member process of the demo: starts a node, joins the group of prices, and does what the demo tells it.
 *
 *     node member.js NAME DIRECTORY JOURNAL [CREDENTIALS]
 */
import { dirname } from "node:path";
import { start } from "../../group/start.ts";
import type { MemberCredentials } from "./credentials.ts";
import { Journal } from "./journal.ts";
import { Load } from "./load.ts";
import { machineTime } from "./messages.ts";
import { live, obey, tell } from "./obedience.ts";
import { type Audience, pricesFor } from "./prices.ts";
import { digestOf, Tickets } from "./tickets.ts";

const TICK_MS = 100;

const [name = "", directory = "", journalPath = "", secured] = process.argv.slice(2);
const credentials = secured === undefined ? undefined : (JSON.parse(secured) as MemberCredentials);
const warnings: string[] = [];

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
  obey(async (order) => {
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
        await group.leave();
        await node.close();
        process.disconnect();
        break;
    }
  });
}

live(dirname(journalPath), main);
