/**
 * The application's word on who may join which group: in bounded time, and never the reason why a node waits. What it
 * fails to say is a no.
 */
import { nodeName } from "../protocol/view.ts";
import type { Authorize } from "../runtime/doorkeeper.ts";
import type { Log } from "./diagnostics.ts";
import type { StartOptions } from "./options.ts";

const AUTHORIZE_MS = 5000;

export function authorizeBy(policy: NonNullable<StartOptions["authorize"]>, log: Log): Authorize {
  return ({ node, group }, decide) => {
    let isOver = false;
    const over = (why: string | undefined, error?: unknown): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      if (why !== undefined)
        log({ level: "warn", code: "join-refused", message: `${node} may not join ${group}: ${why}`, group, error });
      decide(why === undefined);
    };
    const timer = setTimeout(() => over(`\`authorize\` has said nothing for ${AUTHORIZE_MS} ms`), AUTHORIZE_MS);
    const asked = new Promise<unknown>((resolve) => resolve(policy({ node, name: nodeName(node), group })));
    asked.then(
      // Only a plain yes is one.
      (answer) => over(answer === true ? undefined : "`authorize` does not allow it"),
      (error: unknown) => over("`authorize` has failed", error),
    );
  };
}
