/**
 * The options of `start`, checked before anything else happens: an unknown name or a bad value is refused with the field
 * named, so that a slip of the pen never becomes a cluster that cannot form.
 */
import type { HistorySink } from "../protocol/history.ts";
import type { NodeId } from "../protocol/view.ts";
import type { Log } from "./diagnostics.ts";
import { CoterieError } from "./errors.ts";

export interface StartOptions {
  /** Names the node for people: the first part of its id. 1 to 64 letters, digits, `.`, `_` or `-`. Default: a random one. */
  readonly name?: string;
  /** Where to listen: "host:port" or "port"; port 0 is any free one. Default: any free port of the loopback interface. */
  readonly listen?: string;
  /** The "host:port" at which others reach this node, if it is not where it listens. */
  readonly advertise?: string;
  /** Addresses of nodes that may be up, "host:port", or one DNS name that has them. Default: discovery on this machine. */
  readonly seeds?: string | readonly string[];
  /** The addresses, "host:port", of the nodes that found the cluster together: all of them, the same list at each. */
  readonly founders?: readonly string[];
  /** The directory in which the nodes of one machine and user find each other, or false for no such discovery. */
  readonly discovery?: string | false;
  /**
   * The directory, made if need be, in which this node keeps what it promises to the cluster, and durable groups; one node
   * uses it at a time. Default: none, and what the node has promised and held is gone with its process.
   */
  readonly dataDir?: string;
  /**
   * What seals the data directory, so that nothing in it can be read without: a key as `coterie key new` makes it, or the path
   * of a file that holds some, or several of these. The first is used, the others open what was sealed before. Default: what
   * COTERIE_DATA_KEY names, else the cluster key; without any the directory is in clear. A directory that was begun in clear
   * stays so.
   */
  readonly dataKey?: KeySetting;
  /** After so many milliseconds of silence a node is taken for failed. 100 to 600,000; default 3000. */
  readonly failureTimeoutMs?: number;
  /** How many nodes, the oldest, agree on views and keep the directory. 1 to 15; default 5. */
  readonly directorySize?: number;
  /** How many votes the node has among those who agree on views: 0, none, to 100; default 1. */
  readonly weight?: number;
  /** Whether the node only votes: it can join no group. A cluster of two with a witness survives the loss of any of them. */
  readonly witness?: boolean;
  /**
   * What nodes prove to each other before anything else, and with what everything between them is encrypted. Default: the
   * key or file that COTERIE_CLUSTER_KEY names, if it is set; else nothing, which only loopback addresses allow.
   */
  readonly secure?: SecureOptions;
  /** Lets a node without `secure` be reached from other machines: whoever reaches it is believed. */
  readonly insecure?: boolean;
  /**
   * Says whether another node may join a group. Asked at the node that leads the cluster, the oldest that decides, so give it
   * to all nodes. With certificates the node's name is one that its certificate has; with a cluster key it is what the
   * node says. A node that is not let in is told `refused`; so is one about which nothing was said for 5 seconds, or about
   * which this throws. Default: every node may join every group.
   */
  readonly authorize?: (applicant: Applicant) => boolean | Promise<boolean>;
  /** Gives up starting, and later closes the node. */
  readonly signal?: AbortSignal;
  /** Gets everything that has no caller to be told. Default: warnings and errors to the console. */
  readonly log?: Log;
  /**
   * Gets the events of the run, for the checkers of the model; or a directory in which to write them, one file for each
   * incarnation of the node. Default: the directory that COTERIE_HISTORY names, if it is set.
   */
  readonly history?: HistorySink | string;
}

/** A key as `coterie key new` makes it or its 32 bytes, the path of a file that holds some, or several of these. */
export type KeySetting = string | Uint8Array | readonly (string | Uint8Array)[];

/** A node that wants to join a group, or to create it. */
export interface Applicant {
  readonly node: NodeId;
  /** The node's name: the first part of its id. */
  readonly name: string;
  readonly group: string;
}

/** Proof by a key that all nodes of the cluster have. */
export interface ClusterKeyOptions {
  /**
   * A key as `coterie key new` makes it, or the path of a file that holds some, or several of these. The first key is used,
   * the others are accepted too, so that keys can be changed while the cluster runs.
   */
  readonly clusterKey: KeySetting;
}

/** Proof by certificates, each the path of a PEM file or the PEM itself. */
export interface CertificateOptions {
  /** This node's certificate, which must have the node's name; with it those between it and the authority. */
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** The authority that signs the certificates of all nodes. */
  readonly ca: string | Buffer;
  /** Certificates that are accepted no longer: a revocation list of the authority. */
  readonly crl?: string | Buffer;
}

export type SecureOptions = ClusterKeyOptions | CertificateOptions;

