/**
 * Nodes of one user on one machine find each other, and found one cluster, through a directory (rule A8).
 *
 * Files, with K a hash of a node's id (an id is one incarnation's and is never used again):
 *   K.lock                 a lock that dies with the process; taken before anything else is written
 *   K.node                 id, address, pid
 *   K.joined               the cluster that the node is in, while it is in one
 *   generation-<n>         who may found for the nth time; made by exclusive creation, never removed
 *   generation-<n>.void    its owner gave it up before it was told to found
 *
 * A node is *dead* when it has a record or a generation and its lock refuses; that is final. It is a *member* when it
 * is not dead and has K.joined. It *acts* once `founding` told it to found, or once `joined` resolved.
 *   To found: (1) wait while any other member lives, or while the owner of the newest generation n lives and has not
 *   voided it; (2) take n+1, or start again if it is taken; (3) look for members again: if there is one, void n+1.
 *   To join: (1) write K.joined; (2) unless told to found, look: if a member of another cluster lives, or the owner of
 *   the newest generation lives, has not voided it and is no member of this cluster, take K.joined back and refuse.
 *
 * Claim: no two living nodes act for different clusters, so nobody founds while a member of an earlier cluster lives.
 *   Two that were told to found, for generations i < j: whoever took j found the owner of j-1 dead or that generation
 *   void, and so on down to i. Dead and void are final, and a voided generation is never told to found.
 *   X told to found, Y a member that was not: if Y wrote before X looked in (3), X saw it and voided. Else Y looked
 *   after X had taken its generation, which is still the newest while X lives; so Y refused, or joined X's cluster.
 *   Two members, none of them told to found: each wrote before it looked, so the later one saw the other and refused.
 * A look misses nobody: a node's record precedes its generation and its K.joined, and is not replaced (see board.ts).
 * If it appeared during a look that followed a write, then its owner's own look sees that write. A pause between
 * any two steps changes nothing: the lock of a paused process is held, so others wait for it or refuse for its sake.
 *
 * What follows: an owner that dies after taking a generation is succeeded by exactly one of the others. A cluster whose
 * founder died is joined through its members. A member that is blocked or excluded is waited for until it closes or
 * ends. A process that dies with a lock and no record never acted. Yesterday's files are those of dead nodes.
 *
 * The claim is about nodes that use the directory, on one machine (a socket file refuses everybody on another one),
 * while nobody deletes its files. A cluster that reaches over machines needs configured founders.
 */
import { existsSync } from "node:fs";
import type { NodeId, NodeRecord } from "../../protocol/view.ts";
import { Board, DURABLE, digest } from "./board.ts";
import { type Discovery, DiscoveryError, type Founding } from "./discovery.ts";
import { Lock, LockProbe } from "./lock.ts";

export { defaultDirectory } from "./board.ts";

/** Those who tidy temporary directories wait for days. */
const TOUCH_INTERVAL_MS = 3_600_000;
/** Members of a cluster tell of each other, so a few of them are enough to seek. */
const CANDIDATES_MAX = 3;
/** Whoever enters removes what the dead have left until it has met so many who live. */
const TIDY_LIVING_MAX = 3;

/** What a node says of itself in its record and in its generations. */
interface Notice {
  readonly id: NodeId;
  readonly address: string;
  readonly pid: number;
}

interface Member {
  readonly cluster: string;
  readonly notice: Notice | undefined;
}

interface Generation {
  readonly number: number;
  readonly key: string;
  readonly notice: Notice;
  readonly isVoid: boolean;
}

/** A node that a directory knows of, as it is seen from outside. */
export interface Resident extends Notice {
  /** The cluster that it is in; undefined while it is in none. */
  readonly cluster: string | undefined;
  /** Its process is there; it may be paused or busy. */
  readonly isAlive: boolean;
}

/** The nodes that the directory knows of, by somebody who is none: nothing is made, and nothing removed. */
export async function residents(directory: string): Promise<readonly Resident[]> {
  if (!existsSync(directory)) return [];
  const board = new Board(directory, "");
  const probe = new LockProbe();
  const found: Resident[] = [];
  for (const file of board.names()) {
    const key = /^([0-9a-f]{16})\.node$/.exec(file)?.[1];
    const about = key === undefined ? undefined : notice(board.read(file));
    if (key === undefined || about === undefined) continue;
    const isAlive = await probe.isHeld(board.pathOf(lockName(key)));
    found.push({ ...about, cluster: board.read(joinedName(key)), isAlive });
  }
  probe.disconnect();
  return found;
}

