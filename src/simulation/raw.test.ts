/** Raw messages on a network that loses, doubles and forges datagrams: D1 and D9 hold, and garbage is dropped. */
import { expect, test } from "vitest";
import type { NodeId } from "../protocol/view.ts";
import { FIFO, PacketBuilder, RAW } from "../wire/packet.ts";
import { check } from "./axioms/index.ts";
import type { Counter } from "./counter.ts";
import { type Host, World } from "./world.ts";

interface Pair {
  readonly world: World;
  readonly a: Counter;
  readonly b: Counter;
  /** Hands b a datagram as if it came from there. */
  readonly forge: (from: NodeId, change?: (bytes: Uint8Array, view: DataView) => void) => void;
  readonly host: (name: string) => Host;
}

function pair(): Pair {
  const world = new World({ seed: 3 });
  const host = (name: string): Host => world.hosts.get(name) as Host;
  world.start("a", "found");
  world.start("b");
  world.runUntilTrue(() => world.running.every(({ view }) => view?.nodes.length === 2), 5000);
  const a = world.join("a", "g");
  const b = world.join("b", "g");
  expect(world.runUntilTrue(() => a.view.members.length === 2 && b.view.members.length === 2, 5000)).toBe(true);
  let number = 500;
  const forge: Pair["forge"] = (from, change) => {
    const builder = new PacketBuilder(RAW, new Uint8Array(64));
    builder.append(0, Uint8Array.from([0, 0, 0, 0]));
    const packet = builder.finish();
    packet.stamp(b.membership?.group ?? 0, b.view.number, 0, number++, 0);
    const bytes = packet.bytes.slice();
    change?.(bytes, new DataView(bytes.buffer));
    host("b").driver?.datagram(from, bytes);
    world.run(5);
  };
  return { world, a, b, forge, host };
}

const rawAt = ({ world }: Pair, node: NodeId): string[] =>
  world.history.flatMap((event) =>
    event.kind === "deliver" && event.flavour === "raw" && event.node === node ? event.message : [],
  );

test("some raw messages come, none twice; their sender has all of them", () => {
  const at = pair();
  for (let count = 0; count < 200; count++) {
    at.a.sendRaw();
    at.world.run(1);
  }
  at.world.run(200);
  const [own, others] = ["a", "b"].map((name) => rawAt(at, at.host(name).id));
  expect(own).toHaveLength(200);
  expect(others?.length).toBeGreaterThan(100);
  expect(others?.length).toBeLessThan(200);
  expect(new Set(others).size).toBe(others?.length);
  // They came in another order than that of their sending, too.
  expect(others).not.toEqual(own?.filter((message) => others?.includes(message)));
  expect(check(at.world.history)).toEqual([]);
});

test("what is not a raw packet of another member is dropped; a forged one that looks like one is not told apart", () => {
  const at = pair();
  const { forge, host } = at;
  const [from, self] = [host("a").id, host("b").id];
  const driver = host("b").driver;
  forge(from, (bytes) => {
    bytes[5] = FIFO;
  });
  forge(from, (bytes) => {
    bytes[4] = 1;
  });
  expect(driver?.garbageCount).toBe(2);
  forge(from, (bytes) => {
    bytes[5] = RAW | 0x80;
  });
  forge(self);
  forge("a#00000000");
  forge(from, (_bytes, view) => view.setUint32(8, 0, true));
  forge(from, (_bytes, view) => view.setUint32(8, 77, true));
  expect(rawAt(at, self)).toEqual([]);
  forge(from);
  expect(rawAt(at, self)).toHaveLength(1);
  forge(from, (_bytes, view) => view.setUint32(16, 1, true));
  forge(from, (_bytes, view) => view.setUint32(16, 1, true));
  expect(rawAt(at, self)).toHaveLength(2);
});

test("a datagram of somebody who has left the group, or has crashed, is dropped", () => {
  const at = pair();
  const { forge, host, world } = at;
  const { id } = host("a");
  host("a").counter("g")?.membership?.leave();
  expect(world.runUntilTrue(() => at.b.view.members.length === 1, 5000)).toBe(true);
  forge(id);
  const again = world.join("a", "g");
  expect(world.runUntilTrue(() => again.view.members.length === 2, 5000)).toBe(true);
  forge(id);
  expect(rawAt(at, host("b").id)).toHaveLength(1);
  world.crash("a");
  forge(id);
  forge(id);
  expect(rawAt(at, host("b").id).length).toBeLessThanOrEqual(3);
  expect(world.runUntilTrue(() => host("b").view?.nodes.length === 1 || host("b").status === "blocked", 10_000)).toBe(
    true,
  );
  const before = rawAt(at, host("b").id).length;
  forge(id);
  expect(rawAt(at, host("b").id)).toHaveLength(before);
});
