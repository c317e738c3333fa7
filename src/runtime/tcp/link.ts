/**
 * A link to one incarnation of a node: an inbound stream, which we dial, and an outbound stream, which the node dials.
 * Each is resumed after a lost connection at exactly the next frame, or the link is `broken` for good (rule C12).
 *
 * What makes a gap impossible is the pair of sessions. Each side numbers its links; the first hello or welcome fixes the
 * number of the other side, and whoever shows another number has forgotten what the streams were. Then nothing is
 * resumed, unless nothing was ever sent.
 */

import type { Slab } from "../../base/slabs.ts";
import type { NodeRecord } from "../../protocol/view.ts";
import type { Evidence, Lane, Refusal } from "../ports.ts";
import type { Caller } from "./caller.ts";
import { type Hello, handshakeFrame, type Refused, type Welcome } from "./handshake.ts";
import { Inbound, type InboundOwner } from "./inbound.ts";
import { Outbound, type OutboundOwner } from "./outbound.ts";
import type { Surroundings } from "./surroundings.ts";

/** Evidence is only reported when it says more than what was reported since the link was last up. */
const STRENGTH: Readonly<Record<Evidence | "up" | "nothing", number>> = {
  nothing: 0,
  up: 0,
  lost: 1,
  refused: 2,
  replaced: 3,
  broken: 4,
};

export class Link implements InboundOwner, OutboundOwner {
  #peer: NodeRecord;
  readonly #session: number;
  readonly #surroundings: Surroundings;
  readonly #inbound: Inbound;
  readonly #outbound: Outbound;
  /** The peer's session, 0 while it is unknown, and the latest attempt that it made in it. */
  #peerSession = 0;
  #peerAttempt = 0;
  #reported: Evidence | "up" | "nothing" = "nothing";
  #reportedRefusal: Refusal | undefined;
  #isBroken = false;
  #isCut = false;
  /** Whether frames were queued since the last flush; the network's list of links to flush relies on it. */
  isDirty = false;

  constructor(peer: NodeRecord, session: number, surroundings: Surroundings) {
    this.#peer = peer;
    this.#session = session;
    this.#surroundings = surroundings;
    this.#inbound = new Inbound(this, surroundings);
    this.#outbound = new Outbound(this, surroundings);
  }

  get peer(): NodeRecord {
    return this.#peer;
  }

  /** The same incarnation is now known under another address. */
  set peer(peer: NodeRecord) {
    this.#peer = peer;
  }

  get backlogBytes(): number {
    return this.#outbound.backlogBytes;
  }

  start(): void {
    this.#inbound.start();
  }

  /** Ends the link; nothing is reported any more. */
  cut(): void {
    this.#isCut = true;
    this.#inbound.stop();
    this.#outbound.stop();
  }

