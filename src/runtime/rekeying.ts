/**
 * How a group gets another key of its own while it works. The member that was given the new key *offers* it to all others
 * of its view, sealed as everything between members is, and again until all of that view have *taken* it. Then it asks the
 * directory, with a signature by the present key; the request counts only as long as that view is the newest. So when the
 * directory has the new key all members have it, and nobody else: its next target is sealed with it, and whoever
 * joins from then on needs it. If the view changes meanwhile it all begins anew.
 */
import type { DirectoryCommand, Message } from "../protocol/messages.ts";
import type { GroupView, NodeId } from "../protocol/view.ts";
import { GroupKey } from "./secure/group-key.ts";

export interface RekeyingHost {
  readonly self: NodeId;
  /** Of this node. */
  readonly cluster: string;
  /** Milliseconds. */
  now(): number;
  /** The view of the group that this member is in, if none is to follow. */
  settledView(group: number): GroupView | undefined;
  /** Sealed. */
  send(to: readonly NodeId[], message: Message): void;
  request(command: DirectoryCommand): void;
  /** What is sealed for later views is sealed with this in place of what was mixed in before. */
  mixIn(group: number, secret: Uint8Array): void;
}

/** `keyless`: the group has no key of its own, and gets none. */
export type RekeyOutcome = "rekeyed" | "keyless";

const OFFER_AGAIN_MS = 250;
/** Keys that were offered here by members who may not have been able to go on; of each group. */
const OFFERED_MAX = 8;

type Offer = Extract<Message, { readonly kind: "keyOffer" }>;
type Taken = Extract<Message, { readonly kind: "keyTaken" }>;

/** What this member was asked to bring about. */
interface Wish {
  readonly bytes: Uint8Array;
  readonly key: GroupKey;
  readonly done: (outcome: RekeyOutcome) => void;
  /** The view in which it is being offered, who has taken it there, and when it was offered last. */
  view: number;
  readonly takenBy: Set<NodeId>;
  offeredAt: number;
  isAskedFor: boolean;
}

interface Keyed {
  readonly name: string;
  key: GroupKey;
  /** By public key. */
  readonly offered: Map<string, GroupKey>;
  readonly wishes: Wish[];
}

export class Rekeying {
  readonly #host: RekeyingHost;
  /** Groups with keys of their own, that this node is a member of. */
  readonly #groups = new Map<number, Keyed>();

  constructor(host: RekeyingHost) {
    this.#host = host;
  }

  enter(group: number, name: string, key: GroupKey): void {
    this.#groups.set(group, { name, key, offered: new Map(), wishes: [] });
  }

  leave(group: number): void {
    this.#groups.delete(group);
  }

  /** Calls back when the group has this key; never once the membership has ended. The result takes it back, if it is not too late. */
  begin(group: number, bytes: Uint8Array, done: (outcome: RekeyOutcome) => void): () => void {
    const keyed = this.#groups.get(group);
    if (keyed === undefined) {
      done("keyless");
      return () => {};
    }
    const { wishes, name } = keyed;
    const key = new GroupKey(bytes, name);
    const offeredAt = Number.NEGATIVE_INFINITY;
    const wish = { bytes: bytes.slice(), key, done, view: 0, takenBy: new Set<NodeId>(), offeredAt, isAskedFor: false };
    wishes.push(wish);
    return () => {
      const at = wishes.indexOf(wish);
      if (at >= 0) wishes.splice(at, 1);
    };
  }

  receive(from: NodeId, message: Offer | Taken): void {
    const keyed = this.#groups.get(message.group);
    const view = this.#host.settledView(message.group);
    if (keyed === undefined || view?.number !== message.view || !view.members.includes(from)) return;
    if (message.kind === "keyOffer") {
      const { publicKey } = this.#offered(keyed, message.key);
      this.#host.send([from], { kind: "keyTaken", group: message.group, view: view.number, publicKey });
      return;
    }
    const [wish] = keyed.wishes;
    if (wish?.view === view.number && nameOf(wish.key.publicKey) === nameOf(message.publicKey)) wish.takenBy.add(from);
  }

  /** The directory has another key for this group. */
  changed(group: number, publicKey: Uint8Array): void {
    const keyed = this.#groups.get(group);
    const name = nameOf(publicKey);
    const fulfilled = keyed?.wishes.filter(({ key }) => nameOf(key.publicKey) === name) ?? [];
    const key = fulfilled[0]?.key ?? keyed?.offered.get(name);
    if (keyed === undefined || key === undefined) return;
    keyed.key = key;
    keyed.offered.clear();
    this.#host.mixIn(group, key.secret);
    for (const wish of fulfilled) {
      keyed.wishes.splice(keyed.wishes.indexOf(wish), 1);
      wish.done("rekeyed");
    }
  }

  /** Goes on with what is to be brought about; at least as often as heartbeats are sent. */
  turn(): void {
    for (const [group, keyed] of this.#groups) {
      const [wish] = keyed.wishes;
      const view = wish && this.#host.settledView(group);
      if (wish !== undefined && view !== undefined) this.#goOn(group, keyed, wish, view);
    }
  }

  #goOn(group: number, keyed: Keyed, wish: Wish, { number: view, members }: GroupView): void {
    const { self, cluster } = this.#host;
    const { key } = keyed;
    if (nameOf(wish.key.publicKey) === nameOf(key.publicKey)) {
      this.changed(group, key.publicKey);
      return;
    }
    if (wish.view !== view) {
      wish.view = view;
      wish.takenBy.clear();
      wish.offeredAt = Number.NEGATIVE_INFINITY;
      wish.isAskedFor = false;
    }
    const lacking = members.filter((member) => member !== self && !wish.takenBy.has(member));
    const now = this.#host.now();
    if (lacking.length > 0 && now - wish.offeredAt >= OFFER_AGAIN_MS) {
      wish.offeredAt = now;
      this.#host.send(lacking, { kind: "keyOffer", group, view, key: wish.bytes });
    } else if (lacking.length === 0 && !wish.isAskedFor) {
      wish.isAskedFor = true;
      // The wish may be taken back when it is too late.
      this.#offered(keyed, wish.bytes);
      const { publicKey } = wish.key;
      const signature = key.proveSuccessor(cluster, self, publicKey);
      this.#host.request({ kind: "rekey", group, target: view, publicKey, signature });
    }
  }

  #offered({ name, offered }: Keyed, bytes: Uint8Array): GroupKey {
    const key = new GroupKey(bytes, name);
    const [first] = offered.keys();
    if (offered.size >= OFFERED_MAX && first !== undefined) offered.delete(first);
    offered.set(nameOf(key.publicKey), key);
    return key;
  }
}

function nameOf(publicKey: Uint8Array): string {
  return Buffer.from(publicKey).toString("latin1");
}
