/**
 * One process of a measurement: `node member.js TASK`, TASK as JSON. It does what the command tells it, and ends with it.
 */
import { once } from "node:events";
import { DiskMember } from "./disk.ts";
import { GroupMember } from "./group.ts";
import { Meter } from "./meter.ts";
import { RawMember } from "./raw.ts";
import type { FromMember, Task, ToMember } from "./task.ts";

const WARM_UP_MS = 3000;

const task = JSON.parse(process.argv[2] ?? "") as Task;
const orders: ToMember[] = [];
const meter = new Meter();

function tell(message: FromMember): void {
  if (process.connected) process.send?.(message);
}

async function order<K extends ToMember["kind"]>(kind: K): Promise<Extract<ToMember, { readonly kind: K }>> {
  for (;;) {
    const next = orders.shift();
    if (next?.kind === kind) return next as Extract<ToMember, { readonly kind: K }>;
    if (next === undefined) await once(process, "message");
  }
}

async function open(): Promise<GroupMember | RawMember | DiskMember> {
  if (task.system === "group") return await GroupMember.join(task, meter);
  if (task.system === "disk") return new DiskMember(task, meter);
  const raw = await RawMember.listen(task, meter);
  tell({ kind: "port", port: raw.port });
  await raw.connect((await order("ports")).ports);
  return raw;
}

async function main(): Promise<void> {
  const member = await open();
  tell({ kind: "ready" });
  await order("warm");
  await member.run(WARM_UP_MS);
  tell({ kind: "warm" });
  await order("measure");
  meter.begin();
  await member.run(task.seconds * 1000);
  tell({ kind: "outcome", outcome: meter.outcome() });
  await order("end");
  await member.close();
  process.disconnect();
}

process.on("message", (message: ToMember) => orders.push(message));
process.on("disconnect", () => process.exit());
process.on("SIGINT", () => {});
main().catch((error: unknown) => {
  tell({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
});
