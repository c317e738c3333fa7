/**
 * A dispensary with a counter at every node, as an application of a group: a patient may present a prescription at any
 * counter, and at several, and gets the medicine once. What is given out cannot be taken back, so a counter may act only on
 * a claim that stands.
 */
// In a project of your own: from "coterie".
import { defineGroup, type Group, type Node, type Stable } from "../../src/index.ts";

/** What became of a claim: whether this counter may give the medicine. */
export interface Claim {
  readonly prescription: string;
  readonly granted: boolean;
}

export const dispensary = defineGroup({
  name: "dispensary",
  /** Who gives what. */
  state: () => new Map<string, string>(),
  updates: {
    claim: ({ state, sender }, prescription: string): Claim => {
      const granted = !state.has(prescription);
      if (granted) state.set(prescription, sender);
      return { prescription, granted };
    },
  },
});

/** A counter of the dispensary: asked for a prescription, it gives the medicine or sends the patient away. */
export type Counter = (prescription: string) => Promise<void>;

/** Gives the medicine as soon as the claim is delivered here. It is wrong: an exclusion of this node undoes the claim. */
export async function hastyCounter(node: Node, give: (claim: Claim) => void): Promise<Counter> {
  const group = await node.join(dispensary);
  return async (prescription) => {
    const claim = await group.orderedSend.claim(prescription);
    if (claim.granted) give(claim);
  };
}

/** Whoever gives the medicine asks for a claim that stands: the compiler refuses one that is only delivered here. */
export type Give = (claim: Stable<Claim>) => void;

/** Waits until every member holds the claim, and all that it builds on. */
export async function flushingCounter(node: Node, give: Give): Promise<Counter> {
  const group = await node.join(dispensary);
  return async (prescription) => {
    const claim = await group.flush(await group.orderedSend.claim(prescription));
    if (claim.granted) give(claim);
  };
}

/** The same in one step: the claim is delivered only once every member holds it. */
export async function safeCounter(node: Node, give: Give): Promise<Counter> {
  const group: Group<typeof dispensary> = await node.join(dispensary);
  return async (prescription) => {
    const claim = await group.safeSend.claim(prescription);
    if (claim.granted) give(claim);
  };
}
