/** A node over its incarnations: how it begins, and what is told to who waits for it when that comes to nothing. */
import { expect, test } from "vitest";
import { recordOf } from "../../test/protocol/kit.ts";
import { World } from "../simulation/world.ts";
import { EndedError, type IncarnationListener, RunningNode } from "./running-node.ts";

/** Opens a node of which its incarnation tells something as soon as it has begun; and how often it was ended. */
function opened(tell: (listener: IncarnationListener) => void) {
  const { driver } = new World({ seed: 1 }).start("ann", "found");
  if (driver === undefined) throw new Error("the simulated node does not run");
  let ended = 0;
  const end = async (): Promise<void> => void ended++;
  const node = RunningNode.open({
    name: "ann",
    failureTimeoutMs: 1000,
    timers: { now: () => 0, after: () => () => {} },
    incarnate: async (listener) => {
      tell(listener);
      return { record: recordOf("ann#00000001"), driver, waitingFor: "nobody", end };
    },
    noticed: () => {},
  });
  return { node, ended: () => ended };
}

test("whose disk fails before it is in a cluster says so, and what has begun is ended", async () => {
  const { node, ended } = opened((listener) => listener.statusChanged("closed", "the disk failed: EIO"));
  const problem = await node.catch((error: unknown) => error);
  expect(problem).toBeInstanceOf(EndedError);
  expect(problem).toMatchObject({ name: "EndedError", message: "the disk failed: EIO" });
  expect(ended()).toBe(1);
});

test("that is in a cluster is there, and what happens to its disk later is its status", async () => {
  const listeners: IncarnationListener[] = [];
  const { node, ended } = opened((listener) => {
    listeners.push(listener);
    listener.statusChanged("primary", "view 1");
  });
  const running = await node;
  listeners[0]?.statusChanged("closed", "the disk failed: EIO");
  expect([running.status, running.statusDetail]).toEqual(["closed", "the disk failed: EIO"]);
  expect(ended()).toBe(0);
});
