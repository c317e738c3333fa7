/**
 * The measured thing: a member of a group that sends one kind of message, and counts what its handlers are given.
 */
import { defineGroup } from "../../group/define.ts";
import type { Group } from "../../group/group.ts";
import type { Node } from "../../group/node.ts";
import { start } from "../../group/start.ts";
import { during, type Meter } from "./meter.ts";
import { machineMicroseconds, type Task } from "./task.ts";

/** Sent without awaiting between two looks at how far things are. */
const BURST_BYTES = 65_536;
const MESSAGE_HEADER_BYTES = 8;
const STAMP_BYTES = 8;

function definitionFor(meter: Meter, isTimed: boolean) {
  const arrived = (stamp: number): void => {
    meter.delivered++;
    if (isTimed && stamp > 0) meter.arrived(machineMicroseconds() - stamp);
  };
  return defineGroup({
    name: "bench",
    state: () => ({}),
    updates: {
      bytes: (_context, message: Uint8Array) => {
        meter.checksum = (meter.checksum + (message[0] as number)) | 0;
        arrived(isTimed ? stampOf(message) : 0);
      },
      typed: (_context, name: string, stamp: number) => {
        meter.checksum = (meter.checksum + name.length) | 0;
        arrived(stamp);
      },
    },
    queries: {},
    maxMessageBytes: 64 * 1024 * 1024,
  });
}

export class GroupMember {
  readonly #task: Task;
  readonly #meter: Meter;
  readonly #node: Node;
  readonly #group: Group<ReturnType<typeof definitionFor>>;
  readonly #message: Uint8Array;
  readonly #name: string;
  readonly #isTimed: boolean;
  #last: PromiseLike<unknown> | undefined;
  #begun = 0;
  #sent = 0;

  private constructor(task: Task, meter: Meter, node: Node, group: Group<ReturnType<typeof definitionFor>>) {
    this.#task = task;
    this.#meter = meter;
    this.#node = node;
    this.#group = group;
    this.#isTimed = isTimed(task);
    this.#message = new Uint8Array(Math.max(task.bytes, this.#isTimed ? STAMP_BYTES : 0)).fill(7);
    this.#name = "n".repeat(task.bytes);
  }

  static async join(task: Task, meter: Meter): Promise<GroupMember> {
    const node = await start({ discovery: task.directory, log: () => {} });
    const group = await node.join(definitionFor(meter, isTimed(task)));
    for await (const { members } of group.views()) if (members.length >= task.members) break;
    return new GroupMember(task, meter, node, group);
  }

  async run(forMs: number): Promise<void> {
    const { oneInFlight, perSecond } = this.#task;
    this.#begun = performance.now();
    this.#sent = 0;
    const step = oneInFlight ? () => this.#one() : perSecond > 0 ? () => this.#due() : () => this.#burst();
    await during(forMs, this.#sends ? step : () => undefined);
    await this.#last;
  }

  async close(): Promise<void> {
    await this.#node.close();
  }

  /** One in flight is sent by the youngest, which has the longest way to the one that orders. */
  get #sends(): boolean {
    const { oneInFlight, senders } = this.#task;
    const { rank, view } = this.#group;
    return oneInFlight ? rank === view.members.length - 1 : rank < senders;
  }

  async #one(): Promise<void> {
    const begun = machineMicroseconds();
    await this.#send(begun);
    this.#meter.resulted(machineMicroseconds() - begun);
  }

  /** What is due by now, at the times when it was due: a sender that is held back does not hide it. */
  #due(): undefined {
    const { perSecond } = this.#task;
    const now = performance.now();
    const offset = machineMicroseconds() - now * 1000;
    for (let due = this.#dueAt(perSecond); due <= now; due = this.#dueAt(perSecond)) {
      this.#last = this.#send(offset + due * 1000);
      this.#sent++;
    }
    return undefined;
  }

  #dueAt(perSecond: number): number {
    return this.#begun + (this.#sent * 1000) / perSecond;
  }

  /** A burst without awaiting, then the last of the burst before: that is the back-pressure. */
  #burst(): PromiseLike<unknown> | undefined {
    const before = this.#last;
    const count = Math.max(1, Math.floor(BURST_BYTES / (this.#task.bytes + MESSAGE_HEADER_BYTES)));
    for (let left = count; left > 0; left--) this.#last = this.#send(0);
    return before;
  }

  #send(stamp: number): PromiseLike<unknown> {
    const sends = this.#group[this.#task.flavour];
    if (this.#task.api === "typed") return sends.typed(this.#name, stamp);
    if (this.#isTimed) new DataView(this.#message.buffer).setFloat64(0, stamp, true);
    return sends.bytes(this.#message);
  }
}

function isTimed({ oneInFlight, perSecond }: Task): boolean {
  return oneInFlight || perSecond > 0;
}

function stampOf(message: Uint8Array): number {
  return new DataView(message.buffer, message.byteOffset).getFloat64(0, true);
}
