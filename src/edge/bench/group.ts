/**
 * The measured thing: a member of a group that sends one kind of message, and counts what its handlers are given.
 */
import { join } from "node:path";
import { batched, borrowed } from "../../group/batch.ts";
import { type Durability, defineGroup } from "../../group/define.ts";
import type { Group } from "../../group/group.ts";
import type { Node } from "../../group/node.ts";
import { ALL } from "../../group/reply.ts";
import { start } from "../../group/start.ts";
import { during, type Meter, pause } from "./meter.ts";
import { type Burst, machineMicroseconds, type Task } from "./task.ts";

/** Sent without awaiting between two looks at how far things are. */
const BURST_BYTES = 262_144;
/** How many bursts are under way. */
const BURSTS = 8;
/** Long enough for everything that a burst has caused to be over. */
const BETWEEN_BURSTS_MS = 4;
const MESSAGE_HEADER_BYTES = 8;
const STAMP_BYTES = 8;

function definitionFor(meter: Meter, isTimed: boolean, secure: boolean, durable: boolean | Durability) {
  const arrived = (stamp: number): void => {
    meter.delivered++;
    if (isTimed && stamp > 0) meter.arrived(machineMicroseconds() - stamp);
  };
  return defineGroup({
    name: "bench",
    secure,
    durable,
    state: () => ({}),
    updates: {
      bytes: borrowed((_context, message) => {
        meter.checksum = (meter.checksum + (message[0] as number)) | 0;
        arrived(isTimed ? stampOf(message, 0) : 0);
      }),
      kept: (_context, message: Uint8Array) => {
        meter.checksum = (meter.checksum + (message[0] as number)) | 0;
        arrived(isTimed ? stampOf(message, 0) : 0);
      },
      batch: batched((_context, batch) => {
        while (batch.next()) {
          meter.checksum = (meter.checksum + (batch.bytes[batch.offset] as number)) | 0;
          arrived(isTimed ? stampOf(batch.bytes, batch.offset) : 0);
        }
      }),
      typed: (_context, name: string, stamp: number) => {
        meter.checksum = (meter.checksum + name.length) | 0;
        arrived(stamp);
      },
    },
    queries: {
      bytes: (_context, message: Uint8Array) => {
        arrived(0);
        return message[0] as number;
      },
    },
    maxMessageBytes: 64 * 1024 * 1024,
  });
}

export class GroupMember {
  readonly #task: Task;
  readonly #meter: Meter;
  readonly #node: Node;
  readonly #group: Group<ReturnType<typeof definitionFor>>;
  readonly #message: Uint8Array;
  readonly #stamp: DataView;
  readonly #name: string;
  readonly #isTimed: boolean;
  readonly #bursts: PromiseLike<unknown>[] = [];
  #last: PromiseLike<unknown> | undefined;

  private constructor(task: Task, meter: Meter, node: Node, group: Group<ReturnType<typeof definitionFor>>) {
    this.#task = task;
    this.#meter = meter;
    this.#node = node;
    this.#group = group;
    this.#isTimed = isTimed(task);
    this.#message = new Uint8Array(Math.max(task.bytes, this.#isTimed ? STAMP_BYTES : 0)).fill(7);
    this.#stamp = new DataView(this.#message.buffer);
    this.#name = "n".repeat(task.bytes);
  }

  static async join(task: Task, meter: Meter): Promise<GroupMember> {
    const { directory, clusterKey, disk, rank, durable = false, acceptors } = task;
    const isSecure = clusterKey !== undefined;
    const secured = isSecure ? { secure: { clusterKey } } : {};
    const kept = durable && disk !== undefined ? { dataDir: join(disk, `node-${rank}`) } : {};
    const node = await start({ discovery: directory, log: () => {}, ...secured, ...kept });
    const durability = durable && acceptors !== undefined ? { acceptors } : durable;
    const group = await node.join(definitionFor(meter, isTimed(task), isSecure, durability));
    for await (const { members } of group.views()) if (members.length >= task.members) break;
    return new GroupMember(task, meter, node, group);
  }

