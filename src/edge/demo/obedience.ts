/**
 * A member process of a demo, towards the demo: it does what it is told, one thing after the other, and does not outlive it.
 */
import { rmSync } from "node:fs";
import { CoterieError } from "../../group/errors.ts";
import type { FromMember, ToMember } from "./messages.ts";

/** The demo has said that it may. */
let mayEnd = false;

export function tell(message: FromMember): void {
  if (process.connected) process.send?.(message);
}

/** Runs the process; `folder` is what it removes when the demo is gone without having told it to leave. */
export function live(folder: string, main: () => Promise<void>): void {
  const abandoned = (): void => {
    if (!mayEnd) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    process.exit();
  };
  // Ctrl-C reaches all processes of a terminal; what it means is for the demo to say.
  process.on("SIGINT", () => {});
  process.on("disconnect", abandoned);
  // The demo may have ended before this process could listen for that.
  if (process.connected) main().catch(fail);
  else abandoned();
}

/** From now on orders are carried out as they come. */
export function obey(carryOut: (order: ToMember) => Promise<void>): void {
  let last = Promise.resolve();
  process.on("message", (order: ToMember) => {
    mayEnd ||= order.kind === "leave";
    last = last.then(() => carryOut(order)).catch(fail);
  });
}

function fail(error: unknown): void {
  const code = error instanceof CoterieError ? error.code : "internal-error";
  const message = error instanceof Error ? error.message : String(error);
  tell({ kind: "failed", code, message });
}
