/**
 * Network addresses as people write them: `host:port`, the host being an IPv4 address, an IPv6 address in brackets, or
 * a name. Two ways to write one address come out the same; names are kept as names, in lower case.
 */
import { isIPv4, isIPv6 } from "node:net";
import { DiscoveryError } from "./discovery.ts";

export interface Address {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** Whether the host must be looked up. */
  readonly isName: boolean;
  /** The whole, as it is compared and dialled. */
  readonly text: string;
}

const NAME_LENGTH_MAX = 253;
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** Throws a `DiscoveryError` of this field that names the text. */
export function parseAddress(text: string, field: string): Address {
  const fail = (problem: string): DiscoveryError =>
    new DiscoveryError(
      field,
      `"${text}" ${problem}; expected host:port, as in 10.0.0.7:4100, [fd00::7]:4100 or db.local:4100`,
    );
  const colon = text.lastIndexOf(":");
  if (colon < 0 || text.endsWith("]")) throw fail("has no port");
  const host = text.slice(0, colon).toLowerCase();
  const digits = text.slice(colon + 1);
  const port = Number(digits);
  if (!/^[0-9]{1,5}$/.test(digits) || port < 1 || port > 65_535) throw fail("has no port between 1 and 65535");
  if (host.startsWith("[") && host.endsWith("]")) {
    if (host.includes("%") || !isIPv6(host.slice(1, -1))) throw fail("has no IPv6 address between its brackets");
    return address(new URL(`tcp://${host}`).hostname.slice(1, -1), port, false);
  }
  if (host.includes(":")) throw fail("has an IPv6 address without brackets, or two ports");
  if (isIPv4(host)) return address(host, port, false);
  if (!isName(host)) throw fail("has no valid host");
  return address(host, port, true);
}

export function address(host: string, port: number, isNamed: boolean): Address {
  return { host, port, isName: isNamed, text: `${host.includes(":") ? `[${host}]` : host}:${port}` };
}

function isName(host: string): boolean {
  const labels = (host.endsWith(".") ? host.slice(0, -1) : host).split(".");
  // What ends in a number is a mistyped IPv4 address.
  const isNumber = /^[0-9]+$/.test(labels.at(-1) ?? "");
  return host.length <= NAME_LENGTH_MAX && !isNumber && labels.every((label) => LABEL.test(label));
}
