/**
 * A group's own key: what its members have and other nodes of the cluster do not. From the key and the group's name follow
 * a key pair (Ed25519), by which a node proves that it may join, and what is mixed into the key of every packet, so that
 * nothing that the cluster knows opens one. Neither says anything about the key itself.
 */
import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject, sign, verify } from "node:crypto";
import { statementOf, successionOf } from "../../protocol/membership/proof.ts";
import type { NodeId } from "../../protocol/view.ts";

/** What stands before the 32 bytes of a key in its DER form (RFC 8410). */
const PRIVATE_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const PUBLIC_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

export class GroupKey {
  readonly publicKey: Uint8Array;
  /** What is mixed into the keys of packets. */
  readonly secret: Uint8Array;
  readonly #group: string;
  readonly #privateKey: KeyObject;

  /** `key`: random bytes that only those have who may be members. */
  constructor(key: Uint8Array, group: string) {
    this.#group = group;
    this.secret = derive(key, "packets", group);
    const seed = derive(key, "joins", group);
    const encoded = Buffer.concat([PRIVATE_PREFIX, seed]);
    this.#privateKey = createPrivateKey({ key: encoded, format: "der", type: "pkcs8" });
    encoded.fill(0);
    seed.fill(0);
    const published = createPublicKey(this.#privateKey).export({ format: "der", type: "spki" });
    this.publicKey = new Uint8Array(published.subarray(PUBLIC_PREFIX.length));
  }

  /** The signature with which this incarnation may join the group in this cluster. */
  prove(cluster: string, node: NodeId): Uint8Array {
    return new Uint8Array(sign(null, statementOf(cluster, this.#group, node), this.#privateKey));
  }

  /** The signature with which this incarnation may give the group the key with this public key in place of this one. */
  proveSuccessor(cluster: string, node: NodeId, publicKey: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, successionOf(cluster, this.#group, node, publicKey), this.#privateKey));
  }
}

/** Whether a signature is by the key pair with this public key; false for what is no key or no signature. */
export function isSigned(publicKey: Uint8Array, statement: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(null, statement, verifierOf(publicKey), signature);
  } catch {
    return false;
  }
}

/** Keys that were met lately: making one takes as long as a verification. */
const verifiers = new Map<string, KeyObject>();
const VERIFIERS_MAX = 100;

function verifierOf(publicKey: Uint8Array): KeyObject {
  const name = Buffer.from(publicKey).toString("latin1");
  const known = verifiers.get(name);
  if (known !== undefined) return known;
  const key = createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, publicKey]), format: "der", type: "spki" });
  if (verifiers.size >= VERIFIERS_MAX) verifiers.clear();
  verifiers.set(name, key);
  return key;
}

function derive(key: Uint8Array, purpose: string, group: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", key, "", `coterie 1 group key: ${purpose}\0${group}`, 32));
}
