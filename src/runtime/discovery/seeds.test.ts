import { describe, expect, test } from "vitest";
import { parseAddress } from "./address.ts";
import { DiscoveryError } from "./discovery.ts";
import { type Resolve, seeds } from "./seeds.ts";

/** Stands for DNS. */
function names(table: Record<string, readonly string[]>): Resolve {
  return (name) => {
    const found = table[name];
    return found === undefined ? Promise.reject(new Error(`ENOTFOUND ${name}`)) : Promise.resolve(found);
  };
}

describe("an address", () => {
  test.each([
    ["10.0.0.7:4100", "10.0.0.7:4100", false],
    ["[FD00::0007]:4100", "[fd00::7]:4100", false],
    ["[0:0:0:0:0:0:0:1]:80", "[::1]:80", false],
    ["Db-1.Local:0080", "db-1.local:80", true],
    ["my_service:65535", "my_service:65535", true],
    ["db.local.:1", "db.local.:1", true],
    ["localhost:4100", "localhost:4100", true],
  ])("%s is read as %s", (text, canonical, isName) => {
    expect(parseAddress(text, "seeds")).toMatchObject({ text: canonical, isName });
  });

  test.each([
    "",
    "db",
    ":4100",
    "db:",
    "db:0",
    "db:65536",
    "db:4100x",
    "db:-1",
    "db: 80",
    "db :80",
    "a..b:80",
    "-a:80",
    "a/b:80",
    "10.0.0.300:80",
    "10.0.0:80",
    "::1:80",
    "[::1]",
    "[::1:80",
    "[10.0.0.1]:80",
    "[fe80::1%eth0]:80",
    `${"a".repeat(64)}:80`,
    `${"a.".repeat(130)}a:80`,
    "tcp://db:80",
  ])("%s is refused by name", (text) => {
    const refusal = (() => {
      try {
        return parseAddress(text, "seeds");
      } catch (error) {
        return error;
      }
    })();
    expect(refusal).toBeInstanceOf(DiscoveryError);
    expect(refusal).toMatchObject({ field: "seeds", message: expect.stringContaining(`seeds: "${text}"`) });
  });

  test("is refused under the name of its option", () => {
    expect(() => seeds({ seeds: [], founders: ["x"], self: "a:1" })).toThrow('founders: "x"');
    expect(() => seeds({ seeds: [], founders: undefined, self: "a:0" })).toThrow('advertise: "a:0"');
    expect(() => seeds({ seeds: [], founders: [], self: "a:1" })).toThrow("founders: is empty");
  });
});

describe("candidates", () => {
  test("are seeds and founders as written, once each, without this node", async () => {
    const discovery = seeds({ seeds: ["B:1", "a:1", "[::1]:5"], founders: ["c:1", "b:1", "a:1"], self: "A:1" });
    expect(await discovery.candidates()).toEqual(["b:1", "[::1]:5", "c:1"]);
  });

  test("of a single name are all of its addresses, asked for each time, without this node", async () => {
    const table: Record<string, readonly string[]> = { all: ["10.0.0.1", "10.0.0.2", "fd00::1"], me: ["10.0.0.2"] };
    const discovery = seeds({ seeds: ["all:4"], founders: undefined, self: "10.0.0.1:4", resolve: names(table) });
    expect(await discovery.candidates()).toEqual(["10.0.0.2:4", "[fd00::1]:4"]);
    table["all"] = ["10.0.0.3"];
    expect(await discovery.candidates()).toEqual(["10.0.0.3:4"]);
    table["all"] = ["10.0.0.2", "10.0.0.3"];
    const named = seeds({ seeds: ["all:4"], founders: undefined, self: "me:4", resolve: names(table) });
    expect(await named.candidates()).toEqual(["10.0.0.3:4"]);
  });

  test("of a name that does not resolve are none, and the status says so", async () => {
    const table: Record<string, readonly string[]> = {};
    const discovery = seeds({ seeds: ["all:4"], founders: undefined, self: "10.0.0.1:4", resolve: names(table) });
    const nobody = "no founders configured; none of the seeds answers";
    expect(await discovery.founding()).toEqual({ kind: "wait", why: nobody });
    expect(await discovery.candidates()).toEqual([]);
    expect(await discovery.founding()).toEqual({ kind: "wait", why: `${nobody}; cannot resolve all` });
    table["all"] = ["10.0.0.3"];
    expect(await discovery.candidates()).toEqual(["10.0.0.3:4"]);
    expect(await discovery.founding()).toEqual({ kind: "wait", why: nobody });
  });

  test("are looked up by the system unless told otherwise", async () => {
    const discovery = seeds({ seeds: ["localhost:4"], founders: undefined, self: "10.0.0.1:4" });
    const loopback = (address: string) => address === "127.0.0.1:4" || address === "[::1]:4";
    expect((await discovery.candidates()).some(loopback)).toBe(true);
  });
});

describe("founding", () => {
  test("is by all configured founders, sorted and once each, the same list at each of them", async () => {
    const lists = [
      ["b:1", "a:1", "[::2]:1", "B:1"],
      ["[0::2]:1", "A:1", "b:1"],
    ];
    for (const [index, self] of ["a:1", "b:1"].entries()) {
      const discovery = seeds({ seeds: [], founders: lists[index], self });
      expect(await discovery.founding()).toEqual({ kind: "founders", addresses: ["[::2]:1", "a:1", "b:1"] });
      await discovery.joined("c1");
      await discovery.close();
    }
  });

  test("is by all addresses of a single name, if this node is among them and not alone", async () => {
    const ask = (all: readonly string[], self = "10.0.0.2:4") =>
      seeds({ seeds: [], founders: ["all:4"], self, resolve: names(all.length === 0 ? {} : { all }) }).founding();
    expect(await ask(["10.0.0.9", "10.0.0.2"])).toEqual({ kind: "founders", addresses: ["10.0.0.2:4", "10.0.0.9:4"] });
    expect(await ask(["10.0.0.9"])).toMatchObject({ kind: "wait", why: expect.stringContaining("is not one of") });
    expect(await ask(["10.0.0.2"])).toMatchObject({ kind: "wait", why: expect.stringContaining("to this node only") });
    expect(await ask([])).toMatchObject({ kind: "wait", why: "cannot resolve the founders all:4" });
  });

  test("is never by a node that the founders do not name", async () => {
    const discovery = seeds({ seeds: [], founders: ["a:1", "b:1"], self: "c:1" });
    expect(await discovery.founding()).toMatchObject({
      kind: "wait",
      why: expect.stringContaining("c:1, is not one of"),
    });
    expect(await discovery.candidates()).toEqual(["a:1", "b:1"]);
  });

  test("is by this node alone when it is the only founder by its own name", async () => {
    expect(await seeds({ seeds: [], founders: ["A:1"], self: "a:1" }).founding()).toEqual({
      kind: "founders",
      addresses: ["a:1"],
    });
  });
});
