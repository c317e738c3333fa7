/**
 * One member process of the durable demo: starts a node on a data directory, joins the group of the book, and does what the
 * demo tells it.
 *
 *     node member.js NAME DIRECTORY JOURNAL DATA ACKNOWLEDGED
 */
import { dirname } from "node:path";
import { start } from "../../../group/start.ts";
import { Journal } from "../journal.ts";
import { type BookReport, machineTime } from "../messages.ts";
import { live, obey, tell } from "../obedience.ts";
import { Acknowledged } from "./acknowledged.ts";
import { bookFor, sizeOf } from "./book.ts";
import { Entries } from "./entries.ts";

const TICK_MS = 100;

const [name = "", discovery = "", journalPath = "", dataDir = "", acknowledgedPath = ""] = process.argv.slice(2);
const warnings: string[] = [];

async function main(): Promise<void> {
  const journal = new Journal(journalPath);
  const acknowledged = new Acknowledged(acknowledgedPath);
  const node = await start({
    name,
    discovery,
    dataDir,
    history: journal.write,
    log: ({ level, message }) => {
      if (level === "warn" || level === "error") warnings.push(message);
    },
  });
  tell({ kind: "started", at: machineTime(), node: node.self });
  const group = await node.join(
    bookFor(({ number, members }) => {
      // Views of before the failure are replayed, and told already.
      if (members.includes(node.self)) tell({ kind: "view", at: machineTime(), number, members });
    }),
  );
  const entries = new Entries(group, acknowledged.note);
  const found = group.read(({ state }) => sizeOf(state));
  const book = (): BookReport =>
    group.read(({ state: { entries: counts, repeated, skipped, chain } }) => {
      const complaints = [...entries.complaints, ...warnings];
      return { node: node.self, entries: [...counts], repeated, skipped, chain, events: journal.events, complaints };
    });
  tell({ kind: "found", book: book() });
  tell({ kind: "joined", at: machineTime(), entries: found });
  const tick = (): void =>
    tell({ kind: "tick", at: machineTime(), delivered: group.read(({ state }) => sizeOf(state)) - found });
  setInterval(tick, TICK_MS).unref();
  obey(async (order) => {
    switch (order.kind) {
      case "traffic":
        entries.start(order.updatesPerSecond);
        break;
      case "stop":
        await entries.stop();
        tell({ kind: "quiet" });
        break;
      case "report":
        tell({ kind: "book", book: book() });
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
