/** What a node's log still says when the node starts, of the cluster and of durable groups. */
import { GroupsMemory, type Remains } from "../protocol/groups-memory.ts";
import { parseRecord } from "../protocol/journal-records.ts";
import { ClusterMemory } from "../protocol/membership/memory.ts";
import { intact } from "./log/intact.ts";
import type { RecordLog } from "./log/log.ts";

export interface Recollection {
  /** The position of the log's next record. */
  readonly next: number;
  readonly cluster: ClusterMemory;
  readonly groups: ReadonlyMap<number, Remains>;
  /** Whether everything in the log is intact. */
  readonly isWhole: boolean;
}

export function recollect(log: RecordLog): Recollection {
  const cluster = new ClusterMemory();
  const groups = new GroupsMemory();
  let isWhole = log.damage.length === 0;
  let expected = log.floor;
  const reach = (position: number): void => {
    if (position === expected) return;
    isWhole = false;
    cluster.missed();
    groups.missed(position);
  };
  for (const [position, frame] of intact(log)) {
    const record = parseRecord(frame);
    // What this version cannot read is missing.
    if (record === undefined) continue;
    reach(position);
    expected = position + 1;
    cluster.add(position, record);
    groups.add(position, record);
  }
  reach(log.durable);
  return { next: log.next, cluster, groups: groups.remains(), isWhole };
}