  async run(forMs: number): Promise<void> {
    const { oneInFlight, perSecond, burst } = this.#task;
    if (!this.#sends) await pause(forMs);
    else if (burst !== undefined) await during(forMs, () => this.#burstOf(burst));
    else if (oneInFlight) await during(forMs, () => this.#one());
    else if (perSecond > 0) await this.#atRate(forMs, perSecond);
    else await during(forMs, () => this.#burst());
    await this.#last;
  }

  async close(): Promise<void> {
    await this.#node.close();
  }

  /** One in flight is sent by the youngest, which has the longest way to the one that orders. */
  get #sends(): boolean {
    const { oneInFlight, burst, senders } = this.#task;
    const { rank, view } = this.#group;
    return oneInFlight || burst !== undefined ? rank === view.members.length - 1 : rank < senders;
  }

  async #one(): Promise<void> {
    const begun = machineMicroseconds();
    await this.#send(begun);
    this.#meter.resulted(machineMicroseconds() - begun);
  }

  async #burstOf({ count, flush }: Burst): Promise<void> {
    const begun = machineMicroseconds();
    for (let left = count; left > 1; left--) this.#send(0);
    const last = this.#send(begun);
    if (flush !== "none") {
      await this.#group.flush(flush === "all" ? {} : { copies: flush });
      this.#meter.resulted(machineMicroseconds() - begun);
    }
    await last;
    await this.#group.flush();
    await pause(BETWEEN_BURSTS_MS);
  }

  /** Each message is sent when it is due, or as soon as it can be: a sender that is held back does not hide it. */
  async #atRate(forMs: number, perSecond: number): Promise<void> {
    const begun = performance.now();
    const offset = machineMicroseconds() - begun * 1000;
    const dueAt = (index: number): number => begun + (index * 1000) / perSecond;
    let sent = 0;
    while (dueAt(sent) < begun + forMs) {
      for (const now = performance.now(); dueAt(sent) <= now; sent++) {
        this.#last = this.#send(offset + dueAt(sent) * 1000);
      }
      await pause(1);
    }
  }

  /** A burst of messages whose outcome nobody asks for, then one that is awaited a few bursts later: the back-pressure. */
  #burst(): PromiseLike<unknown> | undefined {
    const { api, flavour } = this.#task;
    if (flavour === "query") return this.#send(0);
    const sends = this.#group[flavour];
    const count = Math.max(1, Math.floor(BURST_BYTES / (this.#task.bytes + MESSAGE_HEADER_BYTES)));
    if (api === "batch") for (let left = count; left > 1; left--) sends.batch.post(this.#message);
    else if (api === "typed") for (let left = count; left > 1; left--) sends.typed.post(this.#name, 0);
    else if (api === "kept") for (let left = count; left > 1; left--) sends.kept.post(this.#message);
    else for (let left = count; left > 1; left--) sends.bytes.post(this.#message);
    this.#last = this.#send(0);
    this.#bursts.push(this.#last);
    return this.#bursts.length > BURSTS ? this.#bursts.shift() : undefined;
  }

  #send(stamp: number): PromiseLike<unknown> {
    const { api, flavour } = this.#task;
    if (this.#isTimed) this.#stamp.setFloat64(0, stamp, true);
    if (flavour === "query") return this.#group.query(ALL).bytes(this.#message);
    const sends = this.#group[flavour];
    if (api === "typed") return sends.typed(this.#name, stamp);
    if (api === "kept") return sends.kept(this.#message);
    return api === "batch" ? sends.batch(this.#message) : sends.bytes(this.#message);
  }
}

function isTimed({ oneInFlight, perSecond, burst }: Task): boolean {
  return oneInFlight || perSecond > 0 || burst !== undefined;
}

function stampOf(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + at).getFloat64(0, true);
}
