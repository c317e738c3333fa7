/**
 * The steps of a run as an observer sees them, each control message that is sent and each event of the history, with
 * actions that strike at one of them: faults at random times hit the few moments that matter almost never.
 */
import type { HistoryEvent } from "../protocol/history.ts";
import type { Message } from "../protocol/messages.ts";
import { nodeName } from "../protocol/view.ts";
import { parseControl } from "../runtime/frames.ts";
import type { World } from "./world.ts";

export type Step =
  /** `left` is false while the message can still be held back: every message is seen twice. */
  | {
      readonly kind: "message";
      readonly from: string;
      readonly to: string;
      readonly message: Message;
      readonly left: boolean;
    }
  | { readonly kind: "event"; readonly event: HistoryEvent };

interface Watch {
  readonly matches: (step: Step) => boolean;
  readonly act: (step: Step) => void;
}

/** Taps a world; one per world. */
export class Steps {
  #watches: Watch[] = [];
  readonly #audience: ((step: Step) => void) | undefined;

  /** `audience` sees every step. */
  constructor(world: World, audience?: (step: Step) => void) {
    this.#audience = audience;
    world.observer = (event) => this.#see({ kind: "event", event });
    let parsed: { readonly frame: Uint8Array; readonly message: Message | undefined } | undefined;
    world.fabric.tap = (from, to, frame, left) => {
      if (this.#watches.length === 0 && audience === undefined) return;
      // A broadcast is the same frame many times.
      if (parsed?.frame !== frame) parsed = { frame, message: parseControl(frame) };
      const { message } = parsed;
      if (message !== undefined) this.#see({ kind: "message", from: nodeName(from), to: nodeName(to), message, left });
    };
  }

  /** Acts once, at the first step that matches, in the midst of the turn of the node that takes it. */
  when(matches: (step: Step) => boolean, act: (step: Step) => void): void {
    this.#watches.push({ matches, act });
  }

  /** Forgets the actions that still wait. */
  clear(): void {
    this.#watches = [];
  }

  /** How many actions have not found their step. */
  get waiting(): number {
    return this.#watches.length;
  }

  #see(step: Step): void {
    this.#audience?.(step);
    const struck = this.#watches.filter(({ matches }) => matches(step));
    if (struck.length === 0) return;
    this.#watches = this.#watches.filter((watch) => !struck.includes(watch));
    for (const { act } of struck) act(step);
  }
}
