/**
 * The proof that a node may join a group that has a key of its own: a signature over the cluster, the group and the node's
 * incarnation, by the key pair that follows from the group's key. The directory has the public key, from who made the group,
 * and so every replica of it comes to the same verdict; who does not have the group's key is not admitted. How signatures
 * are checked is passed in.
 */
import { bytes, encode, type Laid, record, text } from "../../wire/layout.ts";
import { type NodeId, nodeId } from "../view.ts";

export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/** The public key is the group's; whoever makes the group gives it this key. */
export const proof = record({ publicKey: bytes(PUBLIC_KEY_BYTES), signature: bytes(SIGNATURE_BYTES) });
export type Proof = Laid<typeof proof>;

/** Whether the signature over the statement is by the key pair with this public key: equal answers to equal questions. */
export type Verify = (publicKey: Uint8Array, statement: Uint8Array, signature: Uint8Array) => boolean;

const statement = record({ purpose: text(32), cluster: text(64), group: text(256), node: nodeId });

/** What is signed. */
export function statementOf(cluster: string, group: string, node: NodeId): Uint8Array {
  return encode(statement, { purpose: "coterie 1 join", cluster, group, node });
}

const succession = record({
  purpose: text(32),
  cluster: text(64),
  group: text(256),
  node: nodeId,
  publicKey: bytes(PUBLIC_KEY_BYTES),
});

/** What is signed, by the present key, when the node wants the group to have the key with this public key. */
export function successionOf(cluster: string, group: string, node: NodeId, publicKey: Uint8Array): Uint8Array {
  return encode(succession, { purpose: "coterie 1 rekey", cluster, group, node, publicKey });
}

/** Where and by whom something is proved. */
interface Occasion {
  readonly cluster: string;
  readonly group: string;
  readonly node: NodeId;
  readonly verify: Verify;
}

/** Whether the node may give a group with this key the key of this proof. */
export function isSuccession(key: Uint8Array, { publicKey, signature }: Proof, at: Occasion): boolean {
  if (key.length !== PUBLIC_KEY_BYTES || publicKey.length !== PUBLIC_KEY_BYTES) return false;
  return at.verify(key, successionOf(at.cluster, at.group, at.node, publicKey), signature);
}

/** Whether the node may join a group with this key, "no bytes" for none. */
export function isProven(key: Uint8Array, given: Proof | undefined, at: Occasion): boolean {
  // Who brings a key expects the group to be protected by it.
  if (given === undefined) return key.length === 0;
  const { publicKey, signature } = given;
  if (publicKey.length !== PUBLIC_KEY_BYTES || !areEqual(key, publicKey)) return false;
  return at.verify(key, statementOf(at.cluster, at.group, at.node), signature);
}

export function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
