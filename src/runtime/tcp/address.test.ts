import { describe, expect, it } from "vitest";
import { formatAddress, parseAddress } from "./address.ts";

describe("an address", () => {
  it.each([
    ["127.0.0.1:80", "127.0.0.1", 80],
    ["node-1.example:65535", "node-1.example", 65_535],
    ["[::1]:4000", "::1", 4000],
  ])("%s has a host and a port", (text, host, port) => {
    expect(parseAddress(text)).toEqual({ host, port });
    expect(formatAddress(host, port)).toBe(text);
  });

  it("has port 0 only where one listens", () => {
    expect(parseAddress("host:0", 0)).toEqual({ host: "host", port: 0 });
    expect(parseAddress("host:-1", 0)).toBeUndefined();
  });

  it.each([
    "",
    ":",
    "host",
    "host:",
    ":80",
    "host:0",
    "host:65536",
    "host:1e3",
    "host:-1",
    "::1:80",
    "[x]:80",
    "a b:1",
  ])("is not %j", (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
});
