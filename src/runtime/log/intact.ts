/** The records of a log from its floor on with their positions, but for those that are damaged. */
import type { Log } from "./log.ts";

export function* intact(log: Log): IterableIterator<readonly [position: number, record: Uint8Array]> {
  let position = log.floor;
  while (position < log.durable) {
    for (const record of log.read(position)) yield [position++, record];
    // Reading ends before what is damaged, or at the end.
    position = log.damage.find(({ from, to }) => from <= position && position < to)?.to ?? log.durable;
  }
}
