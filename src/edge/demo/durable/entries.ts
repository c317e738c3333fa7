/**
 * A member's traffic: entries by `safeSend`, so many a second or as fast as they are taken, and never too many under way.
 */
import { describe } from "../../../group/errors.ts";
import type { Group } from "../../../group/group.ts";
import { type Book, TEXT_BYTES } from "./book.ts";

const TICK_MS = 10;
const UNDER_WAY_MAX = 1000;
const COMPLAINTS_MAX = 20;
const TEXT = "x".repeat(TEXT_BYTES);

export class Entries {
  readonly complaints: string[] = [];
  readonly #group: Group<Book>;
  readonly #onAcknowledged: () => void;
  #issued = 0;
  #underWay = 0;
  #perSecond: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #idle = (): void => {};

  constructor(group: Group<Book>, onAcknowledged: () => void) {
    this.#group = group;
    this.#onAcknowledged = onAcknowledged;
  }

  start(perSecond: number): void {
    this.#perSecond = perSecond;
    let before = performance.now();
    let due = 0;
    this.#timer = setInterval(() => {
      const now = performance.now();
      due += ((now - before) * perSecond) / 1000;
      before = now;
      for (; due >= 1; due--) if (this.#underWay < UNDER_WAY_MAX) this.#enter();
    }, TICK_MS);
    if (perSecond === 0) while (this.#underWay < UNDER_WAY_MAX) this.#enter();
  }

  /** Resolves when all members hold, on their disks, everything that was sent. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#perSecond = undefined;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
      if (this.#underWay === 0) resolve();
    });
    await this.#group.flush();
  }

  #enter(): void {
    this.#underWay++;
    this.#group.safeSend.enter(this.#issued++, TEXT).then(
      () => {
        this.#onAcknowledged();
        this.#over();
      },
      (error: unknown) => {
        if (this.complaints.length < COMPLAINTS_MAX) this.complaints.push(`an entry failed: ${describe(error)}`);
        this.#over();
      },
    );
  }

  #over(): void {
    this.#underWay--;
    if (this.#perSecond === 0) this.#enter();
    else if (this.#underWay === 0) this.#idle();
  }
}
