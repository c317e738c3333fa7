/**
 * The program of the durable demo: a book that all members make entries in, kept on the disks of all. Each member numbers
 * its own entries; the book knows how many it has of each, whether one came twice or was left out, and in which order
 * all of them stand. So what was acknowledged can be looked up in it, whatever the library records.
 */
import { createHash } from "node:crypto";
import { defineGroup } from "../../../group/define.ts";
import type { GroupView, NodeId } from "../../../protocol/view.ts";

/** Of an entry's text; the entry as a whole is about a kilobyte. */
export const TEXT_BYTES = 1000;

export type Book = ReturnType<typeof bookFor>;

interface Pages {
  readonly entries: Map<NodeId, number>;
  repeated: number;
  skipped: number;
  chain: string;
}

/** `onView` hears of views that were replayed from the disk, too. */
export function bookFor(onView: (view: GroupView) => void) {
  return defineGroup({
    name: "book",
    durable: true,
    state: (): Pages => ({ entries: new Map(), repeated: 0, skipped: 0, chain: "" }),
    updates: {
      enter: ({ state, sender }, number: number, _text: string) => {
        const next = state.entries.get(sender) ?? 0;
        if (number < next) state.repeated++;
        else {
          state.skipped += number - next;
          state.entries.set(sender, number + 1);
        }
        state.chain = createHash("sha256").update(`${state.chain} ${sender} ${number}`).digest("hex").slice(0, 12);
      },
    },
    onView: ({ view }) => onView(view),
  });
}

export function sizeOf({ entries }: Pages): number {
  let sum = 0;
  for (const count of entries.values()) sum += count;
  return sum;
}
