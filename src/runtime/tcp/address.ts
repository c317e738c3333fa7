/**
 * An address is `host:port`; a host with colons stands in brackets, as in a URL. This is the only place that takes one
 * apart, so that other kinds (a Unix socket's path) can be added here.
 */
import { isIPv6 } from "node:net";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The address in this text, or undefined when it is not one. Port 0, any free one, is only good to listen at. */
export function parseAddress(text: string, lowestPort: 0 | 1 = 1): Address | undefined {
  const colon = text.lastIndexOf(":");
  if (colon <= 0) return undefined;
  const digits = text.slice(colon + 1);
  if (!/^[0-9]{1,5}$/.test(digits)) return undefined;
  const port = Number(digits);
  if (port < lowestPort || port > 65_535) return undefined;
  const host = text.slice(0, colon);
  if (host.startsWith("[") && host.endsWith("]")) {
    const inner = host.slice(1, -1);
    return isIPv6(inner) ? { host: inner, port } : undefined;
  }
  // A name may hold anything that the resolver knows, but never a colon, a blank or a bracket.
  return /^[^\s:[\]/]{1,255}$/.test(host) ? { host, port } : undefined;
}

export function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

export type ListenErrorCode = "port-in-use" | "address-not-available" | "permission-denied" | "listen-failed";

/** The address that a node was told to listen at cannot be had. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code: ListenErrorCode;
  readonly host: string;
  readonly port: number;

  constructor(code: ListenErrorCode, host: string, port: number, cause: unknown) {
    super(LISTEN_ERROR_TEXTS[code](formatAddress(host, port), port), { cause });
    this.code = code;
    this.host = host;
    this.port = port;
  }

  /** The error for what the operating system said. */
  static from(cause: unknown, host: string, port: number): ListenError {
    const systemCode = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (systemCode === "EADDRINUSE") return new ListenError("port-in-use", host, port, cause);
    if (systemCode === "EADDRNOTAVAIL" || systemCode === "ENOTFOUND")
      return new ListenError("address-not-available", host, port, cause);
    if (systemCode === "EACCES") return new ListenError("permission-denied", host, port, cause);
    return new ListenError("listen-failed", host, port, cause);
  }
}

const LISTEN_ERROR_TEXTS: Readonly<Record<ListenErrorCode, (address: string, port: number) => string>> = {
  "port-in-use": (address, port) => `port ${port} is already in use: cannot listen at ${address}`,
  "address-not-available": (address) => `this machine does not have the address ${address}: cannot listen there`,
  "permission-denied": (address) => `not permitted to listen at ${address}`,
  "listen-failed": (address) => `cannot listen at ${address}`,
};
