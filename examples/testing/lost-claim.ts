/** What an update that is only delivered here is worth, when the others go on without this node: the shortest scenario. */
// In a project of your own: from "coterie/testing".
import type { SimulatedCluster, SimulatedNode } from "../../src/testing/index.ts";
import { type Claim, dispensary, hastyCounter } from "./dispensary.ts";

export async function lostClaim(cluster: SimulatedCluster): Promise<void> {
  const [a, b, c] = await cluster.start("a", "b", "c");
  const given = new Set<string>();
  const giveAt =
    ({ name }: SimulatedNode) =>
    ({ prescription }: Claim) => {
      cluster.note(`${name} gives ${prescription}`);
      if (given.has(prescription)) cluster.fail("given twice");
      given.add(prescription);
    };
  const counterA = await hastyCounter(a, giveAt(a));
  const counterB = await hastyCounter(b, giveAt(b));
  await c.join(dispensary);
  await cluster.sleep(100);
  cluster.partition([a], [b, c]);
  await counterA("rx1");
  await cluster.until(() => b.cluster.view?.nodes.length === 2);
  await counterB("rx1");
}