/** Opens the directory, made if need be, and shows this node in it. Resolves when others can see it. */
export async function rendezvous(options: {
  readonly directory: string;
  readonly record: Pick<NodeRecord, "id" | "address">;
}): Promise<Discovery> {
  const { id, address } = options.record;
  const key = digest(id);
  const board = new Board(options.directory, key);
  const lock = await Lock.hold(board.pathOf(lockName(key)));
  const discovery = new Rendezvous(board, lock, { id, address, pid: process.pid });
  try {
    await discovery.enter();
    return discovery;
  } catch (error) {
    await discovery.close();
    throw error;
  }
}

class Rendezvous implements Discovery {
  readonly #board: Board;
  readonly #lock: Lock;
  readonly #probe = new LockProbe();
  readonly #notice: Notice;
  readonly #key: string;
  readonly #touching: NodeJS.Timeout;
  #cluster: string | undefined;
  #asking: Promise<Founding> | undefined;
  #joining: Promise<void> | undefined;
  /** Told to found: its generation can no longer be voided. */
  #told = false;
  #looks = 0;
  #isClosed = false;

  constructor(board: Board, lock: Lock, notice: Notice) {
    this.#board = board;
    this.#lock = lock;
    this.#notice = notice;
    this.#key = digest(notice.id);
    this.#touching = setInterval(() => this.#touch(), TOUCH_INTERVAL_MS);
    this.#touching.unref();
  }

