/** The records of a log from its floor on with their positions, but for those that are not intact. */
import type { RecordLog } from "./log.ts";

export function* intact(log: RecordLog): IterableIterator<readonly [position: number, record: Uint8Array]> {
  let position = log.floor;
  while (position < log.durable) {
    for (const record of log.read(position)) yield [position++, record];
    // Reading ends before what is damaged, what does not open, or at the end.
    position = log.damage.find(({ from, to }) => from <= position && position < to)?.to ?? position + 1;
  }
}
