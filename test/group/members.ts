/** Several members of one group, with what they logged, for tests. */
import type { GroupDefinition } from "../../src/group/define.ts";
import type { LogEntry } from "../../src/group/diagnostics.ts";
import type { Group } from "../../src/group/group.ts";
import { createNode, type Node } from "../../src/group/node.ts";
import type { HistorySink } from "../../src/protocol/history.ts";
import { FakeCluster, type FakeNode } from "./fake-cluster.ts";

export interface Members<G extends GroupDefinition> {
  readonly cluster: FakeCluster;
  readonly groups: readonly [Group<G>, Group<G>, Group<G>];
  readonly nodes: readonly [Node, Node, Node];
  readonly fakes: readonly [FakeNode, FakeNode, FakeNode];
  readonly log: LogEntry[];
}

/** Three nodes `a`, `b` and `c` that joined the group in this order. */
export async function threeMembers<G extends GroupDefinition>(
  definition: G,
  history?: HistorySink,
): Promise<Members<G>> {
  const cluster = new FakeCluster();
  cluster.history = history;
  const log: LogEntry[] = [];
  const options = { log: (entry: LogEntry) => void log.push(entry), history };
  const fakes = [cluster.node("a"), cluster.node("b"), cluster.node("c")] as const;
  const nodes = [createNode(fakes[0], options), createNode(fakes[1], options), createNode(fakes[2], options)] as const;
  const groups = [
    await nodes[0].join(definition),
    await nodes[1].join(definition),
    await nodes[2].join(definition),
  ] as const;
  await cluster.settle();
  return { cluster, groups, nodes, fakes, log };
}

/** What a promise is rejected with. */
export async function failureOf(call: PromiseLike<unknown>): Promise<unknown> {
  try {
    await call;
  } catch (error) {
    return error;
  }
  throw new Error("the call did not fail");
}
