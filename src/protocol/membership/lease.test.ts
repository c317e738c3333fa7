import { describe, expect, test } from "vitest";
import { ids, recordOf } from "../../../test/protocol/kit.ts";
import type { ClusterView } from "../view.ts";
import { Lease } from "./lease.ts";

const [a = "", b = "", c = ""] = ids(3);
const view: ClusterView = { cluster: "x", number: 3, nodes: [a, b, c].map(recordOf), acceptors: [a, b, c] };

describe("Lease (C10)", () => {
  test("holds for the lease time after a view, and then only while a quorum answers", () => {
    const lease = new Lease(a, 3000);
    lease.begin(view, 0, true);
    expect(lease.holds(view, 2999)).toBe(true);
    expect(lease.holds(view, 3000)).toBe(false);
    expect(lease.silent(3000)).toEqual([b, c]);
    const number = lease.number(2000);
    lease.receive(view, b, 1, [number, 0, 0]);
    expect(lease.holds(view, 4999)).toBe(true);
    expect(lease.silent(4999)).toEqual([c]);
    expect(lease.holds(view, 5000)).toBe(false);
  });

  test("what renews it is when the answered heartbeat was sent, not when the answer came", () => {
    const lease = new Lease(a, 3000);
    lease.begin(view, 0, true);
    const number = lease.number(100);
    lease.receive(view, b, 1, [number, 0, 0]);
    expect(lease.holds(view, 3099)).toBe(true);
    expect(lease.holds(view, 3100)).toBe(false);
  });

  test("to be heard is not enough: an acceptor that does not hear this node renews nothing", () => {
    const lease = new Lease(a, 3000);
    lease.begin(view, 0, true);
    for (let now = 250; now < 3000; now += 250) {
      lease.number(now);
      for (const id of [b, c]) lease.receive(view, id, now, [0, 0, 0]);
    }
    expect(lease.holds(view, 3000)).toBe(false);
  });

  test("answers of nodes that are no acceptors, and to numbers of another view or of none, renew nothing", () => {
    const two: ClusterView = { ...view, acceptors: [a, b] };
    const lease = new Lease(c, 1000);
    lease.begin(two, 0, true);
    const before = lease.number(10);
    lease.begin(two, 20, true);
    lease.receive(two, b, 1, [0, 0, before]);
    lease.receive(two, b, 2, [0, 0, 999]);
    lease.receive(two, c, 2, [0, 0, lease.number(900)]);
    expect(lease.holds(two, 1019)).toBe(true);
    expect(lease.holds(two, 1020)).toBe(false);
  });

  test("an acceptor tells everybody the newest number that it has heard of them", () => {
    const lease = new Lease(b, 3000);
    lease.begin(view, 0, true);
    lease.receive(view, a, 7, []);
    lease.receive(view, a, 5, []);
    lease.receive(view, c, 300, []);
    expect(lease.heard(view)).toEqual([7, 0, 300]);
    lease.begin(view, 10, true);
    expect(lease.heard(view)).toEqual([0, 0, 0]);
  });

  test("of unanswered heartbeats only the recent ones are remembered", () => {
    const lease = new Lease(a, 1000);
    lease.begin(view, 0, true);
    const first = lease.number(900);
    for (let count = 0; count < 64; count++) lease.number(900);
    lease.receive(view, b, 1, [first, 0, 0]);
    expect(lease.holds(view, 1000)).toBe(false);
  });
});
