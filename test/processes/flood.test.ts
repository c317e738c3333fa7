/** A few hundred connections that never end their handshake: the group serves on, and lets in who belongs to it. */
import { afterAll, expect, test } from "vitest";
import { clusterKeys, newClusterKey } from "../../src/runtime/secure/cluster-key.ts";
import { Guard } from "../../src/runtime/secure/guard.ts";
import { Attacker, answerMs, descriptorsOf } from "../flood/flood.ts";
import { freePorts } from "./ports.ts";
import { Trial, viewOf } from "./trial.ts";

/** Those in their handshake, those that wait, and a few that are being closed. */
const DESCRIPTORS_MAX = 256 + 256 + 64;
const LINES_PER_SECOND_MAX = 20;

let attacker: Attacker | undefined;
const trial = new Trial();

afterAll(async () => {
  attacker?.kill();
  await trial.end();
});

test("a flood of strangers costs a bounded amount, is told of now and then, and keeps nobody out", async () => {
  const clusterKey = newClusterKey();
  const guard = new Guard({ kind: "cluster-key", keys: clusterKeys(clusterKey) });
  const [port = 0, other = 0] = await freePorts(2);
  const startOf = (at: number) => ({ start: { listen: `127.0.0.1:${at}`, secure: { clusterKey } } });
  const ann = await trial.member("ann", startOf(port));
  const bob = await trial.member("bob", startOf(other));
  await viewOf(ann, "ledger", ["ann", "bob"]);
  const before = descriptorsOf(ann);
  const begun = performance.now();
  attacker = await Attacker.begin([port, other], { connections: 400, perSecond: 1000 });
  await attacker.risen(0, 0);
  await ann.until("word of those who have proved nothing", () =>
    ann.events.find((event) => event.kind === "log" && event.message.includes("has not proved")),
  );
  for (let round = 0; round < 20; round++) await bob.call("send", "ledger", "safeSend", "append", bob.slot, round);
  expect(await answerMs(port, guard, "127.77.0.1", 30_000)).toBeLessThan(30_000);
  const cat = await trial.member("cat", startOf(0));
  expect(descriptorsOf(ann) - before).toBeLessThan(DESCRIPTORS_MAX);
  const { opened } = await attacker.end();
  attacker = undefined;
  expect(opened).toBeGreaterThan(0);

  const seconds = (performance.now() - begun) / 1000;
  const garbage = ann.events.filter((event) => event.kind === "log" && event.code === "garbage-dropped");
  expect(garbage.length).toBeLessThan(seconds * LINES_PER_SECOND_MAX);
  for (const { events } of [ann, bob]) expect(events.filter(({ kind }) => kind === "excluded")).toEqual([]);
  await trial.settle([ann, bob, cat]);
  trial.judge({ quiescent: true });
});
