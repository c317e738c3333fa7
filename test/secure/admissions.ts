/**
 * What a node of the cluster may try that wants to be a member of a group, and does not have the group's key; each
 * attempt says what it got, or nothing. The same list judges the code as it is, and with planted bugs.
 */
import type { DirectoryOutcome, Nodes } from "../../src/protocol/membership/directory.ts";
import type { Proof } from "../../src/protocol/membership/proof.ts";
import type { Admission } from "../../src/simulation/mutation.ts";

const [ann, bob, eve] = ["ann#0000000a", "bob#0000000b", "eve#0000000e"] as const;
const KEY = new Uint8Array(32).fill(42);
const OTHER_KEY = new Uint8Array(32).fill(43);
const GROUP = "salaries";

/** A directory that executes joins. */
class Desk {
  readonly #made: Admission;
  readonly #nodes: Nodes;
  #directory: InstanceType<Admission["Directory"]>;
  readonly #numbers = new Map<string, number>();

  constructor(made: Admission) {
    this.#made = made;
    this.#directory = new made.Directory();
    const diskOf = (id: string): string => id.slice(0, 3);
    this.#nodes = { diskOf, durable: true, cluster: "birds", verify: made.isSigned };
  }

  /** The codes and details of refusals, "" for none. */
  join(node: string, proofs: { readonly [group: string]: Proof | undefined }, digest = "d", durable = false): string {
    const wish = { digest, durable, acceptorsMax: 0, operations: [] };
    const groups = Object.entries(proofs).map(([name, proof]) => ({ ...wish, name, proof }));
    return shown(this.#execute(node, { kind: "join", groups }));
  }

  proof(node: string, { key = KEY, cluster = "birds", group = GROUP } = {}): Proof {
    const pair = new this.#made.GroupKey(key, group);
    return { publicKey: pair.publicKey, signature: pair.prove(cluster, node) };
  }

  /** What a member, or somebody else, asks for who wants the group to have another key. */
  rekey(node: string, { by = KEY, signedBy = node, signedTo = OTHER_KEY, cluster = "birds", late = 0 } = {}): void {
    const group = this.#directory.named(GROUP);
    if (group === undefined) return;
    const { publicKey } = new this.#made.GroupKey(OTHER_KEY, GROUP);
    const signed = new this.#made.GroupKey(signedTo, GROUP).publicKey;
    const signature = new this.#made.GroupKey(by, GROUP).proveSuccessor(cluster, signedBy, signed);
    this.#execute(node, { kind: "rekey", group: group.id, target: group.number - late, publicKey, signature });
  }

  leave(node: string): void {
    this.#execute(node, { kind: "leave", groups: [this.#directory.named(GROUP)?.id ?? 0] });
  }

  /** The number of the group's newest target. */
  get number(): number {
    return this.#directory.named(GROUP)?.number ?? 0;
  }

  membersOf(group: string = GROUP): string {
    return (
      this.#directory
        .named(group)
        ?.members.map((id) => id.slice(0, 3))
        .join() ?? ""
    );
  }

  /** All nodes but these are gone. */
  keepOnly(...nodes: string[]): void {
    this.#directory.clusterInstalled(new Set(nodes));
    for (const id of [...this.#numbers.keys()]) if (!nodes.includes(id)) this.#numbers.delete(id);
  }

  /** Another replica goes on from a snapshot. */
  restore(): void {
    const restored = this.#made.Directory.restore(this.#directory.snapshot());
    if (restored !== undefined) this.#directory = restored;
  }

  /** What a node learns of its join when it was executed elsewhere. */
  inRetrospect(node: string, proof: Proof | undefined): string {
    const groups = [{ name: GROUP, digest: "other", durable: false, acceptorsMax: 0, operations: [], proof }];
    return shown(this.#directory.refusalsInRetrospect(node, { kind: "join", groups }, this.#nodes));
  }

  #execute(
    requester: string,
    command: Parameters<InstanceType<Admission["Directory"]>["execute"]>[0]["command"],
  ): DirectoryOutcome["refusals"] {
    const number = (this.#numbers.get(requester) ?? 0) + 1;
    this.#numbers.set(requester, number);
    return this.#directory.execute({ requester, number, command }, this.#nodes)?.refusals ?? [];
  }
}

function shown(refusals: DirectoryOutcome["refusals"]): string {
  return refusals.map((refusal) => Object.values(refusal).join(" ")).join();
}

const REFUSED = `refused ${GROUP}`;

/** A desk at which a group with a key was made. */
function guarded(made: Admission): Desk {
  const desk = new Desk(made);
  desk.join(ann, { [GROUP]: desk.proof(ann) });
  return desk;
}

/** What the attempt of a stranger got. */
function attempt(made: Admission, proofAt: (desk: Desk) => Proof | undefined): string | undefined {
  const desk = guarded(made);
  const answer = desk.join(eve, { [GROUP]: proofAt(desk) });
  if (desk.membersOf() !== "ann") return "it is a member";
  return answer === REFUSED ? undefined : `it is told: ${answer}`;
}

/** Whether the group's key is the other one after this, and its next target new. */
function rekeyed(made: Admission, ask: (desk: Desk) => void): boolean {
  const desk = guarded(made);
  desk.join(bob, { [GROUP]: desk.proof(bob) });
  const before = desk.number;
  ask(desk);
  const isNew = desk.join(eve, { [GROUP]: desk.proof(eve, { key: OTHER_KEY }) }) === "";
  return isNew || desk.number !== before;
}

/** By name; each returns what went wrong. */
const ATTACKS: { readonly [name: string]: (made: Admission) => string | undefined } = {
  "who has the key joins": (made) => {
    const desk = guarded(made);
    const answer = desk.join(bob, { [GROUP]: desk.proof(bob) });
    return answer === "" && desk.membersOf() === "ann,bob" ? undefined : `it is told: ${answer}`;
  },
  "without a proof": (made) => attempt(made, () => undefined),
  "with a proof by another key": (made) => attempt(made, (desk) => desk.proof(eve, { key: OTHER_KEY })),
  "with the group's public key, and another's signature": (made) =>
    attempt(made, (desk) => ({
      publicKey: desk.proof(ann).publicKey,
      signature: desk.proof(eve, { key: OTHER_KEY }).signature,
    })),
  "with no signature": (made) =>
    attempt(made, (desk) => ({ publicKey: desk.proof(ann).publicKey, signature: new Uint8Array(0) })),
  "with the proof of another incarnation": (made) => attempt(made, (desk) => desk.proof(bob)),
  "with a proof of another cluster": (made) => attempt(made, (desk) => desk.proof(eve, { cluster: "fish" })),
  "with a proof of another group that has the same key": (made) =>
    attempt(made, (desk) => desk.proof(eve, { group: "names" })),
  "a signature is for one cluster, one group, one node": (made) => {
    const statements = [
      made.statementOf("a", "b", ann),
      made.statementOf("b", "b", ann),
      made.statementOf("a", "a", ann),
    ];
    const all = [...statements, made.statementOf("a", "b", bob)].map((bytes) => Buffer.from(bytes).toString("hex"));
    return new Set(all).size === all.length ? undefined : "one serves for another";
  },
  "one key makes another key pair for each group": (made) => {
    const [one, other] = [GROUP, "names"].map((group) => new made.GroupKey(KEY, group));
    const areSame = (a?: Uint8Array, b?: Uint8Array): boolean => Buffer.compare(a ?? KEY, b ?? KEY) === 0;
    if (areSame(one?.publicKey, other?.publicKey) || areSame(one?.secret, other?.secret)) return "they are the same";
    return areSame(one?.secret, one?.publicKey) || areSame(one?.secret, KEY) ? "the secret shows" : undefined;
  },
  "several groups at once, of which one is guarded": (made) => {
    const desk = guarded(made);
    const answer = desk.join(eve, { [GROUP]: undefined, names: undefined });
    return answer === REFUSED && desk.membersOf("names") === "" ? undefined : `it is told: ${answer}`;
  },
  "of the definition nothing is told": (made) => {
    const desk = guarded(made);
    const answers = [desk.join(eve, { [GROUP]: undefined }, "other"), desk.inRetrospect(eve, undefined)];
    return answers.every((answer) => answer === REFUSED) ? undefined : `it is told: ${answers}`;
  },
  "who brings a key is not led into a group that has none": (made) => {
    const desk = new Desk(made);
    desk.join(eve, { [GROUP]: undefined });
    const answer = desk.join(ann, { [GROUP]: desk.proof(ann) });
    return answer === REFUSED ? undefined : "it is";
  },
  "a replica that comes later asks for the key too": (made) => {
    const desk = guarded(made);
    desk.restore();
    return desk.join(eve, { [GROUP]: undefined }) === REFUSED ? undefined : "it does not";
  },
  "once the group has another key the old one is none, at a replica that comes later, too": (made) => {
    const desk = guarded(made);
    desk.rekey(ann);
    desk.restore();
    if (desk.join(bob, { [GROUP]: desk.proof(bob) }) !== REFUSED) return "the old key is enough";
    return desk.join(bob, { [GROUP]: desk.proof(bob, { key: OTHER_KEY }) }) === "" ? undefined : "the new one is not";
  },
  "another key, signed by another than the present one": (made) =>
    rekeyed(made, (desk) => desk.rekey(bob, { by: OTHER_KEY })) ? "it is taken" : undefined,
  "another key, signed for another node, cluster or key": (made) => {
    const forgeries = [{ signedBy: ann }, { cluster: "fish" }, { signedTo: KEY }];
    return forgeries.some((forgery) => rekeyed(made, (desk) => desk.rekey(bob, forgery))) ? "it is taken" : undefined;
  },
  "another key, asked for by who is no member": (made) =>
    rekeyed(made, (desk) => desk.rekey(eve)) ? "it is taken" : undefined,
  "another key, asked for by who is a member no more": (made) => {
    const desk = guarded(made);
    desk.join(bob, { [GROUP]: desk.proof(bob) });
    desk.leave(bob);
    const before = desk.number;
    desk.rekey(bob);
    return desk.number === before ? undefined : "it is taken";
  },
  "another key, of which members have not heard": (made) =>
    rekeyed(made, (desk) => desk.rekey(ann, { late: 1 })) ? "it is taken" : undefined,
  "the disk of a keeper is no key": (made) => {
    const desk = new Desk(made);
    desk.join(ann, { [GROUP]: desk.proof(ann) }, "d", true);
    desk.keepOnly(eve);
    const again = "ann#0000001a";
    if (desk.join(again, { [GROUP]: undefined }, "d", true) !== REFUSED) return "it is enough";
    return desk.join(again, { [GROUP]: desk.proof(again) }, "d", true) === "" ? undefined : "the key is not enough";
  },
};

/** The attacks that get something. */
export function admitted(made: Admission): string[] {
  return Object.entries(ATTACKS).flatMap(([name, attack]) => {
    let got: string | undefined;
    try {
      got = attack(made);
    } catch (error) {
      got = String(error);
    }
    return got === undefined ? [] : [`${name}: ${got}`];
  });
}