  send(lane: Lane, frame: Uint8Array, memory: Slab | undefined): void {
    if (this.#isBroken) return;
    this.#outbound.push(lane, frame, memory);
    if (this.#outbound.backlogBytes > this.#surroundings.limits.backlogBytesMax) this.#break();
  }

  /** Writes about so many bytes; false when no more can be written now. */
  pump(bytesMax: number): boolean {
    return this.#outbound.pump(bytesMax);
  }

  pulse(): void {
    this.#outbound.pulse();
    this.#inbound.pulse();
  }

  /** Whether the connection over which it receives may be made anew, with the cluster key to use. */
  get isRenewable(): boolean {
    return this.#inbound.isRenewable;
  }

  /** How many of its connections were made with another cluster key than that to use. */
  get outdated(): number {
    return Number(this.#inbound.isOutdated) + Number(this.#outbound.isOutdated);
  }

  /** `done`: when that has come to an end, one way or the other. */
  renew(done: () => void): void {
    this.#inbound.renew(done);
  }

  /** The peer dialled us. */
  accept(caller: Caller, hello: Hello, version: number): void {
    if (hello.peerSession !== 0 && hello.peerSession !== this.#session) {
      caller.refuse("broken", "it is another link by now");
      return;
    }
    if (this.#isBroken) {
      if (hello.peerSession === 0) caller.refuse("not-linked", "");
      else caller.refuse("broken", "");
      return;
    }
    const isStale =
      hello.session < this.#peerSession || (hello.session === this.#peerSession && hello.attempt <= this.#peerAttempt);
    if (isStale) {
      caller.drop();
      return;
    }
    const isRenewed = this.#peerSession !== 0 && this.#peerSession !== hello.session;
    // Who begins another session has ended the connections of this one. Over that which we receive by it says otherwise, so
    // this is somebody else in its name; or the news of the end is on its way, and it will try again.
    if (isRenewed && this.#inbound.isUp) {
      caller.refuse("not-linked", "");
      return;
    }
    if (!this.#isSession(hello.session)) {
      caller.refuse("not-linked", "");
      return;
    }
    // What may still arrive from the session before must not be taken for a part of this one.
    if (isRenewed) this.#inbound.restart();
    this.#peerAttempt = hello.attempt;
    const { record, cluster } = this.#surroundings.sink.identity();
    const { offset } = hello;
    const welcome = handshakeFrame({ kind: "welcome", version, cluster, record, session: this.#session, offset });
    if (!this.#outbound.stream(caller, welcome, offset)) {
      caller.refuse("broken", `the stream cannot resume at ${offset}`);
      this.#break();
      return;
    }
    const { guard, liveness } = this.#surroundings;
    const secret = caller.secret(guard);
    if (secret !== undefined) liveness?.sealWith(this.#peer.id, secret);
    this.#inbound.hurry();
    this.#reportUp();
  }

  hello(attempt: number, offset: number): Uint8Array {
    const { record, cluster } = this.#surroundings.sink.identity();
    const { versionOldest, versionNewest } = this.#surroundings.limits;
    return handshakeFrame({
      kind: "hello",
      versionOldest,
      versionNewest,
      cluster,
      record,
      expects: this.#peer.id,
      probe: false,
      session: this.#session,
      peerSession: this.#peerSession,
      attempt,
      offset,
    });
  }

  welcomed(welcome: Welcome, offset: number): boolean {
    if (welcome.record.id !== this.#peer.id) {
      this.#note("replaced");
      return false;
    }
    const { versionOldest, versionNewest } = this.#surroundings.limits;
    const isVersion = welcome.version >= versionOldest && welcome.version <= versionNewest;
    if (!isVersion || welcome.session === 0 || welcome.offset !== offset) {
      this.garbage("a welcome to another stream");
      return false;
    }
    return welcome.session >= this.#peerSession && this.#isSession(welcome.session);
  }

  turnedAway(refusal: Refused): void {
    switch (refusal.code) {
      case "not-linked":
        return;
      case "replaced":
        this.#note("replaced");
        return;
      case "broken":
        if (this.#isUnused) this.#peerSession = 0;
        else this.#break();
        return;
      default:
        this.#reportRefusal(refusal.code, refusal.detail);
    }
  }

  inboundUp(secret: Uint8Array | undefined): void {
    if (secret !== undefined) this.#surroundings.liveness?.openWith(this.#peer.id, secret);
    this.#reportUp();
  }

  inboundDown(evidence: Evidence): void {
    this.#note(evidence);
  }

  outboundDown(): void {
    this.#note("lost");
  }

  garbage(what: string): void {
    this.#post(() => this.#surroundings.sink.garbage(this.#peer.id, what));
  }

  frame(frame: Uint8Array, slab: Slab): boolean {
    this.#surroundings.sink.frame(this.#peer.id, frame, slab);
    return !this.#isCut && !this.#isBroken;
  }

  get #isUnused(): boolean {
    return this.#outbound.isUnused && this.#inbound.consumed === 0;
  }

  /** Fixes the peer's session, or breaks the link because the peer has begun another one. */
  #isSession(session: number): boolean {
    if (session === this.#peerSession) return true;
    if (this.#peerSession !== 0 && !this.#isUnused) {
      this.#break();
      return false;
    }
    this.#peerSession = session;
    this.#peerAttempt = 0;
    return true;
  }

  #break(): void {
    if (this.#isBroken || this.#isCut) return;
    this.#isBroken = true;
    this.#surroundings.counters.broken++;
    this.#inbound.stop();
    this.#outbound.stop();
    this.#note("broken");
  }

  #reportUp(): void {
    if (!this.#inbound.isUp || !this.#outbound.isUp || this.#reported === "up") return;
    this.#reported = "up";
    this.#reportedRefusal = undefined;
    this.#post(() => this.#surroundings.sink.linkUp(this.#peer.id));
  }

  #note(evidence: Evidence): void {
    if (STRENGTH[evidence] <= STRENGTH[this.#reported]) return;
    this.#reported = evidence;
    this.#post(() => this.#surroundings.sink.linkDown(this.#peer.id, evidence));
  }

  #reportRefusal(refusal: Refusal, detail: string): void {
    if (refusal === this.#reportedRefusal) return;
    this.#reportedRefusal = refusal;
    this.#post(() => this.#surroundings.sink.refused(this.#peer.address, refusal, detail));
  }

  #post(notice: () => void): void {
    this.#surroundings.notices.post(() => {
      if (!this.#isCut) notice();
    });
  }
}
