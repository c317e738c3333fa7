/**
 * From the options of `start` to what stands before a node's connections; and the refusal to be reached from other
 * machines without it.
 */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { type ClusterKey, ClusterKeyError, clusterKeys, keysIn } from "../runtime/secure/cluster-key.ts";
import { type Certificates, Guard, isCertified } from "../runtime/secure/guard.ts";
import { CoterieError } from "./errors.ts";
import { type CertificateOptions, type KeySetting, NODE_NAME, type StartOptions } from "./options.ts";

/** Names a cluster key, or a file that holds some, for programs that do not say. */
export const CLUSTER_KEY_VARIABLE = "COTERIE_CLUSTER_KEY";

/** Throws `invalid-option`, and `insecure` when others could reach the node and it has nothing to ask of them. */
export function guardOf(options: StartOptions, hosts: readonly string[]): Guard | undefined {
  const { secure } = options;
  if (secure !== undefined && "cert" in secure) return certificateGuard(secure);
  const named = clusterKeysOf(options);
  if (named !== undefined) return new Guard({ kind: "cluster-key", keys: named.keys });
  const exposed = hosts.find((host) => !isLoopback(host));
  if (exposed === undefined || options.insecure === true) return undefined;
  throw new CoterieError(
    "insecure",
    `start: ${exposed} can be reached from other machines, and \`secure\` is not given`,
  );
}

/** Whether the options, or the environment, have something that nodes prove to each other. */
export function isSecured({ secure }: StartOptions): boolean {
  return secure !== undefined || (process.env[CLUSTER_KEY_VARIABLE] ?? "") !== "";
}

/** Names a data key, or a file that holds some, for programs that do not say. */
export const DATA_KEY_VARIABLE = "COTERIE_DATA_KEY";

/** Keys, and the setting that they come from, with its value. */
interface Named<K> {
  readonly setting: string;
  readonly value: KeySetting | undefined;
  readonly keys: readonly K[];
}

/** The cluster keys that the options, or the environment, name; undefined when none are. Throws `invalid-option`. */
export function clusterKeysOf({ secure }: Pick<StartOptions, "secure">): Named<ClusterKey> | undefined {
  const inherited = secure === undefined ? process.env[CLUSTER_KEY_VARIABLE] : undefined;
  const [setting, value] =
    secure !== undefined && "clusterKey" in secure
      ? ["start: `secure.clusterKey`", secure.clusterKey]
      : [CLUSTER_KEY_VARIABLE, inherited];
  return value === undefined || value === "" ? undefined : { setting, value, keys: readKeys(value, setting) };
}

/**
 * What seals the data directory: the data key, else the cluster key, else nothing. The first key is used, the others open
 * what was sealed before. Throws `invalid-option`.
 */
export function dataKeysOf({ dataKey, secure }: Pick<StartOptions, "dataKey" | "secure">): Named<Uint8Array> {
  const clusterKey = secure !== undefined && "clusterKey" in secure ? secure.clusterKey : undefined;
  const inherited = secure === undefined ? process.env[CLUSTER_KEY_VARIABLE] : undefined;
  const [setting, value] = [
    ["start: `dataKey`", dataKey] as const,
    [DATA_KEY_VARIABLE, process.env[DATA_KEY_VARIABLE]] as const,
    ["start: `secure.clusterKey`", clusterKey] as const,
    [CLUSTER_KEY_VARIABLE, inherited] as const,
  ].find(([, each]) => each !== undefined && each !== "") ?? ["start: `dataKey`", undefined];
  if (value === undefined) return { setting, value, keys: [] };
  try {
    const entries = Array.isArray(value) ? (value as readonly (string | Uint8Array)[]) : [value as string];
    return { setting, value, keys: entries.flatMap(keysIn) };
  } catch (cause) {
    if (!(cause instanceof ClusterKeyError)) throw cause;
    throw new CoterieError("invalid-option", `${setting} ${cause.message}`, { cause });
  }
}

/** The name that a node has unless it is told one: that of its certificate. */
export function certifiedName({ secure }: StartOptions): string | undefined {
  if (secure === undefined || !("cert" in secure)) return undefined;
  const name = /^CN=(.*)$/m.exec(certificate(pem(secure.cert, "cert")).subject)?.[1];
  return name !== undefined && NODE_NAME.test(name) ? name : undefined;
}

