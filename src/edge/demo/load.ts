/**
 * A member's traffic: so many updates a second, half of them `send` (names of its own), three in ten `orderedSend` and
 * two in ten `safeSend` (names that all set), and now and then a `flush` and a query to all. It does not wait for one
 * update before it sends the next, but sends no more while too many are under way.
 */
import { describe } from "../../group/errors.ts";
import type { Group } from "../../group/group.ts";
import { ALL } from "../../group/reply.ts";
import { ownName, type Prices, priceOf, sharedName } from "./prices.ts";

const TICK_MS = 10;
const ASKING_MS = 200;
const UNDER_WAY_MAX = 1000;
const COMPLAINTS_MAX = 20;

export class Load {
  readonly complaints: string[] = [];
  issued = 0;
  flushes = 0;
  queries = 0;
  /** Values that came back from queries. */
  answers = 0;
  readonly #group: Group<Prices>;
  readonly #name: string;
  readonly #underWay = new Set<Promise<unknown>>();
  #timers: NodeJS.Timeout[] = [];
  #ask = 0;

  constructor(group: Group<Prices>, name: string) {
    this.#group = group;
    this.#name = name;
  }

  start(updatesPerSecond: number): void {
    if (this.#timers.length > 0) return;
    let before = performance.now();
    let due = 0;
    const tick = (): void => {
      const now = performance.now();
      due += ((now - before) * updatesPerSecond) / 1000;
      before = now;
      for (; due >= 1; due--) if (this.#underWay.size < UNDER_WAY_MAX) this.#update();
    };
    this.#timers = [setInterval(tick, TICK_MS), setInterval(() => this.#flushOrQuery(), ASKING_MS)];
  }

  /** Resolves when everything that was sent has been delivered to every member. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
    await Promise.all(this.#underWay);
    await this.#group.flush();
    // Whoever answers has delivered what this member sent before, in the same flavour.
    await this.#group.query(ALL, { order: "fifo" }).lookup(ownName(this.#name, 0));
    await this.#group.query(ALL, { order: "ordered" }).lookup(sharedName(0));
  }

  #update(): void {
    const ticket = this.issued++;
    const price = priceOf(ticket);
    const turn = ticket % 10;
    if (turn < 5) this.#track("send", this.#group.send.set(ownName(this.#name, ticket), price));
    else if (turn < 8) this.#track("orderedSend", this.#group.orderedSend.set(sharedName(ticket), price));
    else this.#track("safeSend", this.#group.safeSend.set(sharedName(ticket), price));
  }

  #flushOrQuery(): void {
    if (this.#ask++ % 2 === 0) {
      this.#track(
        "flush",
        this.#group.flush().then(() => {
          this.flushes++;
        }),
      );
      return;
    }
    const replies = this.#group.query(ALL).lookup(sharedName(this.#ask));
    this.#track(
      "query",
      replies.then((all) => {
        this.queries++;
        this.answers += all.filter(({ status }) => status === "value").length;
      }),
    );
  }

  #track(what: string, call: Promise<unknown>): void {
    const outcome: Promise<unknown> = call.then(
      () => this.#underWay.delete(outcome),
      (error: unknown) => {
        this.#underWay.delete(outcome);
        if (this.complaints.length < COMPLAINTS_MAX) this.complaints.push(`${what} failed: ${describe(error)}`);
      },
    );
    this.#underWay.add(outcome);
  }
}
