/** The simulated world keeps the contract of the real one, and is the same for the same seed. */
import { describe, expect, test } from "vitest";
import { nodeName } from "../protocol/view.ts";
import { TOTAL } from "../wire/packet.ts";
import { World } from "./world.ts";

function pair(seed = 1): World {
  const world = new World({ seed });
  world.start("a", "found");
  world.start("b");
  expect(world.runUntilTrue(() => world.running.every(({ view }) => view?.nodes.length === 2), 5000)).toBe(true);
  return world;
}

describe("time", () => {
  test("events happen in order, at their time; what is asked for in the past happens now", () => {
    const world = new World({ seed: 1 });
    const said: [string, number][] = [];
    const say = (what: string) => (): void => void said.push([what, world.now]);
    world.at(30, say("late"));
    world.at(10, () => {
      say("early")();
      world.at(5, say("past"));
      world.after(5, say("after"));
    });
    world.run(40);
    expect(said).toEqual([
      ["early", 10],
      ["past", 10],
      ["after", 15],
      ["late", 30],
    ]);
    expect(world.now).toBe(40);
  });

  test("a world that never settles is stopped", () => {
    const world = new World({ seed: 1 });
    const again = (): void => world.after(0, again);
    again();
    expect(() => world.run(1)).toThrow("does not settle");
  });

  test("a paused host does nothing until it goes on, and nothing is lost to it", () => {
    const world = pair();
    const a = world.join("a", "g");
    const b = world.join("b", "g");
    world.runUntilTrue(() => a.membership !== undefined && b.membership !== undefined, 5000);
    world.pause("b", 1000);
    a.send(TOTAL);
    world.run(999);
    expect(b.delivered).toBe(0);
    world.run(50);
    expect(b.delivered).toBe(1);
  });
});

describe("hosts", () => {
  test("a host runs one incarnation at a time, and each is another node", () => {
    const world = pair();
    const first = world.hosts.get("b")?.id ?? "";
    expect(world.start("b").id).toBe(first);
    world.crash("b");
    world.crash("b");
    expect(world.running.map(({ name }) => name)).toEqual(["a"]);
    expect(world.start("b").id).not.toBe(first);
    const crashes = world.history.filter(({ kind }) => kind === "crash");
    expect(crashes.map(({ node }) => nodeName(node))).toEqual(["b"]);
  });

  test("a host that is cut short sends nothing more, and is gone soon", () => {
    const world = pair();
    world.cutShort("b");
    expect(world.hosts.get("b")?.running).toBe(true);
    world.run(10);
    expect(world.hosts.get("b")?.running).toBe(false);
  });

  test("a closed node stops, and what is asked of one that does not run is nothing", () => {
    const world = pair();
    world.close("b");
    expect(world.runUntilTrue(() => world.running.length === 1, 5000)).toBe(true);
    world.close("b");
    world.pause("b", 100);
    world.cutShort("b");
    world.crash("nobody");
    expect(world.running.map(({ name }) => name)).toEqual(["a"]);
  });
});

describe("the fabric", () => {
  test("a link is FIFO in each lane, and resumes after a lost connection at the very next frame", () => {
    const world = pair();
    const a = world.join("a", "g");
    const b = world.join("b", "g");
    world.runUntilTrue(() => a.membership !== undefined && b.membership !== undefined, 5000);
    world.fabric.jitterMs = 30;
    const [from, to] = [world.hosts.get("a")?.id ?? "", world.hosts.get("b")?.id ?? ""];
    for (let count = 0; count < 20; count++) {
      a.send(TOTAL);
      world.run(3);
      if (count % 5 === 0) world.fabric.disconnect(from, to);
    }
    world.run(1000);
    expect([a.delivered, b.delivered]).toEqual([20, 20]);
    expect(b.digest()).toBe(a.digest());
    expect(world.hosts.get("b")?.driver?.garbageCount).toBe(0);
  });

  test("a cut holds frames back, and they arrive when it is mended", () => {
    const world = pair();
    const a = world.join("a", "g");
    const b = world.join("b", "g");
    world.runUntilTrue(() => a.membership !== undefined && b.membership !== undefined, 5000);
    world.fabric.setCut("a", "b", true);
    a.send(TOTAL);
    world.run(1000);
    expect(b.delivered).toBe(0);
    world.fabric.setCut("a", "b", false);
    world.run(100);
    expect(b.delivered).toBe(1);
    expect(world.fabric.disconnect("a#nobody", "b#nobody")).toBe(false);
  });

  test("slow links are slow", () => {
    const world = pair();
    const a = world.join("a", "g");
    const b = world.join("b", "g");
    world.runUntilTrue(() => a.membership !== undefined && b.membership !== undefined, 5000);
    world.fabric.rule("a", "b").delayMs = 300;
    a.send(TOTAL);
    world.run(290);
    expect(b.delivered).toBe(0);
    world.run(30);
    expect(b.delivered).toBe(1);
  });
});