/** The node's name must be one that its certificate has; others would refuse it. */
export function checkName({ secure }: StartOptions, name: string): void {
  if (secure === undefined || !("cert" in secure) || isCertified(pem(secure.cert, "cert"), name)) return;
  throw new CoterieError("invalid-option", `start: \`name\`: the certificate of \`secure.cert\` is not for ${name}`);
}

/** `where` names the setting in errors. */
export function keyGuard(setting: KeySetting, where: string): Guard {
  return new Guard({ kind: "cluster-key", keys: readKeys(setting, where) });
}

function readKeys(setting: KeySetting, where: string): readonly ClusterKey[] {
  try {
    return clusterKeys(setting);
  } catch (cause) {
    if (!(cause instanceof ClusterKeyError)) throw cause;
    throw new CoterieError("invalid-option", `${where} ${cause.message}`, { cause });
  }
}

/**
 * The key of each of these groups that has one, by name: what `keys` has for it, else `key` if the group is secure. Throws
 * `invalid-option`.
 */
export function groupKeysOf(
  groups: readonly { readonly name: string; readonly secure: boolean }[],
  { key, keys = {} }: { readonly key?: unknown; readonly keys?: unknown },
): ReadonlyMap<string, Uint8Array> {
  const problem = (why: string): CoterieError => new CoterieError("invalid-option", `join: ${why}`);
  if (typeof keys !== "object" || keys === null) throw problem("`keys` is not an object");
  const found = new Map<string, Uint8Array>();
  const secure = groups.filter((group) => group.secure).map(({ name }) => name);
  if (key !== undefined) {
    const names = groups.map(({ name }) => name).join(", ");
    if (secure.length === 0) throw problem(`\`key\` is given, and ${names} is not secure`);
    const bytes = groupKeyBytes(key, "join: `key`");
    for (const name of secure) found.set(name, bytes);
  }
  for (const [name, own] of Object.entries(keys)) {
    if (!secure.includes(name))
      throw problem(`\`keys\` has one for ${name}, which is not a secure group among those joined`);
    found.set(name, groupKeyBytes(own, `join: \`keys["${name}"]\``));
  }
  return found;
}

/** The one key that a setting names; `where` names the setting. Throws `invalid-option`. */
export function groupKeyBytes(setting: unknown, where: string): Uint8Array {
  const problem = (why: string, cause?: unknown): CoterieError =>
    new CoterieError("invalid-option", `${where} ${why}`, { cause });
  if (typeof setting !== "string" && !(setting instanceof Uint8Array)) throw problem("is neither text nor bytes");
  let keys: readonly Uint8Array[];
  try {
    keys = keysIn(setting);
  } catch (cause) {
    if (!(cause instanceof ClusterKeyError)) throw cause;
    throw problem(cause.message, cause);
  }
  const [key] = keys;
  if (key === undefined || keys.length > 1) throw problem("names more than one key, and a group has one");
  return key;
}

function certificateGuard(options: CertificateOptions): Guard {
  const certificates: Certificates = {
    cert: pem(options.cert, "cert"),
    key: pem(options.key, "key"),
    ca: pem(options.ca, "ca"),
    crl: options.crl === undefined ? undefined : pem(options.crl, "crl"),
  };
  try {
    return new Guard({ kind: "certificates", certificates });
  } catch (cause) {
    throw new CoterieError("invalid-option", "start: `secure`: TLS cannot use these certificates", { cause });
  }
}

function certificate(text: string | Buffer): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (cause) {
    throw new CoterieError("invalid-option", "start: `secure.cert` is not a certificate", { cause });
  }
}

function pem(value: string | Buffer, field: string): string | Buffer {
  if (Buffer.isBuffer(value) || value.includes("-----BEGIN")) return value;
  try {
    return readFileSync(value);
  } catch (cause) {
    throw new CoterieError("invalid-option", `start: \`secure.${field}\` is neither PEM nor a file that can be read`, {
      cause,
    });
  }
}

/** Names other than `localhost` are not looked up: what they stand for may change. */
function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith("127.");
  return host === "::1" || host === "localhost";
}
