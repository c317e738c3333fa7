import { describe, expect, it, vi } from "vitest";
import { Anteroom, type AnteroomLimits } from "./anteroom.ts";

const LIMITS: AnteroomLimits = {
  halfOpenMax: 6,
  halfOpenPerRemoteMax: 4,
  waitingMax: 8,
  waitingPerRemoteMax: 5,
  strangersPerSecond: 8, // Two at once.
  knownPerSecond: 40, // Ten at once.
};

class Connection {
  readonly host: string;
  isDropped = false;

  constructor(host: string) {
    this.host = host;
  }

  destroy(): void {
    this.isDropped = true;
  }
}

function anteroom(limits: Partial<AnteroomLimits> = {}) {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  let now = 0;
  let dropped = 0;
  const entered: Connection[] = [];
  const room = new Anteroom<Connection>(
    { ...LIMITS, ...limits },
    (connection) => entered.push(connection),
    () => dropped++,
    () => now,
  );
  const come = (host: string, count = 1): Connection[] =>
    Array.from({ length: count }, () => {
      const connection = new Connection(host);
      room.arrived(connection, host);
      return connection;
    });
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left--) {
      now++;
      vi.advanceTimersByTime(1);
    }
  };
  return { room, entered, come, pass, hosts: () => entered.map(({ host }) => host).join(""), dropped: () => dropped };
}

describe("the anteroom", () => {
  it("lets nobody in before it is open, then a few at once and the others at their pace", () => {
    const { room, entered, come, pass } = anteroom();
    come("a", 4);
    expect(entered).toHaveLength(0);
    room.open();
    expect(entered).toHaveLength(2);
    pass(125);
    expect(entered).toHaveLength(3);
    pass(1000);
    expect(entered).toHaveLength(4);
    expect(room.waitingCount).toBe(0);
  });

  it("gives turns to addresses: one that floods keeps none of the others waiting", () => {
    const { room, come, pass, hosts } = anteroom();
    room.open();
    come("a", 5);
    come("b");
    come("c");
    pass(500);
    expect(hosts()).toBe("aaabca");
  });

  it("lets in first who comes from where somebody has proved himself, however many strangers wait", () => {
    const { room, come, pass, hosts } = anteroom();
    room.open();
    room.know("k");
    come("a", 5);
    come("k", 3);
    expect(hosts()).toBe("aakkk");
    pass(125);
    expect(hosts()).toBe("aakkka");
  });

  it("gives the place of the oldest from the most crowded address to who comes when all are taken", () => {
    const { room, entered, come } = anteroom({ strangersPerSecond: 400 });
    room.open();
    const crowd = come("a", 4);
    come("b", 2);
    const [newcomer] = come("c");
    expect(entered.at(-1)).toBe(newcomer);
    expect(crowd.map(({ isDropped }) => isDropped)).toEqual([true, false, false, false]);
    expect(room.insideCount).toBe(LIMITS.halfOpenMax);
  });

  it("has a limit for one address, too", () => {
    const { room, come, dropped } = anteroom({ strangersPerSecond: 400 });
    room.open();
    const crowd = come("a", 5);
    expect(crowd.map(({ isDropped }) => isDropped)).toEqual([true, false, false, false, false]);
    expect([room.insideCount, dropped()]).toEqual([4, 1]);
  });

  it("keeps a few waiting, and drops the newest from where most wait", () => {
    const { room, come, dropped } = anteroom();
    const crowd = come("a", 6);
    expect(crowd.map(({ isDropped }) => isDropped)).toEqual([false, false, false, false, false, true]);
    come("b", 3);
    const [newcomer] = come("c");
    expect(newcomer?.isDropped).toBe(false);
    expect(crowd[4]?.isDropped).toBe(true);
    expect([room.waitingCount, dropped()]).toEqual([LIMITS.waitingMax, 2]);
  });

  it("knows again whose place is free, and forgets who is gone", () => {
    const { room, come, dropped } = anteroom({ strangersPerSecond: 400 });
    room.open();
    for (let count = 0; count < 20; count++) {
      const [connection] = come("a");
      if (connection !== undefined) expect(room.left(connection, "a")).toBe(true);
      if (connection !== undefined) expect(room.left(connection, "a")).toBe(false);
    }
    expect([room.insideCount, room.waitingCount, dropped()]).toEqual([0, 0, 0]);
  });

  it("drops all when it is closed", () => {
    const { room, come, pass, entered } = anteroom();
    room.open();
    const crowd = come("a", 5);
    room.close();
    expect(crowd.every(({ isDropped }) => isDropped)).toBe(true);
    pass(1000);
    expect(entered).toHaveLength(2);
  });
});
