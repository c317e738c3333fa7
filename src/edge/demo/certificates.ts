/**
 * Certificates for a demo: an authority that nobody has heard of before, and one for each member, good for a day. Written
 * by hand, because Node.js makes keys and signatures but no certificates: X.509 version 3 in DER (RFC 5280), with Ed25519
 * (RFC 8410). Real clusters get theirs from their own authority.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** PEM texts. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const VALID_MS = 24 * 60 * 60 * 1000;
/** Clocks that are behind by less find them good. */
const EARLIER_MS = 60 * 60 * 1000;

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const BOOLEAN = 0x01;
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const TRUE = Buffer.of(BOOLEAN, 1, 0xff);
const ED25519 = Buffer.from("300506032b6570", "hex");
const COMMON_NAME = Buffer.from("0603550403", "hex");
const BASIC_CONSTRAINTS = Buffer.from("0603551d13", "hex");

/** An authority's certificate, PEM, and a certificate of it for each of the names. */
export function makeCertificates(names: readonly string[]): {
  readonly ca: string;
  readonly members: ReadonlyMap<string, Certificate>;
} {
  const issuer = "coterie demo";
  const authority = generateKeyPairSync("ed25519");
  const members = new Map<string, Certificate>();
  for (const name of names) {
    const pair = generateKeyPairSync("ed25519");
    const key = pair.privateKey.export({ format: "pem", type: "pkcs8" }).toString();
    members.set(name, { cert: certificate(name, pair, issuer, authority, false), key });
  }
  return { ca: certificate(issuer, authority, issuer, authority, true), members };
}

function certificate(name: string, of: KeyPair, issuer: string, by: KeyPair, isAuthority: boolean): string {
  const now = Date.now();
  const serial = randomBytes(16);
  // Positive, and without a zero that it does not need.
  serial[0] = 0x40 | ((serial[0] as number) & 0x3f);
  const constraints = der(SEQUENCE, isAuthority ? TRUE : Buffer.alloc(0));
  const signed = der(
    SEQUENCE,
    der(VERSION, der(INTEGER, Buffer.of(2))),
    der(INTEGER, serial),
    ED25519,
    distinguished(issuer),
    der(SEQUENCE, time(now - EARLIER_MS), time(now + VALID_MS)),
    distinguished(name),
    of.publicKey.export({ format: "der", type: "spki" }),
    der(EXTENSIONS, der(SEQUENCE, der(SEQUENCE, BASIC_CONSTRAINTS, TRUE, der(OCTET_STRING, constraints)))),
  );
  const signature = der(BIT_STRING, Buffer.of(0), sign(null, signed, by.privateKey));
  const lines = der(SEQUENCE, signed, ED25519, signature).toString("base64").replace(/.{64}/g, "$&\n");
  return `-----BEGIN CERTIFICATE-----\n${lines.trimEnd()}\n-----END CERTIFICATE-----\n`;
}

function distinguished(name: string): Buffer {
  return der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, der(UTF8_STRING, Buffer.from(name)))));
}

function time(at: number): Buffer {
  const text = new Date(at).toISOString().replace(/\.\d+|[-:T]/g, "");
  return der(UTC_TIME, Buffer.from(text.slice(2)));
}

/** One value: its tag, its length, what is in it. */
function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  const digits = length < 0x100 ? Buffer.of(0x81, length) : Buffer.of(0x82, length >> 8, length & 0xff);
  return Buffer.concat([Buffer.of(tag), digits, content]);
}