  async candidates(): Promise<readonly string[]> {
    if (this.#isClosed) return [];
    this.#looks++;
    const files = this.#board.names();
    const [members, rival] = await Promise.all([
      this.#livingMembers(files, CANDIDATES_MAX),
      this.#livingRival(this.#newest(files)),
    ]);
    const addresses = [...members.map((member) => member.notice), rival].map((notice) => notice?.address);
    const known = [...new Set(addresses)].filter((address) => address !== undefined);
    return known.filter((address) => address !== this.#notice.address);
  }

  founding(): Promise<Founding> {
    this.#asking ??= this.#decide().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #decide(): Promise<Founding> {
    for (;;) {
      if (this.#isClosed) return wait("this node is closed");
      const files = this.#board.names();
      const newest = this.#newest(files);
      const isOwn = newest?.key === this.#key && !newest.isVoid;
      const [member] = await this.#livingMembers(files, 1);
      const rival = await this.#livingRival(newest);
      // From here to the end of the turn nothing is awaited: this node neither joins nor closes in between.
      if (this.#isClosed) return wait("this node is closed");
      if (this.#cluster !== undefined) return wait(`this node is in cluster ${this.#cluster}`);
      if (member !== undefined) {
        if (isOwn && !this.#told) this.#board.publish(voidName(newest.number), this.#notice.id, DURABLE);
        return wait(`${name(member.notice)} is alive and in cluster ${member.cluster}`);
      }
      if (rival !== undefined) return wait(`${name(rival)} is alive and may be founding`);
      if (isOwn) {
        this.#told = true;
        return { kind: "found" };
      }
      // Whether this node or another takes it, the next round judges it.
      this.#board.publish(generationName((newest?.number ?? 0) + 1), JSON.stringify(this.#notice), DURABLE);
    }
  }

  async joined(cluster: string): Promise<void> {
    if (this.#isClosed) throw new DiscoveryError("cluster", "this node is closed");
    if (this.#cluster === undefined) this.#joining = this.#join(cluster);
    else if (this.#cluster !== cluster) throw new DiscoveryError("cluster", `this node is in ${this.#cluster}`);
    await this.#joining;
  }

  async #join(cluster: string): Promise<void> {
    this.#cluster = cluster;
    try {
      this.#board.publish(joinedName(this.#key), cluster);
      // Who was told to found holds off everybody else; those who are about to find that out must not stop it.
      const conflict = this.#told ? undefined : await this.#conflict(cluster);
      if (this.#isClosed) throw new DiscoveryError("cluster", "this node is closed");
      if (conflict !== undefined) {
        throw new DiscoveryError("cluster", `${cluster} is not the one of "${this.#board.directory}": ${conflict}`);
      }
    } catch (error) {
      this.#board.remove(joinedName(this.#key));
      this.#cluster = undefined;
      throw error;
    }
    this.#probe.disconnect();
  }

  /** Who is in another cluster than this one, or may be founding another. */
  async #conflict(cluster: string): Promise<string | undefined> {
    const files = this.#board.names();
    const [[other], rival] = await Promise.all([
      this.#livingMembers(files, 1, (found) => found !== cluster),
      this.#livingRival(this.#newest(files)),
    ]);
    if (other !== undefined) return `${name(other.notice)} is in ${other.cluster}`;
    if (rival === undefined || this.#board.read(joinedName(digest(rival.id))) === cluster) return undefined;
    return `${name(rival)} is alive and may be founding`;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#touching);
    this.#probe.disconnect();
    await this.#lock.release();
    this.#bury(this.#key);
  }

  /** Writes the record, and removes what the dead left behind, except for generations. */
  async enter(): Promise<void> {
    const isNew = this.#board.publish(nodeName(this.#key), JSON.stringify(this.#notice));
    if (!isNew) throw new DiscoveryError("id", `${this.#notice.id} was used here before; ids must be fresh`);
    let livingCount = 0;
    for (const key of this.#others(this.#board.names(), "node")) {
      if (await this.#isAlive(key)) livingCount++;
      if (livingCount === TIDY_LIVING_MAX) return;
    }
  }

  /**
   * The others that have such a file, in a circle that begins elsewhere for every node and every look for candidates, so
   * that nobody is asked by all.
   */
  #others(files: readonly string[], kind: "node" | "joined"): readonly string[] {
    const pattern = kind === "node" ? /^([0-9a-f]{16})\.node$/ : /^([0-9a-f]{16})\.joined$/;
    const keys = files.map((file) => pattern.exec(file)?.[1]).filter((key) => key !== undefined);
    const others = keys.filter((key) => key !== this.#key).sort();
    const after = others.findIndex((key) => key > this.#key);
    const from = (Math.max(0, after) + this.#looks * CANDIDATES_MAX) % Math.max(1, others.length);
    return [...others.slice(from), ...others.slice(0, from)];
  }

  /** Members of wanted clusters that live, at most `count`; fewer only if there are no more. */
  async #livingMembers(
    files: readonly string[],
    count: number,
    isWanted = (_cluster: string): boolean => true,
  ): Promise<readonly Member[]> {
    const members: Member[] = [];
    for (const key of this.#others(files, "joined")) {
      const cluster = this.#board.read(joinedName(key));
      if (cluster === undefined || !isWanted(cluster)) continue;
      const about = notice(this.#board.read(nodeName(key)));
      if (await this.#isAlive(key)) members.push({ cluster, notice: about });
      if (members.length === count) break;
    }
    return members;
  }

  /** The owner of this generation, if it is another node that lives and has not given it up. */
  async #livingRival(generation: Generation | undefined): Promise<Notice | undefined> {
    if (generation === undefined || generation.isVoid || generation.key === this.#key) return undefined;
    return (await this.#isAlive(generation.key)) ? generation.notice : undefined;
  }

  async #isAlive(key: string): Promise<boolean> {
    if (await this.#probe.isHeld(this.#board.pathOf(lockName(key)))) return true;
    this.#bury(key);
    return false;
  }

  /** The record goes last: while it is there, whoever looks knows what else to remove. */
  #bury(key: string): void {
    for (const file of [joinedName(key), lockName(key), nodeName(key)]) this.#board.remove(file);
  }

  #newest(files: readonly string[]): Generation | undefined {
    let number = 0;
    for (const file of files) {
      number = Math.max(number, Number(/^generation-([1-9]\d{0,14})$/.exec(file)?.[1] ?? 0));
    }
    if (number === 0) return undefined;
    const owner = notice(this.#board.read(generationName(number)));
    if (owner === undefined) {
      const path = this.#board.pathOf(generationName(number));
      throw new DiscoveryError(
        "directory",
        `"${path}" does not say who may found; end all nodes, remove the directory`,
      );
    }
    const isVoid = this.#board.read(voidName(number)) !== undefined;
    return { number, key: digest(owner.id), notice: owner, isVoid };
  }

  #touch(): void {
    const files = [nodeName(this.#key), joinedName(this.#key), lockName(this.#key)];
    const generations = this.#board.names().filter((file) => file.startsWith("generation-"));
    this.#board.touch([...files, ...generations], new Date());
  }
}

function lockName(key: string): string {
  return `${key}.lock`;
}

function nodeName(key: string): string {
  return `${key}.node`;
}

function joinedName(key: string): string {
  return `${key}.joined`;
}

function generationName(number: number): string {
  return `generation-${number}`;
}

function voidName(number: number): string {
  return `generation-${number}.void`;
}

function wait(why: string): Founding {
  return { kind: "wait", why };
}

function name(of: Notice | undefined): string {
  return of === undefined ? "a node" : `${of.id} (process ${of.pid}, ${of.address})`;
}

/** Undefined for what is no notice, as a machine that lost its power may leave behind. */
function notice(text: string | undefined): Notice | undefined {
  if (text === undefined) return undefined;
  try {
    const read = JSON.parse(text) as Partial<Record<keyof Notice, unknown>> | null;
    if (typeof read?.id !== "string" || typeof read.address !== "string" || typeof read.pid !== "number")
      return undefined;
    return { id: read.id, address: read.address, pid: read.pid };
  } catch {
    return undefined;
  }
}
