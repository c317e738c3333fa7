import { expect, test } from "vitest";
import { CoterieError } from "./errors.ts";
import { checkOptions } from "./options.ts";

test.each([
  ["name", ""],
  ["name", "a b"],
  ["name", "x".repeat(65)],
  ["name", 5],
  ["listen", "host"],
  ["listen", "host:70000"],
  ["listen", 80],
  ["advertise", "8080"],
  ["seeds", ["host"]],
  ["seeds", "not a name"],
  ["seeds", 7],
  ["founders", []],
  ["founders", ["a:1", "a:1"]],
  ["founders", "a:1"],
  ["discovery", true],
  ["discovery", ""],
  ["failureTimeoutMs", 50],
  ["failureTimeoutMs", "3000"],
  ["failureTimeoutMs", 1500.5],
  ["directorySize", 0],
  ["signal", {}],
  ["log", console],
  ["history", []],
])("start refuses `%s`: %j, and names it", (field, value) => {
  const refused = () => checkOptions({ [field]: value });
  expect(refused).toThrow(CoterieError);
  expect(refused).toThrow(`start: \`${field}\``);
});

test("start refuses unknown options and says which there are", () => {
  expect(() => checkOptions({ seed: [] })).toThrow("start: `seed` is not an option. The options are name, listen,");
  expect(() => checkOptions({ toString: 1 })).toThrow("`toString` is not an option");
  expect(() => checkOptions(null)).toThrow("the options are not an object");
});

test("start takes good options", () => {
  const options = {
    name: "node-1",
    listen: "[::1]:0",
    advertise: "example.org:8080",
    seeds: ["10.0.0.1:7000", "[fe80::1%eth0]:7000"],
    founders: ["10.0.0.1:7000", "10.0.0.2:7000"],
    discovery: false,
    failureTimeoutMs: 100,
    directorySize: 15,
    signal: new AbortController().signal,
    log: () => {},
    history: () => {},
  };
  expect(checkOptions(options)).toBe(options);
  expect(checkOptions({ seeds: "cluster.example.org:7000", listen: "7000" })).toBeDefined();
  expect(checkOptions({ name: undefined })).toBeDefined();
});
