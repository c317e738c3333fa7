/** What a node's log still says when the node starts, of the cluster and of durable groups. */
import { GroupsMemory, type Remains } from "../protocol/groups-memory.ts";
import { parseRecord } from "../protocol/journal-records.ts";
import { ClusterMemory } from "../protocol/membership/memory.ts";
import type { Log } from "./log/log.ts";

export interface Recollection {
  /** The position of the log's next record. */
  readonly next: number;
  readonly cluster: ClusterMemory;
  readonly groups: ReadonlyMap<number, Remains>;
  /** Whether nothing in the log is damaged. */
  readonly isWhole: boolean;
}

export function recollect(log: Log): Recollection {
  const cluster = new ClusterMemory();
  const groups = new GroupsMemory();
  let position = log.floor;
  for (const damage of [...log.damage, undefined]) {
    for (const frame of log.read(position, damage?.from)) {
      const record = parseRecord(frame);
      if (record !== undefined) {
        cluster.add(position, record);
        groups.add(position, record);
      }
      position++;
    }
    if (damage === undefined) break;
    cluster.missed();
    groups.missed(damage.to);
    position = damage.to;
  }
  return { next: log.next, cluster, groups: groups.remains(), isWhole: log.damage.length === 0 };
}
