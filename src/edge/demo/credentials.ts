/**
 * What the members of a secured demo prove to each other: certificates of an authority of its own, or one cluster key; and
 * a key of the group. Files that only their owner reads, in the demo's folder, and gone with it.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SecureOptions } from "../../group/options.ts";
import { newClusterKey } from "../../runtime/secure/cluster-key.ts";
import { makeCertificates } from "./certificates.ts";
import { NAMES } from "./prices.ts";

export const SECURITIES = ["certificates", "key"] as const;
export type Security = (typeof SECURITIES)[number];

/** How one member is secured: names of files, no secrets. */
export interface MemberCredentials {
  readonly secure: SecureOptions;
  /** The key of the group. */
  readonly groupKey: string;
}

/** Writes the files; returns what each member is to use. */
export function makeCredentials(security: Security, folder: string): ReadonlyMap<string, MemberCredentials> {
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600, flag: "wx" });
    return path;
  };
  const groupKey = write("prices.key", newClusterKey());
  if (security === "key") {
    const secure = { clusterKey: write("cluster.key", newClusterKey()) };
    return new Map(NAMES.map((name) => [name, { secure, groupKey }]));
  }
  const made = makeCertificates(NAMES);
  const ca = write("authority.pem", made.ca);
  const credentials = new Map<string, MemberCredentials>();
  for (const [name, { cert, key }] of made.members) {
    const secure = { cert: write(`${name}.pem`, cert), key: write(`${name}-key.pem`, key), ca };
    credentials.set(name, { secure, groupKey });
  }
  return credentials;
}