type Check = (value: unknown) => string | undefined;

const CHECKS: { readonly [K in keyof Required<StartOptions>]: Check } = {
  name: (value) =>
    typeof value === "string" && NODE_NAME.test(value) ? undefined : "is not 1 to 64 letters, digits, `.`, `_` or `-`",
  listen: (value) => (isAddress(value, true) ? undefined : 'is not "host:port" or "port"'),
  advertise: (value) => (isAddress(value, false) ? undefined : 'is not "host:port"'),
  seeds: (value) => (isSeeds(value) ? undefined : 'is not a list of "host:port", nor one DNS name'),
  founders: (value) => (isAddresses(value) ? undefined : 'is not a list of different "host:port"'),
  discovery: (value) =>
    value === false || (typeof value === "string" && value !== "") ? undefined : "is neither a directory nor false",
  dataDir: (value) => (typeof value === "string" && value !== "" ? undefined : "is not a directory"),
  dataKey: keyProblem,
  failureTimeoutMs: (value) => whole(value, 100, 600_000),
  directorySize: (value) => whole(value, 1, 15),
  weight: (value) => whole(value, 0, 100),
  witness: (value) => (typeof value === "boolean" ? undefined : "is neither true nor false"),
  secure: secureProblem,
  insecure: (value) => (typeof value === "boolean" ? undefined : "is neither true nor false"),
  authorize: (value) => (typeof value === "function" ? undefined : "is not a function"),
  signal: (value) => (value instanceof AbortSignal ? undefined : "is not an AbortSignal"),
  log: (value) => (typeof value === "function" ? undefined : "is not a function"),
  history: (value) =>
    typeof value === "function" || (typeof value === "string" && value !== "")
      ? undefined
      : "is neither a function nor a directory",
};

export const NODE_NAME = /^[A-Za-z0-9._-]{1,64}$/;

/** The options, known to be good. Throws `invalid-option`. */
export function checkOptions(options: unknown): StartOptions {
  if (typeof options !== "object" || options === null) {
    throw new CoterieError("invalid-option", "start: the options are not an object");
  }
  for (const [field, value] of Object.entries(options)) {
    const check = Object.hasOwn(CHECKS, field) ? CHECKS[field as keyof StartOptions] : undefined;
    if (check === undefined) {
      const remedy = `The options are ${Object.keys(CHECKS).join(", ")}.`;
      throw new CoterieError("invalid-option", `start: \`${field}\` is not an option`, { remedy });
    }
    const problem = value === undefined ? undefined : check(value);
    if (problem !== undefined) throw new CoterieError("invalid-option", `start: \`${field}\` ${problem}`);
  }
  return options;
}

function secureProblem(value: unknown): string | undefined {
  const shape = "is neither { clusterKey } nor { cert, key, ca, crl? }";
  if (typeof value !== "object" || value === null) return shape;
  const fields = Object.keys(value);
  const given = Object.values(value);
  if (fields.length === 1 && fields[0] === "clusterKey") {
    const problem = keyProblem(given[0]);
    return problem && `has a \`clusterKey\` that ${problem}`;
  }
  const known = ["cert", "key", "ca", "crl"];
  const isWhole = known.slice(0, 3).every((field) => fields.includes(field));
  if (!isWhole || !fields.every((field) => known.includes(field))) return shape;
  const arePems = given.every((each) => each === undefined || typeof each === "string" || Buffer.isBuffer(each));
  return arePems ? undefined : "has a field that is neither a path nor PEM";
}

export function keyProblem(value: unknown): string | undefined {
  const keys = [value].flat();
  const areKeys = keys.length > 0 && keys.every((key) => typeof key === "string" || key instanceof Uint8Array);
  return areKeys ? undefined : "is neither text nor bytes, nor a list of such";
}

function isAddress(value: unknown, portAlone: boolean): boolean {
  if (typeof value !== "string") return false;
  const [, host, port] = /^(?:(\[[0-9A-Fa-f:.]+(?:%[^\s\]]+)?\]|[^\s:[\]]+):)?(\d{1,5})$/.exec(value) ?? [];
  return port !== undefined && Number(port) <= 65_535 && (portAlone || host !== undefined);
}

function isAddresses(value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0) return false;
  return new Set(value).size === value.length && value.every((address) => isAddress(address, false));
}

function isSeeds(value: unknown): boolean {
  if (typeof value === "string") return /^[A-Za-z0-9._-]+(:\d{1,5})?$/.test(value);
  return Array.isArray(value) && value.every((address) => isAddress(address, false));
}

function whole(value: unknown, low: number, high: number): string | undefined {
  if (typeof value === "number" && Number.isInteger(value) && value >= low && value <= high) return undefined;
  return `is not a whole number from ${low} to ${high}`;
}
